"""What EfficientNet-Lite and MobileNetV2 share: chains of inverted residuals.

Sandler et al., MobileNetV2, CVPR 2018: expansion by a 1x1 convolution, a
depthwise convolution, projection by a 1x1 convolution without activation, and
a shortcut where the shape stays the same.
"""

from collections.abc import Sequence

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Padding, Weights

# Names of a block's convolutions and their normalizations: two, or three if it
# begins with an expansion.
Block = Sequence[tuple[str, str]]


def chain(
  x: tf.Tensor,
  weights: Weights,
  blocks: Sequence[Block],
  strides: Sequence[int],
  epsilon: float,
  same_padding: bool,
) -> tf.Tensor:
  """Returns the result of blocks.

  Args:
    x: [N, h, w, channels].
    weights: In PyTorch's layout.
    blocks: In order.
    strides: Of the first block of each stage; a stage ends where the number of
      channels changes.
    epsilon: Of the batch normalization.
    same_padding: TensorFlow's SAME, or else PyTorch's half of the kernel.

  Returns:
    [N, h', w', channels'].
  """
  stage, width = -1, None
  for *expansion, depthwise, projection in blocks:
    channels = weights.shape(f'{projection[0]}.weight')[0]
    first = channels != width
    stage, width = stage + first, channels
    stride = strides[stage] if first else 1
    kernel = weights.shape(f'{depthwise[0]}.weight')[-1]
    padding: Padding = 'SAME' if same_padding else kernel // 2
    shortcut = x
    for names in expansion:
      x = tf.nn.relu6(layers.normalised(x, weights, *names, epsilon))
    x = layers.normalised(x, weights, *depthwise, epsilon, stride, padding)
    x = tf.nn.relu6(x)
    x = layers.normalised(x, weights, *projection, epsilon)
    if stride == 1 and shortcut.shape[-1] == channels:
      x += shortcut
  return x
