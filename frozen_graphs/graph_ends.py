"""Where a graph begins and ends, if nothing but the graph tells."""

from collections.abc import Iterable, Sequence
import re

import tensorflow as tf

from frozen_graphs import op_definitions, tensors
from frozen_graphs.errors import GraphError
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

GraphDef = tf.compat.v1.GraphDef

FED = frozenset({'Placeholder', 'PlaceholderWithDefault'})
Shape = tuple[int | None, ...] | None  # None where it is open.
_MOST_NAMED = 5  # Tensors in a message.
# Of a layer of Keras, and of each further time that it is used.
_RESULT = re.compile(r'.*_out(_\d+)?', re.DOTALL)


def placeholders(
  nodes: Iterable[NodeDef], only_images: bool = False
) -> tuple[str, ...]:
  """Returns the tensors that a graph wants to be fed, possible images first."""
  found = [node for node in nodes if node.op in FED]
  if only_images:
    found = list(filter(_may_be_images, found))
  found.sort(key=lambda node: (not _may_be_images(node), node.op))
  return tuple(f'{node.name}:0' for node in found)


def images_first(
  nodes: Iterable[NodeDef], names: Sequence[str]
) -> tuple[str, ...]:
  """Returns those tensors that a graph has, possible images first."""
  nodes = {node.name: node for node in nodes}
  fed = placeholders(nodes.values())
  order = {name: position for position, name in enumerate(fed)}
  names = [name for name in names if tensors.split(name)[0] in nodes]
  return tuple(sorted(names, key=lambda name: order.get(name, len(fed))))


def _may_be_images(node: NodeDef) -> bool:
  shape = stated_shape({node.name: node}, (node.name, 0))
  kind = op_definitions.dtype(node.attr['dtype'].type, node)
  return kind.is_floating and shape is not None and len(shape) == 4


def unused(nodes: Iterable[NodeDef]) -> tuple[str, ...]:
  """Returns the floating-point tensors that no node takes.

  Those of nodes whose type is not known, or that are damaged, are left out:
  what lies before them may still be used.
  """
  nodes = list(nodes)
  used = {tensors.split(name)[0] for node in nodes for name in node.input}
  found = []
  for node in nodes:
    if node.name in used or node.op in FED | {'Const'}:
      continue
    try:
      kinds = op_definitions.output_types(node)
    except GraphError:
      continue
    found += [
      f'{node.name}:{number}'
      for number, kind in enumerate(kinds)
      if kind.is_floating
    ]
  return tuple(found)


def full_name(nodes: Nodes, name: str) -> str:
  """Returns the whole name of a tensor; see `find`."""
  return tensors.name_of(find(nodes, name))


def find(nodes: Nodes, name: str, is_input: bool = False) -> Tensor:
  """Returns (node, number) of a tensor of which the end, or a layer, is given.

  Args:
    nodes: Of a graph without function calls, by name.
    name: A tensor ('a/b/Relu:0', or 'b/Relu' if no other ends so), or a layer
      of a Keras model, of which the result is meant.
    is_input: Whether images are to be fed there.

  Raises:
    GraphError: If no tensor, or more than one, can be meant; the message says
      which of that kind there are.
  """
  node, number = tensors.split(name)
  given = f':{number}' if name != node else ''
  layer = f'{tensors.allowed(node)}_out'
  # A layer may be called as what another one returns.
  is_layer = _is_layer(nodes, layer) and not given
  if node not in nodes or (is_layer and _is_layer(nodes, node)):
    node = layer if _is_layer(nodes, layer) else _ending(nodes, node)
  if node not in nodes:
    raise GraphError(_missing(nodes, name, is_input))
  return tensors.resolve(nodes, f'{node}{given}')


def _missing(nodes: Nodes, name: str, is_input: bool) -> str:
  """Returns what to say where no tensor is called so: which may be meant."""
  node, _ = tensors.split(name)
  first = (n for n in nodes if n.endswith('_out'))
  layers = [n[: -len('_out')] for n in first if _is_layer(nodes, n)]
  if is_input:
    what, ends = 'input', placeholders(nodes.values())
    like = [f'{n}:0' for n in tensors.alike(node, (e[:-2] for e in ends))]
  elif layers:
    what, ends = 'last layer', layers[-3:]
    like = tensors.alike(node, layers)
  else:
    what, ends = 'output', unused(nodes.values())
    known = (n for n, each in nodes.items() if each.op != 'Const')
    like = [f'{n}:0' for n in tensors.alike(node, known)]
  kind = 'tensor or layer' if layers and not is_input else 'tensor'
  text = f'The graph has no {kind} {name!r}.{tensors.closest(like)}'
  if not set(ends) <= set(like):
    verb = f'only {what} is' if len(ends) == 1 else f'{what}s are'
    more = ' ...' if len(ends) > _MOST_NAMED else ''
    text += f' Its {verb} {", ".join(ends[:_MOST_NAMED])}{more}.'
  return text


def _is_layer(nodes: Nodes, name: str) -> bool:
  """Whether a node is what a layer of a Keras model returns."""
  is_there = name in nodes and nodes[name].op == 'Identity'
  return is_there and _RESULT.fullmatch(name) is not None


def _ending(nodes: Nodes, end: str) -> str:
  """Returns the only node whose name has an end, or that end if none has."""
  found = sorted(name for name in nodes if name.endswith(f'/{end}'))
  # A layer of a model in a model.
  found = found or sorted(n for n in nodes if n.endswith(f'/{end}_out'))
  if len(found) > 1:
    more = ' ...' if len(found) > _MOST_NAMED else ''
    raise GraphError(
      f'{len(found)} nodes of the graph have names that end in {end!r}; choose '
      f'one of {", ".join(found[:_MOST_NAMED])}{more}.'
    )
  return found[0] if found else end


def cut_at(graph_def: GraphDef, name: str) -> tuple[GraphDef, str]:
  """Returns the graph with a Placeholder in place of a tensor, and its name.

  What the tensor was computed from is still there, but not needed any more. The
  graph has no function calls; it is not changed.
  """
  nodes = {node.name: node for node in graph_def.node}
  source = find(nodes, name, is_input=True)
  placeholder, _ = placeholder_for(nodes, source)
  fed = f'{placeholder.name}:0'
  if placeholder.name in nodes:
    return graph_def, fed
  cut = GraphDef()
  cut.CopyFrom(graph_def)
  for consumer in cut.node:
    for position, text in enumerate(consumer.input):
      if tensors.split(text) == source:
        consumer.input[position] = fed
  cut.node.append(placeholder)
  return cut, fed


def placeholder_for(nodes: Nodes, source: Tensor) -> tuple[NodeDef, Shape]:
  """Returns a Placeholder in place of a tensor, and the shape it states."""
  node, shape = nodes[source[0]], stated_shape(nodes, source)
  name = node.name
  if node.op != 'Placeholder':
    name = tensors.unused_name(f'{name}/input_{source[1]}', nodes)
  kind = op_definitions.output_types(node)[source[1]].base_dtype
  return tensors.placeholder(name, kind, shape), shape


def stated_shape(nodes: Nodes, tensor: Tensor) -> Shape:
  """Returns the shape of a tensor as a graph states it, if it does."""
  node, number = nodes[tensor[0]], tensor[1]
  if node.op in FED and 'shape' in node.attr:
    return dims(node.attr['shape'].shape)
  for key in ('_output_shapes', 'output_shapes'):
    shapes = node.attr[key].list.shape if key in node.attr else ()
    if number < len(shapes):
      return dims(shapes[number])
  return None


def dims(shape) -> Shape:
  """Returns the sides of a TensorShapeProto, None if it has no rank."""
  if shape.unknown_rank:
    return None
  return tuple(d.size if d.size > 0 else None for d in shape.dim)
