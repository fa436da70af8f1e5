"""Tensors of an ONNX graph, in whatever order their axes are stored.

ONNX keeps the channels before the sides, but TensorFlow's kernels for CPUs want
them last. So a tensor remembers which axis of ONNX each of its own axes is: a
Transpose of ONNX only relabels, activations stay [N, H, W, C] from the first
convolution to the last, and a real transpose is made only where an operation
(a Reshape, say) depends on the order.

What does not depend on the input is a NumPy array, computed at once. Integers
that depend on an open dimension, as the parts of a shape do, are elements of an
array of objects: numbers where known, scalar tensors where not.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import open_size
from frozen_graphs.named_graph import constant

# Of what is computed at once; a file of a few bytes may ask for any size.
MAX_ELEMENTS = 2**26


@dataclasses.dataclass(frozen=True)
class Value:
  """A tensor that depends on the input.

  Attributes:
    tensor: As it is stored.
    order: For each axis of `tensor`, which axis of ONNX it is.
  """

  tensor: tf.Tensor
  order: tuple[int, ...]

  @classmethod
  def plain(cls, tensor: tf.Tensor) -> 'Value':
    """Returns the value of a tensor with the axes of ONNX."""
    return cls(tensor, tuple(range(tensor.shape.rank)))

  @property
  def rank(self) -> int:
    return len(self.order)

  @property
  def shape(self) -> tuple[int | None, ...]:
    """As ONNX sees it, None where it is open."""
    stored = self.tensor.shape
    return tuple(stored[self.order.index(axis)] for axis in range(self.rank))

  def axis(self, axis: int) -> int:
    """Returns which axis of `tensor` an axis of ONNX is."""
    return self.order.index(normal_axis(axis, self.rank))

  def arranged(self, order: Sequence[int]) -> tf.Tensor:
    """Returns the tensor with its axes in another order."""
    if tuple(order) == self.order:
      return self.tensor
    perm = [self.order.index(axis) for axis in order]
    return tf.transpose(self.tensor, perm)

  def in_onnx_order(self) -> tf.Tensor:
    return self.arranged(range(self.rank))

  def with_axes(self, tensor: tf.Tensor) -> 'Value':
    """Returns another tensor with the same axes."""
    return Value(tensor, self.order)

  def without_axes(self, tensor: tf.Tensor, axes: Iterable[int]) -> 'Value':
    """Returns a tensor made from this one by removing axes of ONNX."""
    removed = sorted({normal_axis(axis, self.rank) for axis in axes})
    return Value(
      tensor,
      tuple(
        axis - sum(r < axis for r in removed)
        for axis in self.order
        if axis not in removed
      ),
    )

  def dims(self) -> np.ndarray:
    """Returns the shape, with scalar tensors where it is open."""
    dims = np.empty(self.rank, object)
    open_shape = None
    for axis, size in enumerate(self.shape):
      if size is None:
        if open_shape is None:
          open_shape = tf.shape(self.tensor, out_type=tf.int64)
        size = open_shape[self.order.index(axis)]
      dims[axis] = size
    return settled(dims)


Operand = Value | np.ndarray


def channels_last(rank: int) -> tuple[int, ...]:
  """Returns the order that TensorFlow's convolutions want."""
  return (0, *range(2, rank), 1)


def normal_axis(axis: int, rank: int) -> int:
  if not -rank <= axis < rank:
    raise ValueError(f'axis {axis} of a tensor of {rank} dimensions')
  return int(axis) % rank


def settled(array: np.ndarray) -> np.ndarray:
  """Returns an array of objects as integers, if all of them are known."""
  if array.dtype == np.float64:
    return array.astype(np.float32)
  if array.dtype == object and not any(
    isinstance(element, tf.Tensor) for element in array.flat
  ):
    return array.astype(np.int64)
  return array


def boxed(result) -> np.ndarray:
  """Returns what a function of arrays made, of which NumPy unpacks scalars."""
  if isinstance(result, tf.Tensor):
    box = np.empty((), object)
    box[()] = result
    return box
  return np.asarray(result)


def is_known(operand: Operand) -> bool:
  """Returns whether an operand is known whatever the input."""
  return isinstance(operand, np.ndarray) and operand.dtype != object


def as_value(operand: Operand) -> Value:
  if isinstance(operand, Value):
    return operand
  if operand.dtype != object:
    return Value.plain(constant(operand))
  if not operand.ndim:
    return Value.plain(tf.convert_to_tensor(operand.item(), tf.int64))
  flat = tf.stack([tf.cast(element, tf.int64) for element in operand.flat])
  return Value.plain(tf.reshape(flat, operand.shape))


def known(operand: Operand, what: str) -> np.ndarray:
  """Returns an operand that must not depend on the input or on its size."""
  if not is_known(operand):
    if isinstance(operand, np.ndarray):
      raise open_size(f'{what} depends on the size of the input')
    raise ValueError(f'{what} depends on the input')
  return operand


def integers(operand: Operand, what: str) -> list[int]:
  """Returns the elements of a vector, or the one of a scalar."""
  return [int(element) for element in known(operand, what).reshape(-1)]


def axes_of(node: Any, operand: Operand | None, since: int) -> list[int] | None:
  """Returns axes, which are an attribute first, and an operand since an opset.

  Raises:
    ValueError: If they are given the other way, which would be ignored.
  """
  if node.opset >= since:
    return None if operand is None else integers(operand, 'axes')
  if operand is not None:
    raise ValueError(f'axes are no operand before opset {since}')
  return node.get('axes')


def check_size(shape: Iterable[int]) -> None:
  """Raises ValueError for a shape that nothing reasonable asks for."""
  shape = tuple(int(size) for size in shape)
  if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
    raise ValueError(
      f'it makes a constant of shape {shape}; at most {MAX_ELEMENTS} elements '
      'are allowed'
    )


def elementwise(
  function: Callable[..., tf.Tensor], *operands: Operand
) -> Value:
  """Returns a function of each element alone, broadcast as NumPy does."""
  operands = [o if is_known(o) else as_value(o) for o in operands]
  if all(is_known(o) for o in operands):
    operands[0] = as_value(operands[0])
  rank = max(o.rank if isinstance(o, Value) else o.ndim for o in operands)
  values = [o for o in operands if isinstance(o, Value)]
  leader = max(values, key=lambda value: value.rank)
  order = _with_leading_axes(leader.order, rank)
  return Value(function(*(_arranged(o, order) for o in operands)), order)


def _with_leading_axes(order: Sequence[int], rank: int) -> tuple[int, ...]:
  missing = rank - len(order)
  return (*range(missing), *(axis + missing for axis in order))


def _arranged(operand: Operand, order: Sequence[int]) -> tf.Tensor:
  """Returns an operand stored in an order, with leading axes of size 1."""
  rank = len(order)
  if isinstance(operand, np.ndarray):
    if operand.size == 1:
      return tf.constant(operand.reshape(()))
    shape = (1,) * (rank - operand.ndim) + operand.shape
    return constant(operand.reshape(shape).transpose(order))
  tensor, missing = operand.tensor, rank - operand.rank
  for _ in range(missing):
    tensor = tf.expand_dims(tensor, 0)
  value = Value(tensor, _with_leading_axes(operand.order, rank))
  return value.arranged(order)
