"""What tests share: tiny frozen graphs and images made from seeds."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Layer = Callable[[tf.Tensor], tf.Tensor]


def images(n: int, size: int = 16, seed: int = 0) -> np.ndarray:
  """Returns smooth random images, uint8 [n, size, size, 3]."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (n, max(1, size // 4), max(1, size // 4), 3))
  fine = rng.integers(-20, 21, (n, size, size, 3))
  tiled = coarse.repeat(4, axis=1).repeat(4, axis=2)
  tiled = np.resize(tiled, (n, size, size, 3))
  return np.clip(tiled + fine, 0, 255).astype(np.uint8)


def freeze(
  function: Layer,
  size: int = 16,
  channels: int = 3,
  batch: int | None = None,
) -> tf.compat.v1.GraphDef:
  """Returns the graph of `function` with `input:0` and `representation:0`.

  Args:
    function: From a float32 tensor [N, size, size, channels] to another.
    size: Of the input; None leaves it open.
    channels: Of the input.
    batch: N, if it is fixed.
  """
  with tf.Graph().as_default() as graph:
    source = tf.compat.v1.placeholder(
      tf.float32, [batch, size, size, channels], 'input'
    )
    tf.identity(function(source), name='representation')
  return graph.as_graph_def()


def activation_layer(name: str) -> Layer:
  """Returns the TensorFlow function of an activation."""
  others = {'linear': tf.identity, 'sigmoid': tf.sigmoid, 'tanh': tf.tanh}
  return others[name] if name in others else getattr(tf.nn, name)


def tiny_graph_def(
  activation: str = 'relu', seed: int = 0, size: int = 16, channels: int = 3
) -> tf.compat.v1.GraphDef:
  """Returns a frozen encoder of two convolutions, the second of stride 2.

  Its input is `input:0`, float32 [N, size, size, channels], its representation
  `representation:0`, [N, size / 2, size / 2, 4].
  """
  rng = np.random.default_rng(seed)
  layer = activation_layer(activation)

  def encoder(x: tf.Tensor) -> tf.Tensor:
    for width, stride in ((6, 1), (4, 2)):
      kernel = rng.normal(0, 0.5, (3, 3, x.shape[-1], width))
      bias = rng.normal(0, 0.1, width)
      x = tf.nn.conv2d(x, tf.constant(kernel, tf.float32), stride, 'SAME')
      x = layer(tf.nn.bias_add(x, tf.constant(bias, tf.float32)))
    return x

  return freeze(encoder, size, channels)
