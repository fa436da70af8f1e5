"""A small vision transformer (Dosovitskiy et al., ICLR 2021).

Patches of 8 x 8 pixels, learned positions, attention and GELU behind layer
norms. Linear maps of tokens are written as 1 x 1 convolutions of their grid.
There is no class token: the tokens themselves, narrowed by a linear map, are
the representation.
"""

import math

import tensorflow as tf

from taskonomy_models.mini.architectures import registry
from taskonomy_models.mini.architectures.layers import Positions, conv

_PATCH = 8
_CHANNELS = 16
_WIDTH = 64
_DEPTH = 3
_HEADS = 4
_GROWTH = 2


def _attend(mixed: tf.Tensor) -> tf.Tensor:
  """Queries, keys and values [N, S, S, 3 W] to their mixture [N, S, S, W]."""
  _, side, _, channels = mixed.shape
  width = channels // (3 * _HEADS)
  parts = tf.reshape(mixed, (-1, side * side, 3, _HEADS, width))
  queries, keys, values = tf.unstack(tf.transpose(parts, (2, 0, 3, 1, 4)))
  scores = tf.matmul(queries, keys, transpose_b=True) / math.sqrt(width)
  found = tf.matmul(tf.nn.softmax(scores), values)
  return tf.reshape(
    tf.transpose(found, (0, 2, 1, 3)), (-1, side, side, _HEADS * width)
  )


def _layer_norm(name: str):
  return tf.keras.layers.LayerNormalization(epsilon=1e-5, name=name)


def _block(x, name: str):
  """Attention, then two linear maps with GELU; each is added to its input."""
  y = _layer_norm(f'{name}_norm1')(x)
  y = conv(3 * _WIDTH, 1, 1, f'{name}_mixed', bias=True)(y)
  y = tf.keras.layers.Lambda(_attend, name=f'{name}_attention')(y)
  y = conv(_WIDTH, 1, 1, f'{name}_project', bias=True)(y)
  x = tf.keras.layers.Add(name=f'{name}_add1')([x, y])
  y = _layer_norm(f'{name}_norm2')(x)
  y = conv(_GROWTH * _WIDTH, 1, 1, f'{name}_grow', bias=True)(y)
  y = tf.keras.layers.Activation('gelu', name=f'{name}_gelu')(y)
  y = conv(_WIDTH, 1, 1, f'{name}_shrink', bias=True)(y)
  return tf.keras.layers.Add(name=f'{name}_add2')([x, y])


@registry.register('transformer')
def build(channels: int, size: int | None = 64) -> tf.keras.Model:
  """Returns pictures [N, S, S, channels] to units [N, S/8, S/8, 16].

  Args:
    channels: Of the input, 3 or 1.
    size: Side of the input.
  """
  inputs = tf.keras.Input((size, size, channels), name='input')
  x = tf.keras.layers.Conv2D(_WIDTH, _PATCH, strides=_PATCH, name='stem')(
    inputs
  )
  x = Positions(name='positions')(x)
  for number in range(_DEPTH):
    x = _block(x, f'block{number}')
  x = conv(_CHANNELS, 1, 1, 'compress', bias=True)(_layer_norm('norm')(x))
  return tf.keras.Model(inputs, x, name='encoder')
