"""What EfficientNet-Lite and MobileNetV2 share: chains of inverted residuals.

Sandler et al., MobileNetV2, CVPR 2018: expansion by a 1x1 convolution, a
depthwise convolution, projection by a 1x1 convolution without activation, and
a shortcut where the shape stays the same.
"""

from collections.abc import Callable, Sequence
import itertools

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Padding, Weights

# By a block's number, the names of its convolutions and their normalizations:
# an expansion, which may be absent, a depthwise one and a projection.
Block = Callable[[int], Sequence[tuple[str, str]]]


def chain(
  x: tf.Tensor,
  weights: Weights,
  block: Block,
  first: int,
  strides: Sequence[int],
  epsilon: float,
  same_padding: bool,
) -> tuple[tf.Tensor, int]:
  """Returns the result of all blocks that there are, and the next number.

  Args:
    x: [N, h, w, channels].
    weights: In PyTorch's layout.
    block: Names the parts of a block.
    first: Number of the first block.
    strides: Of the first block of each stage; a stage ends where the number of
      channels changes.
    epsilon: Of the batch normalization.
    same_padding: TensorFlow's SAME, or else PyTorch's half of the kernel.

  """
  stage, width = -1, None
  for number in itertools.count(first):
    parts = [n for n in block(number) if f'{n[0]}.weight' in weights]
    if not parts:
      return x, number
    *expansion, depthwise, projection = parts
    channels = weights.shape(f'{projection[0]}.weight')[0]
    begins = channels != width
    stage, width = stage + begins, channels
    stride = strides[stage] if begins else 1
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
