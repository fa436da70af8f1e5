"""Names of tensors: how nodes refer to them, and what users ask for."""

from collections.abc import (
  Callable,
  Collection,
  Iterable,
  Iterator,
  KeysView,
  Mapping,
  Sequence,
)
import difflib
import re
from typing import TypeVar

import tensorflow as tf

from frozen_graphs import op_definitions
from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef
Nodes = Mapping[str, NodeDef]  # By name.
Tensor = tuple[str, int]  # Name of a node, and which of its tensors.
T = TypeVar('T')
# Attribute of a node that reads a variable which the graph changes before.
CHANGED = 'changed'
_NOT_IN_NAMES = re.compile(r'[^A-Za-z0-9_./-]')
_NO_RESULT = ('Const', 'NoOp')


def split(tensor: str) -> Tensor:
  """Returns (node, number); the number of a control input is -1."""
  if tensor.startswith('^'):
    return tensor[1:], -1
  name, colon, number = tensor.rpartition(':')
  # More digits are no number of a tensor, and none are those of other scripts.
  is_number = len(number) < 10 and number.isascii() and number.isdigit()
  return (name, int(number)) if colon and is_number else (tensor, 0)


def allowed(name: str) -> str:
  """Returns a name that TensorFlow allows, of a layer that may have any."""
  name = _NOT_IN_NAMES.sub('_', name)
  return name if re.match(r'[A-Za-z0-9.]', name) else f'x{name}'


def name_of(tensor: Tensor) -> str:
  return f'{tensor[0]}:{tensor[1]}'


def data_inputs(node: NodeDef) -> Iterator[Tensor]:
  """Yields (node, number) of the tensors that `node` takes."""
  for tensor in node.input:
    if not tensor.startswith('^'):
      yield split(tensor)


def producers(node: NodeDef) -> list[str]:
  """Returns the names of the nodes that `node` takes data from."""
  return [name for name, _ in data_inputs(node)]


def consumers(nodes: Nodes) -> dict[str, list[str]]:
  """Returns by name the nodes that take data from a node."""
  found: dict[str, list[str]] = {}
  for name, node in nodes.items():
    for producer in set(producers(node)):
      found.setdefault(producer, []).append(name)
  return found


def in_order(nodes: Nodes, source: Tensor | None = None) -> Iterator[str]:
  """Yields nodes after those they take; those in loops are left out.

  Nothing has to come before a source, which is fed.
  """
  following = consumers(nodes)
  waiting = {
    name: {n for n, i in data_inputs(node) if n in nodes and (n, i) != source}
    for name, node in nodes.items()
  }
  ready = [name for name, needed in waiting.items() if not needed]
  while ready:
    name = ready.pop()
    yield name
    for consumer in following.get(name, ()):
      if name in waiting[consumer]:
        waiting[consumer].discard(name)
        if not waiting[consumer]:
          ready.append(consumer)


def reachable(
  starts: Iterable[T], following: Callable[[T], Iterable[T]]
) -> KeysView[T]:
  """Returns all that some things lead to, with these, as it is found."""
  found, stack = {}, list(starts)
  while stack:
    item = stack.pop()
    if item not in found:
      found[item] = None
      stack.extend(following(item))
  return found.keys()


def follow(
  nodes: Nodes,
  tensor: Tensor,
  kinds: Collection[str],
  source: Tensor | None = None,
) -> Tensor:
  """Returns where a tensor comes from, left of nodes that pass it on.

  These are nodes of some kinds; a source is where to end at the latest.
  """
  seen = set()
  while tensor != source and tensor not in seen:
    seen.add(tensor)
    node = nodes.get(tensor[0])
    if node is None or node.op not in kinds:
      break
    inputs = list(data_inputs(node))
    if not 0 <= tensor[1] < len(inputs):
      break
    tensor = inputs[tensor[1]]
  return tensor


def unused_name(name: str, taken: Collection[str]) -> str:
  """Returns `name`, lengthened if it is taken."""
  while name in taken:
    name += '_'
  return name


def placeholder(
  name: str, kind: tf.DType, shape: Sequence[int | None] | None
) -> NodeDef:
  """Returns a node that is fed."""
  node = NodeDef(op='Placeholder', name=name)
  node.attr['dtype'].type = kind.as_datatype_enum
  node.attr['shape'].shape.CopyFrom(tf.TensorShape(shape).as_proto())
  return node


def constant(name: str, value: object, kind: tf.DType | None = None) -> NodeDef:
  """Returns a node that is a constant."""
  tensor = tf.make_tensor_proto(value, kind)
  node = NodeDef(op='Const', name=name)
  node.attr['dtype'].type = tensor.dtype
  node.attr['value'].tensor.CopyFrom(tensor)
  return node


def cleaned(node: NodeDef, inputs: Sequence[Tensor]) -> NodeDef:
  """Returns a copy without what belongs to the process that made the graph.

  Attributes with a leading underscore are hints and bindings, among them
  gradient functions (`_gradient_op_type`) and colocation with nodes that may
  be cut off (`_class`). A constant that has none is returned as it is: it is
  large.
  """
  is_bare = not node.input and not node.device
  if node.op == 'Const' and is_bare and set(node.attr) == {'dtype', 'value'}:
    return node
  copy = NodeDef(op=node.op, name=node.name)
  copy.input.extend(map(name_of, inputs))
  for name, value in node.attr.items():
    if not name.startswith('_'):
      copy.attr[name].CopyFrom(value)
  return copy


def resolve(nodes: Nodes, tensor: str) -> Tensor:
  """Returns (node, number) of a tensor, which may be named without `:0`.

  Raises:
    GraphError: If there is no such tensor; the message lists the closest ones.
  """
  name, number = split(tensor)
  if name not in nodes or number < 0:
    computed = (n for n, node in nodes.items() if node.op not in _NO_RESULT)
    like = [f'{n}:0' for n in alike(name, computed)]
    raise GraphError(f'The graph has no tensor {tensor!r}.{closest(like)}')
  count = len(op_definitions.output_types(nodes[name]))
  choices = ', '.join(f'{name}:{i}' for i in range(count)) or 'none'
  if number >= count:
    raise GraphError(
      f'The graph has no tensor {tensor!r}; node {name!r} ({nodes[name].op}) '
      f'has the tensors: {choices}.'
    )
  if count > 1 and name == tensor:
    raise GraphError(
      f'The tensor name {tensor!r} is ambiguous; choose one of {choices}.'
    )
  return name, number


def alike(name: str, names: Iterable[str]) -> list[str]:
  """Returns up to five names of some kind that may have been meant."""
  names = list(names)
  last = name.rsplit('/', 1)[-1]
  same_ending = [n for n in names if n.rsplit('/', 1)[-1] == last]
  similar = difflib.get_close_matches(name, names, n=5, cutoff=0.3)
  return list(dict.fromkeys([*same_ending, *similar]))[:5]


def closest(names: Sequence[str]) -> str:
  """Returns a sentence for a message, after a space; '' if there are none."""
  return f' Closest: {", ".join(names)}.' if names else ''
