"""SFDA: confidence of a shrunk discriminant analysis, made harder once."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, special

from transferability.measures import samples
from transferability.measures.registry import register


@register(
  'sfda',
  needs=('features', 'labels'),
  cost='O(n d^2 + d^3)',
  reference='Shao et al., ECCV 2022, arXiv 2207.03036',
  invariances=('shift',),
)
def sfda(features: ArrayLike, labels: ArrayLike) -> float:
  """Returns the mean posterior of the true class, in [0, 1].

  A first discriminant analysis tells how sure each sample's class is; samples
  that are not are moved to the mean of the other classes, and a second one, as
  strongly shrunk, is scored. No logarithm is taken, as in the released code.

  Args:
    features: [n, d].
    labels: [n], of two or more classes.

  Raises:
    ValueError: Also if the samples of each class are all equal.
  """
  features, labels = samples.check(features, labels, min_classes=2)
  within = _within(features, labels)
  shrinkage = _shrinkage(within)
  posteriors = _posteriors(features, labels, within, shrinkage)
  rows = np.arange(len(labels))
  sure = special.softmax(posteriors, axis=1)[rows, labels][:, None]
  means = samples.class_means(features, labels)
  others = (means.sum(axis=0) - means) / (len(means) - 1)
  mixed = sure * features + (1 - sure) * others[labels]
  within = _within(mixed, labels)
  posteriors = _posteriors(mixed, labels, within, shrinkage)
  return float(posteriors[rows, labels].mean())


def first_shrinkage(features: ArrayLike, labels: ArrayLike) -> float:
  """Returns how much of the identity is mixed into the scatter, in [0, 1]."""
  return _shrinkage(_within(*samples.check(features, labels, min_classes=2)))


def _within(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the within-class covariance, dividing by n."""
  centred = features - samples.class_means(features, labels)[labels]
  return centred.T @ centred / len(labels)


def _shrinkage(within: np.ndarray) -> float:
  if not within.any():
    raise ValueError(
      'The samples of each class are equal; there is no scatter to shrink.'
    )
  right = within.sum(axis=0)
  for _ in range(3):
    left = _normalised(within @ right)
    right = _normalised(within @ left)
  largest = right @ within @ left
  return float(max(np.exp(-5 * largest), 1e-10))


def _normalised(vector: np.ndarray) -> np.ndarray:
  norm = np.linalg.norm(vector)
  return vector / norm if norm > 0 else vector


def _posteriors(
  features: np.ndarray,
  labels: np.ndarray,
  within: np.ndarray,
  shrinkage: float,
) -> np.ndarray:
  """Returns the posteriors of Gaussian classes of one shrunk covariance."""
  means = samples.class_means(features, labels)
  shrunk = (1 - shrinkage) * within
  shrunk.flat[:: len(shrunk) + 1] += shrinkage * np.trace(within) / len(within)
  weights = linalg.solve(shrunk, means.T, assume_a='pos', check_finite=False)
  return class_posteriors(features, labels, means, weights)


def class_posteriors(
  features: np.ndarray,
  labels: np.ndarray,
  means: np.ndarray,
  weights: np.ndarray,
) -> np.ndarray:
  """Returns softmax_c(F w_c - m_c w_c / 2 + log p_c), float64 [n, C].

  Args:
    features: F, [n, d].
    labels: [n]; the priors p_c are their shares.
    means: m_c, [C, d].
    weights: w_c in columns, [d, C].
  """
  bias = np.log(np.bincount(labels) / len(labels))
  bias -= np.einsum('cd,dc->c', means, weights) / 2
  return special.softmax(features @ weights + bias, axis=1)
