"""kNN: leave-one-out accuracy of the nearest neighbours."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
from transferability.measures.registry import register

_BLOCK = 2**25  # Distances at a time: 256 MB.


@register(
  'knn',
  cost='O(n^2 d)',
  reference='Bolya et al., NeurIPS 2021, arXiv 2111.06977 (baseline)',
  invariances=('rotation', 'scale', 'shift'),
)
def knn(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  num_neighbours: int = 1,
  percent: bool = False,
) -> float:
  """Returns the share of samples whose nearest others have their label.

  1/n sum_i [y_i = vote of the k samples nearest to x_i, itself left out], in
  [0, 1]; higher is better. A baseline of Bolya et al., NeurIPS 2021.

  Args:
    features: [n, d], compared by Euclidean distance.
    labels: [n].
    num_neighbours: How many vote; of classes with as many votes the one with
      the smallest label wins.
    percent: Whether to return 0 to 100, as the code of PARC does.
  """
  features, labels = samples.check(features, labels)
  size = len(labels)
  if not 1 <= num_neighbours < size:
    raise ValueError(
      f'num_neighbours={num_neighbours} is not in 1 to {size - 1}, the number '
      'of other samples.'
    )
  features = samples.centre(features)
  norms = np.einsum('ij,ij->i', features, features)
  rows = max(1, _BLOCK // size)
  correct = 0
  for start in range(0, size, rows):
    block = np.arange(start, min(start + rows, size))
    distances = features[block] @ features.T
    distances *= -2
    distances += norms
    distances[np.arange(len(block)), block] = np.inf
    correct += int(
      (_vote(distances, labels, num_neighbours) == labels[block]).sum()
    )
  return correct / size * (100 if percent else 1)


def _vote(
  distances: np.ndarray, labels: np.ndarray, num_neighbours: int
) -> np.ndarray:
  if num_neighbours == 1:
    return labels[distances.argmin(axis=1)]
  nearest = np.argpartition(distances, num_neighbours - 1, axis=1)
  votes = labels[nearest[:, :num_neighbours]]
  return np.array([np.bincount(row).argmax() for row in votes])
