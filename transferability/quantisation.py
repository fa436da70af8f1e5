"""Maps of few bits, as the paper's rebuttal compares them."""

import numpy as np


def quantise(rows: np.ndarray, bits: int) -> np.ndarray:
  """Returns each map with its values rounded to 2^bits evenly spaced levels.

  The levels go from -m to m, m the largest magnitude of the map, or from 0 to
  m if it has no negative value. So a signed map of one bit is its signs; a map
  without signs of one bit marks the pixels of more than half of the largest
  value.

  Args:
    rows: [..., size], a map in each row.
    bits: 1 to 23; more than the maps' own precision changes nothing.

  Returns:
    float32, shaped as `rows`.
  """
  if not 1 <= bits <= 23:
    raise ValueError(f'{bits} bits; it must be 1 to 23.')
  rows = np.asarray(rows, np.float32)
  high = np.abs(rows).max(axis=-1, keepdims=True)
  low = np.where(rows.min(axis=-1, keepdims=True) < 0, -high, 0)
  step = (high - low) / np.float32(2**bits - 1)
  step = np.where(step > 0, step, 1)
  # Half-way values go up: rounding to even would give a sign of 0 both ways.
  return (low + np.floor((rows - low) / step + 0.5) * step).astype(np.float32)
