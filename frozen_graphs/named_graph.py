"""Gives the nodes of a converted graph names that can be predicted.

A converter builds one operation of its file after the other with TensorFlow's
public functions, each of which may make several nodes. Afterwards the node that
computes the result is `Relu_48`, if it is the 49th Relu of the file; what was
needed on the way is below it (`Conv_3/BiasAdd`). The name that the file itself
gives is an alias, and so is `input` of the first input: an Identity, which
`frozen_graphs.graph` leaves out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
import contextlib
import dataclasses
import re

import numpy as np
import tensorflow as tf

from frozen_graphs import tensors
from frozen_graphs.tensors import NodeDef

_PORT = re.compile(r':\d+$')
_NO_NAME = re.compile(r'[^A-Za-z0-9_./\\>-]')
_FEWEST = 2**12  # Bytes of weights that are kept out of a graph in the making.


class _Graph(tf.Graph):
  """A graph in the making, without the numbers of its weights.

  Attributes:
    weights: Those, by the names of the nodes that stand for them.
  """

  def __init__(self):
    super().__init__()
    self.weights: dict[str, np.ndarray] = {}


def constant(value: np.ndarray) -> tf.Tensor:
  """Returns a constant of the graph in the making.

  TensorFlow copies its constants several times on the way to a GraphDef. So a
  large one is a placeholder until `NamedGraph.finish`.
  """
  graph = tf.compat.v1.get_default_graph()
  is_large = value.nbytes >= _FEWEST and value.dtype.kind == 'f'
  if not is_large or not isinstance(graph, _Graph):
    return tf.constant(value)
  tensor = tf.compat.v1.placeholder(value.dtype, value.shape, 'Const')
  graph.weights[tensor.op.name] = value
  return tensor


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
      name = alias or tensors.unused_name(name, taken)
    taken.add(name)
    names.append(name)
    aliases.append('' if alias == name else alias)
  return names, aliases


@dataclasses.dataclass
class _Made:
  name: str
  alias: str
  scope: str
  results: Sequence[tf.Tensor]


class NamedGraph:
  """A graph that is built operation by operation, named in the end."""

  def __init__(self):
    self.graph = _Graph()
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
    names = _NewNames()
    if any(node.name == 'input' for node in graph_def.node):
      names.reserve('input')
    for name, tensor in self._inputs.items():
      names.new[tensor.op.name] = names.reserve(legal(name))
    for made in self._made:
      names.name_results(made)
    outputs = [names.also(*output) for output in self._outputs.items()]
    for made in self._made:
      if made.alias and made.alias not in names.taken:
        names.name_again(made.alias, made)
    names.name_below(self._made, graph_def.node)
    result = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in [*graph_def.node, *names.extra]:
      weights = self.graph.weights.pop(node.name, None)
      names.apply(node)
      result.node.append(node)
      if weights is not None:
        result.node[-1].CopyFrom(tensors.constant(node.name, weights))
    inputs = [names.new[tensor.op.name] for tensor in self._inputs.values()]
    ends = (tuple(f'{name}:0' for name in each) for each in (inputs, outputs))
    return result, *ends


class _NewNames:
  """New names of nodes, none given twice.

  Attributes:
    new: By old names.
    taken: All that were given.
    extra: Nodes that give tensors a further name.
  """

  def __init__(self):
    self.new: dict[str, str] = {}
    self.taken: set[str] = set()
    self.extra: list[NodeDef] = []

  def reserve(self, name: str) -> str:
    name = tensors.unused_name(name, self.taken)
    self.taken.add(name)
    return name

  def also(self, name: str, tensor: tf.Tensor) -> str:
    """Gives a tensor a further name, which it returns."""
    name = self.reserve(legal(name))
    self.extra.append(identity(name, tensor))
    shape = self.extra[-1].attr['_output_shapes'].list.shape.add()
    shape.CopyFrom(tensor.shape.as_proto())
    return name

  def name_results(self, made: _Made) -> None:
    op = made.results[0].op if made.results else None
    if op and op.name.startswith(made.scope):
      if list(made.results) == list(op.outputs):
        self.new[op.name] = self.reserve(made.name)
        return
    self.name_again(made.name, made)

  def name_again(self, name: str, made: _Made) -> None:
    for i, tensor in enumerate(made.results):
      self.also(f'{name}/output_{i}' if i else name, tensor)

  def name_below(self, made: Sequence[_Made], nodes: Iterable[NodeDef]) -> None:
    """Gives what operations needed on their way names below their own."""
    names = {each.scope: each.name for each in made}
    for node in nodes:
      scope, slash, rest = node.name.partition('/')
      if node.name not in self.new and scope + slash in names:
        below = f'{names[scope + slash]}/{rest}'
        self.new[node.name] = self.reserve(below)

  def apply(self, node: NodeDef) -> None:
    node.name = self.new.get(node.name, node.name)
    for i, tensor in enumerate(node.input):
      control = '^' if tensor.startswith('^') else ''
      name, colon, number = tensor.removeprefix('^').partition(':')
      node.input[i] = f'{control}{self.new.get(name, name)}{colon}{number}'


def identity(name: str, tensor: tf.Tensor) -> NodeDef:
  """Returns a node that gives a tensor a further name."""
  node = NodeDef(op='Identity', name=name, input=[tensor.name])
  node.attr['T'].type = tensor.dtype.as_datatype_enum
  return node
