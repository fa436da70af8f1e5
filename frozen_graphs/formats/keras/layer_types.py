"""Layers of Keras 2 as plain TensorFlow operations, for inference.

The meaning of each option is that of Keras 2
(https://keras.io/2.18/api/layers), which differs from Keras 3 in
`hard_sigmoid`, and from the runtime of TensorFlow.js in bilinear up-sampling,
where Keras puts the centres of pixels at halves.
"""

from collections.abc import Callable, Mapping
import math

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras.layers import Layer, register_layer


def _hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
  return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


_ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
  'elu': tf.nn.elu,
  'exponential': tf.exp,
  'gelu': lambda x: tf.nn.gelu(x, approximate=False),
  'gelu_new': lambda x: tf.nn.gelu(x, approximate=True),
  'hard_sigmoid': _hard_sigmoid,
  'linear': tf.identity,
  'mish': lambda x: x * tf.tanh(tf.nn.softplus(x)),
  'relu': tf.nn.relu,
  'relu6': tf.nn.relu6,
  'selu': tf.nn.selu,
  'sigmoid': tf.sigmoid,
  'silu': lambda x: x * tf.sigmoid(x),
  'softmax': tf.nn.softmax,
  'softplus': tf.nn.softplus,
  'softsign': tf.nn.softsign,
  'swish': lambda x: x * tf.sigmoid(x),
  'tanh': tf.tanh,
  # As TensorFlow.js itself spells it.
  'hardSigmoid': _hard_sigmoid,
}


def activations() -> tuple[str, ...]:
  """Returns the names of the activations that are known, sorted."""
  return tuple(sorted(_ACTIVATIONS))


def _activate(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  name = layer.config.get('activation') or 'linear'
  if not isinstance(name, str) or name not in _ACTIVATIONS:
    raise GraphError(
      f'{layer} has the activation {name!r}; known are '
      f'{", ".join(activations())}.'
    )
  return _ACTIVATIONS[name](x)


@register_layer('Activation')
def _activation(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return _activate(layer, x)


@register_layer('ReLU')
def _relu(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  layer.require('threshold', 0, None)
  slope = layer.config.get('negative_slope') or 0
  limit = layer.config.get('max_value')
  if not slope and limit == 6:
    return tf.nn.relu6(x)
  x = tf.nn.leaky_relu(x, slope) if slope else tf.nn.relu(x)
  return x if limit is None else tf.minimum(x, float(limit))


@register_layer('LeakyReLU')
def _leaky_relu(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.leaky_relu(x, layer.config.get('alpha', 0.3))


@register_layer('ELU')
def _elu(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  layer.require('alpha', 1)
  return tf.nn.elu(x)


@register_layer('PReLU')
def _prelu(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.relu(x) - layer.weight('alpha') * tf.nn.relu(-x)


@register_layer('Softmax')
def _softmax(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.softmax(x, layer.config.get('axis', -1))


def _padding(layer: Layer) -> str:
  return layer.require('padding', 'valid', 'same').upper()


def _finish(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  """Returns `x` with the layer's bias and activation."""
  if layer.has('use_bias'):
    x = tf.nn.bias_add(x, layer.weight('bias'))
  return _activate(layer, x)


@register_layer('Conv2D')
def _conv2d(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  kernel = layer.weight('kernel')
  groups = layer.config.get('groups', 1)
  if kernel.shape[2] * groups != x.shape[3]:
    raise ValueError(
      f'{groups} groups of {kernel.shape[2]} channels for {x.shape[3]} channels'
    )
  x = tf.nn.conv2d(
    x,
    kernel,
    layer.pair('strides'),
    _padding(layer),
    dilations=layer.pair('dilation_rate'),
  )
  return _finish(layer, x)


@register_layer('Conv2DTranspose')
def _conv2d_transpose(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  layer.require('dilation_rate', [1, 1], (1, 1), 1)
  layer.require('output_padding', None)
  kernel, strides = layer.weight('kernel'), layer.pair('strides')
  padding = _padding(layer)
  sizes = [_side(x, 1), _side(x, 2)]
  for i, (stride, window) in enumerate(
    zip(strides, kernel.shape[:2], strict=True)
  ):
    # Valid: every step between inputs, and at least one whole window.
    rest = max(window - stride, 0) if padding == 'VALID' else 0
    sizes[i] = sizes[i] * stride + rest
  shape = tf.stack([tf.shape(x)[0], *sizes, kernel.shape[2]])
  x = tf.nn.conv2d_transpose(x, kernel, shape, strides, padding)
  return _finish(layer, x)


def _side(x: tf.Tensor, axis: int) -> int | tf.Tensor:
  """Returns the length of an axis, as a number where it is known."""
  known = x.shape[axis]
  return tf.shape(x)[axis] if known is None else known


def _depthwise(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return tf.nn.depthwise_conv2d(
    x,
    layer.weight('depthwise_kernel'),
    (1, *layer.pair('strides'), 1),
    _padding(layer),
    dilations=layer.pair('dilation_rate'),
  )


@register_layer('DepthwiseConv2D')
def _depthwise_conv2d(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return _finish(layer, _depthwise(layer, x))


@register_layer('SeparableConv2D')
def _separable_conv2d(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  x = _depthwise(layer, x)
  x = tf.nn.conv2d(x, layer.weight('pointwise_kernel'), 1, 'VALID')
  return _finish(layer, x)


@register_layer('Dense')
def _dense(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return _finish(layer, tf.matmul(x, layer.weight('kernel')))


@register_layer('BatchNormalization')
def _batch_normalization(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  last = x.shape.rank - 1
  layer.require('axis', -1, last, [-1], [last])
  epsilon = layer.config.get('epsilon', 1e-3)
  mean = layer.weight('moving_mean')
  variance = layer.weight('moving_variance')
  ones, zeros = tf.ones_like(mean), tf.zeros_like(mean)
  scale = layer.weight('gamma') if layer.has('scale') else ones
  offset = layer.weight('beta') if layer.has('center') else zeros
  if x.shape.rank == 4:
    return tf.raw_ops.FusedBatchNormV3(
      x=x,
      scale=scale,
      offset=offset,
      mean=mean,
      variance=variance,
      epsilon=epsilon,
      is_training=False,
    ).y
  factor = scale * tf.math.rsqrt(variance + epsilon)
  return x * factor + (offset - mean * factor)


@register_layer('Rescaling')
def _rescaling(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  scale = np.asarray(layer.config['scale'], np.float32)
  return x * scale + np.asarray(layer.config.get('offset', 0), np.float32)


@register_layer('Add', merges=True)
def _add(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  return sum(inputs[1:], inputs[0])


@register_layer('Subtract', merges=True)
def _subtract(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  first, second = inputs
  return first - second


@register_layer('Multiply', merges=True)
def _multiply(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  product = inputs[0]
  for x in inputs[1:]:
    product = product * x
  return product


@register_layer('Average', merges=True)
def _average(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  return sum(inputs[1:], inputs[0]) / len(inputs)


@register_layer('Maximum', merges=True)
def _maximum(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  largest = inputs[0]
  for x in inputs[1:]:
    largest = tf.maximum(largest, x)
  return largest


@register_layer('Minimum', merges=True)
def _minimum(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  smallest = inputs[0]
  for x in inputs[1:]:
    smallest = tf.minimum(smallest, x)
  return smallest


@register_layer('Concatenate', merges=True)
def _concatenate(layer: Layer, inputs: list[tf.Tensor]) -> tf.Tensor:
  return tf.concat(inputs, layer.config.get('axis', -1))


@register_layer('MaxPooling2D', 'AveragePooling2D')
def _pool(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  maximum = layer.kind == 'MaxPooling2D'
  pool = tf.nn.max_pool2d if maximum else tf.nn.avg_pool2d
  stated = layer.config.get('strides') is not None
  strides = layer.pair('strides' if stated else 'pool_size')
  return pool(x, layer.pair('pool_size'), strides, _padding(layer))


@register_layer('GlobalAveragePooling2D', 'GlobalMaxPooling2D')
def _global_pool(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  average = layer.kind == 'GlobalAveragePooling2D'
  reduce = tf.reduce_mean if average else tf.reduce_max
  return reduce(x, [1, 2], keepdims=layer.has('keepdims', False))


def _margins(layer: Layer, option: str) -> list[list[int]]:
  """Returns [[top, bottom], [left, right]], however they are written."""
  value = layer.config.get(option)
  if isinstance(value, int):
    value = [value, value]
  if not isinstance(value, list | tuple) or len(value) != 2:
    raise layer.unknown(option)
  margins = [[m, m] if isinstance(m, int) else list(m) for m in value]
  if any(len(m) != 2 or min(m) < 0 for m in margins):
    raise layer.unknown(option)
  return margins


@register_layer('ZeroPadding2D')
def _zero_padding(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  return tf.pad(x, [[0, 0], *_margins(layer, 'padding'), [0, 0]])


@register_layer('Cropping2D')
def _cropping(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  rows, columns = (
    slice(before, -after if after else None)
    for before, after in _margins(layer, 'cropping')
  )
  return x[:, rows, columns]


@register_layer('UpSampling2D')
def _up_sampling(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  method = layer.require('interpolation', 'nearest', 'bilinear')
  size = [_side(x, i + 1) * n for i, n in enumerate(layer.pair('size'))]
  return tf.image.resize(x, size, method)


@register_layer('Flatten')
def _flatten(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  units = x.shape[1:].num_elements()
  shape = [tf.shape(x)[0], -1] if units is None else [-1, units]
  return tf.reshape(x, shape)


@register_layer('Reshape')
def _reshape(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  shape = list(layer.config['target_shape'])
  units, known = (
    x.shape[1:].num_elements(),
    math.prod(s for s in shape if s > 0),
  )
  if units is not None:
    # TensorFlow itself would give what is left over to another image.
    rest = units // known
    shape = [rest if side == -1 else side for side in shape]
    if math.prod(shape) != units:
      raise ValueError(f'{units} numbers do not make {shape}')
  batch = tf.shape(x)[0] if -1 in shape else -1
  return tf.reshape(x, [batch, *shape])


@register_layer('Permute')
def _permute(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  axes = layer.config['dims']
  if sorted(axes) != list(range(1, x.shape.rank)):
    raise layer.unknown('dims')
  return tf.transpose(x, [0, *axes])


@register_layer(
  'Dropout',
  'SpatialDropout2D',
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
  'ActivityRegularization',
)
def _nothing(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  """These act in training only."""
  return tf.identity(x)
