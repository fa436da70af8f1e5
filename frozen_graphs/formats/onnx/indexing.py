"""ONNX operations that take elements by their places, and put them there."""

import numpy as np
import tensorflow as tf

from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  Operand,
  Value,
  as_value,
  check_size,
  integers,
  is_known,
  known,
  normal_axis,
)


def _from_the_front(indices: Operand, sizes) -> tf.Tensor:
  """Returns places of which none is counted from the end.

  Args:
    indices: Of elements; the sizes belong to its last axis.
    sizes: Of the axes that are counted.
  """
  if is_known(indices) and not (indices < 0).any():
    return tf.constant(indices)
  tensor = as_value(indices).in_onnx_order()
  if None in sizes:
    raise ValueError('it counts places in an open dimension')
  sizes = tf.constant(sizes, tensor.dtype)
  return tf.where(tensor < 0, tensor + sizes, tensor)


@register_op('GatherND')
def _gather_nd(node: Node, x: Operand, indices: Operand) -> Value:
  x, batch = as_value(x), node.get('batch_dims', 0)
  count = indices.shape[-1]
  places = _from_the_front(indices, x.shape[batch : batch + count])
  return Value.plain(tf.gather_nd(x.in_onnx_order(), places, batch))


@register_op('GatherElements')
def _gather_elements(node: Node, x: Operand, indices: Operand) -> Value:
  x = as_value(x)
  axis = normal_axis(node.get('axis', 0), x.rank)
  places = _from_the_front(indices, [x.shape[axis]])
  tensor = x.in_onnx_order()
  # Of the other axes, as many places as there are indices.
  open_sizes = tf.shape(places)
  sizes = [
    None if i == axis else open_sizes[i] if size is None else size
    for i, size in enumerate(indices.shape)
  ]
  tensor = tensor[tuple(slice(size) for size in sizes)]
  last = [i for i in range(x.rank) if i != axis] + [axis]
  found = tf.gather(
    tf.transpose(tensor, last),
    tf.transpose(places, last),
    axis=-1,
    batch_dims=x.rank - 1,
  )
  return Value.plain(tf.transpose(found, np.argsort(last)))


@register_op('ScatterND')
def _scatter_nd(
  node: Node, x: Operand, indices: Operand, updates: Operand
) -> Value:
  functions = {
    'none': tf.tensor_scatter_nd_update,
    'add': tf.tensor_scatter_nd_add,
  }
  reduction = node.get('reduction', 'none')
  if reduction not in functions:
    raise ValueError(f'reduction={reduction!r} is not supported')
  x = as_value(x)
  places = _from_the_front(indices, x.shape[: indices.shape[-1]])
  operands = x.in_onnx_order(), places, as_value(updates).in_onnx_order()
  return Value.plain(functions[reduction](*operands))


@register_op('Trilu')
def _triangle(node: Node, x: Operand, k: Operand | None = None) -> Value:
  """Keeps what is above (or below) a diagonal of the last two axes."""
  offset = 0 if k is None else integers(k, 'k')[0]
  x, is_upper = as_value(x), node.flag('upper', default=True)
  tensor = x.in_onnx_order()
  rows, columns = (tf.range(tf.shape(tensor)[axis]) for axis in (-2, -1))
  distance = columns - rows[:, None]
  kept = distance >= offset if is_upper else distance <= offset
  return Value.plain(tf.where(kept, tensor, tf.zeros_like(tensor)))


@register_op('TopK', irrelevant=('sorted',))
def _largest(
  node: Node, x: Operand, k: Operand | None = None
) -> tuple[Value, Value]:
  """Returns the largest elements along an axis, and their places."""
  if node.opset < 10:
    if k is not None:
      raise ValueError('k is no operand before opset 10')
    count = node.get('k')
  else:
    (count,) = integers(k, 'k')
  x = as_value(x)
  axis = normal_axis(node.get('axis', -1), x.rank)
  last = (*(i for i in range(x.rank) if i != axis), axis)
  is_largest = node.flag('largest', default=True)
  if not is_largest and not x.tensor.dtype.is_floating:
    raise ValueError('the smallest of whole numbers are not supported')
  tensor = x.arranged(last)
  found, places = tf.math.top_k(tensor if is_largest else -tensor, count)
  values = Value(found if is_largest else -found, last)
  return values, Value(tf.cast(places, tf.int64), last)


@register_op('CumSum')
def _cumulative_sum(node: Node, x: Operand, axis: Operand) -> Value:
  x = as_value(x)
  (axis,) = integers(axis, 'the axis')
  result = tf.cumsum(
    x.tensor, x.axis(axis), node.flag('exclusive'), node.flag('reverse')
  )
  return x.with_axes(result)


@register_op('OneHot')
def _one_hot(
  node: Node, indices: Operand, depth: Operand, values: Operand
) -> Value:
  """Returns values[1] at the places of the indices, values[0] elsewhere."""
  (size,) = integers(depth, 'the depth')
  off, on = (as_value(v).tensor for v in known(values, 'the values'))
  indices = as_value(indices)
  axis = normal_axis(node.get('axis', -1), indices.rank + 1)
  check_size([*(s or 1 for s in indices.shape), size])
  places = indices.in_onnx_order()
  places = tf.where(places < 0, places + tf.cast(size, places.dtype), places)
  places = tf.cast(places, tf.int64)
  return Value.plain(tf.one_hot(places, size, on, off, axis))


@register_op('EyeLike')
def _eye(node: Node, x: Operand) -> np.ndarray:
  if node.get('dtype', 1) not in (1, 10, 11, 16):
    raise ValueError('it is not of floating-point numbers')
  rows, columns = x.shape
  if rows is None or columns is None:
    raise ValueError('its sizes are open')
  check_size([rows, columns])
  return np.eye(rows, columns, node.get('k', 0), np.float32)
