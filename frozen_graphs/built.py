"""Graphs as TensorFlow has them: forward and backward passes, and a session.

Networks of one architecture are the same graph without their weights, and to
build and to optimise it takes as long as to run it a few times. So what was
built is kept for the next network of its kind.
"""

from collections.abc import Callable, Hashable
import contextlib
import dataclasses
from typing import Any

import tensorflow as tf

from frozen_graphs import session
from frozen_graphs.errors import GraphError, UnsupportedOpError, explaining
from frozen_graphs.graph import SubGraph
from toolkit_basics import files

# Whatever `scope` knows how to make gradients follow; None is the plain one.
Rule = Hashable
Scope = Callable[[Any], contextlib.AbstractContextManager]

_MOST = 4  # Graphs that are kept for others.
_MAX_BYTES = 2**24  # Of each.
_idle: dict[Hashable, 'Built'] = {}  # Those, by what was built of what.


@dataclasses.dataclass(frozen=True)
class BuildPlan:
  """What is built of a graph.

  Attributes:
    rules: Of the backward passes.
    unit_rules: Those of single units' backward passes.
    probe_rules: Those of backward passes along directions.
    layers: Names of other tensors than the representation.
    scope: A context within which gradients follow a rule.
    takes_sums: Whether gradients are of the sum over units, and then divided.
    device: Where it runs; None is TensorFlow's choice.
  """

  rules: tuple[Rule, ...] = ()
  unit_rules: tuple[Rule, ...] = ()
  probe_rules: tuple[Rule, ...] = ()
  layers: tuple[str, ...] = ()
  scope: Scope = lambda rule: contextlib.nullcontext()
  takes_sums: bool = False
  device: str | None = None


class Built:
  """A graph with its passes, for one user at a time.

  Attributes:
    input: What images are fed to.
    representation: Of them.
    layers: By name, other tensors.
    gradients: By rule, of the mean over units with respect to the input.
    unit: Number of the unit whose gradient is taken.
    unit_gradients: By rule.
    directions: [K, N, D], the weights of units.
    probes: By rule, gradients [K, N, ...] of weighted sums of units.
    session: That runs it.
    key: By which it is kept for others; None if it is not.
  """

  def __init__(self, subgraph: SubGraph, plan: BuildPlan):
    """Builds it.

    Raises:
      GraphError: If TensorFlow cannot import or differentiate the graph.
    """
    self._scope = plan.scope
    self.key: Hashable = None
    self.unit: tf.Tensor | None = None
    self.directions: tf.Tensor | None = None
    self.gradients: dict[Rule, tf.Tensor] = {}
    self.unit_gradients: dict[Rule, tf.Tensor] = {}
    self.probes: dict[Rule, tf.Tensor] = {}
    with tf.Graph().as_default() as graph, tf.device(plan.device):
      self.input, self.representation = session.import_graph(subgraph)
      self.layers = {n: graph.get_tensor_by_name(n) for n in plan.layers}
      if plan.rules or plan.unit_rules or plan.probe_rules:
        self._build_backward(plan)
    self.session = tf.compat.v1.Session(graph=graph, config=session.config())

  def _build_backward(self, plan: BuildPlan) -> None:
    count = tf.shape(self.input)[0]
    units = tf.reshape(self.representation, [count, -1])
    target, parts = tf.reduce_mean(units, axis=1), None
    if plan.takes_sums:
      target, parts = tf.reduce_sum(units, axis=1), tf.shape(units)[1]
    for rule in plan.rules:
      gradient = self._gradient(target, rule)
      if parts is not None:
        gradient /= tf.cast(parts, gradient.dtype)
      self.gradients[rule] = gradient
    if plan.unit_rules:
      self.unit = tf.compat.v1.placeholder(tf.int32, [], 'unit')
      unit = tf.gather(units, self.unit, axis=1)
      for rule in plan.unit_rules:
        self.unit_gradients[rule] = self._gradient(unit, rule)
    if plan.probe_rules:
      self.directions = tf.compat.v1.placeholder(
        units.dtype, [None, None, None], 'directions'
      )
      for rule in plan.probe_rules:
        self.probes[rule] = self._gradients_along(units, rule)

  def _gradients_along(self, units: tf.Tensor, rule: Rule) -> tf.Tensor:
    """Returns gradients [K, N, ...] of `units` along the directions.

    A loop: all K backward passes share the forward pass, and one graph.
    """
    return tf.map_fn(
      lambda direction: self._gradient(units, rule, direction),
      self.directions,
      parallel_iterations=1,
    )

  def _gradient(
    self, target: tf.Tensor, rule: Rule, along: tf.Tensor | None = None
  ) -> tf.Tensor:
    """Returns the gradient of `target` [N, ...], of every image by itself.

    Args:
      target: Of every image.
      rule: See `scope`.
      along: Weights of the target's entries, of its shape; default: 1.
    """
    try:
      with (
        self._scope(rule),
        explaining(
          'TensorFlow cannot differentiate the graph', TypeError, ValueError
        ),
      ):
        (gradient,) = tf.gradients(target, self.input, along)
    except LookupError as error:
      raise UnsupportedOpError(
        f'An operation of the graph has no gradient: {error}'
      ) from error
    if gradient is None:
      raise GraphError(
        f'{self.representation.name!r} has no gradient with respect to '
        f'{self.input.name!r}: every way between them passes an operation '
        'that blocks gradients.'
      )
    return tf.convert_to_tensor(gradient)


def take(subgraph: SubGraph, plan: BuildPlan) -> Built:
  """Returns what is built of a graph, which one like it may have left.

  Raises:
    GraphError: If TensorFlow cannot import or differentiate the graph.
  """
  content = subgraph.graph_def().SerializeToString(deterministic=True)
  ends = subgraph.input_tensor, subgraph.representation_tensor
  config = session.config().SerializeToString()
  key = files.sha256(content), *ends, plan, config
  built = _idle.pop(key, None) or Built(subgraph, plan)
  is_kept = len(content) <= _MAX_BYTES and not session.is_for_few_runs()
  built.key = key if is_kept else None
  return built


def give_back(built: Built) -> None:
  """Leaves what was built to the next one who wants the same."""
  if built.key is None:
    built.session.close()
    return
  # Of two of a kind that were open at once, one is left.
  replaced = _idle.pop(built.key, None)
  if replaced is not None:
    replaced.session.close()
  _idle[built.key] = built
  while len(_idle) > _MOST:
    _idle.pop(next(iter(_idle))).session.close()
