"""Layers in plain TensorFlow, from weights in the layouts of two frameworks."""

from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError

# Explicit padding, as PyTorch states it, or one of TensorFlow's names.
Padding = int | str


class Weights:
  """Weights by name, which keeps account of what was used.

  Names of PyTorch may have a common prefix, such as the `module.` of networks
  that were trained on several GPUs.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str = ''):
    self._arrays = {
      name.removeprefix(prefix): np.asarray(array)
      for name, array in arrays.items()
    }
    self._used: set[str] = set()

  def __contains__(self, name: str) -> bool:
    return name in self._arrays

  def shape(self, name: str) -> tuple[int, ...]:
    return self._get(name).shape

  def take(self, name: str) -> np.ndarray:
    """Returns an array as float32 and counts it as used."""
    array = self._get(name)
    self._used.add(name)
    return np.asarray(array, np.float32)

  def check_all_used(self, except_endings: Collection[str] = ()) -> None:
    """Raises GraphError if weights are left over: another architecture."""
    left = [
      name
      for name in self._arrays
      if name not in self._used and not name.endswith(tuple(except_endings))
    ]
    if left:
      raise GraphError(
        f'The architecture has no place for {len(left)} of the weights, for '
        f'example {left[0]!r}; the file is of another network.'
      )

  def _get(self, name: str) -> np.ndarray:
    if name not in self._arrays:
      raise GraphError(
        f'There is no weight {name!r}; the file is of another network.'
      )
    return self._arrays[name]


def convolution(
  x: tf.Tensor,
  weights: Weights,
  name: str,
  stride: int = 1,
  padding: Padding = 'SAME',
  dilation: int = 1,
) -> tf.Tensor:
  """A convolution of PyTorch's layout [out, in, h, w], with bias if there is.

  A kernel [channels, 1, h, w] for more than one channel is a depthwise one.
  """
  kernel = weights.take(f'{name}.weight')
  is_depthwise = kernel.shape[1] == 1 and x.shape[-1] == kernel.shape[0] > 1
  if not isinstance(padding, str):
    if padding:
      x = tf.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
    padding = 'VALID'
  if is_depthwise:
    filters = tf.constant(kernel.transpose(2, 3, 0, 1))
    strides, dilations = [1, stride, stride, 1], [dilation] * 2
    x = tf.nn.depthwise_conv2d(
      x, filters, strides, padding, dilations=dilations
    )
  else:
    filters = tf.constant(kernel.transpose(2, 3, 1, 0))
    x = tf.nn.conv2d(x, filters, stride, padding, dilations=dilation)
  if f'{name}.bias' in weights:
    x = tf.nn.bias_add(x, tf.constant(weights.take(f'{name}.bias')))
  return x


def normalised(
  x: tf.Tensor,
  weights: Weights,
  convolution_name: str,
  norm_name: str,
  epsilon: float,
  stride: int = 1,
  padding: Padding = 'SAME',
) -> tf.Tensor:
  """A convolution and its batch normalization, as for inference."""
  x = convolution(x, weights, convolution_name, stride, padding)
  scale, offset, mean, variance = (
    tf.constant(weights.take(f'{norm_name}.{part}'))
    for part in ('weight', 'bias', 'running_mean', 'running_var')
  )
  return tf.compat.v1.nn.fused_batch_norm(
    x, scale, offset, mean, variance, epsilon, is_training=False
  )[0]


def keras_convolution(x: tf.Tensor, weights: Weights, name: str) -> tf.Tensor:
  """A convolution of stride 1 in the layout of Keras' weight files."""
  kernel, bias = (weights.take(f'{name}/vars/{i}') for i in range(2))
  x = tf.nn.conv2d(x, tf.constant(kernel), 1, 'SAME')
  return tf.nn.bias_add(x, tf.constant(bias))
