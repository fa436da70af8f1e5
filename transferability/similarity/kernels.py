"""Kernels and distances of images, and their ranks, ready for products."""

import numpy as np
from scipy import stats
from scipy.spatial import distance

from transferability.measures import samples

_BANDWIDTH = 0.5  # Of the RBF kernel, a share of the median distance.
_ROUNDING = 1e-13  # A share of what was subtracted that is rounding.


def rows(x: np.ndarray) -> np.ndarray:
  """Returns [n, ...] as [n, d]."""
  return x.reshape(len(x), -1)


def centred_rows(x: np.ndarray) -> np.ndarray:
  """Returns [n, ...] as [n, d], less the means of the columns."""
  return samples.centre(rows(x))


def z_norm(x: np.ndarray) -> np.ndarray:
  """As `centred_rows`, with columns of unit deviation."""
  x = centred_rows(x)  # Exactly 0 where it is constant.
  deviation = x.std(axis=0)
  return x / np.where(deviation > 0, deviation, 1)


def linear(x: np.ndarray) -> np.ndarray:
  return x @ x.T


def rbf(x: np.ndarray) -> np.ndarray:
  """exp(-D^2 / (2 * 0.5^2 * median D^2)), the median over all n x n entries."""
  squares = distance.squareform(distance.pdist(x, 'sqeuclidean'))
  median = np.median(squares)
  if not median > 0:
    raise ValueError('Half of all pairs of images have equal features.')
  return np.exp(-squares / (2 * _BANDWIDTH**2 * median))


def laplacian(x: np.ndarray) -> np.ndarray:
  """exp(-|x - y|_1 / d)."""
  distances = distance.pdist(x, 'cityblock') / x.shape[1]
  return distance.squareform(np.exp(-distances)) + np.eye(len(x))


def euclidean(x: np.ndarray) -> np.ndarray:
  return distance.squareform(distance.pdist(x))


def cosine(x: np.ndarray) -> np.ndarray:
  """1 - cosine of each pair of rows."""
  norms = np.linalg.norm(x, axis=1, keepdims=True)
  if not (norms > _ROUNDING * norms.max()).all():
    raise ValueError(
      f'The features of image {int(np.argmin(norms))} are all zero (after '
      'normalisation), so that they have no direction.'
    )
  unit = x / norms
  return 1 - unit @ unit.T


def pearson(x: np.ndarray) -> np.ndarray:
  """1 - Pearson's correlation of each pair of rows."""
  means = x.mean(axis=1, keepdims=True)
  deviations = np.abs(x - means).max(axis=1)
  if not (deviations > _ROUNDING * np.abs(means[:, 0])).all():
    image = int(np.argmin(deviations))
    raise ValueError(
      f'All features of image {image} are equal (after normalisation), so '
      'that they correlate with nothing.'
    )
  return cosine(x - means)


def unbiased(gram: np.ndarray) -> np.ndarray:
  """Returns a matrix as inner products of the debiased HSIC want it.

  Its diagonal is left out and its rows are centred without it (Szekely and
  Rizzo, 2014); the debiased HSIC of two such matrices is the sum of products of
  their entries, divided by n (n - 3).

  Raises:
    ValueError: If there are fewer than 4 images.
  """
  n = len(gram)
  if n < 4:
    raise ValueError(f'{n} images; the debiased form needs at least 4.')
  gram = gram - np.diag(np.diag(gram))
  size = float(np.linalg.norm(gram))
  sums = gram.sum(axis=0)
  centred = gram - (sums[:, None] + sums) / (n - 2)
  centred += sums.sum() / ((n - 1) * (n - 2))
  np.fill_diagonal(centred, 0)
  return unit(centred, size)


def centred(gram: np.ndarray) -> np.ndarray:
  """Returns a matrix with rows and columns centred, of unit Frobenius norm."""
  means = gram.mean(axis=0)
  centred = gram - means[:, None] - means + means.mean()
  return unit(centred, float(np.linalg.norm(gram)))


def unit(matrix: np.ndarray, size: float) -> np.ndarray:
  """Returns an array of unit norm; `size` is that before it was centred."""
  norm = np.linalg.norm(matrix)
  if not norm > _ROUNDING * size:
    raise ValueError('All pairs of images are equally similar.')
  return matrix / norm


def ranks(dissimilarities: np.ndarray) -> np.ndarray:
  """Returns standardised ranks of the entries below the diagonal of [n, n].

  Their inner product with another network's is Spearman's correlation, with
  mean ranks for equal entries. The dissimilarities are of the order of 1.
  """
  lower = dissimilarities[np.tril_indices(len(dissimilarities), -1)]
  # What is equal but for the order of additions gets one rank.
  values = stats.rankdata(np.round(lower, 12))
  return unit(values - values.mean(), 0.0)
