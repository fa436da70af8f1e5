"""How much relevance every operation passes on, and where it is lost.

Relevance at a tensor x with the gradient g of a backward pass under a rule is
the sum of x * g. A linear operation passes on what it gets; a bias keeps its
part; the epsilon rule keeps epsilon / (z + epsilon). So all relevance is
accounted for:

  R(representation) - R(input) = sum over operations of (R(given) - R(passed)),

R(given) at what an operation makes, R(passed) at what it is made of, by this
operation alone. Bach et al. (2015) ask of LRP that R is the same everywhere.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from attribution import layer_marks, methods, overrides
from attribution.methods import AttributionMethod
from frozen_graphs import (
  folding,
  op_definitions,
  operations,
  passes,
  session,
  tensors,
)
from frozen_graphs.errors import about
from frozen_graphs.graph import SubGraph
from frozen_graphs.network import Network

# Constants beside the signal keep a part: a bias, or a token of a class.
_BIAS = frozenset({
  'Add', 'AddV2', 'AddN', 'BiasAdd', 'BiasAddV1', 'Sub', 'Concat', 'ConcatV2',
  'Pack',
})  # fmt: skip
_OPERAND = '/operand_'  # In the names of marks before products.
PRODUCTS, LINEAR = 'products of branches', 'other operations'


@dataclasses.dataclass(frozen=True)
class Step:
  """An operation that relevance passes.

  Attributes:
    name: Of the node.
    rule: What is done to relevance there, in words.
    given: Relevance at what the operation makes, of each image, [N].
    passed: At what it is made of, from this operation, [N].
  """

  name: str
  rule: str
  given: np.ndarray
  passed: np.ndarray

  @property
  def lost(self) -> np.ndarray:
    """What does not come through, [N]; negative if more does."""
    return self.given - self.passed


@dataclasses.dataclass(frozen=True)
class Account:
  """The relevance in a network.

  Attributes:
    total: At the representation, of each image, [N]: the mean of its units.
    magnitude: The mean of their magnitudes, [N]; where the total is far below,
      units cancel, and shares of the total say little.
    arrived: At the input, [N].
    steps: From the representation down.
    stages: Tensors that all relevance passes, from the representation down, and
      the relevance there, [N].
  """

  total: np.ndarray
  magnitude: np.ndarray
  arrived: np.ndarray
  steps: tuple[Step, ...]
  stages: Mapping[str, np.ndarray]

  def share(self, relevance: np.ndarray) -> float:
    """Returns relevance as a share of the total, over all images."""
    return float(np.sum(relevance) / np.sum(self.total))

  def lost_by_rule(self) -> dict[str, float]:
    """Returns the share that is lost by each rule, the largest first."""
    sums: dict[str, np.ndarray] = {}
    for step in self.steps:
      sums[step.rule] = sums.get(step.rule, 0) + step.lost
    shares = {rule: self.share(lost) for rule, lost in sums.items()}
    return dict(sorted(shares.items(), key=lambda item: -abs(item[1])))


def account(
  network: Network, inputs: np.ndarray, method: AttributionMethod
) -> Account:
  """Returns where relevance goes, from the representation to the input.

  Args:
    network: The network.
    inputs: [N, height, width, channels], after T; few: all tensors are held.
    method: One that has a rule.

  Raises:
    ValueError: If the method has no rule, or there are no inputs.
    GraphError: If an operation has none, or the graph cannot be run.
  """
  if method.rule is None:
    raise ValueError(
      f'{method.name} has no rule for relevance; use a method that has, such '
      'as elrp.'
    )
  if not len(inputs):
    raise ValueError(f'{network.name}: there are no inputs to follow.')
  subgraph, _ = overrides.marked(network, methods.product_rule([method]))
  names = overrides.activation_names(network.subgraph)
  if method.by_layer:
    subgraph, _ = layer_marks.mark_layers(folding.fold(subgraph))
  with about(network.name), tf.Graph().as_default() as graph:
    source, representation = session.import_graph(subgraph)
    flow = _Flow(subgraph, method.rule, source, representation)
    fetched = flow.fetches()
    with tf.compat.v1.Session(graph=graph, config=session.config()) as run:
      # Of what was made for a fixed number of images, as many at a time.
      size = source.shape[0] or len(inputs)
      parts = [
        run.run(
          fetched, {source: passes.filled_up(inputs[start:][:size], size)}
        )
        for start in range(0, len(inputs), size)
      ]
  found = tf.nest.map_structure(
    lambda *sums: np.concatenate(sums)[: len(inputs)], *parts
  )
  signals = overrides.carriers(subgraph)
  steps = [
    Step(name, _rule_of(subgraph, name, names, signals), *sums)
    for name, sums in found['steps'].items()
  ]
  return Account(*found['ends'], _with_marks(steps), found['stages'])


def _with_marks(steps: Sequence[Step]) -> tuple[Step, ...]:
  """Returns steps in which products and the marks before them are one."""
  result: dict[str, Step] = {}
  for step in steps:
    name, mark, _ = step.name.rpartition(_OPERAND)
    if mark and name in result:
      product = result[name]
      passed = product.passed - step.lost
      result[name] = dataclasses.replace(product, passed=passed)
    else:
      result[step.name] = step
  return tuple(result.values())


class _Flow:
  """The tensors of a graph that relevance passes, and how much."""

  def __init__(self, subgraph: SubGraph, rule, source, representation):
    self._source, self._rule = source, rule
    self._representation = representation
    graph = source.graph
    self._operations = [
      graph.get_operation_by_name(name) for name in overrides.carriers(subgraph)
    ]
    known = [source]
    known += [
      tensor
      for op in self._operations
      for tensor in op.outputs
      if tensor.dtype.is_floating
    ]
    self._units = tf.reshape(representation, [tf.shape(source)[0], -1])
    target = tf.reduce_mean(self._units, axis=1)
    with overrides.active_rule(rule):
      gradients = tf.gradients(target, known)
    self._gradients = {
      tensor.name: gradient
      for tensor, gradient in zip(known, gradients, strict=True)
      if gradient is not None
    }

  def fetches(self) -> dict:
    """Returns what is to be computed: sums for each image."""
    steps, edges = {}, []
    for op in reversed(self._operations):
      made = [t for t in op.outputs if t.name in self._gradients]
      if not made:
        continue
      taken, partial = self._partial(op, made)
      given = [self._sum(t, self._gradients[t.name]) for t in made]
      passed = [self._sum(t, g) for t, g in zip(taken, partial, strict=True)]
      if not passed:  # Nothing comes through.
        passed = [tf.zeros_like(given[0])]
      steps[op.name] = tf.add_n(given), tf.add_n(passed)
      edges.append((made, taken))
    ends = (
      tf.reduce_mean(self._units, axis=1),
      tf.reduce_mean(tf.abs(self._units), axis=1),
      self._relevance(self._source.name),
    )
    stages = {name: self._relevance(name) for name in self._cuts(edges)}
    return {'steps': steps, 'ends': ends, 'stages': stages}

  def _partial(self, op: tf.Operation, made: Sequence[tf.Tensor]):
    """Returns what an operation takes, and the gradients by it alone."""
    taken = {t.ref() for t in op.inputs if t.name in self._gradients}
    inputs = [reference.deref() for reference in taken]
    if not inputs:
      return [], []
    with overrides.active_rule(self._rule):
      found = tf.gradients(
        list(made),
        inputs,
        [self._gradients[t.name] for t in made],
        stop_gradients=inputs,
      )
    pairs = [
      (t, g) for t, g in zip(inputs, found, strict=True) if g is not None
    ]
    return [t for t, _ in pairs], [tf.convert_to_tensor(g) for _, g in pairs]

  def _relevance(self, name: str) -> tf.Tensor:
    tensor = self._source.graph.get_tensor_by_name(name)
    return self._sum(tensor, self._gradients[name])

  def _sum(self, tensor: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the relevance at a tensor for each image, float64 [N]."""
    product = tf.cast(tensor, tf.float64) * tf.cast(gradient, tf.float64)
    count = tf.shape(self._source)[0]
    return tf.reduce_sum(tf.reshape(product, [count, -1]), axis=1)

  def _cuts(self, edges) -> list[str]:
    """Returns the tensors that all relevance passes, the first one first."""
    waiting = {self._representation.name}
    cuts = []
    for made, taken in edges:
      if len(waiting) == 1:
        cuts.extend(waiting)
      waiting -= {tensor.name for tensor in made}
      waiting |= {tensor.name for tensor in taken}
    if self._source.name in waiting:
      cuts.append(self._source.name)
    return list(dict.fromkeys(cuts))


def _rule_of(
  subgraph: SubGraph,
  name: str,
  activations: Mapping[str, str],
  signals: Mapping[str, tuple],
) -> str:
  """Returns what is done to relevance at a node, in words."""
  node = subgraph.nodes[name]
  if node.op == 'IdentityN':
    what = name.rstrip('_').rpartition('/')
    if what[2] == 'activation':
      return f'activation {activations.get(what[0], what[0])}'
    return 'rule of layers' if what[2] == 'layer' else PRODUCTS
  if any(_OPERAND in other for other in tensors.producers(node)):
    return PRODUCTS  # With the marks of its operands it passes on all.
  if node.op in operations.BATCH_NORM:
    return 'bias of batch normalization'
  if node.op in _BIAS and _has_constants(subgraph, node, signals[name]):
    return 'bias'
  return LINEAR


def _has_constants(
  subgraph: SubGraph, node: tensors.NodeDef, signals: tuple
) -> bool:
  """Returns whether some of what a node adds or joins is no signal."""
  return any(
    tensor not in signals
    and op_definitions.output_types(subgraph.nodes[tensor[0]])[
      tensor[1]
    ].is_floating
    for tensor in tensors.data_inputs(node)
  )
