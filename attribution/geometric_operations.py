"""Operations of the preprocessing language that change where pixels are."""

from collections.abc import Sequence
import dataclasses

import cv2
import numpy as np

from attribution.preprocessing_operations import (
  Number,
  Operation,
  Shape,
  register_operation,
  require,
)

_MAX_SIDE = 2**14
_MOST_CHANNELS = 4  # That OpenCV resizes in every way.


def _require_side(side: Number) -> None:
  require(
    type(side) is int and 0 < side <= _MAX_SIDE,
    f'{side!r} is not a whole number of pixels in 1..{_MAX_SIDE}',
  )


@dataclasses.dataclass(frozen=True)
class _Sized(Operation):
  """Makes height x width pixels (a square if only one is given)."""

  height: int
  width: int | None = None

  def __post_init__(self):
    if self.width is None:
      object.__setattr__(self, 'width', self.height)
    _require_side(self.height)
    _require_side(self.width)

  def arguments(self) -> tuple:
    if self.height == self.width:
      return (self.height,)
    return self.height, self.width


def _centre(shape: Shape, sides: Sequence[int]) -> tuple[slice, slice, slice]:
  """Returns where the central height x width pixels of images are."""
  height, width = sides[:2]
  top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
  return np.s_[:, top : top + height, left : left + width]


class _Window(Operation):
  """Takes the centre of the image; the inverse pads the map with zeros."""

  def sides(self, shape: Shape) -> tuple[int, int]:
    """Returns how many rows and columns are kept."""
    raise NotImplementedError

  def output_shape(self, shape: Shape) -> Shape:
    return *self.sides(shape), shape[2]

  def forward(self, images: np.ndarray) -> np.ndarray:
    shape = images.shape[1:]
    return images[_centre(shape, self.sides(shape))]

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    padded = np.zeros((len(maps), *shape), np.float32)
    padded[_centre(shape, self.sides(shape))] = maps
    return padded


@register_operation('center_crop')
@dataclasses.dataclass(frozen=True)
class CenterCrop(_Window):
  """The central square of side 2 * floor(fraction * min(H, W) / 2).

  Networks of ImageNet are often tested on the fraction 0.875 = 224 / 256.
  """

  fraction: Number = 1

  def __post_init__(self):
    require(0 < self.fraction <= 1, 'fraction must lie in (0, 1]')

  def arguments(self) -> tuple:
    return () if self.fraction == 1 else (self.fraction,)

  def sides(self, shape: Shape) -> tuple[int, int]:
    # 0.29 * 200 is 57.99999999999999.
    side = 2 * int(self.fraction * min(shape[:2]) / 2 + 1e-9)
    require(side > 0, f'no square to crop from {shape[:2]}')
    return side, side


@register_operation('crop')
@dataclasses.dataclass(frozen=True)
class Crop(_Sized, _Window):
  """The central height x width pixels (a square if only one is given)."""

  def sides(self, shape: Shape) -> tuple[int, int]:
    require(
      self.height <= shape[0] and self.width <= shape[1],
      f'no {self.height} x {self.width} pixels to crop from {shape[:2]}',
    )
    return self.height, self.width


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
    shape = images.shape[1:]
    sides = [round(n * self.fraction) for n in shape[:2]]
    masked[_centre(shape, sides)] = self.value
    return masked


@register_operation('pad_to_square')
@dataclasses.dataclass(frozen=True)
class PadToSquare(Operation):
  """Puts the image into the centre of a square of max(H, W) of `value`.

  With a resize behind it this is what detectors call a letterbox. The inverse
  cuts the margins off.
  """

  value: Number = 0

  def output_shape(self, shape: Shape) -> Shape:
    side = max(shape[:2])
    return side, side, shape[2]

  def forward(self, images: np.ndarray) -> np.ndarray:
    shape = self.output_shape(images.shape[1:])
    padded = np.full((len(images), *shape), self.value, np.float32)
    padded[_centre(shape, images.shape[1:])] = images
    return padded

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    return maps[_centre(self.output_shape(shape), shape)]


class _Resizing(Operation):
  """Bilinear to `output_shape`.

  Pixel centres are at half-integers and nothing is smoothed before shrinking,
  as scikit-image 0.12 resized (order 1): halving takes means of 2 x 2 pixels.

  The inverse for maps enlarges bilinearly too, but shrinks by the mean over the
  area of each pixel: a map has to keep what lies between the points that
  bilinear shrinking would look at.
  """

  def forward(self, images: np.ndarray) -> np.ndarray:
    height, width, _ = self.output_shape(images.shape[1:])
    return _resize(images, height, width, cv2.INTER_LINEAR)

  def inverse(self, maps: np.ndarray, shape: Shape) -> np.ndarray:
    height, width = shape[:2]
    h, w = maps.shape[1:3]
    shrunk = _resize(maps, min(h, height), min(w, width), cv2.INTER_AREA)
    return _resize(shrunk, height, width, cv2.INTER_LINEAR)


def _resize(
  images: np.ndarray, height: int, width: int, interpolation: int
) -> np.ndarray:
  if images.shape[1:3] == (height, width):
    return images
  resized = np.empty((len(images), height, width, images.shape[3]), np.float32)
  for first in range(0, images.shape[3], _MOST_CHANNELS):
    part = np.s_[..., first : first + _MOST_CHANNELS]
    for image, result in zip(images[part], resized[part], strict=True):
      # OpenCV drops a last axis of one channel.
      result[...] = cv2.resize(
        image, (width, height), interpolation=interpolation
      ).reshape(result.shape)
  return resized


@register_operation('resize')
@dataclasses.dataclass(frozen=True)
class Resize(_Sized, _Resizing):
  """To height x width (a square if only one is given), bilinear."""

  def output_shape(self, shape: Shape) -> Shape:
    return self.height, self.width, shape[2]


@register_operation('resize_shorter')
@dataclasses.dataclass(frozen=True)
class ResizeShorter(_Resizing):
  """The shorter side to `side`, the other in proportion, rounded down.

  `resize_shorter(256) | crop(224)` is the usual test of ImageNet networks.
  """

  side: int

  def __post_init__(self):
    _require_side(self.side)

  def output_shape(self, shape: Shape) -> Shape:
    height, width = (self.side * n // min(shape[:2]) for n in shape[:2])
    _require_side(max(height, width))
    return height, width, shape[2]
