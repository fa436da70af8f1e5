"""PWCCA: canonical correlations weighted by what they explain."""

import dataclasses

import numpy as np
from scipy import linalg

from transferability.similarity import bases
from transferability.similarity.registry import Similarity, register


@dataclasses.dataclass(frozen=True, eq=False)
class _Side:
  centred: np.ndarray
  basis: np.ndarray


@register(
  'pwcca',
  symmetric=False,
  cost='O(n d min(n, d)) a network, O(n d1 d2) a pair',
  reference='Morcos et al., NeurIPS 2018, arXiv 1806.05759',
  invariances=('scale',),
)
@dataclasses.dataclass(frozen=True)
class Pwcca(Similarity):
  """The mean canonical correlation with projection weights, in [0, 1].

  Nothing is truncated but directions without variance. A direction's weight is
  how much of the features it holds, the sum over features of the magnitude of
  its inner product with each. The weights are those of the side with fewer
  directions (of x if both have as many): the other's are not unique.

  Layers [n, h, w, c] are averaged over places.
  """

  def prepare(self, x: np.ndarray) -> _Side:
    x = x.mean(axis=(1, 2)) if x.ndim == 4 else x
    return _Side(bases.centre(x), bases.basis(x)[0])

  def compare(self, first: _Side, second: _Side) -> float:
    if first.basis.shape[1] > second.basis.shape[1]:
      first, second = second, first
    left, values, _ = linalg.svd(
      first.basis.T @ second.basis, full_matrices=False
    )
    directions = first.basis @ left
    weights = np.abs(directions.T @ first.centred).sum(axis=1)
    return float(weights @ np.clip(values, 0, 1) / weights.sum())
