"""Operations of the preprocessing language that change channels."""

import dataclasses

import numpy as np

from attribution.preprocessing_registry import (
  Number,
  Operation,
  Shape,
  register_operation,
  require,
)


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
    require(shape[2] == 3, f'{self.name} needs 3 channels, not {shape[2]}')
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
class BayerMosaic(Operation):
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

  def output_shape(self, shape: Shape) -> Shape:
    require(shape[2] == 3, f'{self.name} needs 3 channels, not {shape[2]}')
    return shape

  def forward(self, images: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(images.shape[1:3])
    in_red_row = rows % 2 == self.red_row
    in_red_column = columns % 2 == self.red_column
    mask = np.stack(
      [
        in_red_row & in_red_column,
        in_red_row ^ in_red_column,
        ~in_red_row & ~in_red_column,
      ],
      axis=2,
    )
    return images * mask


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
