"""The residual network of the mini bank (He et al., CVPR 2016).

With batch norm and ReLU throughout; it ends, like Taskonomy's, in a 3 x 3
convolution to eight channels with batch norm and ReLU.
"""

import tensorflow as tf

from taskonomy_models.mini.architectures import registry
from taskonomy_models.mini.architectures.layers import conv, norm

_CHANNELS = 8


def _unit(x, filters: int, stride: int, name: str):
  """A post-activation residual unit of two 3 x 3 convolutions."""
  shortcut = x
  if stride > 1 or x.shape[-1] != filters:
    shortcut = conv(filters, 1, stride, f'{name}_shortcut')(x)
    shortcut = norm(f'{name}_shortcut_norm')(shortcut)
  y = conv(filters, 3, stride, f'{name}_conv1')(x)
  y = tf.keras.layers.ReLU(name=f'{name}_relu1')(norm(f'{name}_norm1')(y))
  y = norm(f'{name}_norm2')(conv(filters, 3, 1, f'{name}_conv2')(y))
  return tf.keras.layers.ReLU(name=f'{name}_relu2')(
    tf.keras.layers.Add(name=f'{name}_add')([y, shortcut])
  )


def encoder(channels: int, size: int | None, width: int) -> tf.keras.Model:
  """Returns pictures [N, S, S, channels] to units [N, S/8, S/8, 8], all >= 0.

  Args:
    channels: Of the input, 3 or 1.
    size: Side of the input; None leaves it open.
    width: Channels of the first layer; the last unit has four times as many.
  """
  inputs = tf.keras.Input((size, size, channels), name='input')
  x = conv(width, 5, 2, 'stem')(inputs)
  x = tf.keras.layers.ReLU(name='stem_relu')(norm('stem_norm')(x))
  for number, (factor, stride) in enumerate(
    [(1, 1), (2, 2), (2, 1), (4, 2), (4, 1)]
  ):
    x = _unit(x, factor * width, stride, f'unit{number}')
  x = conv(_CHANNELS, 3, 1, 'compress')(x)
  x = tf.keras.layers.ReLU(name='compress_relu')(norm('compress_norm')(x))
  return tf.keras.Model(inputs, x, name='encoder')


@registry.register('residual')
def build(channels: int, size: int | None = None) -> tf.keras.Model:
  """Returns the encoder of the mini bank, see `encoder`."""
  return encoder(channels, size, width=16)
