"""Loads a frozen GraphDef and cuts it to [input, representation].

Nothing here runs the graph or gives it to TensorFlow.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import os

from google.protobuf import text_format
from google.protobuf.message import DecodeError
import tensorflow as tf

from frozen_graphs import (
  budget,
  control_flow,
  graph_ends,
  kernels,
  op_definitions,
  operations,
  precision,
  safety,
  tensors,
  unfusing,
)
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.graph_ends import Shape
from frozen_graphs.tensors import NodeDef, Nodes, Tensor
from toolkit_basics import files

GraphDef = tf.compat.v1.GraphDef

_MAX_BYTES = 2**31 - 1  # What a protocol buffer can hold.
_SHAPES_STATED = 24  # Since this version, no sides are those of one number.


@dataclasses.dataclass(frozen=True)
class SubGraph:
  """The part of a graph between an input and a representation.

  Attributes:
    nodes: By name, each after the nodes it needs; without control inputs,
      devices and private attributes. The input is a Placeholder.
    input_tensor: Name of the Placeholder's tensor.
    representation_tensor: Name of the tensor of interest.
    input_type: Type of the input's elements.
    input_shape: Shape of the input as the file states it, None where it is
      open; None in all if the file does not even state a rank.
    versions: The versions of the graph the nodes are from.
  """

  nodes: Nodes
  input_tensor: str
  representation_tensor: str
  input_type: tf.DType
  input_shape: Shape
  versions: object

  def graph_def(self) -> GraphDef:
    """Returns a new GraphDef of the nodes."""
    graph_def = GraphDef(node=self.nodes.values())
    graph_def.versions.CopyFrom(self.versions)
    return graph_def

  def serialized(self) -> Iterator[bytes]:
    """Yields the bytes of `graph_def`, part by part."""
    return _parts(self.nodes.values(), {'versions': self.versions})


def serialized(graph_def: GraphDef) -> Iterator[bytes]:
  """Yields the bytes of a graph, part by part; at once they take thrice."""
  fields = {field.name: value for field, value in graph_def.ListFields()}
  return _parts(fields.pop('node', ()), fields)


def _parts(nodes: Iterable[NodeDef], others: Mapping) -> Iterator[bytes]:
  """Yields nodes, then other fields of a GraphDef, whose first is `node`."""
  for node in nodes:
    yield GraphDef(node=[node]).SerializeToString(deterministic=True)
  yield GraphDef(**others).SerializeToString(deterministic=True)


def load_graph_def(
  path: str | os.PathLike, max_bytes: int = _MAX_BYTES
) -> GraphDef:
  """Reads a frozen graph; see `read`."""
  return read(path, max_bytes)[0]


def read(
  path: str | os.PathLike, max_bytes: int = _MAX_BYTES
) -> tuple[GraphDef, str]:
  """Reads a frozen graph, and returns it with the sha256 of what was read.

  Args:
    path: A binary GraphDef (.pb) or a textual one (.pbtxt).
    max_bytes: A larger file is refused before it is read.

  Raises:
    GraphError: If the file is no GraphDef, is cut off, or is too large.
    OSError: If it cannot be read.
  """
  if os.path.isdir(path):
    raise GraphError(
      f'{path} is a folder; a frozen graph is one file (a SavedModel has to '
      'be frozen first).'
    )
  content = budget.read(path, max_bytes)
  with explaining(
    f'{path} is not a frozen graph, or is cut off ({len(content)} bytes)',
    DecodeError,
    text_format.ParseError,
    UnicodeDecodeError,
  ):
    if str(path).lower().endswith(('txt', '.prototxt')):
      graph_def = text_format.Parse(content.decode('utf-8'), GraphDef())
    else:
      graph_def = GraphDef.FromString(content)
  with about(path):
    check_complete(graph_def.node)
  if graph_def.versions.producer < _SHAPES_STATED:
    _open_shapes(graph_def.node)
  return graph_def, files.sha256(content)


def _open_shapes(nodes: Iterable[NodeDef]) -> None:
  """Opens shapes without sides, by which TensorFlow 1.1 meant any, in place."""
  for node in nodes:
    if node.op == 'Placeholder' and not node.attr['shape'].shape.dim:
      node.attr['shape'].shape.unknown_rank = True


def check_complete(nodes: Sequence[NodeDef]) -> None:
  """Raises GraphError for what a cut-off file leaves behind."""
  if not nodes:
    raise GraphError(
      'no nodes found; the file is empty, cut off, or not a frozen GraphDef.'
    )
  names = Counter(node.name for node in nodes)
  name, count = names.most_common(1)[0]
  if count > 1:
    raise GraphError(f'several nodes have the same name, {name!r}.')
  for node in nodes:
    for name in node.input:
      if tensors.split(name)[0] not in names:
        raise GraphError(
          f'node {node.name!r} needs {name!r}, which is missing; the file is '
          'cut off or damaged.'
        )


def extract(
  graph_def: GraphDef,
  input_tensor: str,
  representation_tensor: str,
) -> SubGraph:
  """Returns what lies between two tensors of a graph, checked and cleaned.

  Functions are inlined, conditionals with a constant condition too, fused nodes
  are split, and half precision becomes single precision. Identities (with the
  gradients of `tf.custom_gradient`, which exist only in the process that made
  the graph), control inputs, devices and private attributes are left out. What
  has no kernel on a CPU is rewritten.

  Args:
    graph_def: A frozen graph, which is not changed.
    input_tensor: Any tensor; what it is computed from is cut off. The end of a
      name is enough if no other node has it.
    representation_tensor: A tensor computed from it, or a layer of Keras.

  Raises:
    GraphError: If a tensor is not found, the graph is not frozen, or it depends
      on a further input.
    UnsafeGraphError: If an operation is not allowed, a loop among them.
  """
  safety.refuse_dangerous(graph_def)
  nodes = _plain_nodes(graph_def)
  source = graph_ends.find(nodes, input_tensor, is_input=True)
  target = graph_ends.find(nodes, representation_tensor)
  safety.refuse_open_choices(nodes, source, target)
  placeholder, shape = graph_ends.placeholder_for(nodes, source)
  kept, representation = _prune(nodes, source, target, placeholder)
  if not any(
    (placeholder.name, 0) in tensors.data_inputs(node) for node in kept.values()
  ):
    raise GraphError(
      f'The representation {representation_tensor!r} is not computed from '
      f'the input {input_tensor!r}.'
    )
  safety.refuse_unknown(kept.values())
  kept = kernels.rewrite(kept)
  safety.refuse_training_norms(kept.values())
  kept = precision.widened(kept)
  return SubGraph(
    nodes=kept,
    input_tensor=f'{placeholder.name}:0',
    representation_tensor=representation,
    input_type=tf.as_dtype(kept[placeholder.name].attr['dtype'].type),
    input_shape=shape,
    versions=graph_def.versions,
  )


def _plain_nodes(graph_def: GraphDef) -> dict[str, NodeDef]:
  plain = unfusing.unfuse(control_flow.folded_nodes(graph_def))
  nodes = {node.name: node for node in plain}
  if len(nodes) < len(plain):  # Of two, one would be checked and one be used.
    names = Counter(node.name for node in plain)
    raise GraphError(
      f'Several nodes have the same name, {names.most_common(1)[0][0]!r}.'
    )
  return nodes


def with_open_batch(subgraph: SubGraph) -> SubGraph:
  """Returns the graph with any number of images as its input.

  Whether the operations behind the input allow that has to be tried.
  """
  return with_input_shape(subgraph, (None, *subgraph.input_shape[1:]))


def with_input_shape(
  subgraph: SubGraph, shape: tuple[int | None, ...]
) -> SubGraph:
  """Returns the graph with another shape stated for its input."""
  name = tensors.split(subgraph.input_tensor)[0]
  placeholder = tensors.placeholder(name, subgraph.input_type, shape)
  return dataclasses.replace(
    subgraph, nodes={**subgraph.nodes, name: placeholder}, input_shape=shape
  )


def upstream(graph_def: GraphDef, tensor: str) -> tuple[GraphDef, str]:
  """Returns what a tensor is computed from, checked, and its name there.

  Raises:
    GraphError: If the tensor is not found, or its graph cannot be imported.
  """
  nodes = _plain_nodes(graph_def)
  kept, name = _prune(nodes, None, tensors.resolve(nodes, tensor), None)
  safety.refuse_unknown(kept.values())
  result = GraphDef(node=kept.values())
  result.versions.CopyFrom(graph_def.versions)
  return result, name


def first_floats(subgraph: SubGraph) -> list[str]:
  """Returns the first floating-point tensors on the ways from the input."""
  integers = {subgraph.input_tensor}
  found = []
  for name, node in subgraph.nodes.items():
    if integers.isdisjoint(node.input):
      continue
    for number, kind in enumerate(op_definitions.output_types(node)):
      if kind.is_floating:
        found.append(f'{name}:{number}')
      elif node.op not in operations.STATIC:
        integers.add(f'{name}:{number}')
  return found


def _prune(
  nodes: Nodes,
  source: Tensor | None,
  target: Tensor,
  placeholder: NodeDef | None,
) -> tuple[dict[str, NodeDef], str]:
  """Returns cleaned nodes from `source` to `target`, and the new target.

  Without a source, all nodes that `target` is computed from.
  """

  def follow(tensor: Tensor) -> Tensor:
    tensor = tensors.follow(nodes, tensor, operations.PASS_THROUGH, source)
    if tensor == source:
      return placeholder.name, 0
    if tensor[0] not in nodes:
      raise GraphError(
        f'The node {tensor[0]!r} is missing; the graph is damaged.'
      )
    if nodes[tensor[0]].op in operations.PASS_THROUGH:
      raise GraphError(
        f'Node {tensor[0]!r} has no tensor {tensor[1]}, or is in a cycle.'
      )
    return tensor

  kept = {placeholder.name: placeholder} if placeholder else {}
  path = set()
  target = follow(target)
  stack = [target[0]]
  while stack:
    name = stack[-1]
    if name in kept:
      stack.pop()
      continue
    inputs = [follow(tensor) for tensor in tensors.data_inputs(nodes[name])]
    missing = [n for n, _ in inputs if n not in kept]
    if not missing:
      kept[name] = tensors.cleaned(nodes[name], inputs)
      path.discard(stack.pop())
      continue
    if name in path:
      raise GraphError(
        f'The graph has a cycle through {name!r}; loops are not supported.'
      )
    path.add(name)
    stack.extend(missing)
  return kept, tensors.name_of(target)
