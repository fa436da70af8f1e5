"""TranSAC: spread of features, and how sure the network's own head is."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.label_free.registry import register
from transferability.measures import linear_algebra, samples


@register(
  'transac',
  cost='O(n d min(n, d) + n Cs)',
  reference='TranSAC, Pattern Recognition (qszhan/TranSAC_PR)',
  direction='higher',
  needs=('features', 'source_probs'),
  invariances=('rotation', 'shift'),
)
def transac(
  features: ArrayLike,
  source_probs: ArrayLike,
  *,
  epsilon: float = 10.0,
  taylor: int | None = None,
) -> float:
  """Returns TranSAC (Pattern Recognition, by its released code).

  H(T) - H(Z|T) / Cs, where H(T) = (n + d) / 2 sum_i log(1 + l_i) with the
  eigenvalues l of d / (n epsilon^2) X X^T of centred features X, and H(Z|T) =
  -sum_ik P_ik log max(P_ik, 1e-10), a sum over samples. Higher is said to be
  better. It grows with n and d, and depends on the scale of features: for
  networks of one architecture, and equal n.

  Args:
    features: [n, d].
    source_probs: [n, Cs] of the network's own classes, rows sum to 1.
    epsilon: Above 0.
    taylor: The released code replaces log(1 + l) by its Taylor series of order
      5, which diverges for l > 1; by default the logarithm itself.
  """
  if not 0 < epsilon < np.inf:
    raise ValueError(f'epsilon={epsilon}; give a number above 0.')
  if taylor is not None and taylor < 1:
    raise ValueError(f'taylor={taylor}; give an order of 1 or more, or None.')
  features = samples.check_features(features)
  probs = samples.check_source_probs(source_probs)
  if len(probs) != len(features):
    raise ValueError(
      f'There are probabilities of {len(probs)} samples, and features of '
      f'{len(features)}.'
    )
  n, d = features.shape
  squares = linear_algebra.gram_eigenvalues(samples.centre(features))
  values = d / (n * epsilon**2) * squares
  logs = np.log1p(values) if taylor is None else _series(values, taylor)
  entropy = -(probs * np.log(np.maximum(probs, 1e-10))).sum()
  return float((n + d) / 2 * logs.sum() - entropy / probs.shape[1])


def _series(values: np.ndarray, order: int) -> np.ndarray:
  powers = np.arange(1, order + 1)
  signs = np.where(powers % 2, 1.0, -1.0)
  return (signs / powers * values[:, None] ** powers).sum(axis=1)
