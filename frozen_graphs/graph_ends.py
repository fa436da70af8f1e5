"""Where a graph begins and ends, if nothing but the graph tells."""

from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from frozen_graphs import op_definitions, tensors
from frozen_graphs.errors import GraphError

GraphDef = tf.compat.v1.GraphDef
NodeDef = tf.compat.v1.NodeDef

_FED = frozenset({'Placeholder', 'PlaceholderWithDefault'})


def placeholders(nodes: Iterable[NodeDef]) -> tuple[str, ...]:
  """Returns the tensors that a graph wants to be fed, possible images first."""
  found = [node for node in nodes if node.op in _FED]
  found.sort(key=lambda node: (not _may_be_images(node), node.op))
  return tuple(f'{node.name}:0' for node in found)


def images_first(
  nodes: Iterable[NodeDef], names: Sequence[str]
) -> tuple[str, ...]:
  """Returns names of tensors, placeholders that may hold images first."""
  fed = placeholders(nodes)
  order = {name: position for position, name in enumerate(fed)}
  return tuple(sorted(names, key=lambda name: order.get(name, len(fed))))


def _may_be_images(node: NodeDef) -> bool:
  shape = node.attr['shape'].shape
  kind = tf.as_dtype(node.attr['dtype'].type)
  return kind.is_floating and not shape.unknown_rank and len(shape.dim) == 4


def unused(nodes: Iterable[NodeDef]) -> tuple[str, ...]:
  """Returns the floating-point tensors that no node takes."""
  nodes = list(nodes)
  used = {source for node in nodes for source, _ in _sources(node)}
  return tuple(
    f'{node.name}:{number}'
    for node in nodes
    if node.name not in used and node.op not in _FED | {'Const'}
    for number, kind in enumerate(op_definitions.output_types(node))
    if kind.is_floating
  )


def _sources(node: NodeDef) -> list[tuple[str, int]]:
  return [tensors.split(name) for name in node.input]


def full_name(nodes: Mapping[str, NodeDef], name: str) -> str:
  """Returns the whole name of a tensor; see `find`."""
  return '{}:{}'.format(*find(nodes, name))


def find(nodes: Mapping[str, NodeDef], name: str) -> tuple[str, int]:
  """Returns (node, number) of a tensor of which the end, or a layer, is given.

  Args:
    nodes: Of a graph without function calls, by name.
    name: A tensor ('a/b/Relu:0', or 'b/Relu' if no other ends so), or a layer
      of a Keras model, of which the result is meant.

  Raises:
    GraphError: If no tensor, or more than one, can be meant.
  """
  node, number = tensors.split(name)
  given = f':{number}' if name != node else ''
  if node not in nodes:
    node = f'{node}_out' if f'{node}_out' in nodes else _ending(nodes, node)
  return tensors.resolve(nodes, f'{node}{given}')


def _ending(nodes: Mapping[str, NodeDef], end: str) -> str:
  """Returns the only node whose name has an end, or that end if none has."""
  found = sorted(name for name in nodes if name.endswith(f'/{end}'))
  # A layer of a model in a model.
  found = found or sorted(n for n in nodes if n.endswith(f'/{end}_out'))
  if len(found) > 1:
    more = ' ...' if len(found) > 5 else ''
    raise GraphError(
      f'{len(found)} nodes of the graph have names that end in {end!r}; choose '
      f'one of {", ".join(found[:5])}{more}.'
    )
  return found[0] if found else end


def cut_at(graph_def: GraphDef, name: str) -> tuple[GraphDef, str]:
  """Returns the graph with a Placeholder in place of a tensor, and its name.

  What the tensor was computed from is still there, but not needed any more.

  Args:
    graph_def: A graph without function calls; it is not changed.
    name: Of the tensor.

  Raises:
    GraphError: If there is no such tensor.
  """
  nodes = {node.name: node for node in graph_def.node}
  source, number = tensors.split(full_name(nodes, name))
  node = nodes[source]
  if node.op == 'Placeholder':
    return graph_def, f'{source}:0'
  placeholder = NodeDef(name=f'{source}/input_{number}', op='Placeholder')
  while placeholder.name in nodes:
    placeholder.name += '_'
  kind = op_definitions.output_types(node)[number].base_dtype
  placeholder.attr['dtype'].type = kind.as_datatype_enum
  placeholder.attr['shape'].shape.CopyFrom(_shape(node, number))
  cut = GraphDef()
  cut.CopyFrom(graph_def)
  for consumer in cut.node:
    for position, text in enumerate(consumer.input):
      if tensors.split(text) == (source, number):
        consumer.input[position] = f'{placeholder.name}:0'
  cut.node.append(placeholder)
  return cut, f'{placeholder.name}:0'


def _shape(node: NodeDef, number: int):
  """Returns the shape of a tensor as a graph states it, or an unknown one."""
  for key in ('_output_shapes', 'output_shapes'):
    shapes = node.attr[key].list.shape if key in node.attr else ()
    if number < len(shapes):
      return shapes[number]
  if node.op == 'PlaceholderWithDefault':
    return node.attr['shape'].shape
  return tf.TensorShape(None).as_proto()
