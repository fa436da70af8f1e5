"""A plain convolutional network with ELU (Clevert et al., ICLR 2016).

Without shortcuts and without normalization, as such networks were before
those; the last activation is an ELU too, so units can be negative.
"""

import tensorflow as tf

from taskonomy_models.mini.architectures import registry
from taskonomy_models.mini.architectures.layers import conv

_CHANNELS = 12
_LAYERS = ((24, 1), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1))


@registry.register('plain')
def build(channels: int, size: int | None = None) -> tf.keras.Model:
  """Returns pictures [N, S, S, channels] to units [N, S/8, S/8, 12], > -1.

  Args:
    channels: Of the input, 3 or 1.
    size: Side of the input; None leaves it open.
  """
  inputs = tf.keras.Input((size, size, channels), name='input')
  x = conv(16, 5, 2, 'stem', bias=True)(inputs)
  x = tf.keras.layers.ELU(name='stem_elu')(x)
  for number, (filters, stride) in enumerate(_LAYERS):
    x = conv(filters, 3, stride, f'conv{number}', bias=True)(x)
    x = tf.keras.layers.ELU(name=f'elu{number}')(x)
  x = conv(_CHANNELS, 3, 1, 'compress', bias=True)(x)
  x = tf.keras.layers.ELU(name='compress_elu')(x)
  return tf.keras.Model(inputs, x, name='encoder')
