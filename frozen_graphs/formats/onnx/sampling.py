"""Sampling of images at places that are computed (GridSample)."""

from collections.abc import Iterator
import itertools

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


@register_op('GridSample')
def _sampled(node: Node, x: Operand, grid: Operand) -> Value:
  """Samples [N, C, H, W] at places [N, h, w, 2] of (x, y) in [-1, 1]."""
  x, grid = as_value(x), as_value(grid)
  mode = node.get('mode', 'linear')
  padding = node.get('padding_mode', 'zeros')
  if mode not in ('linear', 'bilinear', 'nearest') or x.rank != 4:
    raise ValueError(
      f'mode={mode!r} over {x.rank} dimensions; known are linear and nearest, '
      'over images'
    )
  if padding not in ('zeros', 'border'):
    raise ValueError(f'padding_mode={padding!r}; known are zeros and border')
  sides = x.shape[2:]
  if None in sides:
    raise open_size('how large images are that are sampled')
  images, places = x.arranged(channels_last(4)), grid.in_onnx_order()
  sizes = tf.shape(images), tf.shape(places)
  flat = tf.reshape(images, [-1, sides[0] * sides[1], sizes[0][3]])
  places = tf.reshape(places, [sizes[1][0], -1, 2])
  # In the file the place in a row comes first.
  rows, columns = (
    _pixels(node, places[..., 1 - axis], side, mode, padding)
    for axis, side in enumerate(sides)
  )
  found = [
    (weight * other)[..., None]
    * tf.gather(flat, row * sides[1] + column, batch_dims=1)
    for (row, weight), (column, other) in itertools.product(rows, columns)
  ]
  result = tf.reshape(
    tf.add_n(found), [-1, sizes[1][1], sizes[1][2], sizes[0][3]]
  )
  result.set_shape([x.shape[0], *grid.shape[1:3], x.shape[1]])
  return Value(result, channels_last(4))


def _pixels(
  node: Node, places: tf.Tensor, side: int, mode: str, padding: str
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
  """Yields the pixels of a line that a place is made of, and their weights.

  Args:
    node: The operation.
    places: float32 [N, h * w], from -1 to 1.
    side: How many pixels there are.
    mode: Of interpolation.
    padding: What is beyond the border.
  """
  if node.get('align_corners', 0):
    places = (places + 1) / 2 * (side - 1)
  else:
    places = ((places + 1) * side - 1) / 2
  if padding == 'border':
    places = tf.clip_by_value(places, 0.0, float(side - 1))
  is_nearest = mode == 'nearest'
  first = tf.round(places) if is_nearest else tf.floor(places)
  for pixel in [first] if is_nearest else [first, first + 1]:
    weight = 1 - (0.0 if is_nearest else tf.abs(places - pixel))
    inside = tf.clip_by_value(pixel, 0.0, float(side - 1))
    is_there = tf.cast(tf.equal(pixel, inside), tf.float32)
    yield tf.cast(inside, tf.int32), weight * is_there
