"""What an operation of the preprocessing language is, and which there are."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from toolkit_basics.registry import Registry

Shape = tuple[int, int, int]
Number = int | float


class PreprocessingError(ValueError):
  """A preprocessing text that is wrong, or does not fit the images."""


class Operation:
  """One step of T, on float32 [N, H, W, C]; subclasses are frozen dataclasses.

  The fields of a subclass are the arguments in the text.
  """

  name = ''  # Set when the operation is registered.
  must_be_last = False  # Whether no operation may follow.

  def output_shape(self, shape: Shape) -> Shape:
    """Returns the shape of what becomes of an image of `shape`."""
    return shape

  def forward(self, images: np.ndarray) -> np.ndarray:
    """Returns the step's result."""
    raise NotImplementedError

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    """Returns maps in the coordinates of the step's input, of `shape`."""
    del shape
    return maps

  def arguments(self) -> tuple:
    """Returns what stands between the parentheses."""
    return dataclasses.astuple(self)

  def __str__(self) -> str:
    arguments = ', '.join(_literal(value) for value in self.arguments())
    return f'{self.name}({arguments})' if arguments else self.name


def _literal(value) -> str:
  if isinstance(value, tuple):
    comma = ',' if len(value) == 1 else ''
    return f'({", ".join(_literal(v) for v in value)}{comma})'
  return str(int(value)) if float(value).is_integer() else repr(float(value))


_OPERATIONS: Registry[type[Operation]] = Registry('preprocessing operation')
register_operation = _OPERATIONS.register_class


def operations() -> Mapping[str, type[Operation]]:
  """Returns the registered operations by name, sorted."""
  return dict(sorted(_OPERATIONS.items()))


def require(condition: bool, reason: str) -> None:
  if not condition:
    raise PreprocessingError(reason)
