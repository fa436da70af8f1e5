"""Synthetic networks of the kinds that are found in the wild."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

GraphDef = tf.compat.v1.GraphDef
v1 = tf.compat.v1


class Builder:
  """Makes layers with seeded random weights in the current graph."""

  def __init__(self, seed: int = 0):
    self._rng = np.random.default_rng(seed)

  def weights(self, *shape: int) -> tf.Tensor:
    fan_in = int(np.prod(shape[:-1]))
    values = self._rng.normal(0, np.sqrt(2 / fan_in), shape)
    return tf.constant(values, tf.float32)

  def conv(
    self, x, filters, stride=1, size=3, relu=True, name=None, first=False
  ):
    channels = x.shape[1] if first else x.shape[-1]
    kernel = self.weights(size, size, channels, filters)
    layout = 'NCHW' if first else 'NHWC'
    strides = [1, 1, stride, stride] if first else stride
    if first:  # CPUs convolve images with channels last only.
      x = tf.transpose(x, [0, 2, 3, 1])
      strides, layout = stride, 'NHWC'
    y = tf.nn.conv2d(x, kernel, strides, 'SAME', layout)
    y = tf.nn.bias_add(y, self.weights(filters) * 0.1)
    if first:
      y = tf.transpose(y, [0, 3, 1, 2])
    if relu:
      return tf.nn.relu(y, name=name)
    return tf.identity(y, name=name) if name else y

  def dense(self, x, units, name=None):
    y = tf.matmul(x, self.weights(x.shape[-1], units))
    return tf.nn.bias_add(y, self.weights(units) * 0.1, name=name)


def placeholder(*shape, dtype=tf.float32, name: str = 'input') -> tf.Tensor:
  return v1.placeholder(dtype, shape, name)


def graph_def_of(build: Callable[[], None]) -> GraphDef:
  with tf.Graph().as_default() as graph:
    build()
  return graph.as_graph_def()


def backbone(b: Builder, x, first: bool = False) -> tf.Tensor:
  """Returns maps of an eighth of the sides, after `features` (a Relu)."""
  x = b.conv(x, 8, 2, first=first)
  x = b.conv(x, 12, 2, first=first)
  return b.conv(x, 16, 2, name='features', first=first)


def classifier() -> None:
  b = Builder()
  x = tf.reduce_mean(backbone(b, placeholder(None, 32, 32, 3)), [1, 2])
  tf.nn.softmax(b.dense(tf.nn.relu(b.dense(x, 20)), 10), name='output')


def flattening_classifier() -> None:
  b = Builder(1)
  x = backbone(b, placeholder(None, 32, 48, 3) / 255.0)
  x = tf.reshape(x, [-1, 4 * 6 * 16])
  tf.nn.softmax(b.dense(tf.nn.relu(b.dense(x, 20)), 10), name='output')


def u_net() -> None:
  b = Builder(2)
  first = b.conv(placeholder(None, 32, 32, 3), 8)
  second = b.conv(tf.nn.max_pool2d(first, 2, 2, 'SAME'), 12)
  x = b.conv(tf.nn.max_pool2d(second, 2, 2, 'SAME'), 16)
  x = b.conv(x, 16, name='features')
  for skip, filters in ((second, 12), (first, 8)):
    x = tf.image.resize(x, skip.shape[1:3], 'nearest')
    x = b.conv(tf.concat([x, skip], 3), filters)
  tf.sigmoid(b.conv(x, 1, relu=False), name='output')


def transposing_u_net() -> None:
  """Scaled up by transposed convolutions; the size of the input is open."""
  b = Builder(3)
  source = placeholder(None, None, None, 3)
  x = backbone(b, source)
  for filters in (12, 8, 4):
    size = tf.shape(x)
    shape = tf.stack([size[0], 2 * size[1], 2 * size[2], filters])
    kernel = b.weights(2, 2, filters, x.shape[-1])
    x = tf.nn.relu(tf.nn.conv2d_transpose(x, kernel, shape, 2))
    x.set_shape([None, None, None, filters])
  tf.tanh(b.conv(x, 3, relu=False), name='output')


def pyramid_detector() -> None:
  """A feature pyramid with lateral convolutions, and heads on all levels."""
  b = Builder(4)
  source = placeholder(1, 64, 64, 3)
  c2 = b.conv(b.conv(source, 8, 2), 12, 2)
  c3 = b.conv(c2, 16, 2)
  c4 = b.conv(c3, 24, 2, name='features')
  p4 = b.conv(c4, 16, size=1, relu=False)
  p5 = b.conv(p4, 16, 2, relu=False)
  p3 = tf.image.resize(p4, [8, 8], 'nearest')
  p3 = p3 + b.conv(c3, 16, size=1, relu=False)
  boxes, scores = [], []
  for level in (p3, p4, p5):
    level = b.conv(level, 16)
    boxes.append(tf.reshape(b.conv(level, 12, relu=False), [1, -1, 4]))
    scores.append(tf.reshape(b.conv(level, 6, relu=False), [1, -1, 2]))
  tf.identity(tf.concat(boxes, 1), name='boxes')
  tf.sigmoid(tf.concat(scores, 1), name='scores')


def copying_pyramid() -> None:
  """A pyramid that copies places to scale up: stacks and one reshape."""
  b = Builder(15)
  x = b.conv(b.conv(placeholder(1, 64, 64, 3), 8, 4), 12, 2)
  c4 = b.conv(x, 24, 2, name='features')
  p4 = b.conv(c4, 16, size=1, relu=False)
  p5 = b.conv(b.conv(p4, 16, 2), 16)
  twice = tf.stack([p4, p4], axis=3)
  p3 = tf.reshape(tf.stack([twice, twice], axis=2), [1, 8, 8, 16])
  p3 = b.conv(p3 + b.conv(x, 16, size=1, relu=False), 16)
  for level in (p3, p4, p5):
    tf.reshape(b.conv(level, 12, relu=False), [1, -1, 4])


def channels_first() -> None:
  b = Builder(5)
  x = backbone(b, placeholder(None, 3, 32, 40), first=True)
  tf.nn.softmax(b.dense(tf.reduce_mean(x, [2, 3]), 10), name='output')


def fixed_batch() -> None:
  b = Builder(6)
  x = backbone(b, placeholder(1, 32, 32, 1))
  tf.identity(b.dense(tf.reshape(x, [1, 256]), 10), name='output')


def byte_images() -> None:
  b = Builder(7)
  images = placeholder(None, 32, 32, 3, dtype=tf.uint8)
  floats = tf.cast(images, tf.float32, name='floats')
  x = backbone(b, floats / 127.5 - 1)
  tf.identity(b.dense(tf.reduce_mean(x, [1, 2]), 10), name='output')


def loop_over_images() -> None:
  """Bytes of any size, which a loop over the batch brings to one size."""
  b = Builder(14)
  images = placeholder(None, None, None, 3, dtype=tf.uint8)
  floats = tf.map_fn(
    lambda image: tf.image.resize(image, [32, 32]),
    images,
    fn_output_signature=tf.float32,
  )
  x = backbone(b, tf.ensure_shape(floats, [None, 32, 32, 3]))
  x = tf.reshape(x, [-1, 4 * 4 * 16])
  tf.identity(b.dense(x, 10), name='output')


def several_inputs() -> None:
  """A second image input, a switch, and two heads."""
  b = Builder(8)
  x = backbone(b, placeholder(None, 32, 32, 3))
  keep = placeholder(name='keep_probability')
  mask = b.conv(placeholder(None, 32, 32, 1, name='mask'), 4, 8)
  pooled = tf.reduce_mean(x, [1, 2]) * keep
  joined = tf.concat([pooled, tf.reduce_mean(mask, [1, 2])], 1)
  tf.identity(b.dense(joined, 5), name='first')
  tf.identity(b.dense(pooled, 3), name='second')


def transformer() -> None:
  """Patches become tokens; three blocks of attention; a class token."""
  b, width, count = Builder(9), 16, 16
  x = b.conv(placeholder(None, 32, 32, 3), width, 8, 8, relu=False)
  x = tf.reshape(x, [-1, count, width])
  start = tf.zeros_like(x[:, :1]) + b.weights(1, 1, width)
  x = tf.concat([start, x], 1)

  def layer(tokens, units):
    flat = tf.reshape(tokens, [-1, tokens.shape[-1]])
    return tf.reshape(b.dense(flat, units), [-1, count + 1, units])

  def normalised(tokens):
    mean, variance = tf.nn.moments(tokens, [2], keepdims=True)
    return (tokens - mean) * tf.math.rsqrt(variance + 1e-6)

  for number in range(3):
    y = normalised(x)
    query, key, value = (layer(y, width) for _ in range(3))
    weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 4.0)
    x = x + layer(tf.matmul(weights, value), width)
    y = tf.nn.relu(layer(normalised(x), 2 * width))
    x = tf.add(x, layer(y, width), name=f'block_{number}')
  tf.identity(b.dense(x[:, 0], 10), name='output')


def dense_only() -> None:
  b = Builder(10)
  x = tf.reshape(placeholder(None, 8, 8, 3), [-1, 192])
  x = tf.nn.relu(b.dense(x, 24))
  x = tf.nn.relu(b.dense(x, 12), name='features')
  tf.nn.softmax(b.dense(x, 4), name='output')


def dropout_of_old() -> None:
  """TensorFlow 1: scopes, a default for dropout, control dependencies."""
  b = Builder(11)
  with v1.name_scope('tower_0'):
    source = placeholder(None, 32, 32, 3, name='images')
    default = tf.constant(1.0)
    keep = v1.placeholder_with_default(default, [], 'keep')
    with tf.control_dependencies([tf.no_op('update')]):
      x = tf.identity(backbone(b, source))
    x = tf.reduce_mean(x, [1, 2]) * keep
    tf.identity(b.dense(x, 10), name='logits')


def super_resolution() -> None:
  """Full-size maps all along, and a global sum before scaling up."""
  b = Builder(12)
  first = b.conv(placeholder(None, None, None, 3) * (1 / 255.0), 8)
  x = b.conv(b.conv(first, 8), 8, relu=False)
  x = tf.add(x, first, name='features')
  x = b.conv(x, 12, relu=False)
  tf.nn.depth_to_space(x, 2, name='output')


def tapped_encoder() -> None:
  """No head at all, and every layer is an output, too."""
  b = Builder(13)
  x = placeholder(None, 32, 32, 3)
  for number in range(4):
    x = b.conv(x, 8 + number, 2 if number < 3 else 1)
    tf.identity(x, name=f'tap_{number}')
  tf.identity(x, name='features')
