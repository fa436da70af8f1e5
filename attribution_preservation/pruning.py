"""Which weights are kept: whole filters, or single weights.

Kernels are as TensorFlow has them, [height, width, inputs, filters]. The rules
are those of the paper's released code (see `losses`).
"""

from collections.abc import Sequence

import numpy as np


def filters_to_keep(kernel: np.ndarray, rate: float) -> np.ndarray:
  """Returns which filters stay, by their L1 norms: sorted int64 [n].

  n = int(filters * (1 - rate)), at least one; the largest norms stay.

  Args:
    kernel: [height, width, inputs, filters].
    rate: Share of the filters that go, in [0, 1).

  Raises:
    ValueError: If the rate is not in [0, 1).
  """
  check_rate(rate)
  filters = kernel.shape[-1]
  norms = np.abs(kernel.astype(np.float64)).sum(axis=(0, 1, 2))
  # In floating point 10 * (1 - 0.9) is a little less than 1.
  number = max(1, int(filters * (1 - rate) + 1e-9))
  order = np.argsort(-norms, kind='stable')
  return np.sort(order[:number])


def check_rate(rate: float) -> None:
  """Raises ValueError if a share that goes is not in [0, 1)."""
  if not 0 <= rate < 1:
    raise ValueError(f'`ratio` is {rate}, but must be at least 0 and below 1.')


def sparsity(rounds: int, share: float) -> float:
  """Returns the share of zeros after rounds that take a share of the rest."""
  return 1 - (1 - share) ** rounds


def weights_to_keep(
  kernels: Sequence[np.ndarray], sparsity: float
) -> list[np.ndarray]:
  """Returns which weights stay, by their magnitude among those of all kernels.

  The threshold is the sorted magnitude at int(total * sparsity); weights above
  it stay.

  Args:
    kernels: Of any shapes.
    sparsity: The share of zeros, in [0, 1).

  Returns:
    bool arrays of the kernels' shapes.
  """
  check_rate(sparsity)
  every = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
  place = int(len(every) * sparsity)
  if place == 0:
    return [np.ones(kernel.shape, bool) for kernel in kernels]
  threshold = np.partition(every, place)[place]
  return [np.abs(kernel) > threshold for kernel in kernels]
