"""LFC: how features' inner products agree with the labels."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register

NORMS = ('frobenius', 'spectral')


@register(
  'lfc',
  cost='O(n d min(n, d))',
  reference='Deshpande et al., arXiv 2102.00084',
  invariances=('rotation', 'scale'),
)
def lfc(
  features: ArrayLike, labels: ArrayLike, *, norm: str = 'frobenius'
) -> float:
  """Returns LFC (Deshpande et al., arXiv 2102.00084); higher is better.

  <T, K> / (|T| |K|), with Frobenius norms in [-1, 1]: T = F F^T, of features
  that are not centred, and K, 1 for two samples of one class and -1 for others,
  both [n, n] less their overall means. Neither is ever built.

  Args:
    features: [n, d].
    labels: [n], of two or more classes.
    norm: `frobenius`, or `spectral`, which public re-implementations use (and
      which does not bound the score by 1).
  """
  samples.check_option('norm', norm, NORMS)
  features, labels = samples.check(features, labels, min_classes=2)
  size = len(labels)
  # The scale cancels; without it fourth powers might overflow, or vanish.
  features = np.ldexp(features, -np.frexp(np.abs(features).max())[1])
  mean = features.mean(axis=0)
  centred = samples.centre(features)
  if not centred.any():
    raise ValueError('All inner products of features are equal.')
  # With F = X + 1 m^T and a = X m, T less its mean is X X^T + a 1^T + 1 a^T:
  # small differences of large numbers, if m is large, are never taken.
  sums = samples.class_sums(centred, labels)
  counts = np.bincount(labels)
  product = 2 * ((sums**2).sum() + 2 * counts @ (sums @ mean))
  if norm == 'frobenius':
    norm_t = _frobenius(centred, centred @ mean)
    share = ((counts / size) ** 2).sum()
    norm_k = 2 * size * np.sqrt(share * (1 - share))
  else:
    norm_t = _spectral(centred, centred @ mean)
    members = np.eye(len(counts))[labels] - counts / size
    norm_k = 2 * _spectral(members, members @ (counts / size))
  return float(product / (norm_t * norm_k))


def _frobenius(x: np.ndarray, a: np.ndarray) -> float:
  """Returns the Frobenius norm of X X^T + a 1^T + 1 a^T, of centred X."""
  square = (linear_algebra.gram(x) ** 2).sum()
  return float(np.sqrt(square + 2 * len(x) * (a @ a)))


def _spectral(x: np.ndarray, a: np.ndarray) -> float:
  """Returns the largest singular value of X X^T + a 1^T + 1 a^T."""
  factor = np.column_stack([x, np.ones(len(x)), a])
  triangle = linalg.qr(factor, mode='r')[0][: factor.shape[1]]
  core = np.eye(factor.shape[1])
  core[-2:, -2:] = [[0, 1], [1, 0]]
  values = linalg.eigvalsh(triangle @ core @ triangle.T)
  return float(np.abs(values).max())
