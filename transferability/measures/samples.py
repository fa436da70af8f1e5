"""Checks of what measures are given, and sums over classes."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

_BLOCK = 2**18  # Numbers that are checked at once.
_LARGEST = 1e100
_COLLAPSED = 1e-24  # Of all variance.


def check_features(features: ArrayLike, name: str = 'features') -> np.ndarray:
  """Returns features, called `name` in messages, as float64 [n, d].

  Raises:
    ValueError: If they are no finite numbers of that shape, n < 2, or squares
      overflow or vanish.
  """
  features = _shaped(features, name, 'd features')
  _check_range(features, name)
  return features


def check_labels(labels: ArrayLike, num_samples: int) -> np.ndarray:
  """Returns labels as int64 [n].

  Raises:
    ValueError: If they are not one integer for each sample, or not 0..C-1
      with at least one sample each.
  """
  labels = np.asarray(labels)
  if not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(f'labels have dtype {labels.dtype}; give integers 0..C-1.')
  if labels.ndim != 1:
    raise ValueError(f'labels have shape {labels.shape}; give one a sample.')
  if len(labels) != num_samples:
    raise ValueError(
      f'There are {len(labels)} labels of {num_samples} samples.'
    )
  if labels.min() < 0:
    raise ValueError(f'A label is {labels.min()}; labels are 0..C-1.')
  if labels.max() >= num_samples:
    raise ValueError(
      f'A label is {labels.max()}, but {num_samples} samples cannot fill '
      'classes 0 to that; number the classes 0..C-1.'
    )
  labels = labels.astype(np.int64)
  if empty := np.flatnonzero(np.bincount(labels) == 0).tolist():
    raise ValueError(
      f'Class {empty[0]} has no sample; labels are 0..C-1, each of them used '
      f'({len(empty)} of {labels.max() + 1} are not).'
    )
  return labels


def check_targets(
  labels: ArrayLike, num_samples: int, regression: bool
) -> np.ndarray:
  """Returns what is regressed, float64 [n, num_targets].

  Args:
    labels: Classes [n], of which each becomes a target, 1 for its samples and
      else 0; with `regression`, real targets [n] or [n, num_targets].
    num_samples: How many there must be.
    regression: Whether they are real numbers.

  Raises:
    ValueError: If they are not what was said, or not as many.
  """
  if not regression:
    labels = check_labels(labels, num_samples)
    return np.eye(labels.max() + 1)[labels]
  targets = np.asarray(labels)
  if targets.ndim == 1:
    targets = targets[:, None]
  targets = check_features(targets, 'labels')
  if len(targets) != num_samples:
    raise ValueError(
      f'There are targets of {len(targets)} of {num_samples} samples.'
    )
  return targets


def check(
  features: ArrayLike, labels: ArrayLike, min_classes: int = 1
) -> tuple[np.ndarray, np.ndarray]:
  """Returns checked features and labels, of so many classes at least."""
  features = check_features(features)
  labels = check_labels(labels, len(features))
  if labels.max() + 1 < min_classes:
    raise ValueError(
      f'All samples are of one class; {min_classes} or more are compared.'
    )
  return features, labels


def check_option(name: str, value: str, known: Collection[str]) -> None:
  """Raises ValueError if an option has a value that is not known."""
  if value not in known:
    raise ValueError(f'{name}={value!r} is none of {tuple(known)}.')


def check_source_probs(source_probs: ArrayLike) -> np.ndarray:
  """Returns probabilities as float64 [n, Cs].

  Raises:
    ValueError: If an entry is negative, or a row does not sum to 1 to 1e-3
      (what a softmax in half precision keeps).
  """
  probs = _shaped(source_probs, 'source_probs', 'Cs probabilities')
  if _are_probabilities(probs):
    return probs
  _check_range(probs, 'source_probs')
  if probs.min() < 0:
    row, column = np.unravel_index(np.argmin(probs), probs.shape)
    raise ValueError(
      f'source_probs[{row}, {column}] is {probs.min():g}, which is negative.'
    )
  sums = probs.sum(axis=1)
  worst = int(np.argmax(np.abs(sums - 1)))
  raise ValueError(
    f'Row {worst} of source_probs sums to {sums[worst]:g}, not to 1; give '
    'probabilities, such as a softmax of the logits.'
  )


def _are_probabilities(rows: np.ndarray) -> bool:
  """Returns whether rows are at least 0 and sum to 1; NaN and inf do not.

  Block by block, each in the cache: some measures need hardly more time.
  """
  ones = np.ones(rows.shape[1])
  step = max(1, _BLOCK // len(ones))
  for start in range(0, len(rows), step):
    block = rows[start : start + step]
    if not (np.abs(block @ ones - 1) <= 1e-3).all() or block.min() < 0:
      return False
  return True


def _shaped(values: ArrayLike, name: str, columns: str) -> np.ndarray:
  values = np.asarray(values)
  if not (
    np.issubdtype(values.dtype, np.floating)
    or np.issubdtype(values.dtype, np.integer)
  ):
    raise ValueError(f'{name} have dtype {values.dtype}; give real numbers.')
  if values.ndim != 2 or not values.shape[1]:
    raise ValueError(
      f'{name} have shape {values.shape}; give n samples times {columns}.'
    )
  if len(values) < 2:
    raise ValueError(f'{name} are of {len(values)} sample; give 2 or more.')
  return np.asarray(values, np.float64)


def _check_range(values: np.ndarray, name: str) -> None:
  """Raises ValueError unless [n, d] is finite, as are its squares."""
  largest = max(values.max(), -values.min())
  if not np.isfinite(largest):
    bad = ~np.isfinite(values)
    row, column = np.argwhere(bad)[0]
    raise ValueError(
      f'{name}[{row}, {column}] is {values[row, column]}; {bad.sum()} of '
      f'{bad.size} entries are not finite.'
    )
  if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
    raise ValueError(
      f'The largest of the {name} is {largest:g}; squares of such numbers are '
      'out of the range of float64. Scale them.'
    )


def centre(features: np.ndarray) -> np.ndarray:
  """Returns features less their means, and exact zeros where they are constant.

  The first sample is taken off before the mean, so that no digits are lost far
  from the origin.
  """
  centred = features - features[0]
  centred -= centred.mean(axis=0)
  return centred


def class_sums(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the sum of the rows of each class, float64 [C, ...]."""
  size = len(labels)
  members = sparse.csr_array(
    (np.ones(size), (labels, np.arange(size))), (labels.max() + 1, size)
  )
  return members @ values


def class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the mean feature vector of each class, float64 [C, d]."""
  return class_sums(features, labels) / np.bincount(labels)[:, None]


def are_collapsed(centred: np.ndarray, within: np.ndarray) -> bool:
  """Returns whether the samples of each class are equal, but for rounding.

  Args:
    centred: Features less their means, [n, d].
    within: Features less the means of their classes, [n, d].
  """
  return bool((within**2).sum() <= _COLLAPSED * (centred**2).sum())


def by_class(features: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
  """Yields a copy of the rows of each class, in their order."""
  order = np.argsort(labels, kind='stable')
  for rows in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
    yield features[rows]
