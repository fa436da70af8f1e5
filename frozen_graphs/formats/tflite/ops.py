"""TensorFlow Lite's operations on elements, axes and shapes."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from frozen_graphs.formats.tflite.file import Operator
from frozen_graphs.formats.tflite.registry import (
  Operand,
  integers,
  known,
  register_op,
)

# Operations without options that TensorFlow has as well.
_SAME: dict[str, tuple[str, Callable]] = {
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
  'ELU': ('Elu', tf.nn.elu),
  'LOGISTIC': ('Sigmoid', tf.sigmoid),
  'TANH': ('Tanh', tf.tanh),
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
  'SLICE': ('Slice', tf.slice),
  'PAD': ('Pad', tf.pad),
  'GATHER_ND': ('GatherNd', tf.gather_nd),
  'REVERSE_V2': ('ReverseV2', tf.reverse),
  'SPACE_TO_BATCH_ND': ('SpaceToBatchND', tf.space_to_batch),
  'BATCH_TO_SPACE_ND': ('BatchToSpaceND', tf.batch_to_space),
}


def _register_same(op: str, kind: str, function: Callable) -> None:
  @register_op(op, kind)
  def convert(operator: Operator, *operands: Operand) -> tf.Tensor:
    return function(*operands)


for _op, (_kind, _function) in _SAME.items():
  _register_same(_op, _kind, _function)


@register_op('PADV2', 'PadV2')
def _pad(operator: Operator, x: Operand, pads: Operand, value: Operand):
  return tf.pad(x, pads, constant_values=value)


@register_op('MIRROR_PAD', 'MirrorPad')
def _mirror_pad(operator: Operator, x: Operand, pads: Operand):
  return tf.pad(x, pads, ('REFLECT', 'SYMMETRIC')[operator.get('Mode')])


_REDUCTIONS = {
  'MEAN': ('Mean', tf.reduce_mean),
  'SUM': ('Sum', tf.reduce_sum),
  'REDUCE_MAX': ('Max', tf.reduce_max),
  'REDUCE_MIN': ('Min', tf.reduce_min),
  'REDUCE_PROD': ('Prod', tf.reduce_prod),
}


def _register_reduction(op: str, kind: str, function: Callable) -> None:
  @register_op(op, kind)
  def convert(operator: Operator, x: Operand, axes: Operand) -> tf.Tensor:
    axes = integers(axes, 'the axes')
    return function(x, axes, keepdims=operator.get('KeepDims'))


for _op, (_kind, _function) in _REDUCTIONS.items():
  _register_reduction(_op, _kind, _function)


@register_op('ARG_MAX', 'ArgMax')
def _arg_max(operator: Operator, x: Operand, axis: Operand) -> tf.Tensor:
  return tf.argmax(x, known(axis, 'the axis').item())


@register_op('CONCATENATION', 'ConcatV2')
def _concatenation(operator: Operator, *parts: Operand) -> tf.Tensor:
  return tf.concat(parts, operator.get('Axis'))


@register_op('SPLIT', 'Split')
def _split(operator: Operator, axis: Operand, x: Operand):
  axis = known(axis, 'the axis').item()
  return tuple(tf.split(x, len(operator.outputs), axis))


@register_op('SPLIT_V', 'SplitV')
def _split_v(operator: Operator, x: Operand, sizes: Operand, axis: Operand):
  axis = known(axis, 'the axis').item()
  return tuple(tf.split(x, integers(sizes, 'the sizes'), axis))


@register_op('PACK', 'Pack')
def _pack(operator: Operator, *parts: Operand) -> tf.Tensor:
  return tf.stack(parts, operator.get('Axis'))


@register_op('UNPACK', 'Unpack')
def _unpack(operator: Operator, x: Operand):
  return tuple(tf.unstack(x, len(operator.outputs), operator.get('Axis')))


@register_op('STRIDED_SLICE', 'StridedSlice')
def _strided_slice(
  operator: Operator, x: Operand, *limits: Operand
) -> tf.Tensor:
  if operator.get('Offset', False):
    raise ValueError('ends that count from the begin are not supported')
  return tf.strided_slice(
    x,
    *limits,
    begin_mask=operator.get('BeginMask'),
    end_mask=operator.get('EndMask'),
    ellipsis_mask=operator.get('EllipsisMask'),
    new_axis_mask=operator.get('NewAxisMask'),
    shrink_axis_mask=operator.get('ShrinkAxisMask'),
  )


@register_op('GATHER', 'GatherV2')
def _gather(operator: Operator, x: Operand, indices: Operand) -> tf.Tensor:
  return tf.gather(
    x,
    indices,
    axis=operator.get('Axis', 0),
    batch_dims=operator.get('BatchDims', 0),
  )


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


@register_op('EXPAND_DIMS', 'ExpandDims')
def _expand_dims(operator: Operator, x: Operand, axis: Operand) -> tf.Tensor:
  return tf.expand_dims(x, known(axis, 'the axis').item())


@register_op('SHAPE', 'Shape')
def _shape(operator: Operator, x: Operand) -> tf.Tensor:
  return tf.shape(x)


@register_op('RESIZE_BILINEAR', 'ResizeBilinear')
def _resize_bilinear(operator: Operator, x: Operand, size: Operand):
  return tf.raw_ops.ResizeBilinear(
    images=x,
    size=size,
    align_corners=operator.get('AlignCorners'),
    half_pixel_centers=operator.get('HalfPixelCenters'),
  )


@register_op('RESIZE_NEAREST_NEIGHBOR', 'ResizeNearestNeighbor')
def _resize_nearest(operator: Operator, x: Operand, size: Operand):
  return tf.raw_ops.ResizeNearestNeighbor(
    images=x,
    size=size,
    align_corners=operator.get('AlignCorners'),
    half_pixel_centers=operator.get('HalfPixelCenters'),
  )


@register_op('DEPTH_TO_SPACE', 'DepthToSpace')
def _depth_to_space(operator: Operator, x: Operand) -> tf.Tensor:
  return tf.nn.depth_to_space(x, operator.get('BlockSize'))


@register_op('SPACE_TO_DEPTH', 'SpaceToDepth')
def _space_to_depth(operator: Operator, x: Operand) -> tf.Tensor:
  return tf.nn.space_to_depth(x, operator.get('BlockSize'))
