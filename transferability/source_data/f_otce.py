"""F-OTCE: what a target's labels leave open, given those of near samples."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.source_data import data, transport
from transferability.source_data.registry import register


@register(
  'f_otce',
  cost='O(k^2 (d + k)) for k = min(n, num_samples)',
  reference='Tan et al., CVPR 2021, arXiv 2103.13843; arXiv 2207.05510',
  invariances=('rotation', 'scale', 'shift'),
)
def f_otce(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  num_samples: int | None = 1000,
  num_draws: int = 1,
  seed: int = 0,
  regularisation: float | None = None,
) -> float:
  """Returns F-OTCE (Tan et al., 2021), in [-log C, 0]; higher is better.

  -H(Y_t | Y_s) = sum over classes a, b of J_ab log(J_ab / sum_b J_ab), where
  J_ab is what the cheapest plan P moves from source samples of class a to
  target samples of class b: P minimises sum_ij P_ij |x_i - x_j|^2, all samples
  of a side weighing the same. The plan is exact, as in the authors' code.
  Where samples are equal, several plans may be, and H with them.

  Args:
    source_features: [n, d], by the source's network in the paper.
    source_labels: [n], of a label space of their own.
    target_features: [m, d], by the same network.
    target_labels: [m].
    num_samples: Drawn of each side, at most; the authors draw 1000. None takes
      all, and an exact plan of n samples takes O(n^3).
    num_draws: Scores of so many draws are averaged.
    seed: Of the first draw; the others count on from it.
    regularisation: Instead of the exact plan, Sinkhorn's, with the entropy
      weighed by this share of the mean cost.
  """
  _, entropy = _mean_terms(
    data.check(source_features, source_labels, target_features, target_labels),
    num_samples,
    num_draws,
    seed,
    regularisation,
  )
  return float(0.0 - entropy)  # Never a negative zero.


def terms(
  domains: tuple[data.Domain, data.Domain],
  num_samples: int | None,
  seed: int,
  regularisation: float | None = None,
) -> tuple[float, float]:
  """Returns the cost of the plan, and the conditional entropy of labels."""
  source, target = data.draw(*domains, num_samples, seed)
  cost = transport.squared_distances(source.features, target.features)
  plan = (
    transport.between_samples(cost)
    if regularisation is None
    else transport.sinkhorn(cost, regularisation)
  )
  entropy = transport.conditional_entropy(plan, source.labels, target.labels)
  return float((plan * cost).sum()), entropy


def _mean_terms(domains, num_samples, num_draws, seed, regularisation):
  if num_draws < 1:
    raise ValueError(f'num_draws={num_draws}; give 1 or more.')
  found = [
    terms(domains, num_samples, seed + i, regularisation)
    for i in range(num_draws)
  ]
  return np.mean(found, axis=0)
