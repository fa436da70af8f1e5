"""ONNX's Resize and Upsample, of the sides of images.

The usual cases are one operation of TensorFlow. All others, the combinations of
coordinates and roundings of the standard, become a weighted sum of gathered
rows and columns, computed from the formulas of the standard
(https://onnx.ai/onnx/operators/onnx__Resize.html).
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  MAX_ELEMENTS,
  Operand,
  Value,
  as_value,
  known,
  normal_axis,
)

_TIE = 1e-6  # As near the middle of two, single precision says no more.


class _ResizedSide(NamedTuple):
  """How one side is resized: from `given` to `wanted`, times `scale`."""

  given: int | None
  wanted: int | None
  scale: float


class _Way(NamedTuple):
  mode: str
  coordinates: str = 'asymmetric'
  rounding: str = 'floor'
  cubic: float = -0.75
  excludes_outside: bool = False
  antialiases: bool = False


@register_op('Upsample')
def _upsample(node: Node, x: Operand, scales: Operand | None = None) -> Value:
  """Of opset 7 and 9: nearest or linear with asymmetric coordinates."""
  if node.opset < 9:
    if scales is not None:
      raise ValueError('its scales are no operand before opset 9')
    scales = node.get('scales')
  else:
    scales = known(scales, 'scales')
  way = _Way(_mode(node), rounding='simple')
  return _resized(as_value(x), list(scales), None, way)


@register_op('Resize', irrelevant=('extrapolation_value',))
def _resize(node: Node, x: Operand, *operands: Operand | None) -> Value:
  if node.opset < 11:
    return _upsample(node, x, operands[0])
  way = _Way(
    _mode(node),
    node.get('coordinate_transformation_mode', 'half_pixel'),
    node.get('nearest_mode', 'round_prefer_floor'),
    node.get('cubic_coeff_a', -0.75),
    node.flag('exclude_outside'),
    node.flag('antialias'),
  )
  if node.get('keep_aspect_ratio_policy', 'stretch') != 'stretch':
    raise ValueError('only the policy "stretch" is supported')
  x = as_value(x)
  _, scales, sizes = (*operands, None, None, None)[:3]
  axes = [
    normal_axis(axis, x.rank) for axis in node.get('axes') or range(x.rank)
  ]
  if len(set(axes)) < len(axes):
    raise ValueError(f'axes={axes} are not different')

  def spread(operand: Operand | None, default) -> list | None:
    if operand is None or operand.shape == (0,):
      return None
    if not isinstance(operand, np.ndarray):
      raise ValueError('the size depends on the input')
    result = list(default)
    for axis, number in zip(axes, operand, strict=True):
      result[axis] = number
    return result

  return _resized(
    x, spread(scales, [1.0] * x.rank), spread(sizes, x.dims()), way
  )


def _mode(node: Node) -> str:
  mode = node.get('mode', 'nearest')
  return {'bilinear': 'linear'}.get(mode, mode)


def _resized(
  x: Value, scales: list | None, sizes: list | None, way: _Way
) -> Value:
  if x.rank != 4:
    raise ValueError(f'{x.rank} dimensions; known are images')
  given = [numbers for numbers in (scales, sizes) if numbers is not None]
  if len(given) != 1 or len(given[0]) != 4:
    raise ValueError('it needs either a scale or a size for each axis')
  if scales and any(isinstance(scale, tf.Tensor) for scale in scales):
    raise ValueError('its scales depend on the size of the input')
  if way.mode not in ('nearest', 'linear', 'cubic'):
    raise ValueError(f'mode={way.mode!r} is not known')
  order = _order(x, scales, sizes)
  sides = [_side(x.shape[a], scales, sizes, a) for a in order[1:3]]
  if all(side.scale == 1 for side in sides):
    return x
  if way.antialiases:
    raise ValueError('antialias is not supported')
  images = x.arranged(order)
  sizes = sizes and [sizes[axis] for axis in order]
  result = _native(images, sides, sizes, way)
  if result is None:
    result = _summed(images, sides, way)
  return Value(result, order)


def _order(
  x: Value, scales: list | None, sizes: list | None
) -> tuple[int, ...]:
  """Returns the axes with those that are resized in the middle."""
  if scales is not None:
    changed = {a for a, scale in enumerate(scales) if float(scale) != 1}
  else:
    # The number of images is whatever the graph is fed.
    changed = {
      axis
      for axis, size in enumerate(sizes)
      if isinstance(size, tf.Tensor) and axis > 0 or _differs(size, x, axis)
    }
  pairs = [(2, 3), (1, 2), (1, 3), (0, 1), (0, 2), (0, 3)]
  pair = next((p for p in pairs if changed <= set(p)), None)
  if pair is None:
    raise ValueError(
      f'it resizes the axes {sorted(changed)}; known are two of four'
    )
  first, last = (axis for axis in range(4) if axis not in pair)
  return first, *pair, last


def _differs(size: Any, x: Value, axis: int) -> bool:
  return not isinstance(size, tf.Tensor) and size != x.shape[axis]


def _side(
  given: int | None, scales: list | None, sizes: list | None, axis: int
) -> _ResizedSide:
  if scales is not None:
    scale = float(scales[axis])
    if not 0 < scale < math.inf:
      raise ValueError(f'the scale {scale}')
    wanted = None if given is None else math.floor(given * scale)
    return _ResizedSide(given, wanted, scale)
  wanted = sizes[axis]
  if isinstance(wanted, tf.Tensor):
    return _ResizedSide(given, None, math.nan)
  scale = math.nan if given is None else int(wanted) / given
  return _ResizedSide(given, int(wanted), scale)


def _native(
  images: tf.Tensor, sides: list[_ResizedSide], sizes: list | None, way: _Way
) -> tf.Tensor | None:
  """Returns the result where one operation of TensorFlow computes it."""
  options = _native_options(sides, way)
  if options is None:
    return None
  if all(side.wanted is not None for side in sides):
    target = [side.wanted for side in sides]
  elif sizes is not None:
    target = tf.stack([tf.cast(size, tf.int32) for size in sizes[1:3]])
  else:
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    scales = tf.constant([side.scale for side in sides], tf.float32)
    target = tf.cast(tf.floor(shape * scales), tf.int32)
  resize = tf.raw_ops.ResizeBilinear
  if way.mode == 'nearest':
    resize = tf.raw_ops.ResizeNearestNeighbor
  return resize(images=images, size=target, **options)


def _native_options(sides: list[_ResizedSide], way: _Way) -> dict | None:
  # TensorFlow divides sizes; the standard takes the scale that the file gives.
  divides = all(
    side.given is None
    or side.wanted is None
    or math.isclose(side.wanted / side.given, side.scale)
    for side in sides
  )
  enlarges = all(side.scale >= 1 and side.scale % 1 == 0 for side in sides)
  known = {
    'half_pixel': {'half_pixel_centers': True},
    'pytorch_half_pixel': {'half_pixel_centers': True},
    'asymmetric': {},
    'align_corners': {'align_corners': True},
  }
  if way.mode == 'nearest':
    del known['align_corners']
    # Without ties it does not matter whether they are rounded up or down.
    is_rounded = enlarges and way.rounding in (
      'round_prefer_floor',
      'round_prefer_ceil',
    )
    is_asymmetric = way.coordinates == 'asymmetric'
    is_floor = way.rounding == 'floor' or (
      way.rounding == 'simple' and all(side.scale >= 1 for side in sides)
    )
    # It multiplies where others divide, and so rounds otherwise.
    is_open = any(None in (side.given, side.wanted) for side in sides)
    is_floor = is_floor and (enlarges or is_open)
    is_one = is_floor if is_asymmetric else is_rounded
  else:
    is_one = way.mode == 'linear' and not way.excludes_outside
    if way.coordinates == 'pytorch_half_pixel':
      is_one = is_one and all(side.wanted != 1 for side in sides)
  return known.get(way.coordinates) if is_one and divides else None


def _summed(
  images: tf.Tensor, sides: list[_ResizedSide], way: _Way
) -> tf.Tensor:
  for axis, side in enumerate(sides, start=1):
    if side.scale == 1:
      continue
    if side.given is None or side.wanted is None:
      raise open_size(
        f'mode={way.mode!r} with {way.coordinates!r} needs the size'
      )
    if side.wanted > MAX_ELEMENTS:
      raise ValueError(f'the size {side.wanted}')
    parts = []
    for place, weight in zip(*_taps(side, way), strict=True):
      part = tf.gather(images, place, axis=axis)
      if not np.all(weight == 1):
        shape = [-1 if a == axis else 1 for a in range(4)]
        part = part * tf.constant(weight.reshape(shape), images.dtype)
      parts.append(part)
    images = functools.reduce(tf.add, parts)
  return images


def _taps(
  side: _ResizedSide, way: _Way
) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """Returns the positions that are summed, and their weights [wanted]."""
  position = _positions(side, way.coordinates)
  if way.mode == 'nearest':
    exact = position.astype(np.float64)
    nearest = {
      # Before opset 11: what shrinks is rounded up.
      'simple': np.ceil if side.scale < 1 else np.floor,
      'floor': np.floor,
      'ceil': np.ceil,
      'round_prefer_floor': lambda p: np.ceil(p - 0.5 - _TIE),
      'round_prefer_ceil': lambda p: np.floor(p + 0.5 + _TIE),
    }[way.rounding](exact)
    places, weights = [nearest], [np.ones_like(position)]
  else:
    base = np.floor(position)
    offsets = (0, 1) if way.mode == 'linear' else (-1, 0, 1, 2)
    places = [base + offset for offset in offsets]
    kernel = _triangle if way.mode == 'linear' else _cubic
    weights = [kernel(position - place, way.cubic) for place in places]
  if way.excludes_outside:
    weights = [
      np.where((p >= 0) & (p < side.given), w, 0.0)
      for p, w in zip(places, weights, strict=True)
    ]
    total = sum(weights)
    weights = [weight / total for weight in weights]
  limited = [np.clip(p, 0, side.given - 1).astype(np.int32) for p in places]
  return limited, weights


def _positions(side: _ResizedSide, coordinates: str) -> np.ndarray:
  """Returns where in the given side the elements of the wanted one lie.

  In single precision, as runtimes compute it: which side a tie falls to.
  """
  x = np.arange(side.wanted, dtype=np.float32)
  scale = np.float32(side.scale)
  if coordinates == 'asymmetric':
    return x / scale
  if coordinates == 'align_corners':
    return x * (side.given - 1) / max(1, side.wanted - 1)
  if coordinates == 'pytorch_half_pixel' and side.wanted == 1:
    return np.zeros(1, np.float32)
  centred = (x + np.float32(0.5)) / scale - np.float32(0.5)
  if coordinates == 'half_pixel_symmetric':
    adjustment = side.wanted / (side.scale * side.given)
    return side.given / 2 * (1 - adjustment) + centred
  if coordinates in ('half_pixel', 'pytorch_half_pixel'):
    return centred
  raise ValueError(
    f'coordinate_transformation_mode={coordinates!r} is not supported'
  )


def _triangle(distance: np.ndarray, unused: float) -> np.ndarray:
  return np.maximum(0, 1 - np.abs(distance))


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
  """Keys' convolution kernel (1981)."""
  d = np.abs(distance)
  near = ((a + 2) * d - (a + 3)) * d * d + 1
  far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
  return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
