"""Preprocessing T: from an image to an encoder's input, and maps back.

T is written in a small language, for example

  center_crop | resize(256) | clip(0.1, 0.9) | range(-1, 1)

so that it can be printed, compared and stored. Each operation knows its
inverse for attribution maps, which brings a map back to the coordinates of the
image: a crop is undone by padding with zeros, a resize by a resize, a change of
values leaves the map as it is.
"""

import ast
from collections.abc import Sequence
import dataclasses
import math
import re

import numpy as np

from attribution import (
  channel_operations,
  geometric_operations,
  preprocessing_operations,
)
from attribution import preprocessing_registry as registry
from attribution.preprocessing_registry import (
  Operation,
  PreprocessingError,
  Shape,
)

# Importing them registers their operations.
MODULES = (
  channel_operations,
  geometric_operations,
  preprocessing_operations,
)

_STEP = re.compile(r'([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?', re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """A sequence of operations; `str` of it is its canonical text."""

  steps: tuple[Operation, ...]

  @classmethod
  def parse(cls, text: str) -> 'Preprocessing':
    """Returns the preprocessing that `text` describes.

    Raises:
      PreprocessingError: If the text is wrong; the message says where.
    """
    steps = tuple(_parse_step(step.strip(), text) for step in text.split('|'))
    for step in steps[:-1]:
      if step.must_be_last:
        raise PreprocessingError(
          f'In the preprocessing {text!r}, {step.name} must be last.'
        )
    return cls(steps)

  def __str__(self) -> str:
    return ' | '.join(str(step) for step in self.steps)

  def output_shape(self, image_shape: Shape) -> Shape:
    """Returns the shape of the encoder's input for an image of a shape."""
    return self._shapes(image_shape)[-1]

  def __call__(self, images: np.ndarray) -> np.ndarray:
    """Returns the encoder's input.

    Args:
      images: [N, H, W, C], uint8 or float in [0, 1].

    Returns:
      float32 [N, h, w, c].

    Raises:
      PreprocessingError: If the images have another form or range.
    """
    values = as_unit_floats(images)
    self._shapes(values.shape[1:])
    for step in self.steps:
      values = step.forward(values)
    return np.ascontiguousarray(values, np.float32)

  def inverse(self, maps: np.ndarray, image_shape: Shape) -> np.ndarray:
    """Returns maps in the coordinates of the images.

    Args:
      maps: [N, h, w, c], one for each encoder input.
      image_shape: (H, W, C) of the images.

    Returns:
      float32 [N, H, W, C].
    """
    shapes = self._shapes(tuple(image_shape))
    if maps.shape[1:] != shapes[-1]:
      raise PreprocessingError(
        f'Maps of shape {maps.shape[1:]} do not come from images of shape '
        f'{tuple(image_shape)} through "{self}", which gives {shapes[-1]}.'
      )
    maps = np.asarray(maps, np.float32)
    for step, shape in zip(self.steps[::-1], shapes[-2::-1], strict=True):
      maps = step.inverse(maps, shape)
    return np.ascontiguousarray(maps, np.float32)

  def _shapes(self, shape: Shape) -> list[Shape]:
    """Returns the shapes before the first step and after each step."""
    shapes = [shape]
    for step in self.steps:
      try:
        shapes.append(step.output_shape(shapes[-1]))
      except PreprocessingError as error:
        raise PreprocessingError(f'In "{self}": {error}') from error
    return shapes


def _parse_step(step: str, text: str) -> Operation:
  match = _STEP.fullmatch(step)
  if not match:
    raise PreprocessingError(
      f'In the preprocessing {text!r}, {step!r} is not of the form '
      '"name" or "name(numbers)".'
    )
  name, arguments = match.groups()
  operations = registry.operations()
  if name not in operations:
    raise PreprocessingError(
      f'In the preprocessing {text!r}, there is no operation {name!r}; there '
      f'are {", ".join(operations)}.'
    )
  try:
    values = ast.literal_eval(f'({arguments},)') if arguments else ()
    _check_numbers(values)
    return operations[name](*values)
  except (SyntaxError, TypeError, ValueError, MemoryError) as error:
    reason = error if isinstance(error, PreprocessingError) else 'bad arguments'
    fields = dataclasses.fields(operations[name])
    raise PreprocessingError(
      f'In the preprocessing {text!r}, {step!r}: {reason}. It is written '
      f'{name}({", ".join(field.name for field in fields)}).'
    ) from error


def _check_numbers(values: Sequence) -> None:
  for value in values:
    if isinstance(value, tuple):
      _check_numbers(value)
    elif type(value) not in (int, float) or not math.isfinite(value):
      raise PreprocessingError(f'{value!r} is not a finite number')


def as_unit_floats(images: np.ndarray) -> np.ndarray:
  """Returns images as float32 in [0, 1].

  Raises:
    PreprocessingError: Unless they are [N, H, W, C], uint8 or float in [0, 1].
  """
  images = np.asarray(images)
  if images.ndim != 4 or 0 in images.shape:
    raise PreprocessingError(
      'Images must have the shape [N, H, W, C] with at least one image, but '
      f'have {list(images.shape)}.'
    )
  if images.dtype == np.uint8:
    return images.astype(np.float32) / np.float32(255)
  if not np.issubdtype(images.dtype, np.floating):
    raise PreprocessingError(
      f'Images must be uint8 or float in [0, 1], but are {images.dtype}.'
    )
  low, high = images.min(), images.max()
  if not (low >= 0 and high <= 1):  # Also true for NaN.
    raise PreprocessingError(
      f'Float images must lie in [0, 1], but lie in [{low}, {high}].'
    )
  return images.astype(np.float32)
