"""Folds conditionals whose condition is a constant.

Graphs of Keras and TF-Slim ask everywhere whether they train. Frozen for
inference the answer is a constant, and one branch is dead.
"""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
import operator
import types

import numpy as np
import tensorflow as tf

from frozen_graphs import functions, op_definitions, tensors
from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef

_SWITCHES = frozenset({'Switch', 'RefSwitch'})
_MERGES = frozenset({'Merge', 'RefMerge'})
_IFS = frozenset({'If', 'StatelessIf'})

# What conditions are computed by.
_FOLDED: Mapping[str, Callable] = types.MappingProxyType(
  {
    'Identity': lambda x: x,
    'PlaceholderWithDefault': lambda x: x,
    'Squeeze': lambda x: x,
    'Cast': lambda x: x,
    'LogicalNot': np.logical_not,
    'LogicalAnd': np.logical_and,
    'LogicalOr': np.logical_or,
    'Equal': operator.eq,
    'NotEqual': operator.ne,
    'Greater': operator.gt,
    'GreaterEqual': operator.ge,
    'Less': operator.lt,
    'LessEqual': operator.le,
  }
)
_MAX_ROUNDS = 64  # Of conditionals in conditionals.


def inline(graph_def: tf.compat.v1.GraphDef) -> list[NodeDef]:
  """Returns the nodes of a graph without calls and constant conditionals.

  Raises:
    GraphError: If a function is missing, calls itself, or has generic types.
  """
  library = graph_def.library
  nodes = functions.inline_functions(graph_def)
  for _ in range(_MAX_ROUNDS):
    if not _choose_branches(nodes):
      return _without_dead_ends(nodes)
    chosen = tf.compat.v1.GraphDef(node=nodes, library=library)
    nodes = functions.inline_functions(chosen)
  raise GraphError(
    f'Conditionals are nested more than {_MAX_ROUNDS} deep; does a function '
    'call itself?'
  )


def _choose_branches(nodes: Iterable[NodeDef]) -> bool:
  """Makes functional conditionals calls of a branch; returns whether any."""
  by_name = {node.name: node for node in nodes}
  changed = False
  for node in by_name.values():
    if node.op in _IFS:
      value = _constant(by_name, next(tensors.data_inputs(node)))
      if value is not None:
        branch = 'then_branch' if value else 'else_branch'
        call = NodeDef(op='PartitionedCall', name=node.name)
        call.input.extend(node.input[1:])
        call.attr['f'].func.CopyFrom(node.attr[branch].func)
        node.CopyFrom(call)
        changed = True
  return changed


def _constant(
  nodes: Mapping[str, NodeDef], tensor: tuple[str, int]
) -> bool | None:
  """Returns whether a condition holds, None if that is not fixed."""
  value = _value(nodes, tensor, depth=0)
  return None if value is None or np.size(value) != 1 else bool(np.all(value))


def _value(nodes, tensor, depth: int):
  node = nodes.get(tensor[0])
  if node is None or depth > _MAX_ROUNDS:
    return None
  if node.op == 'Const':
    return tf.make_ndarray(node.attr['value'].tensor)
  inputs = list(tensors.data_inputs(node))
  if node.op == 'IdentityN':  # As calls are left.
    return _value(nodes, inputs[tensor[1]], depth + 1)
  if node.op not in _FOLDED:
    return None
  values = [_value(nodes, name, depth + 1) for name in inputs]
  if any(value is None for value in values):
    return None
  return _FOLDED[node.op](*values)


def _without_dead_ends(nodes: list[NodeDef]) -> list[NodeDef]:
  """Returns nodes where switches with a constant condition pass what they get.

  So do merges of which one input is left.
  """
  by_name = {node.name: node for node in nodes}
  taken = {}
  for node in nodes:
    if node.op in _SWITCHES:
      value = _constant(by_name, list(tensors.data_inputs(node))[1])
      if value is not None:
        taken[node.name] = int(value)
  if not taken:
    return nodes
  dead = _dead(nodes, taken)
  result = []
  for node in nodes:
    if node.name in taken:
      result.append(_passing(node, [node.input[0]] * 2))
    elif node.op in _MERGES:
      inputs = [tensors.split(name) for name in node.input]
      alive = [i for i, tensor in enumerate(inputs) if tensor not in dead]
      if len(alive) == 1:
        index = _index(f'{node.name}/value_index', alive[0])
        result += [index, _passing(node, [node.input[alive[0]], index.name])]
      else:
        result.append(node)
    else:
      result.append(node)
  return result


def _dead(
  nodes: Iterable[NodeDef], taken: Mapping[str, int]
) -> set[tuple[str, int]]:
  """Returns the tensors that have no value: their branch is not taken.

  A node's whole result is also named by the number -1, as control inputs are.

  Args:
    nodes: All nodes.
    taken: By switch, the number of the output that has a value.
  """
  consumers, inputs = collections.defaultdict(list), {}
  for node in nodes:
    inputs[node.name] = node
    for name in node.input:
      consumers[tensors.split(name)[0]].append(node)
  dead = {(name, 1 - number) for name, number in taken.items()}
  stack = [name for name, _ in dead]
  while stack:
    for node in consumers[stack.pop()]:
      if (node.name, -1) in dead or node.name in taken:
        continue
      lost = [tensors.split(name) in dead for name in node.input]
      if all(lost) if node.op in _MERGES else any(lost):
        outputs = len(op_definitions.output_types(node))
        dead.update((node.name, number) for number in range(-1, outputs))
        stack.append(node.name)
  return dead


def _passing(node: NodeDef, inputs: Sequence[str]) -> NodeDef:
  """Returns an IdentityN of that name, of as many types as the node has."""
  result = NodeDef(op='IdentityN', name=node.name, input=inputs)
  result.attr['T'].list.type.extend(
    kind.as_datatype_enum for kind in op_definitions.output_types(node)
  )
  return result


def _index(name: str, value: int) -> NodeDef:
  result = NodeDef(op='Const', name=name)
  result.attr['dtype'].type = tf.int32.as_datatype_enum
  result.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value, tf.int32))
  return result
