"""What TensorFlow knows about an operation type: its outputs and their types.

The only file that uses a private TensorFlow module.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
from typing import Any

import tensorflow as tf

# TensorFlow publishes no way to ask for the definition of an operation type,
# and a function body cannot be inlined without one: it names a tensor
# `node:output_name:index`, while a graph names the same tensor `node:number`.
from tensorflow.python.framework import op_def_registry

from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef

# Of one argument; a node states their number, which may be any. The gradient
# of one that makes many, of which one is used, takes a second for a thousand.
_MAX_TENSORS = 4096


@dataclasses.dataclass(frozen=True)
class Definition:
  """An operation type; see TensorFlow's OpDef for what its parts are.

  Attributes:
    attributes: By name.
    inputs: Arguments, in order.
    outputs: Results, in order.
  """

  attributes: Mapping[str, Any]
  inputs: tuple[Any, ...]
  outputs: tuple[Any, ...]


@functools.cache
def _definition(op: str) -> Definition | None:
  found = op_def_registry.get(op)
  if found is None:
    return None
  return Definition(
    {attribute.name: attribute for attribute in found.attr},
    tuple(found.input_arg),
    tuple(found.output_arg),
  )


def is_known(op: str) -> bool:
  """Returns whether TensorFlow has an operation type of a name."""
  return _definition(op) is not None


def of(node: NodeDef) -> Definition:
  """Returns the definition of a node's type.

  Raises:
    GraphError: If TensorFlow knows none.
  """
  definition = _definition(node.op)
  if definition is None:
    raise GraphError(
      f'Node {node.name!r} is of the type {node.op!r}, which is no '
      'operation of this TensorFlow and no function of the graph.'
    )
  return definition


def attribute(node: NodeDef, name: str) -> Any:
  """Returns an attribute that a node has, or that its type has by default.

  Raises:
    GraphError: If there is none.
  """
  if name in node.attr:
    return node.attr[name]
  entry = of(node).attributes.get(name)
  if entry is None or not entry.HasField('default_value'):
    raise GraphError(
      f'Node {node.name!r} ({node.op}) lacks the attribute {name!r}; the file '
      'is damaged.'
    )
  return entry.default_value


def is_channels_first(node: NodeDef) -> bool:
  """Returns whether a node takes images as [N, C, H, W].

  Nothing is asked of a node that has no say; to look up what it lacks by
  `node.attr` would give it an attribute without a value.
  """
  return 'data_format' in node.attr and node.attr['data_format'].s == b'NCHW'


def argument_types(node: NodeDef, argument: Any) -> list[int]:
  """Returns the types of the tensors of one input or output of a node.

  Raises:
    GraphError: If the node does not tell them, or there are too many.
  """
  if argument.type_list_attr:
    kinds = list(attribute(node, argument.type_list_attr).list.type)
    count = len(kinds)
  else:
    kind = argument.type or attribute(node, argument.type_attr).type
    name = argument.number_attr
    count = attribute(node, name).i if name else 1
    kinds = [kind] * count if 0 <= count <= _MAX_TENSORS else []
  if not 0 <= count <= _MAX_TENSORS:
    raise GraphError(
      f'Node {node.name!r} ({node.op}) states {count} tensors; at most '
      f'{_MAX_TENSORS} are allowed.'
    )
  return kinds


def _outputs(node: NodeDef) -> Iterator[tuple[str, list[int]]]:
  """Yields the name of each output and the types of its tensors."""
  for output in of(node).outputs:
    yield output.name, argument_types(node, output)


def dtype(number: int, where: NodeDef) -> tf.DType:
  """Returns a type of TensorFlow, which a node states as a number.

  Raises:
    GraphError: If it is no type.
  """
  try:
    return tf.as_dtype(number)
  except TypeError as error:
    raise GraphError(
      f'Node {where.name!r} ({where.op}) is of a type number {number}, which '
      'is none; the file is damaged.'
    ) from error


def output_types(node: NodeDef) -> tuple[tf.DType, ...]:
  """Returns the type of each tensor that `node` produces, in order.

  Raises:
    GraphError: If the node does not tell them.
  """
  return tuple(
    dtype(kind, node) for _, kinds in _outputs(node) for kind in kinds
  )


def output_offset(node: NodeDef, output: str) -> int:
  """Returns the number of the first tensor of the output named `output`."""
  offset = 0
  for name, kinds in _outputs(node):
    if name == output:
      return offset
    offset += len(kinds)
  raise GraphError(f'Node {node.name!r} ({node.op}) has no output {output!r}.')
