"""SFDA: confidence of a shrunk discriminant analysis, made harder once."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, special

from transferability.measures import samples
from transferability.measures.registry import register

_NOTHING = 1e-6  # A share of all variance: the rounding of float32 features.


@register(
  'sfda',
  cost='O(n d^2 + d^3)',
  reference='Shao et al., ECCV 2022, arXiv 2207.03036',
  invariances=('shift',),
)
def sfda(features: ArrayLike, labels: ArrayLike) -> float:
  """Returns SFDA (Shao et al., ECCV 2022), in [0, 1]; higher is better.

  1/n sum_i P_i,y_i, with P_ic = softmax_c(m_c S_a^-1 x_i
  - m_c S_a^-1 m_c / 2 + log p_c): the mean posterior of the true class among
  Gaussians of the classes' means m_c, shares p_c and one covariance
  S_a = (1 - a) S + a tr(S) / d I, S that within classes, with the shrinkage
  a = exp(-5 largest eigenvalue of S). A first analysis tells how sure each
  sample's class is: s_i = softmax_c(P_ic) at y_i. Each x_i then moves to
  s_i x_i + (1 - s_i) (mean of the other classes' means), and a second analysis
  of the same a is scored. As in the released code, no logarithm is taken, and
  the eigenvalue is what three rounds of power iteration from S 1 find; where
  that is nothing, as of features of one sum for all samples (after a softmax or
  a plain layer normalisation), it is the eigenvalue itself.

  Args:
    features: [n, d].
    labels: [n], of two or more classes.

  Raises:
    ValueError: Also if the samples of each class are all equal.
  """
  features, labels = samples.check(features, labels, min_classes=2)
  features = samples.centre(features)  # No digits are lost far from the origin.
  means = samples.class_means(features, labels)
  if samples.are_collapsed(features, features - means[labels]):
    raise ValueError(
      'The samples of each class are equal; there is no scatter to shrink.'
    )
  within = _within(features, labels)
  shrinkage = _shrinkage(within)
  posteriors = _posteriors(features, labels, within, shrinkage)
  rows = np.arange(len(labels))
  sure = special.softmax(posteriors, axis=1)[rows, labels][:, None]
  others = (means.sum(axis=0) - means) / (len(means) - 1)
  mixed = sure * features + (1 - sure) * others[labels]
  within = _within(mixed, labels)
  posteriors = _posteriors(mixed, labels, within, shrinkage)
  return float(posteriors[rows, labels].mean())


def _within(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the within-class covariance, dividing by n."""
  centred = features - samples.class_means(features, labels)[labels]
  return centred.T @ centred / len(labels)


def _shrinkage(within: np.ndarray) -> float:
  right = within.sum(axis=0)
  if np.linalg.norm(right) <= _NOTHING * np.trace(within):
    last = len(within) - 1
    (largest,) = linalg.eigvalsh(within, subset_by_index=(last, last))
    return _share(largest)
  for _ in range(3):
    left = _normalised(within @ right)
    right = _normalised(within @ left)
  return _share(right @ within @ left)


def _share(largest: float) -> float:
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

  Of features F [n, d], means m_c [C, d] and weights w_c, the columns of [d, C];
  the priors p_c are the shares of the labels.
  """
  bias = np.log(np.bincount(labels) / len(labels))
  bias -= np.einsum('cd,dc->c', means, weights) / 2
  return special.softmax(features @ weights + bias, axis=1)
