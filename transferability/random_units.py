"""Random hidden units, as of a readout whose hidden layer is not trained."""

import numpy as np


def hidden(x: np.ndarray, count: int) -> np.ndarray:
  """Returns max(0, w x + b) of standardised columns (Rahimi, Recht, NIPS 2008).

  Weights and offsets are drawn once and for all; inputs to the units have
  variance 1 if columns are independent, and offsets a quarter of it.

  Args:
    x: float64 [..., f].
    count: Of units.

  Returns:
    float64 [..., count].
  """
  rng = np.random.default_rng(0)
  weights = rng.standard_normal((x.shape[-1], count)) / np.sqrt(x.shape[-1])
  return np.maximum(x @ weights + rng.standard_normal(count) / 2, 0)
