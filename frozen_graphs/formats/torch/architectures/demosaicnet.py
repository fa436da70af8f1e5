"""DemosaicNet for Bayer mosaics (Gharbi et al., SIGGRAPH Asia 2016)."""

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_DEPTH = 15


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `features` at half the resolution, and the full-colour `output`.

  `features` are the 64 filters and 64 masks whose products make the residual.
  Convolutions are padded with zeros, so that nothing is cropped off.

  Args:
    images: [N, h, w, 3], RGB in 0..1 with all but one colour of a pixel zero;
      even rows begin with green and red, odd ones with blue and green.
    weights: As the package demosaicnet holds them in bayer.pth.
  """
  x = layers.convolution(images, weights, 'main_processor.pack_mosaic', 2, 0)
  for number in range(1, _DEPTH + 1):
    x = layers.convolution(x, weights, f'main_processor.conv{number}', 1, 1)
    x = tf.nn.relu(x)
  filters, masks = tf.split(x, 2, axis=-1)
  residual = layers.convolution(filters * masks, weights, 'residual_predictor')
  mosaic_and_residual = tf.concat(
    [images, _upsampled(residual, weights)], axis=-1
  )
  name = 'fullres_processor'
  y = layers.convolution(
    mosaic_and_residual, weights, f'{name}.post_conv', 1, 1
  )
  output = layers.convolution(tf.nn.relu(y), weights, f'{name}.output')
  weights.check_all_used()
  return {'features': x, 'output': output}


def _upsampled(x: tf.Tensor, weights: Weights) -> tf.Tensor:
  """A transposed convolution of stride 2 with 2x2 kernels, without overlap.

  Each colour is made from channels of its own: kernel [in, 1, 2, 2].
  """
  kernel, bias = (weights.take(f'upsampler.{p}') for p in ('weight', 'bias'))
  colours = len(bias)
  groups = tf.split(x, colours, axis=-1)
  planes = []
  for colour, group in enumerate(groups):
    each = kernel.shape[0] // colours
    part = kernel[colour * each : (colour + 1) * each, 0].reshape(each, 4)
    cells = tf.nn.conv2d(group, tf.constant(part[None, None]), 1, 'VALID')
    planes.append(tf.nn.depth_to_space(cells, 2))
  return tf.nn.bias_add(tf.concat(planes, axis=-1), tf.constant(bias))
