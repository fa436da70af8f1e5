"""Layers that several architectures are made of."""

import tensorflow as tf


def conv(filters: int, size: int, stride: int, name: str, bias: bool = False):
  """A convolution with zero padding, by default without a bias."""
  return tf.keras.layers.Conv2D(
    filters,
    size,
    strides=stride,
    padding='same',
    use_bias=bias,
    kernel_initializer='he_normal',
    name=name,
  )


def norm(name: str):
  """Batch norm whose moving statistics follow within a few dozen steps."""
  return tf.keras.layers.BatchNormalization(
    momentum=0.95, epsilon=1e-5, name=name
  )


class Positions(tf.keras.layers.Layer):
  """Adds a learned vector to each token of a grid."""

  def build(self, shape):
    self.kernel = self.add_weight(
      shape=(1, *shape[1:]),
      initializer=tf.keras.initializers.RandomNormal(stddev=0.02),
      name='positions',
    )

  def call(self, tokens):
    return tokens + self.kernel
