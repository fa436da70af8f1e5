"""What an operation of the preprocessing language is; those on pixel values.

Operations that change where pixels are stand in `geometric_operations`.
"""

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
  takes_tuples = False  # Whether an argument may be a number for each channel.

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


def require(condition: object, reason: str) -> None:
  if not condition:
    raise PreprocessingError(reason)


# Operations that change values.


@dataclasses.dataclass(frozen=True)
class _Interval(Operation):
  low: Number
  high: Number

  def __post_init__(self):
    require(self.low < self.high, 'low must be less than high')


@register_operation('clip')
class Clip(_Interval):
  """Limits values to [low, high]."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return np.clip(images, np.float32(self.low), np.float32(self.high))


@register_operation('range')
class Range(_Interval):
  """Maps [0, 1] linearly to [low, high]."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images * np.float32(self.high - self.low) + np.float32(self.low)


@register_operation('mean_std')
@dataclasses.dataclass(frozen=True)
class MeanStd(Operation):
  """(value - mean) / std; each a number or one number for each channel."""

  takes_tuples = True
  mean: Number | tuple[Number, ...]
  std: Number | tuple[Number, ...]

  def __post_init__(self):
    with np.errstate(under='ignore'):
      std = np.asarray(self.std, np.float32)
    require(np.all(std > 0), 'std must be positive in float32')

  def output_shape(self, shape: Shape) -> Shape:
    for values in (self.mean, self.std):
      count = len(values) if isinstance(values, tuple) else shape[2]
      require(count == shape[2], f'{count} numbers for {shape[2]} channels')
    return shape

  def forward(self, images: np.ndarray) -> np.ndarray:
    mean, std = (np.asarray(v, np.float32) for v in (self.mean, self.std))
    return (images - mean) / std


# Operations that change channels.


@register_operation('bgr')
@dataclasses.dataclass(frozen=True)
class Bgr(Operation):
  """Reverses the order of the channels; so does the inverse."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images[..., ::-1]

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps[..., ::-1]


@dataclasses.dataclass(frozen=True)
class _OfRgb(Operation):
  def output_shape(self, shape: Shape) -> Shape:
    require(shape[2] == 3, f'{self.name} needs 3 channels, not {shape[2]}')
    return shape


class _OneChannel(_OfRgb):
  """From RGB in [0, 1] to one channel.

  The inverse gives every channel the whole map. Maps are only ever compared
  after scaling to unit norm, so the factor 3 this adds to their sum is free.
  """

  def output_shape(self, shape: Shape) -> Shape:
    return *super().output_shape(shape)[:2], 1

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return np.repeat(maps, shape[2], axis=3)


@register_operation('grayscale')
class Grayscale(_OneChannel):
  """Luma of ITU-R BT.601, as OpenCV and most networks for grey images use."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images @ np.array([[0.299], [0.587], [0.114]], np.float32)


@register_operation('lightness')
class Lightness(_OneChannel):
  """CIE Lab lightness L of sRGB (D65), from [0, 100] to [0, 1]."""

  def forward(self, images: np.ndarray) -> np.ndarray:
    linear = np.where(
      images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92
    )
    y = linear @ np.array([[0.212671], [0.715160], [0.072169]])
    root = np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 16 / 116)
    return np.clip((116 * root - 16) / 100, 0, 1).astype(np.float32)


@register_operation('append_channel')
@dataclasses.dataclass(frozen=True)
class AppendChannel(Operation):
  """Appends a channel that is `value` everywhere; the inverse drops it."""

  value: Number

  def output_shape(self, shape: Shape) -> Shape:
    return *shape[:2], shape[2] + 1

  def forward(self, images: np.ndarray) -> np.ndarray:
    constant = np.full((*images.shape[:3], 1), self.value, np.float32)
    return np.concatenate([images, constant], axis=3)

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps[..., : shape[2]]


@register_operation('bayer_mosaic')
@dataclasses.dataclass(frozen=True)
class BayerMosaic(_OfRgb):
  """What a colour filter array lets through of RGB; the other values are 0.

  Every pixel keeps one colour. In each square of 2 x 2 pixels, one, at
  (red_row, red_column), keeps red, the one diagonal to it blue, and the other
  two green (Bayer, US patent 3971065). The default is the array called RGGB;
  (0, 1) is GRBG, (1, 0) GBRG and (1, 1) BGGR. The inverse leaves maps as they
  are: what an encoder does with the zeros is its own.
  """

  red_row: int = 0
  red_column: int = 0

  def __post_init__(self):
    for value in (self.red_row, self.red_column):
      require(
        type(value) is int and value in (0, 1), f'{value!r} is not 0 or 1'
      )

  def forward(self, images: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(images.shape[1:3])
    row, column = rows % 2 == self.red_row, columns % 2 == self.red_column
    red, green, blue = row & column, row ^ column, ~row & ~column
    return images * np.stack([red, green, blue], axis=2)


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
