"""TensorFlow Lite's operations, as TensorFlow's functions."""

from collections.abc import Callable, Mapping

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


def _register(
  op: str,
  kind: str,
  function: Callable[..., tf.Tensor],
  **options: str | tuple[str, object],
) -> None:
  """Makes an operation known that one of TensorFlow's functions computes.

  Args:
    op: Its type, as the file format calls it.
    kind: The type of operation that TensorFlow has for it.
    function: Of the operands, and of options.
    **options: The file format's option for each argument of the function,
      perhaps with the value that it has if a file states none.
  """

  @register_op(op, kind)
  def convert(operator: Operator, *operands: Operand) -> tf.Tensor:
    given = {
      name: operator.get(*((o,) if isinstance(o, str) else o))
      for name, o in options.items()
    }
    return function(*operands, **given)


for _op, (_kind, _function) in _PLAIN.items():
  _register(_op, _kind, _function)


def _reduction(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
  return lambda x, axes, keepdims: function(
    x, integers(axes, 'the axes'), keepdims=keepdims
  )


for _op, _kind, _function in (
  ('MEAN', 'Mean', tf.reduce_mean),
  ('SUM', 'Sum', tf.reduce_sum),
  ('REDUCE_MAX', 'Max', tf.reduce_max),
  ('REDUCE_MIN', 'Min', tf.reduce_min),
  ('REDUCE_PROD', 'Prod', tf.reduce_prod),
):
  _register(_op, _kind, _reduction(_function), keepdims='KeepDims')

for _op, _kind, _function in (
  ('RESIZE_BILINEAR', 'ResizeBilinear', tf.raw_ops.ResizeBilinear),
  (
    'RESIZE_NEAREST_NEIGHBOR',
    'ResizeNearestNeighbor',
    tf.raw_ops.ResizeNearestNeighbor,
  ),
):
  _register(
    _op,
    _kind,
    lambda x, size, resize=_function, **options: resize(
      images=x, size=size, **options
    ),
    align_corners='AlignCorners',
    half_pixel_centers='HalfPixelCenters',
  )

_register('LEAKY_RELU', 'LeakyRelu', tf.nn.leaky_relu, alpha='Alpha')
_register('GELU', 'Mul', tf.nn.gelu, approximate=('Approximate', False))
_register(
  'SOFTMAX',
  'Softmax',
  lambda x, beta: tf.nn.softmax(x if beta == 1 else beta * x),
  beta=('Beta', 1.0),
)
_register(
  'LOCAL_RESPONSE_NORMALIZATION',
  'LRN',
  tf.nn.local_response_normalization,
  depth_radius='Radius',
  bias='Bias',
  alpha='Alpha',
  beta='Beta',
)
_register(
  'BATCH_MATMUL',
  'BatchMatMulV2',
  tf.matmul,
  transpose_a=('AdjX', False),
  transpose_b=('AdjY', False),
)
_register(
  'MIRROR_PAD',
  'MirrorPad',
  lambda x, pads, mode: tf.pad(x, pads, ('REFLECT', 'SYMMETRIC')[mode]),
  mode='Mode',
)
_register(
  'CONCATENATION',
  'ConcatV2',
  lambda *parts, axis: tf.concat(parts, axis),
  axis='Axis',
)
_register(
  'PACK', 'Pack', lambda *parts, axis: tf.stack(parts, axis), axis='Axis'
)
_register(
  'GATHER',
  'GatherV2',
  tf.gather,
  axis=('Axis', 0),
  batch_dims=('BatchDims', 0),
)
_register(
  'DEPTH_TO_SPACE',
  'DepthToSpace',
  tf.nn.depth_to_space,
  block_size='BlockSize',
)
_register(
  'SPACE_TO_DEPTH',
  'SpaceToDepth',
  tf.nn.space_to_depth,
  block_size='BlockSize',
)


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
  axis = known(axis, 'the axis').item()
  return tuple(tf.split(x, len(operator.outputs), axis))


@register_op('SPLIT_V', 'SplitV')
def _split_v(operator: Operator, x: Operand, sizes: Operand, axis: Operand):
  axis = known(axis, 'the axis').item()
  return tuple(tf.split(x, integers(sizes, 'the sizes'), axis))


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


def _pool(operator: Operator, x: tf.Tensor, pool: Callable) -> tf.Tensor:
  window = operator.get('FilterHeight'), operator.get('FilterWidth')
  return pool(x, window, _strides(operator), _padding(operator))


@register_op('AVERAGE_POOL_2D', 'AvgPool')
def _average_pool(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return _pool(operator, x, tf.nn.avg_pool2d)


@register_op('MAX_POOL_2D', 'MaxPool')
def _max_pool(operator: Operator, x: tf.Tensor) -> tf.Tensor:
  return _pool(operator, x, tf.nn.max_pool2d)
