"""The values of constants, verified before anything is made of them.

TensorFlow ends the whole process where a constant contradicts itself, and
unfolds one that is stored as one number and a shape of any size.
"""

import math

import numpy as np
import tensorflow as tf

from frozen_graphs import budget
from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.tensors import NodeDef

_MAX_RANK = 32
# The fields of a TensorProto that hold numbers of a type, and how many of them
# make one number.
_FIELDS = {
  kind.as_datatype_enum: (field, count)
  for field, count, kinds in (
    ('float_val', 1, (tf.float32,)),
    ('double_val', 1, (tf.float64,)),
    ('half_val', 1, (tf.float16, tf.bfloat16)),
    ('int_val', 1, (tf.int8, tf.int16, tf.int32, tf.uint8, tf.uint16)),
    ('int64_val', 1, (tf.int64,)),
    ('uint32_val', 1, (tf.uint32,)),
    ('uint64_val', 1, (tf.uint64,)),
    ('bool_val', 1, (tf.bool,)),
    ('string_val', 1, (tf.string,)),
    ('scomplex_val', 2, (tf.complex64,)),
    ('dcomplex_val', 2, (tf.complex128,)),
  )
  for kind in kinds
}


def elements(node: NodeDef) -> int:
  """Returns how many elements a constant says that it has."""
  return math.prod(d.size for d in node.attr['value'].tensor.tensor_shape.dim)


def check(node: NodeDef) -> int:
  """Returns the bytes that a constant takes; its parts agree with each other.

  Raises:
    GraphError: If they do not, or it holds anything but numbers and texts.
  """
  what = f'The constant {node.name!r}'
  tensor = node.attr['value'].tensor
  if node.attr['dtype'].type != tensor.dtype or tensor.dtype not in _FIELDS:
    raise GraphError(
      f'{what} is said to be of type number {node.attr["dtype"].type}, but '
      f'holds one of type number {tensor.dtype}; the file is damaged.'
      if tensor.dtype in _FIELDS
      else f'{what} is of type number {tensor.dtype}, which no network needs.'
    )
  sides = [dim.size for dim in tensor.tensor_shape.dim]
  is_shape = not tensor.tensor_shape.unknown_rank and len(sides) <= _MAX_RANK
  if not is_shape or min(sides, default=0) < 0:
    raise GraphError(f'{what} has no shape, but {sides[:_MAX_RANK]}.')
  total, kind = elements(node), tf.as_dtype(tensor.dtype)
  field, count = _FIELDS[tensor.dtype]
  stored, in_bytes = len(getattr(tensor, field)), len(tensor.tensor_content)
  if in_bytes:
    stored, count = in_bytes, kind.size
  is_whole = stored == total * count
  # One that repeats to the end is stored once, zeros not at all.
  repeats = not in_bytes and stored < total * count
  if kind == tf.string and in_bytes:
    is_whole = repeats = False
  if not is_whole and not (repeats and stored % count == 0):
    raise GraphError(
      f'{what} of shape {sides} and type {kind.name} needs '
      f'{total * count} numbers, but holds {stored}; the file is damaged.'
    )
  return total * kind.size if kind != tf.string else node.ByteSize()


def value(node: NodeDef) -> np.ndarray:
  """Returns the value of a constant, within the budget of the load.

  Raises:
    GraphError: If it is damaged, or too large.
  """
  what, tensor = f'The constant {node.name!r}', node.attr['value'].tensor
  size = check(node)
  budget.active(lambda: len(tensor.tensor_content) or node.ByteSize()).charge(
    what, size=size
  )
  with explaining(f'{what} is damaged', Exception):
    return tf.make_ndarray(tensor)
