"""Convolutions of ONNX, over [N, H, W, C]."""

from collections.abc import Callable, Sequence
import dataclasses
import math

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.formats.onnx import windows as onnx_windows
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  MAX_ELEMENTS,
  Operand,
  Value,
  as_value,
  check_size,
  integers,
  known,
)
from frozen_graphs.formats.onnx.windows import Window
from frozen_graphs.named_graph import constant


@register_op('Conv')
def _conv(
  node: Node, x: Operand, w: Operand, b: Operand | None = None
) -> Value:
  x, kernel, group = as_value(x), known(w, 'the kernel'), node.get('group', 1)
  _check(node, x, kernel, group, kernel.shape[1] * group)
  window = onnx_windows.read_window(node, kernel.shape[2:], x)
  convolve = _plain
  if group > 1 and kernel.shape[1] == 1:
    convolve, group = _depthwise, 1

  def function(images: tf.Tensor, window: Window) -> tf.Tensor:
    images = onnx_windows.pad(images, window.pads)
    return _with_bias(_in_groups(images, kernel, window, group, convolve), b)

  return onnx_windows.over_images(x, window, function)


def _check(
  node: Node, x: Value, kernel: np.ndarray, group: int, channels: int
) -> None:
  stated = node.get('kernel_shape')
  if stated is not None and tuple(stated) != kernel.shape[2:]:
    raise ValueError(
      f'kernel_shape={tuple(stated)}, but the kernel is {kernel.shape}'
    )
  if x.shape[1] not in (None, channels):
    raise ValueError(
      f'the input has {x.shape[1]} channels, but the kernel needs {channels}; '
      'if the input is fed with its channels elsewhere, give layout='
    )
  if kernel.shape[0] % group:
    raise ValueError(f'{kernel.shape[0]} channels in {group} groups')


def _in_groups(
  images: tf.Tensor,
  kernel: np.ndarray,
  window: Window,
  group: int,
  convolve: Callable[[tf.Tensor, np.ndarray, Window], tf.Tensor],
) -> tf.Tensor:
  """Returns one convolution for each group: CPUs have no gradient of all."""
  if kernel.ndim == 3:
    kernel = kernel[:, :, None]
  if group == 1:
    return convolve(images, kernel, window)
  parts = zip(
    tf.split(images, group, axis=3), np.split(kernel, group), strict=True
  )
  return tf.concat([convolve(*part, window) for part in parts], axis=3)


def _with_bias(images: tf.Tensor, bias: Operand | None) -> tf.Tensor:
  if bias is None:
    return images
  return tf.nn.bias_add(images, constant(known(bias, 'the bias')))


def _plain(images: tf.Tensor, kernel: np.ndarray, window: Window) -> tf.Tensor:
  """Returns a convolution, with one stride for both sides.

  With two, TensorFlow 2.21 computes rows of zeros where a result is one column
  wide; then all windows are computed, and those between the strides dropped.
  """
  high, wide = window.strides
  drop = high != wide
  result = tf.nn.conv2d(
    images,
    constant(kernel.transpose(2, 3, 1, 0)),
    [1, 1] if drop else [high, wide],
    'VALID',
    dilations=window.dilations,
  )
  return result[:, ::high, ::wide] if drop else result


def _depthwise(
  images: tf.Tensor, kernel: np.ndarray, window: Window
) -> tf.Tensor:
  """Returns a convolution with a group for each channel.

  TensorFlow's has one stride for both sides, and none beside dilations: then
  all windows are computed, and those between the strides dropped.
  """
  high, wide = window.strides
  drop = high != wide or max(window.strides) * max(window.dilations) > max(
    *window.strides, *window.dilations
  )
  channels = images.shape[3]
  result = tf.nn.depthwise_conv2d(
    images,
    constant(
      kernel.reshape(channels, -1, *kernel.shape[2:]).transpose(2, 3, 0, 1)
    ),
    [1, 1, 1, 1] if drop else [1, high, wide, 1],
    'VALID',
    dilations=window.dilations,
  )
  return result[:, ::high, ::wide] if drop else result


@register_op('ConvTranspose')
def _conv_transpose(
  node: Node, x: Operand, w: Operand, b: Operand | None = None
) -> Value:
  x, kernel, group = as_value(x), known(w, 'the kernel'), node.get('group', 1)
  _check(node, x, kernel, group, kernel.shape[0])
  window = _transposed_window(node, kernel.shape[2:], x)
  kernel = _dilated(kernel, window)

  def function(images: tf.Tensor, window: Window) -> tf.Tensor:
    result = _in_groups(images, kernel, window, group, _transposed)
    return _with_bias(onnx_windows.pad(result, window.pads), b)

  return onnx_windows.over_images(x, window, function)


def _transposed_window(node: Node, size: Sequence[int], x: Value) -> Window:
  """Returns the geometry with pads for the whole result, negative to crop."""
  auto = node.get('auto_pad', 'NOTSET')
  window = onnx_windows.read_window(node, size, x, auto='NOTSET')
  count = len(window.size)
  more = node.get('output_padding') or [0] * count
  wanted = node.get('output_shape')
  pads = []
  for i, (before, behind) in enumerate(window.pads):
    stride, extent = window.strides[i], window.extent[i]
    if wanted or auto in ('SAME_UPPER', 'SAME_LOWER'):
      if wanted:
        given = x.shape[2 + i]
        if given is None:
          raise open_size('output_shape needs the size of the input')
        total = stride * (given - 1) + more[i] + extent - wanted[-count:][i]
      else:
        total = extent - stride + more[i]
      if total < 0:
        raise ValueError('the wanted size leaves gaps between windows')
      before = total // 2 if auto == 'SAME_UPPER' else total - total // 2
      behind = total - before
    elif auto == 'VALID':
      before = behind = 0
    pads.append((-before, more[i] - behind))
  return dataclasses.replace(window, pads=tuple(pads))


def _dilated(kernel: np.ndarray, window: Window) -> np.ndarray:
  """Returns a kernel with zeros between its elements."""
  shape = (*kernel.shape[:2], *window.extent)
  if np.prod(shape, dtype=float) > MAX_ELEMENTS:
    raise ValueError(f'dilations={list(window.dilations)} are absurd')
  result = np.zeros(shape, kernel.dtype)
  result[(..., *(slice(None, None, d) for d in window.dilations))] = kernel
  return result


def _transposed(
  images: tf.Tensor, kernel: np.ndarray, window: Window
) -> tf.Tensor:
  """Returns the whole transposed convolution, without any padding."""
  shape = tf.shape(images)
  sides = [
    (
      (images.shape[1 + i] or shape[1 + i]) - 1
    ) * window.strides[i] + kernel.shape[2 + i]
    for i in range(2)
  ]  # fmt: skip
  return tf.nn.conv2d_transpose(
    images,
    constant(kernel.transpose(2, 3, 1, 0)),
    tf.stack([shape[0], *sides, kernel.shape[1]]),
    window.strides,
    'VALID',
  )


@register_op('Col2Im')
def _blocks_to_images(
  node: Node, x: Operand, image_shape: Operand, block_shape: Operand
) -> Value:
  """Adds up blocks where they overlap, by a transposed convolution.

  Each of its kernels is 1 at the place of one element of a block.
  """
  x = as_value(x)
  sides = onnx_windows.numbers(integers(image_shape, 'image_shape'), 2)
  size = onnx_windows.numbers(integers(block_shape, 'block_shape'), 2)
  elements, rows = math.prod(size), x.shape[1] if x.rank == 3 else None
  if rows is None or not elements or rows % elements:
    raise ValueError(
      f'blocks of {list(size)} elements in an input of shape {list(x.shape)}, '
      'which should be [N, channels * elements, blocks]'
    )
  check_size([rows // elements, *sides])
  pads = onnx_windows.numbers(node.get('pads') or [0] * 4, 4)
  window = Window(
    size,
    onnx_windows.numbers(node.get('strides') or [1, 1], 2),
    onnx_windows.numbers(node.get('dilations') or [1, 1], 2),
    ((pads[0], pads[2]), (pads[1], pads[3])),
  )
  if not all(window.strides + window.dilations):
    raise ValueError('strides and dilations of 0')
  counts = [
    (side + sum(around) - extent) // stride + 1
    for side, around, extent, stride in zip(
      sides, window.pads, window.extent, window.strides, strict=True
    )
  ]
  if min(counts) < 1 or x.shape[2] not in (None, math.prod(counts)):
    raise ValueError(
      f'{x.shape[2]} blocks, but {counts} fit into {list(sides)}'
    )
  blocks = tf.reshape(
    x.in_onnx_order(), [-1, rows // elements, elements, *counts]
  )
  blocks = tf.transpose(blocks, [0, 1, 3, 4, 2])
  kernel = np.eye(elements, dtype=np.float32).reshape(elements, 1, *size)
  whole = _transposed(
    tf.reshape(blocks, [-1, *counts, elements]),
    _dilated(kernel, window),
    window,
  )
  crop = [
    (-before, side + before - made)
    for (before, _), side, made in zip(
      window.pads, sides, whole.shape[1:3], strict=True
    )
  ]
  images = onnx_windows.pad(whole, tuple(crop))
  return Value.plain(tf.reshape(images, [-1, rows // elements, *sides]))
