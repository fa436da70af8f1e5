"""Sliding windows of ONNX: their geometry, padding and pooling.

Windows slide over [N, H, W, C]. What has only one side is given a second of
size 1.
"""

from collections.abc import Callable, Sequence
import dataclasses
import math

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  Operand,
  Value,
  as_value,
  channels_last,
)

Pads = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Window:
  """The geometry of a window, for each of two sides.

  Attributes:
    size: Of the kernel.
    strides: Between windows.
    dilations: Between the elements of a window.
    pads: Before and behind, with what auto_pad asks for.
  """

  size: tuple[int, ...]
  strides: tuple[int, ...]
  dilations: tuple[int, ...]
  pads: Pads

  @property
  def extent(self) -> tuple[int, ...]:
    return tuple(
      (k - 1) * d + 1 for k, d in zip(self.size, self.dilations, strict=True)
    )


def read_window(
  node: Node, size: Sequence[int], value: Value, auto: str | None = None
) -> Window:
  """Returns the geometry that the attributes of a node describe.

  Args:
    node: A convolution or a pooling.
    size: Of the kernel.
    value: What the window slides over.
    auto: Takes the place of the attribute auto_pad.
  """
  count = value.rank - 2
  if count not in (1, 2) or len(size) != count:
    raise ValueError(
      f'a window of {len(size)} sides over {value.rank} dimensions; known are '
      'images, and rows of one dimension'
    )
  strides = node.get('strides') or [1] * count
  dilations = node.get('dilations') or [1] * count
  pads = numbers(node.get('pads') or [0] * (2 * count), 2 * count)
  window = Window(
    *(numbers(n, count) for n in (size, strides, dilations)),
    tuple(zip(pads[:count], pads[count:], strict=True)),
  )
  auto = auto or node.get('auto_pad', 'NOTSET')
  if auto == 'NOTSET':
    return window
  if auto not in ('SAME_UPPER', 'SAME_LOWER', 'VALID'):
    raise ValueError(f'auto_pad={auto!r} is not known')
  found: Pads = ((0, 0),) * count
  if auto != 'VALID':
    found = _same_pads(window, value.shape[2:], auto == 'SAME_UPPER')
  if any(pads) and window.pads != found:
    raise ValueError(f'pads={list(pads)} are not those of auto_pad={auto!r}')
  return dataclasses.replace(window, pads=found)


def numbers(values: Sequence[int], count: int) -> tuple[int, ...]:
  """Returns as many numbers from 0 on; raises ValueError if they are others."""
  values = tuple(int(value) for value in values)
  if len(values) != count or min(values) < 0:
    raise ValueError(f'{list(values)} should be {count} numbers from 0 on')
  return values


def _same_pads(
  window: Window, given: Sequence[int | None], upper: bool
) -> Pads:
  pads = []
  for size, extent, stride in zip(
    given, window.extent, window.strides, strict=True
  ):
    if size is None:
      raise open_size('how much it pads depends on the size of the input')
    total = max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
    small, large = total // 2, total - total // 2
    pads.append((small, large) if upper else (large, small))
  return tuple(pads)


def over_images(
  value: Value,
  window: Window,
  function: Callable[[tf.Tensor, Window], tf.Tensor],
) -> Value:
  """Returns a function of [N, H, W, C], for rows [N, C, W] as for images."""
  tensor = value.arranged(channels_last(value.rank))
  if value.rank == 4:
    return Value(function(tensor, window), channels_last(4))
  window = Window(
    (1, *window.size),
    (1, *window.strides),
    (1, *window.dilations),
    ((0, 0), *window.pads),
  )
  result = function(tf.expand_dims(tensor, 1), window)
  return Value(tf.squeeze(result, [1]), channels_last(3))


def pad(images: tf.Tensor, pads: Pads, value: float = 0.0) -> tf.Tensor:
  """Pads the sides of [N, H, W, C]; a negative number crops."""
  if np.min(pads) < 0:
    rows, columns = (slice(max(0, -a), min(0, b) or None) for a, b in pads)
    images = images[:, rows, columns]
    pads = np.maximum(pads, 0).tolist()
  if not np.any(pads):
    return images
  return tf.pad(images, [(0, 0), *pads, (0, 0)], constant_values=value)


def _pooled(
  node: Node,
  x: Operand,
  function: Callable[[tf.Tensor, Window, Pads], tf.Tensor],
) -> Value:
  """Returns what a function of images, geometry and further pads makes."""
  x = as_value(x)
  window = read_window(node, node.get('kernel_shape'), x)
  if any(d != 1 for d in window.dilations):
    raise ValueError('pooling with dilations is not supported')
  more = [0] * len(window.size)
  if node.flag('ceil_mode'):
    each = x.shape[2:], window.size, window.strides, window.pads
    more = list(map(_surplus, *each))
  further = tuple((0, m) for m in ([0, *more] if x.rank == 3 else more))
  return over_images(x, window, lambda images, w: function(images, w, further))


def _surplus(
  size: int | None, kernel: int, stride: int, pads: tuple[int, int]
) -> int:
  """Returns how far the last window of ceil_mode reaches over the padding."""
  if size is None:
    raise open_size('ceil_mode depends on the size of the input')
  padded = size + sum(pads)
  count = math.ceil((padded - kernel) / stride) + 1
  if (count - 1) * stride >= size + pads[0]:
    count -= 1  # It would start in the padding.
  return max(0, (count - 1) * stride + kernel - padded)


def _sum_of(first: Pads, second: Pads) -> Pads:
  return np.add(first, second).tolist()


@register_op('MaxPool', irrelevant=('storage_order',))
def _max_pool(node: Node, x: Operand) -> Value:
  if len(node.outputs) > 1 and node.outputs[1]:
    raise ValueError('the places of the maxima are not supported')

  def function(images: tf.Tensor, window: Window, further: Pads) -> tf.Tensor:
    pads = _sum_of(window.pads, further)
    padded = pad(images, pads, images.dtype.min)
    return tf.nn.max_pool2d(padded, window.size, window.strides, 'VALID')

  return _pooled(node, x, function)


@register_op('AveragePool')
def _average_pool(node: Node, x: Operand) -> Value:
  counts_padding = node.flag('count_include_pad')

  def function(images: tf.Tensor, window: Window, further: Pads) -> tf.Tensor:
    if counts_padding:
      images, pads = pad(images, window.pads), further
    else:
      pads = _sum_of(window.pads, further)
    averages = _mean(pad(images, pads), window)
    if not np.any(pads):
      return averages
    # The mean over a window is of those elements only that count.
    sizes = tf.shape(images)
    ones = tf.ones(tf.stack([1, sizes[1], sizes[2], 1]))
    if images.shape[1:3].is_fully_defined():
      ones = tf.ones([1, *images.shape[1:3], 1])
    return averages / _mean(pad(ones, pads), window)

  return _pooled(node, x, function)


def _mean(images: tf.Tensor, window: Window) -> tf.Tensor:
  return tf.nn.avg_pool2d(images, window.size, window.strides, 'VALID')


@register_op('GlobalAveragePool', 'GlobalMaxPool')
def _global_pool(node: Node, x: Operand) -> Value:
  x = as_value(x)
  reduce = tf.reduce_mean if 'Average' in node.op else tf.reduce_max
  axes = [x.axis(axis) for axis in range(2, x.rank)]
  return x.with_axes(reduce(x.tensor, axes, keepdims=True))


@register_op('LRN')
def _local_response_normalization(node: Node, x: Operand) -> Value:
  x = as_value(x)
  size = node.get('size')
  if x.rank != 4 or size % 2 == 0:
    raise ValueError(f'over {size} channels of {x.rank} dimensions')
  result = tf.nn.local_response_normalization(
    x.arranged(channels_last(4)),
    depth_radius=size // 2,
    bias=node.get('bias', 1.0),
    alpha=node.get('alpha', 1e-4) / size,
    beta=node.get('beta', 0.75),
  )
  return Value(result, channels_last(4))


@register_op('DepthToSpace')
def _depth_to_space(node: Node, x: Operand) -> Value:
  x, block, mode = as_value(x), node.get('blocksize'), node.get('mode', 'DCR')
  images = x.arranged(channels_last(4))
  if mode == 'CRD':
    channels = np.arange(x.shape[1]).reshape(-1, block * block).T
    images = tf.gather(images, channels.reshape(-1), axis=3)
  elif mode != 'DCR':
    raise ValueError(f'mode={mode!r} is not known')
  return Value(tf.nn.depth_to_space(images, block), channels_last(4))


@register_op('SpaceToDepth')
def _space_to_depth(node: Node, x: Operand) -> Value:
  images = as_value(x).arranged(channels_last(4))
  blocks = tf.nn.space_to_depth(images, node.get('blocksize'))
  return Value(blocks, channels_last(4))
