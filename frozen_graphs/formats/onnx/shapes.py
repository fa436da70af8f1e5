"""ONNX operations that move elements, and those that compute with shapes."""

from collections.abc import Sequence
import math

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
  boxed,
  check_size,
  integers,
  is_known,
  known,
  normal_axis,
)


@register_op('Constant')
def _constant(node: Node) -> Operand:
  if (value := node.get('value')) is not None:
    return value
  for name in ('value_float', 'value_floats', 'value_int', 'value_ints'):
    if (value := node.get(name)) is not None:
      return np.asarray(value, np.float32 if 'float' in name else np.int64)
  raise ValueError('it holds no numbers')


@register_op('ConstantOfShape')
def _constant_of_shape(node: Node, shape: Operand) -> Operand:
  value = node.get('value', np.zeros(1, np.float32)).reshape(())
  if is_known(shape):
    check_size(shape)
    return np.full(shape.astype(int), value)
  return Value.plain(tf.fill(as_value(shape).tensor, tf.constant(value)))


@register_op('Range')
def _range(node: Node, *limits: Operand) -> Operand:
  if all(is_known(limit) for limit in limits):
    start, stop, step = (limit.item() for limit in limits)
    check_size([max(0, math.ceil((stop - start) / step))])
    return np.arange(start, stop, step, limits[0].dtype)
  return Value.plain(tf.range(*(as_value(limit).tensor for limit in limits)))


def _dims(x: Operand) -> np.ndarray:
  return x.dims() if isinstance(x, Value) else np.array(x.shape, np.int64)


@register_op('Shape')
def _shape(node: Node, x: Operand) -> np.ndarray:
  return _dims(x)[node.get('start', 0) : node.get('end')]


@register_op('Size')
def _size(node: Node, x: Operand) -> np.ndarray:
  return boxed(np.prod(_dims(x)))


@register_op('Reshape')
def _reshape(node: Node, x: Operand, shape: Operand) -> Operand:
  copies_zero = not node.flag('allowzero')
  if isinstance(shape, Value):
    return Value.plain(tf.reshape(as_value(x).in_onnx_order(), shape.tensor))
  given = list(_dims(x))
  target = [
    given[i] if copies_zero and _is(size, 0) else size
    for i, size in enumerate(shape)
  ]
  return _reshaped(x, given, target)


def _is(size, number: int) -> bool:
  return not isinstance(size, tf.Tensor) and size == number


def _reshaped(x: Operand, given: list, target: list) -> Operand:
  """Returns x in a shape of numbers and, where sizes are open, tensors."""
  unknown = [i for i, s in enumerate(target) if isinstance(s, tf.Tensor)]
  if not any(_is(size, -1) for size in target):
    if len(unknown) == 1:
      target[unknown[0]] = -1
    elif not unknown and given[:1] == target[:1] == [1]:
      target[0] = -1  # Images stay apart if more than one is fed at once.
  if isinstance(x, np.ndarray):
    return x.reshape([int(size) for size in target])
  tensor = x.in_onnx_order()
  if any(isinstance(size, tf.Tensor) for size in target):
    target = tf.stack([tf.cast(size, tf.int64) for size in target])
  else:
    target = [int(size) for size in target]
  return Value.plain(tf.reshape(tensor, target))


@register_op('Flatten')
def _flatten(node: Node, x: Operand) -> Operand:
  x = as_value(x)
  axis = node.get('axis', 1)
  axis = x.rank if axis == x.rank else normal_axis(axis, x.rank)
  dims = list(x.dims())
  return _reshaped(x, dims, [math.prod(dims[:axis]), math.prod(dims[axis:])])


@register_op('Squeeze')
def _squeeze(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
  axes = axes_of(node, axes, since=13)
  if isinstance(x, np.ndarray):
    return x.squeeze(None if axes is None else tuple(axes))
  if axes is None:
    axes = [axis for axis, size in enumerate(x.shape) if size == 1]
  stored = [x.axis(axis) for axis in axes]
  tensor = tf.squeeze(x.tensor, stored) if stored else x.tensor
  return x.without_axes(tensor, axes)


@register_op('Unsqueeze')
def _unsqueeze(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
  axes = axes_of(node, axes, since=13)
  rank = len(axes) + len(x.shape)
  axes = sorted(normal_axis(axis, rank) for axis in axes)
  if isinstance(x, np.ndarray):
    return np.expand_dims(x, axes)
  for axis in axes:
    order = [a + (a >= axis) for a in x.order]
    order.insert(axis, axis)
    x = Value(tf.expand_dims(x.tensor, axis), tuple(order))
  return x


@register_op('Transpose')
def _transpose(node: Node, x: Operand) -> Operand:
  rank = len(x.shape)
  perm = list(node.get('perm') or range(rank)[::-1])
  if sorted(perm) != list(range(rank)):
    raise ValueError(f'perm={perm} of {rank} dimensions')
  if isinstance(x, np.ndarray):
    return x.transpose(perm)
  return Value(x.tensor, tuple(perm.index(axis) for axis in x.order))


@register_op('Concat')
def _concat(node: Node, *parts: Operand) -> Operand:
  axis = node.get('axis')
  if all(isinstance(part, np.ndarray) for part in parts):
    return np.concatenate(parts, axis)
  first = next(part for part in parts if isinstance(part, Value))
  tensors = [as_value(part).arranged(first.order) for part in parts]
  return first.with_axes(tf.concat(tensors, first.axis(axis)))


@register_op('Split')
def _split(
  node: Node, x: Operand, sizes: Operand | None = None
) -> tuple[Operand, ...]:
  axis, stated = node.get('axis', 0), node.get('split')
  count = len(node.outputs)
  if node.get('num_outputs', count) != count:
    raise ValueError(f'it has {count} results')
  if sizes is not None:
    stated = integers(sizes, 'split')
  length = x.shape[normal_axis(axis, len(x.shape))]
  if stated is None:
    if length is None:
      raise open_size('the size of its parts depends on that of the input')
    each = math.ceil(length / count)
    stated = [each] * (count - 1) + [length - each * (count - 1)]
  if isinstance(x, np.ndarray):
    return tuple(np.split(x, np.cumsum(stated)[:-1], axis))
  return tuple(
    x.with_axes(part) for part in tf.split(x.tensor, stated, x.axis(axis))
  )


@register_op('Slice')
def _slice(node: Node, x: Operand, *operands: Operand | None) -> Operand:
  if node.opset < 10:
    if operands:
      raise ValueError('its limits are no operands before opset 10')
    starts, ends = node.get('starts'), node.get('ends')
    axes, steps = node.get('axes'), None
  else:
    starts, ends, axes, steps = (*operands, None, None)[:4]
    starts, ends = _positions(starts, 'starts'), _positions(ends, 'ends')
    axes, steps = (
      o if o is None else integers(o, what)
      for o, what in ((axes, 'axes'), (steps, 'steps'))
    )
  axes, steps = axes or range(len(starts)), steps or [1] * len(starts)
  slices = [slice(None)] * len(x.shape)
  places = [normal_axis(axis, len(slices)) for axis in axes]
  if len(set(places)) < len(places):
    raise ValueError(f'axes={list(axes)} names an axis twice')
  for axis, start, end, step in zip(places, starts, ends, steps, strict=True):
    slices[axis] = _python_slice(start, end, step)
  if isinstance(x, np.ndarray):
    return x[tuple(slices)]
  return x.with_axes(x.tensor[tuple(slices[axis] for axis in x.order)])


def _positions(operand: Operand, what: str) -> list:
  """Returns positions, of which some may be tensors."""
  if isinstance(operand, Value):
    return integers(operand, what)  # Raises: they depend on values.
  return list(operand.reshape(-1))


def _python_slice(start, end, step: int) -> slice:
  """Returns a slice; a position beyond any size is left out."""
  far = 2**31 - 1
  if not isinstance(start, tf.Tensor):
    start = None if abs(int(start)) >= far else int(start)
  if not isinstance(end, tf.Tensor):
    end = None if abs(int(end)) >= far else int(end)
  return slice(start, end, step)


@register_op('Gather')
def _gather(node: Node, x: Operand, indices: Operand) -> Operand:
  axis = node.get('axis', 0)
  if isinstance(x, np.ndarray) and is_known(indices):
    axis = normal_axis(axis, x.ndim)
    check_size([*x.shape[:axis], indices.size, *x.shape[axis + 1 :]])
    return boxed(np.take(x, indices, axis))
  if isinstance(x, Value) and is_known(indices):
    length = x.shape[normal_axis(axis, x.rank)]
    if (indices < 0).any():
      if length is None:
        raise ValueError('it counts from the end of an open dimension')
      indices = indices % length
    if indices.ndim < 2:
      result = tf.gather(x.tensor, indices, axis=x.axis(axis))
      return x.without_axes(result, () if indices.ndim else [axis])
  x, indices = as_value(x), as_value(indices)
  axis = normal_axis(axis, x.rank)
  return Value.plain(
    tf.gather(x.in_onnx_order(), indices.in_onnx_order(), axis=axis)
  )


@register_op('Expand')
def _expand(node: Node, x: Operand, shape: Operand) -> Operand:
  if is_known(x) and is_known(shape):
    target = np.broadcast_shapes(x.shape, tuple(shape))
    check_size(target)
    return np.broadcast_to(x, target)
  x = as_value(x)
  if is_known(shape) and None not in x.shape:
    target = np.broadcast_shapes(x.shape, tuple(shape))
    return Value.plain(tf.broadcast_to(x.in_onnx_order(), target))
  tensor, shape = x.in_onnx_order(), as_value(shape).tensor
  given = tf.shape(tensor, out_type=shape.dtype)
  target = tf.broadcast_dynamic_shape(given, shape)
  return Value.plain(tf.broadcast_to(tensor, target))


@register_op('Tile')
def _tile(node: Node, x: Operand, repeats: Operand) -> Operand:
  if isinstance(repeats, np.ndarray) and not is_known(repeats):
    x = as_value(x)  # As often as there are images.
    counts = [tf.cast(repeats[axis], tf.int32) for axis in x.order]
    return x.with_axes(tf.tile(x.tensor, tf.stack(counts)))
  repeats = integers(repeats, 'repeats')
  if is_known(x):
    check_size(np.multiply(x.shape, repeats))
    return np.tile(x, repeats)
  x = as_value(x)
  return x.with_axes(tf.tile(x.tensor, [repeats[axis] for axis in x.order]))


@register_op('Pad')
def _pad(
  node: Node,
  x: Operand,
  pads: Operand | None = None,
  value: Operand | None = None,
  axes: Operand | None = None,
) -> Operand:
  x, mode = as_value(x), node.get('mode', 'constant')
  if node.opset < 11:
    if pads is not None:
      raise ValueError('its pads are no operand before opset 11')
    numbers, fill = node.get('pads'), node.get('value', 0.0)
  else:
    numbers = integers(pads, 'pads')
    fill = 0.0 if value is None else known(value, 'the value').item()
  axes = range(x.rank) if axes is None else integers(axes, 'axes')
  if len(numbers) != 2 * len(axes):
    raise ValueError(f'pads={numbers} for {len(axes)} axes')
  both = [(0, 0)] * x.rank
  for i, axis in enumerate(axes):
    both[x.axis(axis)] = (numbers[i], numbers[len(axes) + i])
  return x.with_axes(_padded(x.tensor, both, mode, fill))


def _padded(
  tensor: tf.Tensor, pads: Sequence[tuple[int, int]], mode: str, fill: float
) -> tf.Tensor:
  if any(min(pair) < 0 for pair in pads):
    tensor = tensor[
      tuple(slice(max(0, -a), min(0, b) or None) for a, b in pads)
    ]
    pads = [(max(0, a), max(0, b)) for a, b in pads]
  if not np.any(pads):
    return tensor
  if mode == 'constant':
    return tf.pad(tensor, pads, constant_values=tf.cast(fill, tensor.dtype))
  if mode == 'reflect':
    return tf.pad(tensor, pads, 'REFLECT')
  if mode not in ('edge', 'wrap'):
    raise ValueError(f'mode={mode!r} is not supported')
  for axis, (before, behind) in enumerate(pads):
    if before or behind:
      size = tensor.shape[axis] or tf.shape(tensor)[axis]
      places = tf.range(-before, size + behind)
      if mode == 'edge':
        places = tf.clip_by_value(places, 0, size - 1)
      else:
        places = tf.math.floormod(places, size)
      tensor = tf.gather(tensor, places, axis=axis)
  return tensor
