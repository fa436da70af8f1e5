"""Replaces the function calls of a GraphDef by the functions' nodes.

Gradient overrides are attributes of nodes, so they do not reach into a
function that TensorFlow calls; and a check of a graph has to see every node.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
from typing import Any

import tensorflow as tf

from frozen_graphs import budget, op_definitions, unfusing
from frozen_graphs.errors import GraphError
from frozen_graphs.tensors import NodeDef

GraphDef = tf.compat.v1.GraphDef

_CALLS = ('PartitionedCall', 'StatefulPartitionedCall')
# Functions may call each other; a small file could unfold without an end.
_MAX_DEPTH = 64
_MAX_NODES = 300_000


def inline_functions(graph_def: GraphDef, others: int = 0) -> list[NodeDef]:
  """Returns the nodes of `graph_def` with every function call unfolded.

  A call named `call` becomes an `IdentityN` of that name, and the nodes of its
  function are named `call/node`. Functional `If` and `While` are left as they
  are. All nodes are new, and in no particular order.

  Args:
    graph_def: A graph, which is not changed.
    others: Number of nodes that are left as they are beside these.

  Raises:
    GraphError: If a function is missing, calls itself, has generic types, or
      the name of an operation or of another function.
  """
  library = {f.signature.name: f for f in graph_def.library.function}
  _check_names(graph_def, library)
  spent = budget.active(graph_def.ByteSize)
  found = _Unfolding.of(graph_def.node, library)
  if found.nodes + others > _MAX_NODES:
    raise GraphError(
      f'The functions of the graph unfold to more than {_MAX_NODES} nodes.'
    )
  spent.charge(
    'What the functions of the graph unfold to',
    size=found.size,
    nodes=found.nodes,
  )
  return list(_unfold(graph_def.node, library))


def needed(nodes: Iterable[NodeDef], library) -> list:
  """Returns the functions of a library that nodes call, or name to be called.

  Those of a SavedModel also hold what saves and restores it.
  """
  known = {f.signature.name: f for f in library.function}
  found: dict[str, Any] = {}
  stack = list(nodes)
  while stack:
    for name in _named(stack.pop()):
      if name in known and name not in found:
        found[name] = known[name]
        stack.extend(known[name].node_def)
  return list(found.values())


def _named(node: NodeDef) -> Iterator[str]:
  """Yields what may be the names of functions that a node holds."""
  yield node.op
  for value in node.attr.values():
    yield value.func.name
    yield from (each.name for each in value.list.func)


def _check_names(graph_def: GraphDef, library: Mapping) -> None:
  """Raises GraphError if a name stands for two things."""
  if len(library) < len(graph_def.library.function):
    names = Counter(f.signature.name for f in graph_def.library.function)
    name = names.most_common(1)[0][0]
    raise GraphError(f'Several functions have the same name, {name!r}.')
  for name in library:
    if op_definitions.is_known(name):
      raise GraphError(
        f'The graph has a function {name!r}, which is the name of an operation.'
      )


@dataclasses.dataclass
class _Unfolding:
  """What nodes unfold to, known before anything is copied.

  Attributes:
    nodes: Number.
    names: Number of names of nodes, each of which is lengthened by a call.
    size: Bytes of what is new.
  """

  nodes: int = 0
  names: int = 0
  size: int = 0

  @classmethod
  def of(cls, nodes: Iterable[NodeDef], library: Mapping) -> '_Unfolding':
    """Returns what the nodes of a graph unfold to, each function seen once."""
    known: dict[str, _Unfolding] = {}

    def unfolding(nodes: Iterable[NodeDef], depth: int) -> _Unfolding:
      if depth > _MAX_DEPTH:
        raise GraphError(
          f'Function calls are nested more than {_MAX_DEPTH} deep; does a '
          'function call itself?'
        )
      total = cls()
      for node in nodes:
        total.nodes += 1
        total.names += 1 + len(node.input)
        called = _called(node)
        if called not in library:
          continue
        if called not in known:
          body = library[called].node_def
          known[called] = unfolding(body, depth + 1)
          known[called].size += library[called].ByteSize()
        inner = known[called]
        total.nodes += inner.nodes
        total.names += inner.names
        total.size += inner.size + inner.names * (1 + len(node.name))
      return total

    return unfolding(nodes, 0)


def _called(node: NodeDef) -> str:
  """Returns the function that a node calls, if it is one of the library."""
  return node.attr['f'].func.name if node.op in _CALLS else node.op


def _unfold(nodes: Iterable[NodeDef], library: Mapping) -> Iterator[NodeDef]:
  for node in nodes:
    called = _called(node)
    if called in library:
      body = _body_of_call(node, library[called], library)
      yield from _unfold(body, library)
    elif node.op in _CALLS:
      raise GraphError(
        f'Node {node.name!r} calls the function {called!r}, which is not in '
        "the graph's library."
      )
    else:
      # A constant is large, and changed by nobody.
      is_constant = node.op == 'Const'
      yield (
        node if is_constant else NodeDef.FromString(node.SerializeToString())
      )


def _body_of_call(call: NodeDef, function, library: Mapping) -> list[NodeDef]:
  """Returns the function's nodes and an IdentityN named as the call."""
  signature = function.signature
  if any(
    a.number_attr or a.type_list_attr or not a.type
    for a in (*signature.input_arg, *signature.output_arg)
  ):
    raise GraphError(
      f'Node {call.name!r} calls {signature.name!r}, a function of generic '
      'types, which cannot be inlined.'
    )
  arguments = dict(
    zip((a.name for a in signature.input_arg), call.input, strict=False)
  )
  inner = {node.name: node for node in function.node_def}

  def tensor(name: str) -> str:
    if name.startswith('^'):
      return name if name[1:] in arguments else f'^{call.name}/{name[1:]}'
    if name.split(':')[0] in arguments:
      return arguments[name.split(':')[0]]
    node, *output = name.split(':')
    if node not in inner or len(output) != 2 or not _is_number(output[1]):
      raise GraphError(
        f'The function {signature.name!r} names {name!r}, which it does not '
        'hold; is the file damaged?'
      )
    offset = _offset(inner[node], output[0], library)
    return f'{call.name}/{node}:{offset + int(output[1])}'

  body = [_renamed(node, call.name, tensor) for node in function.node_def]
  result = NodeDef(op='IdentityN', name=call.name)
  result.input.extend(
    tensor(function.ret[a.name]) for a in signature.output_arg
  )
  result.attr['T'].list.type.extend(a.type for a in signature.output_arg)
  return [*body, result]


def _is_number(text: str) -> bool:
  return len(text) < 10 and text.isascii() and text.isdigit()


def _offset(node: NodeDef, output: str, library: Mapping) -> int:
  """Returns the number of the first tensor of one of a node's outputs."""
  if node.op in _CALLS:
    return 0  # They number their tensors under the one name `output`.
  if node.op in library:  # A call by the function's own name.
    names = [a.name for a in library[node.op].signature.output_arg]
    return names.index(output) if output in names else 0
  if node.op in unfusing.FUSED:
    return 0  # Only their result is kept, and not all are TensorFlow's own.
  return op_definitions.output_offset(node, output)


def _renamed(
  node: NodeDef, prefix: str, tensor: Callable[[str], str]
) -> NodeDef:
  copy = NodeDef.FromString(node.SerializeToString())
  copy.name = f'{prefix}/{node.name}'
  del copy.input[:]
  copy.input.extend(tensor(name) for name in node.input)
  for name, value in copy.attr.items():
    if value.placeholder:
      raise GraphError(
        f'Node {copy.name!r} takes its attribute {name!r} from its caller; '
        'such a function cannot be inlined.'
      )
  return copy
