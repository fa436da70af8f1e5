"""Gives the nodes of a converted graph names that can be predicted.

A converter builds one operation of its file after the other with TensorFlow's
public functions, each of which may make several nodes. Afterwards the node that
computes the result is `Relu_48`, if it is the 49th Relu of the file; what was
needed on the way is below it (`Conv_3/BiasAdd`). The name that the file itself
gives is an alias, and so is `input` of the first input: an Identity, which
`frozen_graphs.graph` leaves out.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import re

import tensorflow as tf

NodeDef = tf.compat.v1.NodeDef

_PORT = re.compile(r':\d+$')
_NO_NAME = re.compile(r'[^A-Za-z0-9_./\\>-]')


def legal(name: str) -> str:
  """Returns the name that TensorFlow allows and is nearest to `name`."""
  name = _NO_NAME.sub('_', _PORT.sub('', name))
  return name.lstrip('/_\\>-') or name.replace('/', '')


def choose(
  kinds: Sequence[str], own: Sequence[str]
) -> tuple[list[str], list[str]]:
  """Returns a name and an alias for each operation of a file.

  Args:
    kinds: Types of the operations, in the order of the file.
    own: The names that the file gives them, '' where it gives none.

  Returns:
    Names `<kind>_<n>`, n counting the operations of that kind from 0, and the
    file's own as aliases. A name that the file gives an operation never means
    another: one that would be counted to it goes by its own instead.
  """
  own = [legal(name) if name else '' for name in own]
  places = {}
  for i, name in enumerate(own):
    places.setdefault(name, i)
  seen, taken = Counter(), set(own)
  names, aliases = [], []
  for i, (kind, alias) in enumerate(zip(kinds, own, strict=True)):
    name = f'{kind}_{seen[kind]}'
    seen[kind] += 1
    alias = alias if places[alias] == i else ''
    if places.get(name, i) != i:
      name = alias or _unused(name, taken)
    taken.add(name)
    names.append(name)
    aliases.append('' if alias == name else alias)
  return names, aliases


def _unused(name: str, taken: Collection[str]) -> str:
  while name in taken:
    name += '_'
  return name


@dataclasses.dataclass
class _Made:
  name: str
  alias: str
  scope: str
  tensors: Sequence[tf.Tensor]


class NamedGraph:
  """A graph that is built operation by operation, named in the end."""

  def __init__(self):
    self.graph = tf.Graph()
    self._inputs: dict[str, tf.Tensor] = {}
    self._made: list[_Made] = []
    self._outputs: dict[str, tf.Tensor] = {}

  def input(
    self, name: str, kind: tf.DType, shape: Sequence[int | None] | None
  ) -> tf.Tensor:
    """Adds a Placeholder; what follows the first one is called `input`."""
    with self.graph.as_default():
      tensor = tf.compat.v1.placeholder(kind, shape)
      self._inputs[name] = tensor
      if len(self._inputs) == 1 and legal(name) != 'input':
        tensor = tf.identity(tensor, 'input')
    return tensor

  @contextlib.contextmanager
  def operation(self, name: str, alias: str = '') -> Iterator[list[tf.Tensor]]:
    """Within it, nodes belong to one operation; fill in its results."""
    results = []
    scope = f'operation_{len(self._made)}/'
    self._made.append(_Made(name, alias, scope, results))
    with self.graph.as_default(), tf.name_scope(scope):
      yield results

  def output(self, name: str, tensor: tf.Tensor) -> None:
    self._outputs[name] = tensor

  def finish(
    self,
  ) -> tuple[tf.compat.v1.GraphDef, tuple[str, ...], tuple[str, ...]]:
    """Returns the graph, and the names of its inputs and outputs."""
    graph_def = self.graph.as_graph_def(add_shapes=True)
    nodes = {node.name: node for node in graph_def.node}
    names = _NewNames()
    if 'input' in nodes:
      names.reserve('input')
    for name, tensor in self._inputs.items():
      names.rename(tensor.op.name, legal(name))
    extra = []
    for made in self._made:
      extra += _name_results(made, names)
    outputs = []
    for name, tensor in self._outputs.items():
      outputs.append(names.reserve(legal(name)))
      extra.append(_identity(outputs[-1], tensor))
    for made in self._made:
      if made.alias and not names.is_taken(made.alias):
        extra += _identities(made.alias, made, names)
    for made in self._made:
      names.rename_below(made, nodes)
    result = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in [*nodes.values(), *extra]:
      names.apply(node)
      result.node.append(node)
    inputs = tuple(names.of(t.op.name) + ':0' for t in self._inputs.values())
    return result, inputs, tuple(f'{name}:0' for name in outputs)


class _NewNames:
  """New names of nodes, none given twice."""

  def __init__(self):
    self._new: dict[str, str] = {}
    self._taken: set[str] = set()

  def is_taken(self, name: str) -> bool:
    return name in self._taken

  def reserve(self, name: str) -> str:
    name = _unused(name, self._taken)
    self._taken.add(name)
    return name

  def rename(self, old: str, name: str) -> None:
    self._new[old] = self.reserve(name)

  def rename_below(self, made: _Made, nodes: Mapping[str, NodeDef]) -> None:
    """Gives what an operation needed on its way names below its own."""
    for old in nodes:
      if old.startswith(made.scope) and old not in self._new:
        self.rename(old, f'{made.name}/{old[len(made.scope) :]}')

  def of(self, old: str) -> str:
    return self._new.get(old, old)

  def apply(self, node: NodeDef) -> None:
    node.name = self.of(node.name)
    for i, tensor in enumerate(node.input):
      control = '^' if tensor.startswith('^') else ''
      name, colon, number = tensor.removeprefix('^').partition(':')
      node.input[i] = f'{control}{self.of(name)}{colon}{number}'


def _name_results(made: _Made, names: _NewNames) -> list[NodeDef]:
  """Names the node of the results; returns the nodes that takes."""
  op = made.tensors[0].op if made.tensors else None
  if op and op.name.startswith(made.scope):
    if list(made.tensors) == list(op.outputs):
      names.rename(op.name, made.name)
      return []
  return _identities(made.name, made, names)


def _identities(name: str, made: _Made, names: _NewNames) -> list[NodeDef]:
  """Returns nodes that give the results another name."""
  return [
    _identity(names.reserve(f'{name}/output_{i}' if i else name), tensor)
    for i, tensor in enumerate(made.tensors)
  ]


def _identity(name: str, tensor: tf.Tensor) -> NodeDef:
  """Returns an Identity of a tensor that still has its old name."""
  node = NodeDef(op='Identity', name=name, input=[tensor.name])
  node.attr['T'].type = tensor.dtype.as_datatype_enum
  shape = node.attr['_output_shapes'].list.shape.add()
  shape.CopyFrom(tensor.shape.as_proto())
  return node
