"""Span energy: how much of what moves the target does the source see?"""

import dataclasses

import numpy as np

from transferability import subspaces
from transferability.similarity.registry import Similarity, register


@register(
  'attribution_span',
  takes='probes',
  symmetric=False,
  directed=True,
  lowest=0.0,
  cost='O(n K^2 P + n K^3) a pair',
  reference='This project, docs/beyond_the_mean.md',
  invariances=('rotation', 'scale'),
)
@dataclasses.dataclass(frozen=True)
class AttributionSpan(Similarity):
  """Energy of the target's attributions in the span of the source's.

  Mean over images of ||J_t Q_s||_F^2 / ||J_t||_F^2, in [0, 1]; higher is more
  similar. J [D, P] is the Jacobian of an image's representation, of which
  probes [n, K, P] are K rows v^T J along random directions v; Q_s [P, K] is an
  orthonormal basis of the source's rows, and the target's rows estimate the
  ratio (`transferability.subspaces.span`; range finder: Halko et al., SIAM
  Review 2011). Directed: the first network is the target, the second the
  source; a source that sees more serves more targets. This project's own.

  All networks need maps of one shape.
  """

  softness: float = 0.0  # See `subspaces.span`.

  def __post_init__(self):
    if not 0 <= self.softness < np.inf:
      raise ValueError(f'softness is {self.softness}, but must be >= 0.')

  def prepare(self, x: np.ndarray) -> np.ndarray:
    return x

  def compare(self, first: np.ndarray, second: np.ndarray) -> float:
    values = subspaces.pairs(
      (first, second), lambda gram: subspaces.span(gram, self.softness)
    )
    return float(values[:, 0, 1].mean())
