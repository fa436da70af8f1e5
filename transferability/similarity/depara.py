"""DEPARA: graphs of attributions (nodes) and of similar images (edges)."""

import dataclasses

import numpy as np

from transferability.similarity import kernels
from transferability.similarity.registry import Similarity, register

# The weight of the edges that the authors chose for each set of probe images.
LAMBDAS = {'taskonomy': 0.25, 'coco': 0.03, 'indoor': 0.27}


@register(
  'depara_edge',
  cost='O(n^2 (d + log n)) a network, O(n^2) a pair',
  reference='Song et al., CVPR 2020, arXiv 2003.07496',
  invariances=('rotation', 'scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class DeparaEdge(Similarity):
  """DEPARA's edges, in [-1, 1]; higher is more similar.

  Spearman's correlation over pairs i < j of images of 1 - cos(x_i, x_j) and
  1 - cos(y_i, y_j), rows of features [n, d1] and [n, d2]. Features are centred,
  as where networks are compared; the authors leave that out (`centred=False`)
  where they select layers (Song et al., CVPR 2020).
  """

  centred: bool = True

  def prepare(self, x: np.ndarray) -> np.ndarray:
    x = kernels.centred_rows(x) if self.centred else kernels.rows(x)
    return kernels.ranks(kernels.cosine(x))


def combine(
  nodes: np.ndarray, edges: np.ndarray, weight: float = LAMBDAS['taskonomy']
) -> np.ndarray:
  """Returns DEPARA's similarity: that of the nodes + weight * of the edges.

  Args:
    nodes: [networks, networks], affinity of attribution maps.
    edges: [networks, networks], of `depara_edge`.
    weight: Lambda of the paper; the authors tuned it for each probe set, see
      LAMBDAS.
  """
  nodes, edges = np.asarray(nodes), np.asarray(edges)
  if nodes.shape != edges.shape:
    raise ValueError(
      f'Nodes have the shape {nodes.shape}, edges {edges.shape}.'
    )
  return nodes + weight * edges
