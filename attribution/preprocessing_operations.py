"""Operations of the preprocessing language that change values."""

import dataclasses

import numpy as np

from attribution.preprocessing_registry import (
  Number,
  Operation,
  Shape,
  register_operation,
  require,
)


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
