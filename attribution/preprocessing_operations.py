"""Operations of the preprocessing language that change places or values."""

import dataclasses

import cv2
import numpy as np

from attribution.preprocessing_registry import (
  Number,
  Operation,
  Shape,
  register_operation,
  require,
)

_MAX_SIDE = 2**14


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
    require(min(shape[:2]) >= 2, f'no square to crop from {shape[:2]}')
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
      require(
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
    require(self.low < self.high, 'low must be less than high')

  def forward(self, images: np.ndarray) -> np.ndarray:
    return np.clip(images, np.float32(self.low), np.float32(self.high))


@register_operation('range')
@dataclasses.dataclass(frozen=True)
class Range(Operation):
  """Maps [0, 1] linearly to [low, high]."""

  low: Number
  high: Number

  def __post_init__(self):
    require(self.low < self.high, 'low must be less than high')

  def forward(self, images: np.ndarray) -> np.ndarray:
    return images * np.float32(self.high - self.low) + np.float32(self.low)


@register_operation('mean_std')
@dataclasses.dataclass(frozen=True)
class MeanStd(Operation):
  """(value - mean) / std; each a number or one number for each channel."""

  mean: Number | tuple[Number, ...]
  std: Number | tuple[Number, ...]

  def __post_init__(self):
    require(np.all(np.asarray(self.std) > 0), 'std must be positive')

  def output_shape(self, shape: Shape) -> Shape:
    for values in (self.mean, self.std):
      count = len(values) if isinstance(values, tuple) else shape[2]
      require(count == shape[2], f'{count} numbers for {shape[2]} channels')
    return shape

  def forward(self, images: np.ndarray) -> np.ndarray:
    mean, std = (np.asarray(v, np.float32) for v in (self.mean, self.std))
    return (images - mean) / std


@register_operation('mask_center')
@dataclasses.dataclass(frozen=True)
class MaskCenter(Operation):
  """Sets the central part, `fraction` of each side, to `value`."""

  fraction: Number = 0.5
  value: Number = 0

  def __post_init__(self):
    require(0 < self.fraction <= 1, 'fraction must lie in (0, 1]')

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
