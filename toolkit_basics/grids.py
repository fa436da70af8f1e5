"""Means over the cells of a grid."""

from collections.abc import Sequence

import numpy as np


def means_from(
  values: np.ndarray, starts: Sequence[int] | np.ndarray, axis: int
) -> np.ndarray:
  """Returns means along an axis, from each start to the next one.

  Args:
    values: Floats.
    starts: Where cells begin, in order; the first is 0. The last cell ends
      where the axis does.
    axis: Counted from the front.
  """
  size = values.shape[axis]
  sums = np.add.reduceat(values, starts, axis=axis)
  shape = [1] * values.ndim
  shape[axis] = -1
  widths = np.diff([*starts, size]).astype(values.dtype)
  return sums / widths.reshape(shape)


def cell_means(
  values: np.ndarray, height: int, width: int, first: int = 1
) -> np.ndarray:
  """Returns means over the cells of a grid, whose sizes differ by one at most.

  Args:
    values: Floats; two axes that follow each other are height and width.
    height: Cells; an axis that has no more values than that stays as it is.
    width: Cells.
    first: Which axis is the height.
  """
  for axis, cells in ((first, height), (first + 1, width)):
    size = values.shape[axis]
    if size > cells:
      values = means_from(values, np.arange(cells) * size // cells, axis)
  return values
