"""H-score: how much of the features' variance is between classes."""

import numpy as np
from numpy.typing import ArrayLike

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
  projected = between_class(centred, labels) @ vectors
  return float(((projected**2).sum(axis=0) / (squares + ridge)).sum())


def between_class(centred: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns W [C, d], for which W^T W is n - 1 times cov(M)."""
  counts = np.bincount(labels)
  return samples.class_sums(centred, labels) / np.sqrt(counts)[:, None]
