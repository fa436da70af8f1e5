"""PARC: rank correlation of distances of features and of labels."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register

_BLOCK = 2**24  # Correlations at a time: 128 MB.


@register(
  'parc',
  needs=('features', 'labels'),
  cost='O(n^2 (d + log n))',
  reference='Bolya et al., NeurIPS 2021, arXiv 2111.06977',
  invariances=('scale', 'shift'),
)
def parc(
  features: ArrayLike, labels: ArrayLike, *, num_components: int | None = None
) -> float:
  """Returns 100 times Spearman's correlation of pairwise distances.

  Distances are 1 - Pearson of two samples' standardised features, and of their
  one-hot labels. The latter take two values only, so that sums of ranks are
  enough. Takes 8 n^2 / 2 bytes.

  Args:
    features: [n, d], d of 2 or more.
    labels: [n], of two or more classes.
    num_components: Principal components to keep first, 32 in the paper's best
      setting; by default features are taken as they are.

  Raises:
    ValueError: Also if all pairs of samples are of different classes, or a
      sample's standardised features are all equal.
  """
  features, labels = samples.check(features, labels, min_classes=2)
  if num_components is not None:
    if not 2 <= num_components <= min(features.shape):
      raise ValueError(
        f'num_components={num_components} is not in 2 to '
        f'{min(features.shape)}, the smaller side of the features.'
      )
    features, _ = linear_algebra.principal_components(features, num_components)
  if labels.max() + 1 == len(labels):
    raise ValueError('Each sample is of its own class; no pair is of one.')
  distances, same = _distances(_normalised(features), labels)
  return 100 * _spearman(distances, distances[same])


def _normalised(features: np.ndarray) -> np.ndarray:
  """Returns rows whose inner products are correlations of standardised rows."""
  centred = features - features.mean(axis=0)
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


def _distances(
  rows: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns 1 - <a, b> for each pair, and which pairs are of one class."""
  size = len(rows)
  distances = np.empty(size * (size - 1) // 2)
  same = np.empty(len(distances), bool)
  step = max(1, _BLOCK // size)
  end = 0
  for start in range(0, size, step):
    block = rows[start : start + step] @ rows[start:].T
    for i in range(len(block)):
      begin, end = end, end + size - start - i - 1
      np.subtract(1, block[i, i + 1 :], out=distances[begin:end])
      np.equal(
        labels[start + i], labels[start + i + 1 :], out=same[begin:end]
      )
  return distances, same


def _spearman(values: np.ndarray, near: np.ndarray) -> float:
  """Returns Spearman's correlation of values with not being in a subset.

  Args:
    values: All of them; they are sorted in place.
    near: Those in the subset.
  """
  values.sort()
  size, count = len(values), len(near)
  # Twice the mean rank of equal values, counted from 0.
  ranks = np.searchsorted(values, near, 'left').astype(np.float64)
  ranks += np.searchsorted(values, near, 'right') - 1
  excess = count * (size - 1) / 2 - ranks.sum() / 2
  starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
  ties = np.diff(np.append(starts, size)).astype(np.float64)
  variance = ((size**3 - size) - (ties**3 - ties).sum()) / 12
  if variance <= 0:
    raise ValueError('All pairs of samples are equally distant.')
  return float(excess / np.sqrt(variance * count * (size - count) / size))
