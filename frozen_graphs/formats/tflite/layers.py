"""TensorFlow Lite's operations that have weights, slide, or are activations."""

import numpy as np
import tensorflow as tf

from frozen_graphs.formats.tflite.file import Operator
from frozen_graphs.formats.tflite.registry import Operand, known, register_op

_PADDINGS = ('SAME', 'VALID')  # In the order of the file format's numbers.


def _strides(operator: Operator) -> tuple[int, int]:
  return operator.get('StrideH'), operator.get('StrideW')


def _dilations(operator: Operator) -> tuple[int, int]:
  return operator.get('DilationHFactor'), operator.get('DilationWFactor')


def _padding(operator: Operator) -> str:
  return _PADDINGS[operator.get('Padding')]


def _with_bias(x: tf.Tensor, bias: Operand | None) -> tf.Tensor:
  return x if bias is None else tf.nn.bias_add(x, bias)


@register_op('CONV_2D', 'Conv2D')
def _conv(
  operator: Operator, x: tf.Tensor, w: Operand, b: Operand | None = None
) -> tf.Tensor:
  kernel = known(w, 'the kernel').transpose(1, 2, 3, 0)
  groups = x.shape[3] // kernel.shape[2]
  if x.shape[3] != groups * kernel.shape[2] or kernel.shape[3] % groups:
    raise ValueError(f'{x.shape[3]} channels for a kernel {kernel.shape}')
  # One convolution for each group: CPUs have no gradient of all at once.
  parts = [
    tf.nn.conv2d(
      part,
      tf.constant(part_kernel),
      _strides(operator),
      _padding(operator),
      dilations=_dilations(operator),
    )
    for part, part_kernel in zip(
      tf.split(x, groups, axis=3) if groups > 1 else [x],
      np.split(kernel, groups, axis=3),
      strict=True,
    )
  ]
  return _with_bias(tf.concat(parts, 3) if groups > 1 else parts[0], b)


@register_op('DEPTHWISE_CONV_2D', 'DepthwiseConv2dNative')
def _depthwise(
  operator: Operator, x: tf.Tensor, w: Operand, b: Operand | None = None
) -> tf.Tensor:
  kernel = known(w, 'the kernel')[0]
  strides = _strides(operator)
  if len(set(strides)) > 1:
    raise ValueError(f'different strides {strides} are not supported')
  result = tf.nn.depthwise_conv2d(
    x,
    tf.constant(kernel.reshape(*kernel.shape[:2], x.shape[3], -1)),
    [1, *strides, 1],
    _padding(operator),
    dilations=_dilations(operator),
  )
  return _with_bias(result, b)


@register_op('TRANSPOSE_CONV', 'Conv2DBackpropInput')
def _transpose_conv(
  operator: Operator,
  shape: Operand,
  w: Operand,
  x: tf.Tensor,
  b: Operand | None = None,
) -> tf.Tensor:
  kernel = known(w, 'the kernel').transpose(1, 2, 0, 3)
  # As many images as there are, whatever the file was made for.
  shape = tf.concat([tf.shape(x)[:1], tf.cast(shape[1:], tf.int32)], 0)
  result = tf.nn.conv2d_transpose(
    x, tf.constant(kernel), shape, _strides(operator), _padding(operator)
  )
  return _with_bias(result, b)


@register_op('FULLY_CONNECTED', 'MatMul')
def _fully_connected(
  operator: Operator, x: tf.Tensor, w: Operand, b: Operand | None = None
) -> tf.Tensor:
  if operator.get('WeightsFormat'):
    raise ValueError('shuffled weights are not supported')
  if isinstance(w, np.ndarray):
    w = tf.constant(w.T)
  else:
    w = tf.transpose(w)
  x = tf.convert_to_tensor(x)
  if not operator.get('KeepNumDims') and x.shape.rank != 2:
    x = tf.reshape(x, [-1, w.shape[0]])
  result = tf.matmul(x, w)
  return result if b is None else tf.add(result, b)


@register_op('BATCH_MATMUL', 'BatchMatMulV2')
def _batch_matmul(operator: Operator, a: Operand, b: Operand) -> tf.Tensor:
  return tf.matmul(
    a,
    b,
    transpose_a=operator.get('AdjX', False),
    transpose_b=operator.get('AdjY', False),
  )


@register_op('AVERAGE_POOL_2D', 'AvgPool')
def _average_pool(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.avg_pool2d(
    x, _window(operator), _strides(operator), _padding(operator)
  )


@register_op('MAX_POOL_2D', 'MaxPool')
def _max_pool(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.max_pool2d(
    x, _window(operator), _strides(operator), _padding(operator)
  )


def _window(operator: Operator) -> tuple[int, int]:
  return operator.get('FilterHeight'), operator.get('FilterWidth')


@register_op('LEAKY_RELU', 'LeakyRelu')
def _leaky_relu(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.leaky_relu(x, operator.get('Alpha'))


@register_op('PRELU', 'Sub')
def _prelu(operator: Operator, x: tf.Tensor, alpha: Operand) -> tf.Tensor:
  return tf.nn.relu(x) - alpha * tf.nn.relu(-x)


@register_op('RELU_N1_TO_1', 'Minimum')
def _relu_n1_to_1(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.minimum(tf.maximum(x, -1.0), 1.0)


@register_op('RELU_0_TO_1', 'Minimum')
def _relu_0_to_1(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.minimum(tf.maximum(x, 0.0), 1.0)


@register_op('HARD_SWISH', 'Mul')
def _hard_swish(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return x * (tf.nn.relu6(x + 3.0) * (1 / 6))


@register_op('GELU', 'Mul')
def _gelu(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.gelu(x, approximate=operator.get('Approximate', False))


@register_op('SOFTMAX', 'Softmax')
def _softmax(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  beta = operator.get('Beta', 1.0)
  return tf.nn.softmax(x if beta == 1 else beta * x)


@register_op('L2_NORMALIZATION', 'RealDiv')
def _l2_normalization(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  norm = tf.sqrt(tf.reduce_sum(tf.square(x), -1, keepdims=True))
  return x / tf.maximum(norm, 1e-6)


@register_op('LOCAL_RESPONSE_NORMALIZATION', 'LRN')
def _local_response_normalization(
  operator: Operator, x: tf.Tensor
) -> tf.Tensor:
  return tf.nn.local_response_normalization(
    x,
    operator.get('Radius'),
    operator.get('Bias'),
    operator.get('Alpha'),
    operator.get('Beta'),
  )
