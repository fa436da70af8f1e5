"""ONNX operations over whole axes: sums, norms, products of matrices."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  Operand,
  Value,
  as_value,
  axes_of,
  elementwise,
  is_known,
  known,
  normal_axis,
)

_MOST_OF_SOFTMAX = 5  # Axes.


def _l1(x, axes, keepdims):
  return tf.reduce_sum(tf.abs(x), axes, keepdims)


def _l2(x, axes, keepdims):
  return tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims))


_REDUCTIONS = {
  'ReduceMean': tf.reduce_mean,
  'ReduceSum': tf.reduce_sum,
  'ReduceMax': tf.reduce_max,
  'ReduceMin': tf.reduce_min,
  'ReduceProd': tf.reduce_prod,
  'ReduceL1': _l1,
  'ReduceL2': _l2,
  'ReduceSumSquare': lambda x, *axes: tf.reduce_sum(tf.square(x), *axes),
  'ReduceLogSum': lambda x, *axes: tf.math.log(tf.reduce_sum(x, *axes)),
  'ReduceLogSumExp': tf.reduce_logsumexp,
}
# Of which the reduction of a single number is that number.
_OF_ONE_ITSELF = (
  'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceProd',
  'ReduceLogSumExp',
)  # fmt: skip
_SMALLEST = 1e-30  # Of a norm, or of its square.
_OF_ARRAYS = {
  'ReduceSum': np.sum,
  'ReduceMax': np.max,
  'ReduceMin': np.min,
  'ReduceProd': np.prod,
}


@register_op(*_REDUCTIONS)
def _reduce(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
  keep = node.flag('keepdims', default=True)
  since = 13 if node.op == 'ReduceSum' else 18
  axes = axes_of(node, axes, since)
  does_nothing = node.opset >= since and node.flag('noop_with_empty_axes')
  if not axes and does_nothing:
    if node.op not in _OF_ONE_ITSELF:
      raise ValueError('over no axes, its definitions differ')
    return x
  if is_known(x) and node.op in _OF_ARRAYS:
    chosen = tuple(axes) if axes else None
    return _OF_ARRAYS[node.op](x, chosen, keepdims=keep).astype(x.dtype)
  x = as_value(x)
  axes = list(axes or range(x.rank))
  stored = [x.axis(axis) for axis in axes]
  result = _REDUCTIONS[node.op](x.tensor, stored, keep)
  return x.with_axes(result) if keep else x.without_axes(result, axes)


@register_op('ArgMax', 'ArgMin')
def _arg(node: Node, x: Operand) -> Value:
  x, axis = as_value(x), node.get('axis', 0)
  if node.flag('select_last_index'):
    raise ValueError('select_last_index is not supported')
  function = tf.argmax if node.op == 'ArgMax' else tf.argmin
  result = function(x.tensor, x.axis(axis))
  if node.flag('keepdims', default=True):
    return x.with_axes(tf.expand_dims(result, x.axis(axis)))
  return x.without_axes(result, [axis])


def _along_axis(function, tensor: tf.Tensor, axis: int) -> tf.Tensor:
  """Returns a softmax along an axis; oneDNN has none of more than 5 axes."""
  rank = tensor.shape.rank
  if rank <= _MOST_OF_SOFTMAX:
    return function(tensor, axis)
  order = [*(i for i in range(rank) if i != axis), axis]
  last = tf.transpose(tensor, order)
  size = tf.shape(last)[-1:]
  flat = function(tf.reshape(last, tf.concat([[-1], size], 0)))
  return tf.transpose(tf.reshape(flat, tf.shape(last)), np.argsort(order))


@register_op('Softmax', 'LogSoftmax')
def _softmax(node: Node, x: Operand) -> Value:
  function = tf.nn.softmax if node.op == 'Softmax' else tf.nn.log_softmax
  x = as_value(x)
  if node.opset >= 13:
    axis = x.axis(node.get('axis', -1))
    return x.with_axes(_along_axis(function, x.tensor, axis))
  # Before, over all axes from this one on.
  axis = normal_axis(node.get('axis', 1), x.rank)
  rest = x.shape[axis:]
  if all(size == 1 for size in rest[1:]):
    return x.with_axes(_along_axis(function, x.tensor, x.axis(axis)))
  if None in rest:
    raise open_size('it is over dimensions of the input')
  tensor = x.in_onnx_order()
  leading = tf.shape(tensor)[:axis]
  flat = tf.reshape(tensor, tf.concat([leading, [np.prod(rest)]], 0))
  return Value.plain(tf.reshape(function(flat), tf.shape(tensor)))


@register_op('BatchNormalization', irrelevant=('momentum', 'is_test'))
def _batch_normalization(
  node: Node,
  x: Operand,
  scale: Operand,
  offset: Operand,
  mean: Operand,
  variance: Operand,
) -> Value:
  """Returns x * factor + summand, of which both are constants."""
  epsilon = node.get('epsilon', 1e-5)
  if node.flag('training_mode') or any(node.outputs[1:]):
    raise ValueError('it is in training mode; export the network for inference')
  if not node.flag('spatial', default=True):
    raise ValueError('spatial=0 is not supported')
  factor = known(scale, 'scale') / np.sqrt(known(variance, 'var') + epsilon)
  summand = known(offset, 'B') - known(mean, 'mean') * factor
  return _scaled_by_channel(
    as_value(x), factor.astype(np.float32), summand.astype(np.float32)
  )


def _normalized(x: Value, axes: Iterable[int], epsilon: float) -> Value:
  """Returns x with mean 0 and variance 1 over some axes."""
  stored = [x.axis(axis) for axis in axes]
  centred = x.tensor - tf.reduce_mean(x.tensor, stored, keepdims=True)
  variance = tf.reduce_mean(tf.square(centred), stored, keepdims=True)
  return x.with_axes(centred * tf.math.rsqrt(variance + epsilon))


def _scaled(x: Value, scale: Operand, offset: Operand | None) -> Value:
  result = elementwise(tf.multiply, x, scale)
  return result if offset is None else elementwise(tf.add, result, offset)


def _scaled_by_channel(x: Value, *numbers: np.ndarray) -> Value:
  return _scaled(x, *(n.reshape(-1, *[1] * (x.rank - 2)) for n in numbers))


@register_op('InstanceNormalization')
def _instance_normalization(
  node: Node, x: Operand, scale: Operand, offset: Operand
) -> Value:
  x = as_value(x)
  x = _normalized(x, range(2, x.rank), node.get('epsilon', 1e-5))
  return _scaled_by_channel(x, known(scale, 'scale'), known(offset, 'B'))


@register_op('LayerNormalization', irrelevant=('stash_type',))
def _layer_normalization(
  node: Node, x: Operand, scale: Operand, offset: Operand | None = None
) -> Value:
  x = as_value(x)
  if any(node.outputs[1:]):
    raise ValueError('its mean and deviation as results are not supported')
  first = normal_axis(node.get('axis', -1), x.rank)
  epsilon = node.get('epsilon', 1e-5)
  return _scaled(_normalized(x, range(first, x.rank), epsilon), scale, offset)


@register_op('GroupNormalization', irrelevant=('stash_type',))
def _group_normalization(
  node: Node, x: Operand, scale: Operand, offset: Operand
) -> Value:
  x, groups = as_value(x), node.get('num_groups')
  channels, epsilon = x.shape[1], node.get('epsilon', 1e-5)
  tensor = x.in_onnx_order()
  shape = tf.shape(tensor)
  parted = tf.reshape(
    tensor, tf.concat([[shape[0], groups, channels // groups], shape[2:]], 0)
  )
  normalized = _normalized(Value.plain(parted), range(2, x.rank + 1), epsilon)
  result = Value.plain(
    tf.ensure_shape(tf.reshape(normalized.tensor, shape), tensor.shape)
  )
  scale, offset = known(scale, 'scale'), known(offset, 'bias')
  if len(scale) != channels:  # Opset 18 had one for each group.
    scale, offset = (np.repeat(n, channels // groups) for n in (scale, offset))
  return _scaled_by_channel(result, scale, offset)


@register_op('LpNormalization')
def _lp_normalization(node: Node, x: Operand) -> Value:
  x, p = as_value(x), node.get('p', 2)
  axis = x.axis(node.get('axis', -1))
  if p not in (1, 2):
    raise ValueError(f'p={p}')
  # What is all zero stays so.
  if p == 1:
    norm = tf.maximum(_l1(x.tensor, [axis], True), _SMALLEST)
  else:
    total = tf.reduce_sum(tf.square(x.tensor), [axis], keepdims=True)
    norm = tf.sqrt(tf.maximum(total, _SMALLEST))
  return x.with_axes(x.tensor / norm)


@register_op('MatMul')
def _matmul(node: Node, a: Operand, b: Operand) -> Operand:
  first, second = (as_value(o).in_onnx_order() for o in (a, b))
  removed = [-1] * (second.shape.rank == 1) + [-2] * (first.shape.rank == 1)
  if -1 in removed:
    second = second[:, None]
  if -2 in removed:
    first = first[None]
  result = tf.matmul(first, second)
  return Value.plain(tf.squeeze(result, removed) if removed else result)


@register_op('Gemm')
def _gemm(
  node: Node, a: Operand, b: Operand, c: Operand | None = None
) -> Value:
  """Returns alpha * a @ b + beta * c."""
  alpha, beta = node.get('alpha', 1.0), node.get('beta', 1.0)
  a_turned, b_turned = node.flag('transA'), node.flag('transB')
  if is_known(b):
    b, b_turned = b.T if b_turned else b, False
    b, alpha = b if alpha == 1 else b * np.float32(alpha), 1.0
  result = tf.matmul(
    as_value(a).in_onnx_order(),
    as_value(b).in_onnx_order(),
    transpose_a=a_turned,
    transpose_b=b_turned,
  )
  if alpha != 1:
    result = alpha * result
  if c is None or not beta:
    return Value.plain(result)
  if is_known(c):
    c = c * np.float32(beta)
  elif beta != 1:
    c = as_value(c)
    c = c.with_axes(beta * c.tensor)
  return elementwise(tf.add, Value.plain(result), c)


@register_op('Einsum')
def _einsum(node: Node, *operands: Operand) -> Value:
  tensors = [as_value(o).in_onnx_order() for o in operands]
  return Value.plain(tf.einsum(node.get('equation').replace(' ', ''), *tensors))
