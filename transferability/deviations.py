"""Standard deviations as units; what differs by rounding alone is equal."""

import numpy as np
from numpy.typing import ArrayLike

_ROUNDING = 1e-12  # A share of the largest value.


def of(values: ArrayLike, axis: int | None) -> np.ndarray:
  """Returns the standard deviation, and 0 where values are equal.

  The mean of equal numbers may be off by rounding, and so be their deviation.

  Args:
    values: Finite, or NaN, which is left out.
    axis: Along which they are compared; None: all with all.

  Returns:
    float64 of the rank of the values.
  """
  values = np.asarray(values, np.float64)
  found = np.nanstd(values, axis=axis, keepdims=True)
  largest = np.nanmax(np.abs(values), axis=axis, keepdims=True)
  return np.where(found > _ROUNDING * largest, found, 0.0)


def unit(values: ArrayLike, axis: int | None) -> np.ndarray:
  """Returns `of`, and 1 where values are equal: what to divide them by.

  In units of a deviation that is rounding, equal numbers would be 1, or -1.
  """
  found = of(values, axis)
  return np.where(found > 0, found, 1.0)
