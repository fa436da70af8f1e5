"""GBC: how much classes overlap, as Gaussians (Bhattacharyya's coefficient)."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register

COVARIANCES = ('spherical', 'diagonal')
_MIN_VARIANCE = 1e-4


@register(
  'gbc',
  cost='O(n d + C^2 d)',
  reference='Pandy et al., CVPR 2022, arXiv 2111.12780',
  invariances=('shift',),
)
def gbc(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  covariance: str = 'spherical',
  num_components: int | None = None,
) -> float:
  """Returns GBC (Pandy et al., CVPR 2022); higher is better.

  Minus the sum over ordered pairs of classes a, b of exp(-D_ab), which is in
  [-C (C - 1), 0], where

    D_ab = sum_j [(m_aj - m_bj)^2 / (8 v_j) + log(v_j / sqrt(v_aj v_bj)) / 2]

  is Bhattacharyya's distance of Gaussians with the classes' means m and
  variances v_a, v_b, and v = (v_a + v_b) / 2. Variances of a feature in a class
  are 1e-4 or more, so that only of features which vary more is the score
  invariant to rotations.

  Args:
    features: [n, d].
    labels: [n].
    covariance: `spherical`: one variance for each class, the mean over its
      features, whose logarithm counts once in D and not d times, as in the
      released code. `diagonal`: one for each feature; depends on rotations.
    num_components: Principal components to keep first, 64 in the paper; by
      default features are taken as they are.
  """
  samples.check_option('covariance', covariance, COVARIANCES)
  features, labels = samples.check(features, labels)
  if num_components is not None:
    if not 1 <= num_components <= min(features.shape):
      raise ValueError(
        f'num_components={num_components} is not in 1 to '
        f'{min(features.shape)}, the smaller side of the features.'
      )
    centred = samples.centre(features)
    features, _ = linear_algebra.principal_components(centred, num_components)
  classes = [
    (x.mean(axis=0), x.var(axis=0)) for x in samples.by_class(features, labels)
  ]
  means, variances = map(np.stack, zip(*classes, strict=True))
  variances = np.maximum(variances, _MIN_VARIANCE)
  if covariance == 'spherical':
    variances = variances.mean(axis=1, keepdims=True)
  # Each pair of classes is met once, and counts in both orders.
  overlaps = (
    _coefficients(means[c:], variances[c:]).sum() for c in range(len(means))
  )
  return float(0 - 2 * sum(overlaps))


def _coefficients(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
  """Returns exp(-D) of the first class and each of the others."""
  middle = (variances[:1] + variances[1:]) / 2
  apart = ((means[:1] - means[1:]) ** 2 / middle).sum(axis=1) / 8
  logs = np.log(middle) - np.log(variances[:1]) / 2 - np.log(variances[1:]) / 2
  return np.exp(-apart - logs.sum(axis=1) / 2)
