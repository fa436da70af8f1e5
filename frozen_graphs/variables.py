"""Turns the variables of a graph into constants, without running anything.

TensorFlow's own ways to load a SavedModel or a meta graph run the graph's
restore and initialisation operations. Here the nodes of a graph that stand for
variables become constants; `stored_values` reads their values.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from frozen_graphs import control_flow, graph_ends, operations, tensors
from frozen_graphs.errors import GraphError
from frozen_graphs.stored_values import Stored
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

GraphDef = tf.compat.v1.GraphDef
_VARIABLES = frozenset({'Variable', 'VariableV2', 'VarHandleOp'})
_ASSIGNMENTS = frozenset({'Assign', 'AssignVariableOp'})

_MAX_BYTES = 2**31 - 2**20  # Of a GraphDef, less what is not weights.


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
      node.input[:] = [handle]
  if any(node.op in control_flow.FUNCTIONAL for node in pruned.node):
    pruned.library.CopyFrom(graph_def.library)
  return pruned


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
  for node in nodes.values():
    if node.op not in _ASSIGNMENTS:
      continue
    inputs = list(tensors.data_inputs(node))
    variable = _handle(nodes, node)
    source, number = _follow(nodes, inputs[1]) if inputs[1:] else ('', 0)
    if variable and source in nodes and nodes[source].op == 'RestoreV2':
      _, keys, parts = (
        control_flow.constant(nodes, tensor)
        for tensor in tensors.data_inputs(nodes[source])
      )
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
