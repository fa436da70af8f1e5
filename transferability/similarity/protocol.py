"""How well similarities agree with measured transfers, target by target."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def spearman_per_target(
  similarity: ArrayLike, transfers: ArrayLike, include_self: bool = True
) -> np.ndarray:
  """Returns the rank correlation of each target's column.

  The protocol of Dwivedi et al. (ECCV 2020) takes the target itself for one of
  its sources. It then is the most similar one by definition, so that random
  symmetric similarities reach about 0.16 and not 0 (17 tasks, Taskonomy's
  affinities): report both.

  Args:
    similarity: [models, models], row: source, column: target.
    transfers: [models, models] of the same, larger where a transfer is better.
    include_self: Whether the diagonal counts.

  Returns:
    float64 [models].

  Raises:
    ValueError: If the shapes do not fit, or a column has no order.
  """
  similarity = np.asarray(similarity, np.float64)
  transfers = np.asarray(transfers, np.float64)
  size = len(similarity)
  if similarity.shape != (size, size) or transfers.shape != (size, size):
    raise ValueError(
      f'Similarities have shape {similarity.shape}, transfers '
      f'{transfers.shape}; both must be [models, models].'
    )
  counted = np.ones((size, size), bool)
  if not include_self:
    np.fill_diagonal(counted, False)
  result = []
  for target, rows in enumerate(counted.T):
    columns = similarity[rows, target], transfers[rows, target]
    if not all(np.isfinite(c).all() and np.ptp(c) > 0 for c in columns):
      raise ValueError(
        f'The column of target {target} is not finite, or all its sources are '
        'equal.'
      )
    result.append(stats.spearmanr(*columns).statistic)
  return np.array(result)


def select(
  matrix: ArrayLike, names: Sequence[str], chosen: Sequence[str]
) -> np.ndarray:
  """Returns the rows and columns of some models, in the order of `chosen`."""
  if unknown := [name for name in chosen if name not in names]:
    raise ValueError(f'No models of these names: {unknown}; {list(names)}.')
  indices = [list(names).index(name) for name in chosen]
  return np.asarray(matrix, np.float64)[np.ix_(indices, indices)]
