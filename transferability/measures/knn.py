"""kNN: leave-one-out accuracy of the nearest neighbours."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
from transferability.measures.registry import register

_BLOCK = 2**24  # Distances at a time: 128 MB.
_ROUNDING = 1e-13  # Of a squared distance, a share of what it was taken from.


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
    num_neighbours: How many vote, and all that are as near as the last of
      them; of classes with as many votes each wins in equal part.
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
  correct = 0.0
  for start in range(0, size, rows):
    block = np.arange(start, min(start + rows, size))
    distances = features[block] @ features.T
    distances *= -2
    distances += norms
    distances[np.arange(len(block)), block] = np.inf
    last = np.partition(distances, num_neighbours - 1)[:, num_neighbours - 1]
    # Sums of other orders make distances that are equal differ in last digits.
    distances -= _ROUNDING * norms
    near = distances <= (last + _ROUNDING * norms[block])[:, None]
    correct += sum(
      _won(labels[row], label)
      for row, label in zip(near, labels[block].tolist(), strict=True)
    )
  return correct / size * (100 if percent else 1)


def _won(votes: np.ndarray, label: int) -> float:
  """Returns in which part a label wins a vote, [voters]."""
  counts = np.bincount(votes, minlength=label + 1)
  winners = counts == counts.max()
  return float(winners[label] / winners.sum())
