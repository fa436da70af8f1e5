"""The gradient override registry: which operations are activations.

A rule (see `attribution.methods`) replaces the derivative of every activation.
Activations are marked in the GraphDef before it is imported: behind each one,
`f(z)` and `z` pass through an `IdentityN` whose `_gradient_op_type` names the
gradient function below. A backward pass built under `active_rule(rule)` takes
the rule's way from `f(z)` to `z`; any other takes the plain gradient through
the operations themselves. So all methods share one graph and its forward pass,
and no setting outlives the building of a gradient.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import contextvars
import dataclasses

import numpy as np
import tensorflow as tf

from attribution import composites, products
from frozen_graphs import graph, op_definitions, operations, safety, tensors
from frozen_graphs.errors import UnsupportedOpError, about
from frozen_graphs.network import Network

# (z, f(z), gradient of f(z)) to gradient of z.
Rule = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
NodeDef = tf.compat.v1.NodeDef

_GRADIENT = 'AttributionActivation'
_OPERAND_GRADIENTS = {
  products.GATE: 'AttributionConstant',
  products.NORMALISER: 'AttributionConstant',
  products.HALF: 'AttributionHalf',
}
# Of several tensors the larger wins, element by element, as in max pooling.
_PASS_RELEVANCE = operations.LINEAR.union(
  operations.WINNER_TAKES_ALL, {'Maximum', 'Minimum'}
)
_NO_RULE = (
  'No rule for {}. Register an activation with '
  'attribution.overrides.register_activation, choose a representation before '
  'these operations, or use a method that needs no rule: saliency, '
  'gradient_times_input, integrated_gradients.'
)
_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {}

_rule: contextvars.ContextVar[Rule | None] = contextvars.ContextVar(
  'rule', default=None
)


def register_activation(
  name: str, function: Callable[..., np.ndarray] | None = None
) -> None:
  """Makes an activation known to every method that overrides gradients.

  Registering the same again does nothing.

  Args:
    name: Without `function`, the op type of an activation of one operand (or
      of one that is no constant). With it, any name, to be reported.
    function: A NumPy function of one array, f(z), or of an array and a number,
      f(z, b), whatever number of the graph b may be. Wherever a few elementwise
      operations compute it from one tensor, they are one activation.

  Raises:
    ValueError: If `name` cannot be an activation or is another one already.
  """
  if function is not None:
    if _FUNCTIONS.setdefault(name, function) is not function:
      raise ValueError(f'{name!r} is registered with another function.')
    return
  if safety.reaches_outside(name):
    raise ValueError(f'The operation {name} is no activation.')
  operations.admit_activation(name)


def activations() -> tuple[str, ...]:
  """Returns the op types and names registered, sorted."""
  return tuple(sorted({*operations.activations(), *_FUNCTIONS}))


register_activation('sigmoid', lambda z: 1 / (1 + np.exp(-z)))
register_activation('softplus', lambda z: np.logaddexp(z, 0))
register_activation('hard_sigmoid', lambda z: np.clip(z / 6 + 0.5, 0, 1))
register_activation('hard_sigmoid_0.2', lambda z: np.clip(0.2 * z + 0.5, 0, 1))
# Its parts have rules, which do not add up to that of the whole.
register_activation('squareplus', lambda z, b: (z + np.sqrt(z * z + b)) / 2)
register_activation(
  'celu', lambda z, a: np.maximum(z, 0) + a * np.expm1(np.minimum(z, 0) / a)
)


@contextlib.contextmanager
def active_rule(rule: Rule | None) -> Iterator[None]:
  """Within it, `tf.gradients` takes `rule` through every marked activation."""
  token = _rule.set(rule)
  try:
    yield
  finally:
    _rule.reset(token)


def current_rule() -> Rule | None:
  """Returns the rule of the backward pass that is being built, None if none."""
  return _rule.get()


@tf.RegisterGradient(_GRADIENT)
def _activation_gradient(
  op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor
) -> tuple[tf.Tensor | None, tf.Tensor | None]:
  rule = _rule.get()
  if rule is None:
    return gradient, None
  f_z, z = op.inputs
  if not f_z.shape.is_compatible_with(z.shape):
    raise UnsupportedOpError(
      f'The activation {op.name!r} changes the shape of {z.name!r} from '
      f'{z.shape} to {f_z.shape}.'
    )
  return None, rule(z, f_z, gradient)


@tf.RegisterGradient(_OPERAND_GRADIENTS[products.GATE])
def _constant_gradient(_, gradient: tf.Tensor) -> tf.Tensor | None:
  return gradient if _rule.get() is None else None


@tf.RegisterGradient(_OPERAND_GRADIENTS[products.HALF])
def _half_gradient(_, gradient: tf.Tensor) -> tf.Tensor:
  return gradient if _rule.get() is None else gradient / 2


def marked(
  network: Network, product_rule: str = products.RULES[0]
) -> tuple[graph.SubGraph, Mapping[str, int]]:
  """Returns `mark_activations` of a network's graph, which is done once."""
  with about(network.name):
    return network.derived(
      ('marked', product_rule),
      lambda subgraph: mark_activations(subgraph, product_rule),
    )


def mark_activations(
  subgraph: graph.SubGraph, product_rule: str
) -> tuple[graph.SubGraph, Mapping[str, int]]:
  """Returns the graph with its activations marked, and how many of each.

  Operands of products are counted too, as 'gate', 'normaliser' and 'half'.

  Args:
    subgraph: The graph.
    product_rule: One of `products.RULES`.

  Raises:
    UnsupportedOpError: If an operation between input and representation is
      neither an activation nor known to be linear, or if nothing is an
      activation although the graph is not linear.
  """
  nodes = subgraph.nodes
  depending = carriers(subgraph)
  op_types = set(operations.activations())
  found = composites.find(nodes, depending, op_types, dict(_FUNCTIONS))
  entries = {c.end: c.entry for c in found}
  target = subgraph.representation_tensor.rpartition(':')[0]

  def plan_and_reach(rule: str) -> tuple[dict, set[str]]:
    names = {c.end: c.name for c in found}
    operands, flow = products.plan(nodes, depending, names, rule)
    return operands, _reached({**depending, **flow}, entries, target)

  operands, reached = plan_and_reach(product_rule)
  # Only a signal has to have a rule, whatever becomes of gates.
  _, signals = plan_and_reach(products.RULES[0])
  ruled = Counter(c.name for c in found if c.end in reached)
  entries = {end: entry for end, entry in entries.items() if end in reached}
  operands = {o: kind for o, kind in operands.items() if o[0] in reached}
  ruled.update(operands.values())
  unknown, nonlinear = [], []
  for name, inputs in depending.items():
    if name in entries or name not in reached:
      continue
    node = nodes[name]
    is_activation = node.op in op_types or products.is_power(node, nodes)
    if is_activation and len(inputs) == 1:
      entries[name] = inputs[0]
      ruled[node.op] += 1
    elif not _keeps_gradient(node, inputs):
      if name in signals:
        unknown.append(_describe(node, inputs))
    elif node.op in operations.WINNER_TAKES_ALL | op_types:
      nonlinear.append(_describe(node, inputs))
  if unknown:
    raise UnsupportedOpError(_NO_RULE.format(_listing(unknown)))
  if nonlinear and not entries and not operands:
    raise UnsupportedOpError(_no_activation_message(nonlinear))
  return _insert_marks(subgraph, entries, operands), ruled


def activation_names(subgraph: graph.SubGraph) -> dict[str, str]:
  """Returns what activations are called, by the node that each ends in."""
  op_types = set(operations.activations())
  names = {n: node.op for n, node in subgraph.nodes.items()}
  found = composites.find(
    subgraph.nodes, carriers(subgraph), op_types, dict(_FUNCTIONS)
  )
  return {**names, **{each.end: each.name for each in found}}


def carriers(subgraph: graph.SubGraph) -> dict[str, tuple]:
  """Returns, by node that depends on the input's values, the inputs that do."""
  carriers = {}
  source = subgraph.input_tensor.rpartition(':')[0]
  for name, node in subgraph.nodes.items():
    if node.op in operations.STATIC:
      continue
    inputs = tuple(
      tensor
      for tensor in tensors.data_inputs(node)
      if tensor[0] == source or tensor[0] in carriers
    )
    if inputs:
      carriers[name] = inputs
  return carriers


def _reached(
  ways: Mapping[str, tuple], ends: Mapping[str, tuple], target: str
) -> set[str]:
  """Returns the nodes that a backward pass with a rule comes through.

  From the end of a composite activation it goes straight to its entry. A part
  that also serves another node is reached from there.
  """
  reached = {target}
  for name in reversed(ways):
    if name in reached:
      inputs = (ends[name],) if name in ends else ways[name]
      reached.update(node for node, _ in inputs)
  return reached


def _keeps_gradient(node: NodeDef, inputs: tuple) -> bool:
  """Returns whether TensorFlow's gradient is how relevance passes `node`."""
  if node.op == 'Cast':
    return tf.as_dtype(node.attr['DstT'].type).is_floating
  if node.op in products.PRODUCTS:
    return products.is_covered(node, inputs)
  in_first = node.op in operations.LINEAR_IN_FIRST
  if linear_in := {0} if in_first else operations.LINEAR_IN.get(node.op):
    operands = enumerate(tensors.data_inputs(node))
    return all(i in linear_in or t not in inputs for i, t in operands)
  return node.op in _PASS_RELEVANCE


def _describe(node: NodeDef, inputs: tuple) -> str:
  branches = f' of {len(inputs)} branches' if len(inputs) > 1 else ''
  return f'{node.op}{branches} (node {node.name!r})'


def _listing(descriptions: list[str]) -> str:
  more = len(descriptions) - 5
  rest = f' and {more} more' if more > 0 else ''
  return ', '.join(descriptions[:5]) + rest


def _no_activation_message(nonlinear: list[str]) -> str:
  return (
    f'No activation to override, although the graph is not linear: '
    f'{_listing(nonlinear)}. Use the method gradient_times_input, which needs '
    'none.'
  )


def _insert_marks(
  subgraph: graph.SubGraph,
  entries: Mapping[str, tuple[str, int]],
  operands: Mapping[tuple[str, int], str],
) -> graph.SubGraph:
  """Returns the graph with an IdentityN wherever a rule may act.

  One of (f(z), z) behind each activation, one before each operand of a product.
  """
  before = subgraph.nodes

  def fresh(name: str) -> str:
    while name in before:
      name += '_'
    return name

  marks = {f'{name}:0': f'{fresh(f"{name}/activation")}:0' for name in entries}
  nodes = {}
  for name, node in before.items():
    if node.op == 'Const':  # Weights are shared.
      nodes[name] = node
      continue
    copy = NodeDef.FromString(node.SerializeToString())
    for i, tensor in enumerate(copy.input):
      copy.input[i] = marks.get(tensor, tensor)
      if (name, i) in operands:
        gradient = _OPERAND_GRADIENTS[operands[name, i]]
        kinds = [type_of(before, tensors.split(tensor))]
        mark_name = fresh(f'{name}/operand_{i}')
        nodes[mark_name] = mark(mark_name, gradient, kinds, [copy.input[i]])
        copy.input[i] = f'{mark_name}:0'
    nodes[name] = copy
    if name in entries:
      z = '{}:{}'.format(*entries[name])
      kinds = [type_of(before, t) for t in ((name, 0), entries[name])]
      mark_name = tensors.split(marks[f'{name}:0'])[0]
      values = [f'{name}:0', marks.get(z, z)]
      nodes[mark_name] = mark(mark_name, _GRADIENT, kinds, values)
  representation = subgraph.representation_tensor
  return dataclasses.replace(
    subgraph,
    nodes=nodes,
    representation_tensor=marks.get(representation, representation),
  )


def type_of(nodes: Mapping[str, NodeDef], tensor: tuple[str, int]) -> int:
  """Returns the number of a tensor's type."""
  node, number = nodes[tensor[0]], tensor[1]
  return op_definitions.output_types(node)[number].as_datatype_enum


def mark(
  name: str, gradient: str, kinds: Sequence[int], values: Sequence[str]
) -> NodeDef:
  """Returns an IdentityN of values, with a gradient of its own."""
  made = NodeDef(op='IdentityN', name=name)
  made.input.extend(values)
  made.attr['T'].list.type.extend(kinds)
  made.attr['_gradient_op_type'].s = gradient.encode()
  return made
