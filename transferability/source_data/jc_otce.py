"""JC-OTCE: F-OTCE of a plan that also weighs the distance of classes."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import samples
from transferability.source_data import data, transport
from transferability.source_data.registry import register

LABEL_COSTS = ('exact', 'gauss')


@register(
  'jc_otce',
  cost='O(k^2 (d + k)) for k = min(n, num_samples), and C^2 plans of classes',
  reference='Tan et al., arXiv 2207.05510',
  invariances=('rotation', 'scale', 'shift'),
)
def jc_otce(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  gamma: float = 0.5,
  label_cost: str = 'exact',
  num_samples: int | None = 1000,
  seed: int = 0,
) -> float:
  """Returns JC-OTCE (Tan et al., 2022), in [-log C, 0]; higher is better.

  -H(Y_t | Y_s) as in F-OTCE, of the cheapest plan for the cost
  gamma |x - x'|^2 + (1 - gamma) D(y, y'), where D is the cost of moving the
  samples of one class to those of the other. The authors' code is not public;
  this follows descriptions by others.

  Args:
    source_features: [n, d].
    source_labels: [n], of a label space of their own.
    target_features: [m, d] by the same network.
    target_labels: [m].
    gamma: 0 to 1; 1 is F-OTCE.
    label_cost: D: `exact`, the cheapest plan with squared distances; `gauss`,
      the squared Wasserstein distance of Gaussians with the classes' means and
      covariances (dividing by n).
    num_samples: Drawn of each side, at most; None takes all.
    seed: Of the draw.
  """
  samples.check_option('label_cost', label_cost, LABEL_COSTS)
  if not 0 <= gamma <= 1:
    raise ValueError(f'gamma={gamma} is not in 0 to 1.')
  source, target = data.draw(
    *data.check(source_features, source_labels, target_features, target_labels),
    num_samples,
    seed,
  )
  cost = transport.squared_distances(source.features, target.features)
  between = (
    _exact(cost, source.labels, target.labels)
    if label_cost == 'exact'
    else _gauss(source, target)
  )
  joint = gamma * cost
  joint += (1 - gamma) * between[np.ix_(source.labels, target.labels)]
  plan = transport.between_samples(joint)
  return 0.0 - transport.conditional_entropy(plan, source.labels, target.labels)


def _exact(
  cost: np.ndarray, source_labels: np.ndarray, target_labels: np.ndarray
) -> np.ndarray:
  rows, columns = (
    [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    for labels in (source_labels, target_labels)
  )
  return np.array([[_cost(cost[np.ix_(a, b)]) for b in columns] for a in rows])


def _cost(cost: np.ndarray) -> float:
  return float((transport.between_samples(cost) * cost).sum())


def _gauss(source: data.Domain, target: data.Domain) -> np.ndarray:
  """|m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2) of each two classes.

  With covariances S = X^T X the last root has the trace of the singular values
  of X X'^T: no matrix is as large as the features are many.
  """
  sides = [
    [_moments(x) for x in samples.by_class(each.features, each.labels)]
    for each in (source, target)
  ]
  result = np.empty((len(sides[0]), len(sides[1])))
  for i, (mean, root) in enumerate(sides[0]):
    for j, (other, of_other) in enumerate(sides[1]):
      cross = linalg.svdvals(root @ of_other.T, check_finite=False).sum()
      traces = (root**2).sum() + (of_other**2).sum()
      result[i, j] = ((mean - other) ** 2).sum() + traces - 2 * cross
  return np.maximum(result, 0)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean of samples, and a root X of their covariance X^T X."""
  mean = x.mean(axis=0)
  root = (x - mean) / np.sqrt(len(x))
  root = linalg.qr(root, mode='r', check_finite=False)[0]
  return mean, root[: x.shape[1]]
