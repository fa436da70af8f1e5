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
import re

import numpy as np

from attribution import geometric_operations  # noqa: F401 - Registers its own.
from attribution.preprocessing_operations import (
  Operation,
  PreprocessingError,
  Shape,
  operations,
  require,
)

_LARGEST = float(np.finfo(np.float32).max)
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
    try:
      steps = tuple(_parse_step(step.strip()) for step in text.split('|'))
      for step in steps[:-1]:
        require(not step.must_be_last, f'{step.name} must be last.')
    except PreprocessingError as error:
      raise PreprocessingError(
        f'In the preprocessing {text!r}, {error}'
      ) from error
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


def _parse_step(step: str) -> Operation:
  match = _STEP.fullmatch(step)
  if not match:
    raise PreprocessingError(
      f'{step!r} is not of the form "name" or "name(numbers)".'
    )
  name, arguments = match.groups()
  known = operations()
  require(
    name in known,
    f'there is no operation {name!r}; there are {", ".join(known)}.',
  )
  try:
    values = ast.literal_eval(f'({arguments},)') if arguments else ()
    _check_numbers(values, known[name].takes_tuples)
    return known[name](*values)
  except (SyntaxError, TypeError, ValueError, MemoryError) as error:
    reason = error if isinstance(error, PreprocessingError) else 'bad arguments'
    fields = ', '.join(f.name for f in dataclasses.fields(known[name]))
    raise PreprocessingError(
      f'{step!r}: {reason}. It is written {name}({fields}).'
    ) from error


def _check_numbers(values: Sequence, takes_tuples: bool) -> None:
  for value in values:
    if takes_tuples and isinstance(value, tuple):
      _check_numbers(value, False)
    elif type(value) not in (int, float) or not abs(value) <= _LARGEST:
      raise PreprocessingError(
        f'{value!r:.40} is not a finite number of float32'
      )


def as_unit_floats(images: np.ndarray) -> np.ndarray:
  """Returns images as float32 in [0, 1].

  Raises:
    PreprocessingError: Unless they are [N, H, W, C], uint8 or float in [0, 1].
  """
  images = np.asarray(images)
  require(
    images.ndim == 4 and images.size,
    'Images must have the shape [N, H, W, C] with at least one image, but '
    f'have {list(images.shape)}.',
  )
  if images.dtype == np.uint8:
    return images.astype(np.float32) / np.float32(255)
  require(
    np.issubdtype(images.dtype, np.floating),
    f'Images must be uint8 or float in [0, 1], but are {images.dtype}.',
  )
  low, high = images.min(), images.max()
  require(  # NaN fails too.
    low >= 0 and high <= 1,
    f'Float images must lie in [0, 1], but lie in [{low}, {high}].',
  )
  return images.astype(np.float32)
