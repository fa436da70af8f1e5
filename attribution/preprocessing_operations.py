"""The operations of the preprocessing language, with inverses for maps."""

from collections.abc import Callable, Mapping
import dataclasses
import types

import cv2
import numpy as np

Shape = tuple[int, int, int]
Number = int | float

_OPERATIONS: dict[str, type['Operation']] = {}
_MAX_SIDE = 2**14


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


def register_operation(name: str) -> Callable[[type], type]:
  """Returns a decorator that adds an operation to the language."""

  def register(cls: type[Operation]) -> type[Operation]:
    if name in _OPERATIONS:
      raise ValueError(f'There is a preprocessing operation {name!r} already.')
    cls.name = name
    _OPERATIONS[name] = cls
    return cls

  return register


def operations() -> Mapping[str, type[Operation]]:
  """Returns the registered operations by name, sorted."""
  return types.MappingProxyType(dict(sorted(_OPERATIONS.items())))


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

  must_be_last = True

  def output_shape(self, shape: Shape) -> Shape:
    return shape[2], shape[0], shape[1]

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps.transpose(0, 2, 3, 1)
