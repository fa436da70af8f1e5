"""PARC: rank correlation of distances of features and of labels."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from transferability.measures import estimators, samples
from transferability.measures.registry import register

LABEL_DISTANCES = ('exact', 'released')
_BLOCK = 2**24  # Correlations at a time: 128 MB.


@register(
  'parc',
  cost='O(n^2 (d + log n))',
  reference='Bolya et al., NeurIPS 2021, arXiv 2111.06977',
  invariances=('scale', 'shift'),
)
def parc(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  num_components: int | None = None,
  label_distances: str = 'exact',
) -> float:
  """Returns PARC (Bolya et al., 2021), in [-100, 100]; higher is better.

  100 rho over all pairs i < j of samples, of 1 - r(x_i, x_j) and
  1 - r(y_i, y_j): rho is Spearman's correlation (equal values have their mean
  rank), r Pearson's, x_i the features of a sample, each feature standardised,
  and y_i its one-hot label. The second distance is 0 within classes and
  C / (C - 1) between them. Takes about 5 n^2 bytes.

  Args:
    features: [n, d], d of 2 or more.
    labels: [n], of two or more classes.
    num_components: Principal components to keep first, by randomised PCA; 32
      in the paper's best setting. By default features are taken as they are.
    label_distances: `exact`, or `released`: as NumPy's floating point returns
      those two distances, which is what the released code ranks and published
      scores contain. Where it rounds equal distances apart, ties are broken at
      random, and the score depends on the machine and on how classes are
      numbered: by some tenths for many classes, by several for few. Takes
      about 30 n^2 bytes.

  Raises:
    ValueError: Also if each sample is of its own class, or a sample's
      standardised features are all equal.
    ImportError: If principal components are asked for, and scikit-learn is not
      installed.
  """
  samples.check_option('label_distances', label_distances, LABEL_DISTANCES)
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
  distances, same = _pairs(_normalised(features), labels)
  if label_distances == 'exact':
    return 100 * _spearman(distances, same)
  apart = 1 - np.corrcoef(np.eye(num_classes)[labels])
  apart = apart[np.triu_indices(len(labels), 1)]
  return 100 * float(stats.spearmanr(distances, apart).statistic)


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
  rows: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns 1 - <a, b> of each pair of rows, and if it is of one class."""
  size = len(rows)
  distances = np.empty(size * (size - 1) // 2)
  same = np.empty(len(distances), bool)
  step = max(1, _BLOCK // size)
  end = 0
  for start in range(0, size, step):
    block = rows[start : start + step] @ rows[start:].T
    # What is equal but for the order of additions gets one rank.
    np.round(block, 12, out=block)
    for i, row in enumerate(block, start):
      begin, end = end, end + size - i - 1
      np.subtract(1, row[i - start + 1 :], out=distances[begin:end])
      np.equal(labels[i], labels[i + 1 :], out=same[begin:end])
  return distances, same


def _spearman(values: np.ndarray, low: np.ndarray) -> float:
  """Returns Spearman's correlation with a variable of two values.

  The variable is lower where `low` is true. `values` are sorted in place.
  """
  size = len(values)
  inside = values[low]
  inside.sort()
  values.sort()
  # Ranks less their mean, of the lower group; the other's add up to the rest.
  below = np.searchsorted(values, inside, 'left').sum(dtype=np.float64)
  upto = np.searchsorted(values, inside, 'right').sum(dtype=np.float64)
  total = (below + upto - len(inside) * size) / 2
  starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
  ties = np.diff(np.append(starts, size)).astype(np.float64)
  spread = ((float(size) ** 3 - size) - (ties**3 - ties).sum()) / 12
  spread *= len(inside) * (size - len(inside)) / size
  if spread == 0:
    raise ValueError('All pairs of samples are equally distant.')
  return float(-total / np.sqrt(spread))
