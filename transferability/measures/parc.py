"""PARC: rank correlation of distances of features and of labels."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import estimators, samples
from transferability.measures.registry import register

LABEL_DISTANCES = ('rounded', 'exact')
_BLOCK = 2**24  # Correlations at a time: 128 MB.


@register(
  'parc',
  needs=('features', 'labels'),
  cost='O(n^2 (d + log n))',
  reference='Bolya et al., NeurIPS 2021, arXiv 2111.06977',
  invariances=('scale', 'shift'),
)
def parc(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  num_components: int | None = None,
  label_distances: str = 'rounded',
) -> float:
  """Returns 100 times Spearman's correlation of pairwise distances.

  Distances are 1 - Pearson of two samples' standardised features, and of their
  one-hot labels. Takes about 5 n^2 bytes.

  Args:
    features: [n, d], d of 2 or more.
    labels: [n], of two or more classes.
    num_components: Principal components to keep first, by randomised PCA; 32
      in the paper's best setting. By default features are taken as they are.
    label_distances: `exact`: 0 within classes and C / (C - 1) between them.
      `rounded`: the same computed in floating point, as in the released code
      and thus in published scores. Unless C is 2, 4 or 8, rounding breaks many
      of the ties, and how classes are numbered matters: scores change by some
      tenths for classes of similar size.

  Raises:
    ValueError: Also if each sample is of its own class, or a sample's
      standardised features are all equal.
    ImportError: If principal components are asked for, and scikit-learn is not
      installed.
  """
  if label_distances not in LABEL_DISTANCES:
    raise ValueError(
      f'label_distances={label_distances!r} is none of {LABEL_DISTANCES}.'
    )
  features, labels = samples.check(features, labels, min_classes=2)
  if num_components is not None:
    if not 2 <= num_components <= min(features.shape):
      raise ValueError(
        f'num_components={num_components} is not in 2 to '
        f'{min(features.shape)}, the smaller side of the features.'
      )
    features = estimators.randomised_pca(features, num_components)
  num_classes = labels.max() + 1
  if num_classes == len(labels):
    raise ValueError('Each sample is of its own class; no pair is of one.')
  between = 1 - np.eye(num_classes)
  if label_distances == 'rounded':
    between = 1 - np.corrcoef(np.eye(num_classes))
  _, levels = np.unique(between, return_inverse=True)
  distances, level = _pairs(
    _normalised(features), labels, levels.reshape(between.shape)
  )
  return 100 * _spearman(distances, level)


def _normalised(features: np.ndarray) -> np.ndarray:
  """Returns rows whose inner products are correlations of standardised rows."""
  centred = samples.centre(features)
  scale = centred.std(axis=0)
  constant = scale <= 1e-15 * np.abs(features).max(axis=0)
  rows = np.where(constant, 0, centred / np.where(constant, 1, scale))
  rows -= rows.mean(axis=1, keepdims=True)
  norms = np.linalg.norm(rows, axis=1, keepdims=True)
  if not (norms > 1e-12).all():
    raise ValueError(
      f'The standardised features of sample {int(np.argmin(norms))} are all '
      'equal, so that their correlation with others is not defined.'
    )
  return rows / norms


def _pairs(
  rows: np.ndarray, labels: np.ndarray, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns 1 - <a, b> of each pair of rows, and the level of its classes.

  Args:
    rows: [n, d].
    labels: [n].
    levels: Integers for pairs of classes, [C, C].
  """
  size = len(rows)
  distances = np.empty(size * (size - 1) // 2)
  level = np.empty(len(distances), np.min_scalar_type(levels.max()))
  levels = levels.astype(level.dtype)
  step = max(1, _BLOCK // size)
  end = 0
  for start in range(0, size, step):
    block = rows[start : start + step] @ rows[start:].T
    # What is equal but for the order of additions gets one rank.
    np.round(block, 12, out=block)
    for i in range(len(block)):
      begin, end = end, end + size - start - i - 1
      np.subtract(1, block[i, i + 1 :], out=distances[begin:end])
      others = labels[start + i + 1 :]
      np.take(levels[labels[start + i]], others, out=level[begin:end])
  return distances, level


def _spearman(values: np.ndarray, level: np.ndarray) -> float:
  """Returns Spearman's correlation, with mean ranks of equal values.

  Args:
    values: Real numbers; they are sorted in place.
    level: Integers, few of them distinct.
  """
  size = len(values)
  counts = np.bincount(level)
  largest = counts.argmax()
  groups = [
    np.sort(values[level == k]) if k != largest else None
    for k in range(len(counts))
  ]
  values.sort()
  # Ranks less their mean; those of the largest group follow from the others.
  sums = np.zeros(len(counts))
  for k, group in enumerate(groups):
    if group is not None and len(group):
      below = np.searchsorted(values, group, 'left').sum(dtype=np.float64)
      upto = np.searchsorted(values, group, 'right').sum(dtype=np.float64)
      sums[k] = (below + upto - len(group) * size) / 2
  sums[largest] = -sums.sum()
  ends = np.cumsum(counts)
  level_ranks = ends - counts / 2 - size / 2
  starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
  ties = np.diff(np.append(starts, size))
  spread = _rank_spread(ties) * _rank_spread(counts)
  if spread == 0:
    raise ValueError('All pairs of samples are equally distant.')
  return float(sums @ level_ranks / np.sqrt(spread))


def _rank_spread(ties: np.ndarray) -> float:
  """Returns the sum of squared deviations of ranks of tied groups."""
  ties = ties.astype(np.float64)
  size = ties.sum()
  return float(((size**3 - size) - (ties**3 - ties).sum()) / 12)
