"""H-score: how much of the features' variance is between classes.

Also with a covariance that is shrunk to a multiple of the identity.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register


@register(
  'h_score',
  cost='O(n d min(n, d))',
  reference='Bao et al., ICIP 2019',
  invariances=('rotation', 'scale', 'shift', 'linear'),
)
def h_score(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  tolerance: float | None = None,
  ridge: float = 0.0,
) -> float:
  """Returns the H-score (Bao et al., ICIP 2019); higher is better.

  tr(pinv(cov(F)) cov(M)), in [0, min(C - 1, rank F)], where M holds for each
  sample the mean feature vector of its class: E[F | Y]. As soon as the centred
  features have rank n - 1, the score is C - 1 whatever they are.

  Args:
    features: [n, d].
    labels: [n].
    tolerance: Variances up to this share of the largest count as zero; by
      default max(n, d) * 2.2e-16, the rounding of a covariance.
    ridge: Added to the diagonal of n - 1 times the covariance, 1e-6 in the
      code of PACTran; the score then depends on scale.
  """
  if not 0 <= ridge < np.inf:
    raise ValueError(f'ridge={ridge} is not a number of 0 or more.')
  if tolerance is not None and not 0 <= tolerance < 1:
    raise ValueError(f'tolerance={tolerance} is not a share in [0, 1).')
  features, labels = samples.check(features, labels)
  centred = samples.centre(features)
  if not centred.any():
    return 0.0
  squares, vectors = linear_algebra.gram_svd(centred, tolerance)
  projected = _between_class(centred, labels) @ vectors
  return float(((projected**2).sum(axis=0) / (squares + ridge)).sum())


def _between_class(centred: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns W [C, d], for which W^T W is n - 1 times cov(M)."""
  counts = np.bincount(labels)
  return samples.class_sums(centred, labels) / np.sqrt(counts)[:, None]


@register(
  'h_score_shrinkage',
  cost='O(n d min(n, d))',
  reference='Ibrahim et al., arXiv 2110.06893',
  invariances=('rotation', 'scale', 'shift'),
)
def h_score_shrinkage(features: ArrayLike, labels: ArrayLike) -> float:
  """Returns the shrunk H-score (Ibrahim et al., arXiv 2110.06893).

  (1 - a) tr(inv(S_a) cov(M)), 0 or more; higher is better. M holds for each
  sample the mean of its class; S_a = (1 - a) S + a tr(S) / d I is Ledoit and
  Wolf's covariance, a in [0, 1] theirs. S divides by n, cov(M) by n - 1, as in
  the released code. Constant features score 0.

  Args:
    features: [n, d].
    labels: [n].
  """
  features, labels = samples.check(features, labels)
  num_samples, size = features.shape
  centred = samples.centre(features)
  gram = linear_algebra.gram(centred) / num_samples
  mean_variance = np.trace(gram) / size
  if mean_variance == 0:
    return 0.0
  shrinkage = _ledoit_wolf(centred, gram, mean_variance)
  # For n < d only the n x n side is inverted: f(X^T X) X^T = X^T f(X X^T).
  shrunk = (1 - shrinkage) * gram
  shrunk.flat[:: len(shrunk) + 1] += shrinkage * mean_variance
  between = _between_class(centred, labels)
  if num_samples < size:
    counts = np.bincount(labels)
    members = np.eye(len(counts))[labels] / np.sqrt(counts)
    left, right = members, centred @ between.T
  else:
    left = right = between.T
  trace = (left * _solve(shrunk, right)).sum()
  return float((1 - shrinkage) * trace / (num_samples - 1))


def _ledoit_wolf(
  centred: np.ndarray, gram: np.ndarray, mean_variance: float
) -> float:
  """Returns how far to shrink (Ledoit and Wolf, 2004), in [0, 1]."""
  num_samples, size = centred.shape
  norm = (gram**2).sum()
  distance = norm / size - mean_variance**2
  fourth = ((centred**2).sum(axis=1) ** 2).sum() / num_samples
  error = (fourth - norm) / (size * num_samples)
  return float(min(error, distance) / distance) if distance > 0 else 0.0


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Solves a symmetric system, by least squares if it is all but singular."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', linalg.LinAlgWarning)
      return linalg.solve(matrix, right, assume_a='pos', check_finite=False)
  except (linalg.LinAlgError, linalg.LinAlgWarning):
    return linalg.lstsq(matrix, right, check_finite=False)[0]
