"""How far a map's large pixels are the pixels that matter for a task.

Spearman's rank correlation over the pixels of an image: it has no threshold and
does not depend on the scale of a map, and for a mask it is an affine function
of the area under the ROC curve. Edges in space are edges of the picture too, so
a second form leaves out what a third set of pixels explains (partial
correlation).
"""

import numpy as np
from scipy import stats


def unit_ranks(values: np.ndarray) -> np.ndarray:
  """Ranks of the pixels, centred, of unit norm.

  Args:
    values: [..., pixels]; equal ones share their mean rank.

  Returns:
    float64 [..., pixels]; all NaN where all values are the same.
  """
  ranks = stats.rankdata(values, axis=-1)
  ranks -= ranks.mean(axis=-1, keepdims=True)
  norm = np.linalg.norm(ranks, axis=-1, keepdims=True)
  with np.errstate(invalid='ignore'):
    return ranks / np.where(norm > 0, norm, np.nan)


def correlation(ranks: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns Spearman's correlation over pixels, [...], in [-1, 1].

  Args:
    ranks: As `unit_ranks` returns them, [..., pixels].
    others: The same; shapes broadcast.
  """
  return np.einsum('...p,...p->...', ranks, others)


def partial_correlation(
  ranks: np.ndarray, others: np.ndarray, third: np.ndarray
) -> np.ndarray:
  """Returns the correlation that a third set of pixels does not explain.

  (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)); NaN where the third set
  explains all of one of the others.

  Args:
    ranks: As `unit_ranks` returns them, [..., pixels].
    others: The same.
    third: The same.
  """
  both = correlation(ranks, others)
  first, second = correlation(ranks, third), correlation(others, third)
  left = (1 - first**2) * (1 - second**2)
  with np.errstate(invalid='ignore'):
    return (both - first * second) / np.sqrt(
      np.where(left > 1e-9, left, np.nan)
    )


def own_column_p_value(
  table: np.ndarray, columns: np.ndarray, draws: int = 9999, seed: int = 0
) -> tuple[float, float]:
  """Whether rows prefer their own columns; both may be good for all.

  Args:
    table: [rows, columns], larger is better.
    columns: Each row's own column, int [rows].
    draws: Random assignments of the own columns to the rows.
    seed: Of the draws.

  Returns:
    Mean over rows of the own column less the mean of the columns that are own
    to other rows; and the share of assignments with as large a value.
  """
  own = np.asarray(columns)
  values = table[:, own]  # Of row i for the column of row j.
  count = len(own)
  rng = np.random.default_rng(seed)
  found = np.trace(values)
  rows = np.arange(count)
  drawn = [values[rows, rng.permutation(count)].sum() for _ in range(draws)]
  reached = 1 + np.sum(np.array(drawn) >= found - 1e-12)
  others = (values.sum() - found) / (count * (count - 1))
  return float(found / count - others), float(reached / (draws + 1))
