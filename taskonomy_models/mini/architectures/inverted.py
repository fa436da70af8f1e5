"""Inverted residuals with SiLU and squeeze-and-excite.

MobileNetV2's blocks (Sandler et al., CVPR 2018) as EfficientNet has them (Tan
and Le, ICML 2019). The representation is a linear bottleneck: no activation
follows it, and its grid is twice as fine as that of the other architectures.
"""

import tensorflow as tf

from taskonomy_models.mini.architectures import registry
from taskonomy_models.mini.architectures.layers import conv, norm

_CHANNELS = 4
_EXPANSION = 3
_SQUEEZE = 8
_BLOCKS = ((24, 2), (24, 1), (32, 1), (32, 1), (32, 1))


def _silu(x, name: str):
  return tf.keras.layers.Activation('silu', name=name)(x)


def _excited(x, name: str):
  """Scales each channel by a gate that sees the means of all channels."""
  channels = x.shape[-1]
  gate = tf.keras.layers.GlobalAveragePooling2D(
    keepdims=True, name=f'{name}_mean'
  )(x)
  gate = conv(_SQUEEZE, 1, 1, f'{name}_squeeze', bias=True)(gate)
  gate = conv(channels, 1, 1, f'{name}_excite', bias=True)(
    _silu(gate, f'{name}_squeeze_silu')
  )
  gate = tf.keras.layers.Activation('sigmoid', name=f'{name}_gate')(gate)
  return tf.keras.layers.Multiply(name=f'{name}_scale')([x, gate])


def _block(x, filters: int, stride: int, name: str):
  """Widens, convolves each channel alone, excites, and narrows."""
  wide = _EXPANSION * x.shape[-1]
  y = norm(f'{name}_norm1')(conv(wide, 1, 1, f'{name}_expand')(x))
  y = tf.keras.layers.DepthwiseConv2D(
    5, strides=stride, padding='same', use_bias=False, name=f'{name}_depthwise'
  )(_silu(y, f'{name}_silu1'))
  y = _silu(norm(f'{name}_norm2')(y), f'{name}_silu2')
  y = conv(filters, 1, 1, f'{name}_project')(_excited(y, name))
  y = norm(f'{name}_norm3')(y)
  if stride > 1 or x.shape[-1] != filters:
    return y
  return tf.keras.layers.Add(name=f'{name}_add')([x, y])


@registry.register('inverted')
def build(channels: int, size: int | None = None) -> tf.keras.Model:
  """Returns pictures [N, S, S, channels] to units [N, S/4, S/4, 4].

  Args:
    channels: Of the input, 3 or 1.
    size: Side of the input; None leaves it open.
  """
  inputs = tf.keras.Input((size, size, channels), name='input')
  x = norm('stem_norm')(conv(16, 5, 2, 'stem')(inputs))
  x = _silu(x, 'stem_silu')
  for number, (filters, stride) in enumerate(_BLOCKS):
    x = _block(x, filters, stride, f'block{number}')
  x = norm('compress_norm')(conv(_CHANNELS, 1, 1, 'compress')(x))
  return tf.keras.Model(inputs, x, name='encoder')
