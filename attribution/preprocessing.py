"""Preprocessing T: from an image to an encoder's input, and maps back.

T is written in a small language, for example

  center_crop | resize(256) | clip(0.1, 0.9) | range(-1, 1)

so that it can be printed, compared and stored. Each operation knows its
inverse for attribution maps, which brings a map back to the coordinates of the
image: a crop is undone by padding with zeros, a resize by a resize, a change of
values leaves the map as it is.
"""

import ast
from collections.abc import Callable, Sequence
import dataclasses
import math
import re

import cv2
import numpy as np

Shape = tuple[int, int, int]
Number = int | float

_OPERATIONS: dict[str, type['Operation']] = {}
_STEP = re.compile(r'([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?', re.DOTALL)
_MAX_SIDE = 2**14


class PreprocessingError(ValueError):
  """A preprocessing text that is wrong, or does not fit the images."""


class Operation:
  """One step of T, on float32 [N, H, W, C]; subclasses are frozen dataclasses.

  The fields of a subclass are the arguments in the text.
  """

  name = ''  # Set when the operation is registered.

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


def register_operation(name: str) -> Callable[[type], type]:
  """Returns a decorator that adds an operation to the language."""

  def register(cls: type[Operation]) -> type[Operation]:
    if name in _OPERATIONS:
      raise ValueError(f'There is a preprocessing operation {name!r} already.')
    cls.name = name
    _OPERATIONS[name] = cls
    return cls

  return register


def operations() -> tuple[str, ...]:
  """Returns the names of the registered operations, sorted."""
  return tuple(sorted(_OPERATIONS))


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
      if isinstance(step, ChannelsFirst):
        raise PreprocessingError(
          f'In the preprocessing {text!r}, channels_first must be last.'
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
  if name not in _OPERATIONS:
    raise PreprocessingError(
      f'In the preprocessing {text!r}, there is no operation {name!r}; there '
      f'are {", ".join(operations())}.'
    )
  try:
    values = ast.literal_eval(f'({arguments},)') if arguments else ()
    _check_numbers(values)
    return _OPERATIONS[name](*values)
  except (SyntaxError, TypeError, ValueError, MemoryError) as error:
    reason = error if isinstance(error, PreprocessingError) else 'bad arguments'
    fields = dataclasses.fields(_OPERATIONS[name])
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


def _require(condition: bool, reason: str) -> None:
  if not condition:
    raise PreprocessingError(reason)


def _resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
  """Bilinear, half-pixel centres, no anti-aliasing."""
  if images.shape[1:3] == (height, width):
    return images
  resized = np.empty((len(images), height, width, images.shape[3]), np.float32)
  for image, result in zip(images, resized, strict=True):
    # OpenCV drops a last axis of one channel.
    result[...] = cv2.resize(
      image, (width, height), interpolation=cv2.INTER_LINEAR
    ).reshape(result.shape)
  return resized


@register_operation('center_crop')
@dataclasses.dataclass(frozen=True)
class CenterCrop(Operation):
  """The central square of side 2 * floor(min(H, W) / 2)."""

  def output_shape(self, shape: Shape) -> Shape:
    _require(min(shape[:2]) >= 2, f'no square to crop from {shape[:2]}')
    side = 2 * (min(shape[:2]) // 2)
    return side, side, shape[2]

  def _window(self, shape: Shape) -> tuple[slice, slice]:
    half = min(shape[:2]) // 2
    return tuple(slice(n // 2 - half, n // 2 + half) for n in shape[:2])

  def forward(self, images: np.ndarray) -> np.ndarray:
    rows, columns = self._window(images.shape[1:])
    return images[:, rows, columns]

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    rows, columns = self._window(shape)
    padded = np.zeros((len(maps), *shape), np.float32)
    padded[:, rows, columns] = maps
    return padded


@register_operation('resize')
@dataclasses.dataclass(frozen=True)
class Resize(Operation):
  """Bilinear to height x width (a square if only one is given).

  Pixel centres are at half-integers and nothing is smoothed before shrinking,
  as scikit-image 0.12 resized (order 1): halving takes means of 2 x 2 pixels.
  """

  height: int
  width: int | None = None

  def __post_init__(self):
    if self.width is None:
      object.__setattr__(self, 'width', self.height)
    for side in (self.height, self.width):
      _require(
        type(side) is int and 0 < side <= _MAX_SIDE,
        f'{side!r} is not a whole number of pixels in 1..{_MAX_SIDE}',
      )

  def arguments(self) -> tuple:
    if self.height == self.width:
      return (self.height,)
    return self.height, self.width

  def output_shape(self, shape: Shape) -> Shape:
    return self.height, self.width, shape[2]

  def forward(self, images: np.ndarray) -> np.ndarray:
    return _resize(images, self.height, self.width)

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return _resize(maps, *shape[:2])


@register_operation('clip')
@dataclasses.dataclass(frozen=True)
class Clip(Operation):
  """Limits values to [low, high]."""

  low: Number
  high: Number

  def __post_init__(self):
    _require(self.low < self.high, 'low must be less than high')

  def forward(self, images: np.ndarray) -> np.ndarray:
    return np.clip(images, np.float32(self.low), np.float32(self.high))


@register_operation('range')
@dataclasses.dataclass(frozen=True)
class Range(Operation):
  """Maps [0, 1] linearly to [low, high]."""

  low: Number
  high: Number

  def __post_init__(self):
    _require(self.low < self.high, 'low must be less than high')

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images * np.float32(self.high - self.low) + np.float32(self.low)


@register_operation('mean_std')
@dataclasses.dataclass(frozen=True)
class MeanStd(Operation):
  """(value - mean) / std; each a number or one number for each channel."""

  mean: Number | tuple[Number, ...]
  std: Number | tuple[Number, ...]

  def __post_init__(self):
    _require(np.all(np.asarray(self.std) > 0), 'std must be positive')

  def output_shape(self, shape: Shape) -> Shape:
    for values in (self.mean, self.std):
      count = len(values) if isinstance(values, tuple) else shape[2]
      _require(count == shape[2], f'{count} numbers for {shape[2]} channels')
    return shape

  def forward(self, images: np.ndarray) -> np.ndarray:
    mean, std = (np.asarray(v, np.float32) for v in (self.mean, self.std))
    return (images - mean) / std


@register_operation('bgr')
@dataclasses.dataclass(frozen=True)
class Bgr(Operation):
  """Reverses the order of the channels; so does the inverse."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images[..., ::-1]

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps[..., ::-1]


class _OneChannel(Operation):
  """From RGB in [0, 1] to one channel.

  The inverse gives every channel the whole map. Maps are only ever compared
  after scaling to unit norm, so the factor 3 this adds to their sum is free.
  """

  def output_shape(self, shape: Shape) -> Shape:
    _require(shape[2] == 3, f'{self.name} needs 3 channels, not {shape[2]}')
    return *shape[:2], 1

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return np.repeat(maps, shape[2], axis=3)


@register_operation('grayscale')
@dataclasses.dataclass(frozen=True)
class Grayscale(_OneChannel):
  """Luma of ITU-R BT.601, as OpenCV and most networks for grey images use."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images @ np.array([[0.299], [0.587], [0.114]], np.float32)


@register_operation('lightness')
@dataclasses.dataclass(frozen=True)
class Lightness(_OneChannel):
  """CIE Lab lightness L of sRGB (D65), from [0, 100] to [0, 1]."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    linear = np.where(
      images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92
    )
    y = linear @ np.array([[0.212671], [0.715160], [0.072169]])
    root = np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 16 / 116)
    return np.clip((116 * root - 16) / 100, 0, 1).astype(np.float32)


@register_operation('mask_center')
@dataclasses.dataclass(frozen=True)
class MaskCenter(Operation):
  """Sets the central part, `fraction` of each side, to `value`."""

  fraction: Number = 0.5
  value: Number = 0

  def __post_init__(self):
    _require(0 < self.fraction <= 1, 'fraction must lie in (0, 1]')

  def forward(self, images: np.ndarray) -> np.ndarray:
    masked = images.copy()
    rows, columns = (
      slice(
        (n - round(n * self.fraction)) // 2, (n + round(n * self.fraction)) // 2
      )
      for n in images.shape[1:3]
    )
    masked[:, rows, columns] = self.value
    return masked


@register_operation('channels_first')
@dataclasses.dataclass(frozen=True)
class ChannelsFirst(Operation):
  """From [N, H, W, C] to [N, C, H, W], for graphs made by other frameworks."""

  def output_shape(self, shape: Shape) -> Shape:
    return shape[2], shape[0], shape[1]

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps.transpose(0, 2, 3, 1)
