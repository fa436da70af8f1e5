"""H-score with a covariance that is shrunk to a multiple of the identity."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import samples
from transferability.measures.h_score import between_class
from transferability.measures.registry import register


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
  wide = num_samples < size
  gram = (centred @ centred.T if wide else centred.T @ centred) / num_samples
  mean_variance = np.trace(gram) / size
  if mean_variance == 0:
    return 0.0
  shrinkage = _ledoit_wolf(centred, gram, mean_variance)
  # For n < d only the n x n side is inverted: f(X^T X) X^T = X^T f(X X^T).
  shrunk = (1 - shrinkage) * gram
  shrunk.flat[:: len(shrunk) + 1] += shrinkage * mean_variance
  between = between_class(centred, labels)
  if wide:
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
  """Solves a symmetric system, by least squares if it is singular."""
  try:
    return linalg.solve(matrix, right, assume_a='pos', check_finite=False)
  except linalg.LinAlgError:
    return linalg.lstsq(matrix, right, check_finite=False)[0]
