"""Folds conditionals whose outcome is known, so that one branch is left.

Networks that can be trained ask whether they are: `cond(is_training, ...)`.
Once the answer is a constant, a default, or something computed from one, only
one branch is ever taken, and the graph is what it would be without the other.
"""

from collections.abc import Callable, Iterable, Mapping
import functools
import math
import types

import numpy as np
import tensorflow as tf

from frozen_graphs import constants as constant_nodes
from frozen_graphs import (
  functions,
  graph_ends,
  op_definitions,
  operations,
  tensors,
)
from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

GraphDef = tf.compat.v1.GraphDef


_IFS = frozenset({'If', 'StatelessIf'})
_SWITCHES = frozenset({'Switch', 'RefSwitch'})
_MERGES = frozenset({'Merge', 'RefMerge'})
# Operations that hold functions which are not inlined.
FUNCTIONAL = _IFS | {'While', 'StatelessWhile', 'Case', 'StatelessCase'}

_ALWAYS_TRUE = frozenset({'IsVariableInitialized', 'VarIsInitializedOp'})
_FUNCTIONS: Mapping[str, Callable] = types.MappingProxyType(
  {
    'Equal': np.equal,
    'Greater': np.greater,
    'GreaterEqual': np.greater_equal,
    'Less': np.less,
    'LessEqual': np.less_equal,
    'LogicalAnd': np.logical_and,
    'LogicalNot': np.logical_not,
    'LogicalOr': np.logical_or,
    'NotEqual': np.not_equal,
  }
)
_MAX_STEPS = 64  # From a predicate back to constants.
_MAX_ELEMENTS = 2**20  # Of what a predicate is computed from.
_MAX_ROUNDS = 64  # Conditionals within conditionals.
_MAX_LOOKS = 20_000  # At conditionals, in all rounds: about three seconds.


def fold(
  graph_def: GraphDef, constants: Mapping[str, object] | None = None
) -> GraphDef:
  """Returns the graph with functions inlined and known conditionals folded.

  Conditionals that are not known, and loops, are left as they are.

  Args:
    graph_def: A graph, which is not changed.
    constants: Values of what would be fed, by the placeholders' names.

  Raises:
    GraphError: If a function cannot be inlined, or a constant is no value of a
      placeholder of the graph.
  """
  nodes = folded_nodes(graph_def, constants)
  folded = GraphDef(node=nodes, versions=graph_def.versions)
  if any(node.op in FUNCTIONAL for node in nodes):
    folded.library.CopyFrom(graph_def.library)
  return folded


def folded_nodes(
  graph_def: GraphDef, constants: Mapping[str, object] | None = None
) -> list[NodeDef]:
  """Returns the nodes of `fold`; constants are those of the graph itself."""
  nodes = functions.inline_functions(graph_def)
  _bind(nodes, constants or {})
  nodes = _with_branches(nodes, graph_def.library)
  _fold_switches(nodes)
  _bypass_groups(nodes)
  return nodes


def _bind(nodes: Iterable[NodeDef], constants: Mapping[str, object]) -> None:
  """Replaces placeholders by constants, in place.

  A single number fills the shape that a placeholder states, sides it leaves
  open being 1.
  """
  fed = {node.name: node for node in nodes if node.op in graph_ends.FED}
  for name, value in constants.items():
    node = fed.get(name.removesuffix(':0'))
    if node is None:
      raise GraphError(
        f'The graph is not fed {name!r}, which is to be a constant; it is fed '
        f'{sorted(fed) or "nothing"}.'
      )
    kind = tf.as_dtype(node.attr['dtype'].type)
    shape = tf.TensorShape(graph_ends.stated_shape(fed, (node.name, 0)))
    with explaining(
      f'{value!r} is no value of {node.name!r}, which is {kind.name} {shape}',
      TypeError,
      ValueError,
    ):
      array = np.asarray(value, kind.as_numpy_dtype)
      if array.ndim == 0 and shape.rank:
        array = np.full([side or 1 for side in shape], array)
      if not shape.is_compatible_with(array.shape):
        raise ValueError(f'it has the shape {array.shape}')
      node.CopyFrom(tensors.constant(node.name, array, kind))


def _bypass_groups(nodes: Iterable[NodeDef]) -> None:
  """Lets nodes take each tensor of an IdentityN from where it comes.

  Of what one conditional or function returns, only some may be computable.
  """
  kinds = ('IdentityN',)
  groups = {node.name: node for node in nodes if node.op in kinds}
  for node in nodes:
    for position, text in enumerate(node.input):
      given = tensors.split(text)
      if (tensor := tensors.follow(groups, given, kinds)) != given:
        node.input[position] = tensors.name_of(tensor)


def constant(
  nodes: Nodes, tensor: Tensor, most: int = _MAX_ELEMENTS
) -> np.ndarray | None:
  """Returns the value of a tensor if that is known before a graph is run.

  Args:
    nodes: Of the graph, by name.
    tensor: Whose value is wanted.
    most: Elements that it, and what it is computed from, may have.
  """

  @functools.cache  # The same tensor may be met many times on the way.
  def value(tensor: Tensor, steps: int) -> np.ndarray | None:
    node = nodes.get(tensor[0])
    if node is None or not steps:
      return None
    if node.op == 'Const':
      is_small = constant_nodes.elements(node) <= most
      return constant_nodes.value(node) if is_small else None
    if node.op in _ALWAYS_TRUE:
      return np.array(True)
    inputs = list(tensors.data_inputs(node))
    if node.op in operations.PASS_THROUGH and tensor[1] < len(inputs):
      return value(inputs[tensor[1]], steps - 1)
    if node.op not in (*_FUNCTIONS, 'Cast'):
      return None
    values = [value(each, steps - 1) for each in inputs]
    if any(each is None for each in values):
      return None
    return _computed(node, values, most)

  return value(tensor, _MAX_STEPS)


def _computed(
  node: NodeDef, values: list[np.ndarray], most: int
) -> np.ndarray | None:
  """Returns what an operation on known values gives, if that is small."""
  with explaining(f'Node {node.name!r} ({node.op}) is damaged', Exception):
    shape = np.broadcast_shapes(*(each.shape for each in values))
    if math.prod(shape) > most:
      return None
    if node.op == 'Cast':
      kind = op_definitions.dtype(node.attr['DstT'].type, node)
      return values[0].astype(kind.as_numpy_dtype)
    return np.asarray(_FUNCTIONS[node.op](*values))


def _known(nodes: Nodes, predicate: Tensor) -> bool | None:
  value = constant(nodes, predicate, most=1)
  return bool(value.flat[0]) if value is not None and value.size == 1 else None


def _with_branches(nodes: Iterable[NodeDef], library) -> list[NodeDef]:
  """Returns nodes with one branch in place of each known conditional.

  In rounds, for a branch may hold conditionals, and decide others.

  Raises:
    GraphError: If there are too many, as where each holds two others.
  """
  named = {node.name: node for node in nodes}
  found, waiting = _apart(nodes)
  calls, looks = GraphDef(library=library), 0
  for _ in range(_MAX_ROUNDS):
    looks += len(waiting)
    if looks > _MAX_LOOKS:
      raise GraphError(
        f'The graph has more conditionals than can be folded, {_MAX_LOOKS}; '
        'the file is damaged or made to do harm.'
      )
    del calls.node[:]
    left = []
    for node in waiting:
      call = _call_of_branch(named, node)
      (left if call is None else calls.node).append(call or node)
    if not calls.node:
      break
    others = len(found) + len(left)
    new = functions.inline_functions(calls, others)
    named |= {node.name: node for node in new}
    more, inner = _apart(new)
    found, waiting = found + more, left + inner
  return found + waiting


def _apart(nodes: Iterable[NodeDef]) -> tuple[list[NodeDef], list[NodeDef]]:
  """Returns what is no conditional, and what is one."""
  parts: tuple[list[NodeDef], list[NodeDef]] = [], []
  for node in nodes:
    parts[node.op in _IFS].append(node)
  return parts


def _call_of_branch(named: Nodes, node: NodeDef) -> NodeDef | None:
  """Returns the call that a conditional comes to, if its predicate is known."""
  predicate = next(tensors.data_inputs(node), None)
  answer = _known(named, predicate) if predicate else None
  if answer is None:
    return None
  branch = node.attr['then_branch' if answer else 'else_branch'].func
  call = NodeDef(name=node.name, op='StatefulPartitionedCall')
  call.input.extend(node.input[1:])
  call.attr['f'].func.CopyFrom(branch)
  call.attr['Tin'].CopyFrom(node.attr['Tin'])
  call.attr['Tout'].CopyFrom(node.attr['Tout'])
  return call


def _fold_switches(nodes: Iterable[NodeDef]) -> None:
  """Replaces switches of known sides, and the merges behind them, in place.

  What hangs on the other side is dead, as in TensorFlow's executor: a node is
  if any of its inputs is, a merge if all of them are. A merge of which all
  inputs but one are dead passes that one on.
  """
  named = {node.name: node for node in nodes}
  dead = set()
  for node in nodes:
    if node.op in _SWITCHES:
      operands = list(tensors.data_inputs(node))
      if len(operands) != 2:
        raise GraphError(
          f'Node {node.name!r} ({node.op}) needs 2 operands, but has '
          f'{len(operands)}; the file is damaged.'
        )
      data, predicate = operands
      answer = _known(named, predicate)
      if answer is not None:
        dead.add((node.name, 0 if answer else 1))
        kind = node.attr['T'].type
        node.op = 'IdentityN'
        node.input[:] = [tensors.name_of(data)] * 2
        node.attr.clear()
        node.attr['T'].list.type.extend([kind] * 2)
  gone = _dead_nodes(named, dead) if dead else set()
  for node in nodes:
    if node.op in _MERGES and node.name not in gone:
      inputs = [(text, tensors.split(text)) for text in node.input]
      alive = [
        text
        for text, tensor in inputs
        if tensor not in dead and tensor[0] not in gone
      ]
      data = [text for text in alive if not text.startswith('^')]
      if len(data) == 1 and len(alive) < len(inputs):
        node.op = 'Identity'
        node.input[:] = data
        node.attr.pop('N', None)


def _dead_nodes(named: Nodes, dead: set[Tensor]) -> set[str]:
  """Returns the nodes that are dead where some tensors are."""
  consumers = {}
  for node in named.values():
    for text in node.input:
      consumers.setdefault(tensors.split(text)[0], []).append(node)
  gone, stack = set(), [name for name, _ in dead]
  while stack:
    for node in consumers.get(stack.pop(), ()):
      inputs = [tensors.split(text) for text in node.input]
      choose = any
      if node.op in _MERGES:
        choose, inputs = all, [t for t in inputs if t[1] >= 0]
      is_gone = choose(t in dead or t[0] in gone for t in inputs)
      if is_gone and node.name not in gone:
        gone.add(node.name)
        stack.append(node.name)
  return gone
