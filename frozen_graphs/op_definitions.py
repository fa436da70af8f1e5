"""What TensorFlow knows about an operation type: its outputs and their types.

The only file that uses a private TensorFlow module.
"""

from collections.abc import Iterator

import tensorflow as tf

# TensorFlow publishes no way to ask for the definition of an operation type,
# and a function body cannot be inlined without one: it names a tensor
# `node:output_name:index`, while a graph names the same tensor `node:number`.
from tensorflow.python.framework import op_def_registry

from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef


def _outputs(node: NodeDef) -> Iterator[tuple[str, list[int]]]:
  """Yields the name of each output and the types of its tensors."""
  definition = op_def_registry.get(node.op)
  if definition is None:
    raise GraphError(
      f'Node {node.name!r} is of the type {node.op!r}, which is no '
      'operation of this TensorFlow and no function of the graph.'
    )
  defaults = {a.name: a.default_value for a in definition.attr}

  def attribute(name: str):
    return node.attr[name] if name in node.attr else defaults[name]

  for output in definition.output_arg:
    if output.type_list_attr:
      yield output.name, list(attribute(output.type_list_attr).list.type)
      continue
    kind = output.type or attribute(output.type_attr).type
    count = attribute(output.number_attr).i if output.number_attr else 1
    yield output.name, [kind] * count


def output_types(node: NodeDef) -> tuple[tf.DType, ...]:
  """Returns the type of each tensor that `node` produces, in order."""
  return tuple(
    tf.as_dtype(kind) for _, kinds in _outputs(node) for kind in kinds
  )


def output_offset(node: NodeDef, output: str) -> int:
  """Returns the number of the first tensor of the output named `output`."""
  offset = 0
  for name, kinds in _outputs(node):
    if name == output:
      return offset
    offset += len(kinds)
  raise GraphError(f'Node {node.name!r} ({node.op}) has no output {output!r}.')
