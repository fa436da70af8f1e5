"""Kernel affinity: cosine of two networks' attribution kernels over pixels."""

import dataclasses

import numpy as np

from transferability import subspaces
from transferability.similarity.registry import Similarity, register


@register(
  'attribution_kernel',
  takes='probes',
  lowest=0.0,
  cost='O(n K^2 P) a pair',
  reference='This project, docs/beyond_the_mean.md',
  invariances=('rotation', 'scale'),
)
@dataclasses.dataclass(frozen=True)
class AttributionKernel(Similarity):
  """Cosine of the kernels J^T J over pixels; higher is more similar.

  Mean over images of ||J_a J_b^T||_F^2 / (||J_a J_a^T||_F ||J_b J_b^T||_F), in
  [0, 1], of Jacobians J [D, P]; probes [n, K, P] are rows v^T J along K random
  directions v, whose products estimate all three
  (`transferability.subspaces.kernel`; probes: Halko et al., SIAM Review 2011).
  This project's own.

  All networks need maps of one shape.
  """

  def prepare(self, x: np.ndarray) -> np.ndarray:
    return x

  def compare(self, first: np.ndarray, second: np.ndarray) -> float:
    values = subspaces.pairs((first, second), subspaces.kernel)
    return float(values[:, 0, 1].mean())
