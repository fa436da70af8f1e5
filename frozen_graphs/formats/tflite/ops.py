"""TensorFlow Lite's operations, as TensorFlow's functions."""

from collections.abc import Callable, Mapping
import types
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.formats.tflite.file import Operator
from frozen_graphs.formats.tflite.registry import (
  Operand,
  integers,
  known,
  register_op,
)

_PADDINGS = ('SAME', 'VALID')  # In the order of the file format's numbers.


def _number(operand: Operand) -> int:
  return known(operand, 'the axis').item()


def _between(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
  return tf.minimum(tf.maximum(x, low), high)


def _l2_normalized(x: tf.Tensor) -> tf.Tensor:
  norm = tf.sqrt(tf.reduce_sum(tf.square(x), -1, keepdims=True))
  return x / tf.maximum(norm, 1e-6)


# The type of TensorFlow's operation, and a function of the operands.
_PLAIN: Mapping[str, tuple[str, Callable]] = {
  'ADD': ('AddV2', tf.add),
  'ADD_N': ('AddN', lambda *x: tf.add_n(x)),
  'SUB': ('Sub', tf.subtract),
  'MUL': ('Mul', tf.multiply),
  'DIV': ('RealDiv', tf.divide),
  'FLOOR_DIV': ('FloorDiv', tf.math.floordiv),
  'FLOOR_MOD': ('FloorMod', tf.math.floormod),
  'MAXIMUM': ('Maximum', tf.maximum),
  'MINIMUM': ('Minimum', tf.minimum),
  'POW': ('Pow', tf.pow),
  'SQUARED_DIFFERENCE': ('SquaredDifference', tf.math.squared_difference),
  'SQUARE': ('Square', tf.square),
  'SQRT': ('Sqrt', tf.sqrt),
  'RSQRT': ('Rsqrt', tf.math.rsqrt),
  'EXP': ('Exp', tf.exp),
  'LOG': ('Log', tf.math.log),
  'ABS': ('Abs', tf.abs),
  'NEG': ('Neg', tf.negative),
  'SIGN': ('Sign', tf.sign),
  'FLOOR': ('Floor', tf.floor),
  'CEIL': ('Ceil', tf.math.ceil),
  'ROUND': ('Round', tf.round),
  'SIN': ('Sin', tf.sin),
  'COS': ('Cos', tf.cos),
  'DENSIFY': ('Identity', lambda x: x),  # Sparse weights are read dense.
  'RELU': ('Relu', tf.nn.relu),
  'RELU6': ('Relu6', tf.nn.relu6),
  'RELU_N1_TO_1': ('Minimum', lambda x: _between(x, -1.0, 1.0)),
  'RELU_0_TO_1': ('Minimum', lambda x: _between(x, 0.0, 1.0)),
  'PRELU': ('Sub', lambda x, a: tf.nn.relu(x) - a * tf.nn.relu(-x)),
  'HARD_SWISH': ('Mul', lambda x: x * (tf.nn.relu6(x + 3.0) * (1 / 6))),
  'ELU': ('Elu', tf.nn.elu),
  'LOGISTIC': ('Sigmoid', tf.sigmoid),
  'TANH': ('Tanh', tf.tanh),
  'L2_NORMALIZATION': ('RealDiv', _l2_normalized),
  'LOG_SOFTMAX': ('LogSoftmax', tf.nn.log_softmax),
  'EQUAL': ('Equal', tf.equal),
  'NOT_EQUAL': ('NotEqual', tf.not_equal),
  'GREATER': ('Greater', tf.greater),
  'GREATER_EQUAL': ('GreaterEqual', tf.greater_equal),
  'LESS': ('Less', tf.less),
  'LESS_EQUAL': ('LessEqual', tf.less_equal),
  'LOGICAL_AND': ('LogicalAnd', tf.logical_and),
  'LOGICAL_OR': ('LogicalOr', tf.logical_or),
  'LOGICAL_NOT': ('LogicalNot', tf.logical_not),
  'SELECT': ('Select', tf.compat.v1.where),
  'SELECT_V2': ('SelectV2', tf.where),
  'ZEROS_LIKE': ('ZerosLike', tf.zeros_like),
  'FILL': ('Fill', tf.fill),
  'RANGE': ('Range', tf.range),
  'RANK': ('Rank', tf.rank),
  'TILE': ('Tile', tf.tile),
  'BROADCAST_TO': ('BroadcastTo', tf.broadcast_to),
  'BROADCAST_ARGS': ('BroadcastArgs', tf.broadcast_dynamic_shape),
  'TRANSPOSE': ('Transpose', tf.transpose),
  'EXPAND_DIMS': ('ExpandDims', lambda x, a: tf.expand_dims(x, _number(a))),
  'SHAPE': ('Shape', tf.shape),
  'SLICE': ('Slice', tf.slice),
  'PAD': ('Pad', tf.pad),
  'PADV2': ('PadV2', lambda x, p, v: tf.pad(x, p, constant_values=v)),
  'GATHER_ND': ('GatherNd', tf.gather_nd),
  'ARG_MAX': ('ArgMax', lambda x, axis: tf.argmax(x, _number(axis))),
  'REVERSE_V2': ('ReverseV2', tf.reverse),
  'SPACE_TO_BATCH_ND': ('SpaceToBatchND', tf.space_to_batch),
  'BATCH_TO_SPACE_ND': ('BatchToSpaceND', tf.batch_to_space),
}


def _reduced(
  function: Callable[..., tf.Tensor],
) -> Callable[..., tf.Tensor]:
  return lambda x, axes, keepdims: function(
    x, integers(axes, 'the axes'), keepdims=keepdims
  )


def _softmax(x: tf.Tensor, beta: float) -> tf.Tensor:
  return tf.nn.softmax(x if beta == 1 else beta * x)


def _mirror_pad(x: tf.Tensor, paddings: Operand, mode: int) -> tf.Tensor:
  return tf.pad(x, paddings, ('REFLECT', 'SYMMETRIC')[mode])


def _resized(op: str) -> Callable[..., tf.Tensor]:
  return lambda x, size, **options: getattr(tf.raw_ops, op)(
    images=x, size=size, **options
  )


_KEEP = {'keepdims': 'KeepDims'}
_RESIZE = {
  'align_corners': 'AlignCorners',
  'half_pixel_centers': 'HalfPixelCenters',
}
_LRN = {
  'depth_radius': 'Radius',
  'bias': 'Bias',
  'alpha': 'Alpha',
  'beta': 'Beta',
}
_ADJOINTS = {'transpose_a': ('AdjX', False), 'transpose_b': ('AdjY', False)}
_GATHER = {'axis': ('Axis', 0), 'batch_dims': ('BatchDims', 0)}
_BLOCK = {'block_size': 'BlockSize'}
# As above, and the file format's option for each argument that is none of the
# operands, perhaps with the value that it has if a file states none.
_WITH_OPTIONS: Mapping[str, tuple[str, Callable, Mapping[str, Any]]] = {
  'MEAN': ('Mean', _reduced(tf.reduce_mean), _KEEP),
  'SUM': ('Sum', _reduced(tf.reduce_sum), _KEEP),
  'REDUCE_MAX': ('Max', _reduced(tf.reduce_max), _KEEP),
  'REDUCE_MIN': ('Min', _reduced(tf.reduce_min), _KEEP),
  'REDUCE_PROD': ('Prod', _reduced(tf.reduce_prod), _KEEP),
  **{
    op: (kind, _resized(kind), _RESIZE)
    for op, kind in (
      ('RESIZE_BILINEAR', 'ResizeBilinear'),
      ('RESIZE_NEAREST_NEIGHBOR', 'ResizeNearestNeighbor'),
    )
  },
  'CUMSUM': (
    'Cumsum',
    lambda x, axis, **options: tf.cumsum(x, _number(axis), **options),
    {'exclusive': ('Exclusive', False), 'reverse': ('Reverse', False)},
  ),
  'LEAKY_RELU': ('LeakyRelu', tf.nn.leaky_relu, {'alpha': 'Alpha'}),
  'GELU': ('Mul', tf.nn.gelu, {'approximate': ('Approximate', False)}),
  'SOFTMAX': ('Softmax', _softmax, {'beta': ('Beta', 1.0)}),
  'LOCAL_RESPONSE_NORMALIZATION': ('LRN', tf.nn.lrn, _LRN),
  'BATCH_MATMUL': ('BatchMatMulV2', tf.matmul, _ADJOINTS),
  'MIRROR_PAD': ('MirrorPad', _mirror_pad, {'mode': 'Mode'}),
  'CONCATENATION': (
    'ConcatV2',
    lambda *parts, axis: tf.concat(parts, axis),
    {'axis': 'Axis'},
  ),
  'PACK': (
    'Pack',
    lambda *parts, axis: tf.stack(parts, axis),
    {'axis': 'Axis'},
  ),
  'GATHER': ('GatherV2', tf.gather, _GATHER),
  'DEPTH_TO_SPACE': ('DepthToSpace', tf.nn.depth_to_space, _BLOCK),
  'SPACE_TO_DEPTH': ('SpaceToDepth', tf.nn.space_to_depth, _BLOCK),
}


def _register(
  op: str,
  kind: str,
  function: Callable[..., tf.Tensor],
  options: Mapping[str, Any] = types.MappingProxyType({}),
) -> None:
  @register_op(op, kind)
  def convert(operator: Operator, *operands: Operand) -> tf.Tensor:
    given = {
      name: operator.get(*((o,) if isinstance(o, str) else o))
      for name, o in options.items()
    }
    return function(*operands, **given)


for _op, _entry in (*_PLAIN.items(), *_WITH_OPTIONS.items()):
  _register(_op, *_entry)


@register_op('STRIDED_SLICE', 'StridedSlice')
def _strided_slice(
  operator: Operator, x: Operand, *limits: Operand
) -> tf.Tensor:
  if operator.get('Offset', False):
    raise ValueError('ends that count from the begin are not supported')
  masks = ('begin', 'end', 'ellipsis', 'new_axis', 'shrink_axis')
  return tf.strided_slice(
    x,
    *limits,
    **{
      f'{mask}_mask': operator.get(f'{mask.title().replace("_", "")}Mask')
      for mask in masks
    },
  )


@register_op('SPLIT', 'Split')
def _split(operator: Operator, axis: Operand, x: Operand):
  return tuple(tf.split(x, len(operator.outputs), _number(axis)))


@register_op('SPLIT_V', 'SplitV')
def _split_v(operator: Operator, x: Operand, sizes: Operand, axis: Operand):
  return tuple(tf.split(x, integers(sizes, 'the sizes'), _number(axis)))


@register_op('UNPACK', 'Unpack')
def _unpack(operator: Operator, x: Operand):
  return tuple(tf.unstack(x, len(operator.outputs), operator.get('Axis')))


@register_op('RESHAPE', 'Reshape')
def _reshape(
  operator: Operator, x: Operand, shape: Operand | None = None
) -> tf.Tensor:
  if shape is None:
    shape = operator.get('NewShapeAsNumpy')
  x = tf.convert_to_tensor(x)
  if isinstance(shape, np.ndarray):
    shape = [int(size) for size in shape.reshape(-1)]
    if (
      shape[:1] == [1] and x.shape.rank and x.shape[0] == 1 and -1 not in shape
    ):
      shape[0] = -1  # Images stay apart if more than one is fed at once.
  return tf.reshape(x, shape)


@register_op('SQUEEZE', 'Squeeze')
def _squeeze(operator: Operator, x: Operand) -> tf.Tensor:
  axes = ()
  if operator.get('SqueezeDimsLength', 0):
    axes = operator.get('SqueezeDimsAsNumpy')
  return tf.squeeze(x, [int(axis) for axis in axes] or None)


def _window(operator: Operator) -> tuple[tuple[int, int], str]:
  """Returns the strides and the padding."""
  strides = operator.get('StrideH'), operator.get('StrideW')
  return strides, _PADDINGS[operator.get('Padding')]


def _dilations(operator: Operator) -> tuple[int, int]:
  return operator.get('DilationHFactor'), operator.get('DilationWFactor')


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
      part, of_part, *_window(operator), dilations=_dilations(operator)
    )
    for part, of_part in zip(
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
  strides, padding = _window(operator)
  if len(set(strides)) > 1:
    raise ValueError(f'different strides {strides} are not supported')
  result = tf.nn.depthwise_conv2d(
    x,
    tf.constant(kernel.reshape(*kernel.shape[:2], x.shape[3], -1)),
    [1, *strides, 1],
    padding,
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
  return _with_bias(
    tf.nn.conv2d_transpose(x, kernel, shape, *_window(operator)), b
  )


@register_op('FULLY_CONNECTED', 'MatMul')
def _fully_connected(
  operator: Operator, x: tf.Tensor, w: Operand, b: Operand | None = None
) -> tf.Tensor:
  if operator.get('WeightsFormat'):
    raise ValueError('shuffled weights are not supported')
  w = tf.constant(w.T) if isinstance(w, np.ndarray) else tf.transpose(w)
  x = tf.convert_to_tensor(x)
  if not operator.get('KeepNumDims') and x.shape.rank != 2:
    x = tf.reshape(x, [-1, w.shape[0]])
  result = tf.matmul(x, w)
  return result if b is None else tf.add(result, b)


def register_pool(op: str, kind: str, pool: Callable[..., tf.Tensor]) -> None:
  @register_op(op, kind)
  def convert(operator: Operator, x: tf.Tensor) -> tf.Tensor:
    size = operator.get('FilterHeight'), operator.get('FilterWidth')
    return pool(x, size, *_window(operator))


register_pool('AVERAGE_POOL_2D', 'AvgPool', tf.nn.avg_pool2d)
register_pool('MAX_POOL_2D', 'MaxPool', tf.nn.max_pool2d)
