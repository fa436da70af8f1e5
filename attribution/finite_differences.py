"""Whether gradients are what the network really does."""

import numpy as np

from frozen_graphs.network import Network

_STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)


def disagreement(
  network: Network,
  inputs: np.ndarray,
  num_directions: int = 3,
  seed: int = 0,
) -> np.ndarray:
  """Returns how far the gradient is from differences of the mean unit m.

  For directions v, that of the gradient g itself and random ones of the same
  norm as the input,

    |(m(x + h v) - m(x - h v)) / 2h - g . v| / max(|g . v|, |g| |v| / sqrt(n)),

  n the size of x, at the best of some steps h: large ones bend, and small ones
  are lost in the rounding of float32.

  Args:
    network: The network.
    inputs: [N, ...], after T.
    num_directions: Random ones, of each input.
    seed: Of the directions.

  Returns:
    float64 [N, 1 + num_directions]; 0 is exact. NaN if a gradient is zero.

  Raises:
    GraphError: If the network cannot be run or differentiated.
  """
  gradients, _ = network.gradients(inputs)
  axes = tuple(range(1, inputs.ndim))
  rng = np.random.default_rng(seed)
  columns = []
  size = np.sqrt(np.sum(inputs.astype(np.float64) ** 2, axes, keepdims=True))
  slope = np.sqrt(np.sum(gradients.astype(np.float64) ** 2, axes))
  for number in range(num_directions + 1):
    v = rng.normal(size=inputs.shape) if number else gradients
    v = v.astype(np.float64)
    with np.errstate(invalid='ignore', divide='ignore'):
      v *= np.maximum(size, 1e-3) / np.sqrt(np.sum(v**2, axes, keepdims=True))
      expected = np.sum(gradients * v, axes)
      length = np.sqrt(np.sum(v**2, axes) / v[0].size)
      scale = np.maximum(np.abs(expected), slope * length)
      errors = [
        np.abs(_difference(network, inputs, v, h) - expected) / scale
        for h in _STEPS
      ]
    columns.append(np.min(errors, axis=0))
  return np.stack(columns, axis=1)


def _difference(network: Network, inputs, v: np.ndarray, h: float):
  ends = []
  for sign in (1, -1):
    moved = (inputs + sign * h * np.nan_to_num(v)).astype(inputs.dtype)
    found = network.run(moved).astype(np.float64)
    ends.append(found.reshape(len(inputs), -1).mean(axis=1))
  return (ends[0] - ends[1]) / (2 * h)
