"""PWCCA: canonical correlations weighted by what they explain."""

import dataclasses

import numpy as np
from scipy import linalg

from transferability.measures import samples
from transferability.similarity import bases
from transferability.similarity.registry import Similarity, register

_EQUAL = 1e-9  # Correlations that differ by less are of one subspace.


# A network: its basis [n, k], and the features in it [k, d].
_Directions = tuple[np.ndarray, np.ndarray]


@register(
  'pwcca',
  lowest=0.0,
  symmetric=False,
  cost='O(n d min(n, d)) a network, O(n k^2 + k^2 d) of k directions a pair',
  reference='Morcos et al., NeurIPS 2018, arXiv 1806.05759',
  invariances=('scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class Pwcca(Similarity):
  """Projection-weighted canonical correlation; higher is more similar.

  sum_i w_i r_i / sum_i w_i, in [0, 1], of the canonical correlations r_i of
  features X [n, d1] and Y [n, d2], with w_i = sum_j |<h_i, x_j>|: how much of
  the centred features x_j, columns of X, the i-th canonical direction h_i of X
  holds. Nothing is truncated but directions without variance. X is the side
  with fewer directions (the first if both have as many): weights of the other
  are not unique (Morcos et al., NeurIPS 2018).

  Directions of equal correlations are not unique either, and with more
  directions than images several correlations are 1: of those the principal
  directions of the features are taken, a convention of this project.

  Layers [n, h, w, c] are averaged over places.
  """

  def prepare(self, x: np.ndarray) -> _Directions:
    x = x.mean(axis=(1, 2)) if x.ndim == 4 else x
    basis = bases.basis(x)[0]
    return basis, basis.T @ samples.centre(x)

  def compare(self, first: _Directions, second: _Directions) -> float:
    if first[0].shape[1] > second[0].shape[1]:
      first, second = second, first
    (basis, features), (other, _) = first, second
    if basis.shape[1] == len(basis) - 1:
      return 1.0  # Each spans all that n images can differ in.
    directions, values, _ = linalg.svd(
      basis.T @ other, full_matrices=False, check_finite=False
    )
    along = directions.T @ features
    ends = np.flatnonzero(values[:-1] - values[1:] > _EQUAL) + 1
    weights = np.concatenate([_weights(g) for g in np.split(along, ends)])
    return weights @ np.clip(values, 0, 1) / weights.sum()


def _weights(along: np.ndarray) -> np.ndarray:
  """Returns the weights of directions of equal correlations.

  `along` has the inner products of directions and features, [directions, d].
  """
  _, values, right = linalg.svd(along, full_matrices=False, check_finite=False)
  weights = np.abs(values[:, None] * right).sum(axis=1)
  return np.pad(weights, (0, len(along) - len(weights)))
