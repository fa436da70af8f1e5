"""Turns the variables of a graph into constants, without running anything.

TensorFlow's own ways to load a SavedModel or a meta graph run the graph's
restore and initialisation operations. Here the nodes of a graph that stand for
variables become constants, whose values are read from a checkpoint as data.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import glob
import pathlib
import re

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

# The message's only home; not one of TensorFlow's private Python modules.
from tensorflow.core.protobuf import trackable_object_graph_pb2

from frozen_graphs import (
  control_flow,
  functions,
  graph_ends,
  operations,
  tensors,
)
from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

GraphDef = tf.compat.v1.GraphDef
_VARIABLES = frozenset({'Variable', 'VariableV2', 'VarHandleOp'})
_CHANGES = re.compile('Assign(Add|Sub)?VariableOp')
_ASSIGNMENTS = frozenset({'Assign', 'AssignVariableOp'})

_MAX_BYTES = 2**31 - 2**20  # Of a GraphDef, less what is not weights.
# What TensorFlow's reader of checkpoints raises, besides its own errors.
_READ_ERRORS = (
  tf.errors.OpError, IndexError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
_OBJECTS = '_CHECKPOINTABLE_OBJECT_GRAPH'


@dataclasses.dataclass(frozen=True)
class Stored:
  """Where a checkpoint holds a variable: a tensor, or a part of one."""

  key: str
  part: str = ''  # As RestoreV2 has it: '4 2 0,2:-', or empty for the whole.


def prune(graph_def: GraphDef, outputs: Sequence[str]) -> GraphDef:
  """Returns the part of a graph without function calls that computes `outputs`.

  Control inputs do not count, and the value of a variable is not computed.
  """
  nodes = {node.name: node for node in graph_def.node}

  def sources(name: str) -> list[str]:
    if name not in nodes:
      raise GraphError(f'The node {name!r} is missing; the graph is damaged.')
    node = nodes[name]
    if node.op == 'ReadVariableOp':
      return [_handle(nodes, node) or tensors.split(node.input[0])[0]]
    return tensors.producers(node)

  ends = [graph_ends.find(nodes, name)[0] for name in outputs]
  needed = tensors.reachable(ends, sources)
  pruned = GraphDef(
    node=[node for name, node in nodes.items() if name in needed],
    versions=graph_def.versions,
  )
  for node in pruned.node:
    node.input[:] = [
      text
      for text in node.input
      if not text.startswith('^') or text[1:] in needed
    ]
    if node.op == 'ReadVariableOp' and (handle := _handle(nodes, node)):
      if _is_changed_before(nodes, nodes[node.name], handle):
        node.attr[tensors.CHANGED].b = True
      node.input[:] = [handle]
  if any(node.op in control_flow.FUNCTIONAL for node in pruned.node):
    pruned.library.function.extend(
      functions.needed(pruned.node, graph_def.library)
    )
  return pruned


def _is_changed_before(nodes: Nodes, read: NodeDef, variable: str) -> bool:
  """Returns whether the graph changes a variable before a node reads it."""
  waits_for = (nodes.get(text[1:]) for text in read.input if text[0] == '^')
  return any(
    node is not None
    and _CHANGES.fullmatch(node.op) is not None
    and _handle(nodes, node) == variable
    for node in waits_for
  )


def freeze(
  graph_def: GraphDef, value_of: Callable[[NodeDef], np.ndarray]
) -> GraphDef:
  """Returns a graph with constants in place of its variables.

  Args:
    graph_def: A graph without function calls; it is not changed.
    value_of: Returns the value of the variable that a node stands for.

  Raises:
    GraphError: If the variables are too large, or one is chosen at run time.
  """
  frozen = GraphDef()
  frozen.CopyFrom(graph_def)
  nodes = {node.name: node for node in graph_def.node}
  size = 0
  for node in frozen.node:
    if tensors.CHANGED in node.attr:
      continue  # Its value is not the stored one; nobody may need it.
    if node.op == 'ReadVariableOp':
      _read_constant(node, nodes)
    elif node.op in _VARIABLES:
      value = value_of(node)
      size += value.nbytes
      if size > _MAX_BYTES:
        raise GraphError(
          'The variables take more than 2 GiB, which a frozen graph cannot '
          'hold; choose a representation nearer to the input.'
        )
      kind = tf.as_dtype(node.attr['dtype'].type).base_dtype
      node.CopyFrom(tensors.constant(node.name, value, kind))
  return frozen


def _follow(nodes: Nodes, tensor: Tensor) -> Tensor:
  return tensors.follow(nodes, tensor, operations.PASS_THROUGH)


def _handle(nodes: Nodes, node: NodeDef) -> str | None:
  """Returns the variable that a node takes first, if it does."""
  name = _follow(nodes, next(tensors.data_inputs(node), ('', 0)))[0]
  return name if name in nodes and nodes[name].op in _VARIABLES else None


def stored_variables(graph_def: GraphDef) -> dict[str, Stored]:
  """Returns where variables are stored, as a whole graph's restore nodes say.

  A variable that they do not tell of is stored under its own name.
  """
  nodes = {node.name: node for node in graph_def.node}
  stored = {}

  @functools.cache  # One list of names may be of all variables.
  def value(tensor: Tensor) -> np.ndarray | None:
    return control_flow.constant(nodes, tensor)

  for node in nodes.values():
    if node.op not in _ASSIGNMENTS:
      continue
    inputs = list(tensors.data_inputs(node))
    variable = _handle(nodes, node)
    source, number = _follow(nodes, inputs[1]) if inputs[1:] else ('', 0)
    if variable and source in nodes and nodes[source].op == 'RestoreV2':
      _, keys, parts = map(value, tensors.data_inputs(nodes[source]))
      if keys is not None and number < keys.size:
        part = parts.flat[number].decode() if parts is not None else ''
        stored[variable] = Stored(keys.flat[number].decode(), part)
  return stored


def _read_constant(node: NodeDef, nodes: Nodes) -> None:
  handle = _handle(nodes, node)
  if handle is None:
    raise GraphError(
      f'Node {node.name!r} reads a variable that is chosen while the graph '
      'runs; such a graph cannot be frozen.'
    )
  kind = node.attr['dtype'].type
  node.CopyFrom(NodeDef(name=node.name, op='Identity', input=[handle]))
  node.attr['T'].type = kind


def reader(
  checkpoint: str | None, stored: Mapping[str, Stored]
) -> Callable[[NodeDef], np.ndarray]:
  """Returns what gives `freeze` the values in a checkpoint.

  It raises GraphError if the checkpoint is damaged, or lacks a variable.

  Args:
    checkpoint: Its prefix; None if there is none.
    stored: Where variables are stored, see `stored_variables`.
  """
  readers = []

  def value_of(node: NodeDef) -> np.ndarray:
    if not readers:
      readers.append(_open(checkpoint, node.name))
    name = node.attr['shared_name'].s.decode() or node.name
    return _value(readers[0], stored.get(node.name, Stored(name)), node)

  return value_of


def _open(checkpoint: str | None, needed: str):
  if checkpoint is None:
    raise GraphError(
      f'The graph has variables, for example {needed!r}, but there is no '
      'checkpoint with their values.'
    )
  path = pathlib.Path(checkpoint)
  for each in path.parent.glob(f'{glob.escape(path.name)}.*'):
    if not each.is_file():  # TensorFlow would wait for it.
      raise GraphError(f'{each} is no file, but a pipe, a device or the like.')
  message = f'{checkpoint} is no checkpoint, or is damaged or incomplete'
  with explaining(message, *_READ_ERRORS):
    return tf.train.load_checkpoint(checkpoint)


def _value(reader, stored: Stored, node: NodeDef) -> np.ndarray:
  keys = [stored.key]
  if not reader.has_tensor(stored.key):
    keys = _keys_of_objects(reader, stored.key)
  if not keys:
    raise GraphError(
      f'The checkpoint has no tensor {stored.key!r}, which is the value of the '
      f'variable {node.name!r}; it belongs to another graph.'
    )
  if len(keys) > 1:
    raise GraphError(
      f'The checkpoint has {len(keys)} variables named {stored.key!r} '
      f'({", ".join(keys)}), and nothing says which is meant. Save a Keras '
      'model with model.export(FOLDER), or convert the model itself in Python.'
    )
  value = np.asarray(_read(reader, keys[0]))
  if stored.part:
    value = value[_slices(stored.part)]
  shape = tf.TensorShape(node.attr['shape'].shape)
  if not shape.is_compatible_with(value.shape):
    raise GraphError(
      f'The variable {node.name!r} has the shape {shape}, but the checkpoint '
      f'holds {value.shape}; it belongs to another graph.'
    )
  return value


def _read(reader, key: str):
  with explaining(f'The checkpoint is damaged at {key!r}', *_READ_ERRORS):
    return reader.get_tensor(key)


def _keys_of_objects(reader, name: str) -> list[str]:
  """Returns where a checkpoint of objects holds the variables of a name.

  `tf.saved_model.save` of a Keras 3 model restores copies of the variables, and
  has the signatures use the originals, which only the objects lead to.
  """
  if not reader.has_tensor(_OBJECTS):
    return []
  message = f'The checkpoint is damaged at {_OBJECTS!r}'
  with explaining(message, DecodeError, TypeError, ValueError):
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
      _read(reader, _OBJECTS)
    )
  return sorted({
    attribute.checkpoint_key
    for node in objects.nodes
    for attribute in node.attributes
    if attribute.full_name == name
    and reader.has_tensor(attribute.checkpoint_key)
  })  # fmt: skip


def _slices(part: str) -> tuple[slice, ...]:
  """Returns what '4 2 0,2:-' means: rows 0 and 1 of a [4, 2] tensor."""
  slices = []
  for extent in part.split(' ')[-1].split(':'):
    if match := re.fullmatch(r'(\d+),(\d+)', extent):
      start, length = map(int, match.groups())
      slices.append(slice(start, start + length))
    elif extent == '-':
      slices.append(slice(None))
    else:
      raise GraphError(f'The restore nodes name a part {part!r} of a variable.')
  return tuple(slices)
