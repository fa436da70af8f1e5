"""Sampling of images at places that are computed (GridSample)."""

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import Operand, Value, as_value

_LAST = (0, 2, 3, 1)


@register_op('GridSample')
def _sampled(node: Node, x: Operand, grid: Operand) -> Value:
  """Samples [N, C, H, W] at places [N, h, w, 2] of (x, y) in [-1, 1].

  Linear interpolation weights a pixel by max(0, 1 - distance) in each
  direction, so that beyond the border there is nothing.
  """
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
  places, images = grid.in_onnx_order(), x.arranged(_LAST)
  shape = tf.shape(places)[1:3]
  rows, columns = (
    _weights(node, places[..., axis], side, mode, padding)
    for axis, side in ((1, sides[0]), (0, sides[1]))
  )
  channels = tf.shape(images)[3]
  flat = tf.reshape(images, [-1, sides[0], sides[1] * channels])
  lines = tf.matmul(rows, flat)
  lines = tf.reshape(lines, [-1, tf.shape(rows)[1], sides[1], channels])
  found = tf.reduce_sum(lines * columns[..., None], 2)
  result = tf.reshape(found, [-1, shape[0], shape[1], channels])
  result.set_shape([x.shape[0], *grid.shape[1:3], x.shape[1]])
  return Value(result, _LAST)


def _weights(
  node: Node, places: tf.Tensor, side: int, mode: str, padding: str
) -> tf.Tensor:
  """Returns by what the pixels of a line are weighted, [N, h * w, side]."""
  places = tf.reshape(places, [tf.shape(places)[0], -1, 1])
  if node.get('align_corners', 0):
    places = (places + 1) / 2 * (side - 1)
  else:
    places = ((places + 1) * side - 1) / 2
  if padding == 'border':
    places = tf.clip_by_value(places, 0.0, float(side - 1))
  if mode == 'nearest':
    places = tf.round(places)
  return tf.nn.relu(1 - tf.abs(places - np.arange(side, dtype=np.float32)))
