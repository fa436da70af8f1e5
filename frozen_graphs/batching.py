"""Whether a graph keeps the images of a batch apart, found out by trying it."""

from collections.abc import Callable
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class GraphOutcome:
  """What a graph gives for a batch of images.

  Attributes:
    values: [N, ...].
    tolerance: By how much, of the largest value, equal results may differ.
  """

  values: np.ndarray
  tolerance: float = 1e-4

  def is_near(self, others: np.ndarray) -> bool:
    """Returns whether these and other values differ by rounding only."""
    if self.values.shape != others.shape:
      return False
    scale = np.abs(others).max(initial=1e-30)
    difference = np.abs(self.values - others).max(initial=0)
    return bool(difference <= self.tolerance * scale)


Run = Callable[[np.ndarray], list[GraphOutcome]]


def other_than(image: np.ndarray) -> np.ndarray:
  """Returns an input [1, ...] of another look, but about the same range."""
  values = np.random.default_rng(0).permuted(image.reshape(-1))
  return values.reshape(image.shape) * image.dtype.type(0.9)


def keeps_images_apart(run: Run, pair: np.ndarray) -> bool:
  """Returns whether two inputs, in any order, give what each gives alone.

  Args:
    run: Returns the results of a batch of any size.
    pair: [2, ...], not the same.
  """
  alone = run(pair[:1]), run(pair[1:])
  for order in (1, -1):
    together = run(pair[::order])
    for both, first, second in zip(together, *alone[::order], strict=True):
      if not both.is_near(np.concatenate([first.values, second.values])):
        return False
  return True


def mixes_images(run: Run, inputs: np.ndarray) -> bool:
  """Returns whether the first result depends on the other inputs.

  Args:
    run: Returns the results of a batch of as many images as `inputs`.
    inputs: [N, ...].
  """
  others = np.concatenate([inputs[:1], inputs[1:] * inputs.dtype.type(0.7)])
  return not all(
    GraphOutcome(a.values[:1], a.tolerance).is_near(b.values[:1])
    for a, b in zip(run(inputs), run(others), strict=True)
  )
