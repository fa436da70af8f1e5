"""What EfficientNet-Lite and MobileNetV2 share: chains of inverted residuals.

Sandler et al., MobileNetV2, CVPR 2018: expansion by a 1x1 convolution, a
depthwise convolution, projection by a 1x1 convolution without activation, and
a shortcut where the shape stays the same.
"""

from collections.abc import Sequence
import dataclasses

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Padding, Weights


@dataclasses.dataclass(frozen=True)
class Names:
  """Names of a block's layers; no expansion if `expand` is empty."""

  expand: str
  expand_norm: str
  depthwise: str
  depthwise_norm: str
  project: str
  project_norm: str


def chain(
  x: tf.Tensor,
  weights: Weights,
  blocks: Sequence[Names],
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
  for names in blocks:
    channels = weights.shape(f'{names.project}.weight')[0]
    first = channels != width
    stage, width = stage + first, channels
    stride = strides[stage] if first else 1
    kernel = weights.shape(f'{names.depthwise}.weight')[-1]
    padding: Padding = 'SAME' if same_padding else kernel // 2
    shortcut = x
    if names.expand:
      x = layers.convolution(x, weights, names.expand)
      x = layers.batch_norm(x, weights, names.expand_norm, epsilon)
      x = tf.nn.relu6(x)
    x = layers.convolution(x, weights, names.depthwise, stride, padding)
    x = layers.batch_norm(x, weights, names.depthwise_norm, epsilon)
    x = tf.nn.relu6(x)
    x = layers.convolution(x, weights, names.project)
    x = layers.batch_norm(x, weights, names.project_norm, epsilon)
    if stride == 1 and shortcut.shape[-1] == channels:
      x += shortcut
  return x
