"""How relevance passes a product of two tensors that both depend on the input.

Epsilon-LRP is defined for linear layers and activations; a product is neither.
Two rules (see docs/attribution_rules.md):

  * `gates_constant`: a gate only scales a signal. It is held constant and gets
    no relevance, all of it goes to the signal (Arras et al., 2017; zennit;
    AttnLRP, Achtibat et al., 2024). A gate comes, through linear operations,
    from a sigmoid, a softmax, a normaliser (the reciprocal of a norm or of a
    standard deviation) or a comparison. So squeeze-and-excite, attention, and
    layer or instance normalization are linear in their signal. Of a product of
    two signals each gets half (AttnLRP's uniform rule), so that nothing is
    counted twice. A divisor is held constant.
  * `gradient`: the product rule of differentiation, as DeepExplain has it by
    overriding nothing but activations. Gates then get relevance of their own,
    and the total is not conserved. What a gate is computed by keeps its
    gradient, unless it is an activation.
"""

from collections.abc import Mapping
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from frozen_graphs import operations, tensors

NodeDef = tf.compat.v1.NodeDef
Tensor = tuple[str, int]

RULES = ('gates_constant', 'gradient')

# What one operand is, by which it gets no relevance, or half of it.
GATE = 'gate'
NORMALISER = 'normaliser'
HALF = 'half'
CONSTANT = frozenset({GATE, NORMALISER})

_QUOTIENTS = frozenset({'Div', 'DivNoNan', 'RealDiv'})
_SQUARES = frozenset({'Square', 'SquaredDifference'})
_CHOICES = frozenset({'Select', 'SelectV2'})  # The first operand chooses.

# What a gate comes from: op types, and names of activations written out. Of
# most f(0) is not 0, so that there is no f(z) / z that would mean anything.
_NORMALISER_ROOTS = frozenset({'Pow', 'Reciprocal', 'Rsqrt', 'Sqrt'})
_GATE_ROOTS = _NORMALISER_ROOTS.union({
  'Sigmoid', 'Softmax', 'Exp', 'StopGradient',
  'ArgMax', 'Ceil', 'Equal', 'Floor', 'Greater', 'GreaterEqual', 'Less',
  'LessEqual', 'LogicalAnd', 'LogicalNot', 'LogicalOr', 'NotEqual', 'OneHot',
  'Rint', 'Round', 'Sign',
  'sigmoid', 'hard_sigmoid', 'hard_sigmoid_0.2',
})  # fmt: skip
# A gate only beside a signal: hard-swish is often written x * relu6(...) / 6.
_WEAK_GATE_ROOTS = _GATE_ROOTS | {'Relu6'}
_LIMITS = frozenset({'ClipByValue', 'Maximum', 'Minimum'})


@dataclasses.dataclass(frozen=True)
class Plan:
  """Which operands of products relevance does not simply pass.

  Attributes:
    operands: By node and number of the operand, GATE, NORMALISER or HALF.
    flow: By node, for those that do not pass relevance to all of their
      operands that depend on the input: those that it does pass it to.
  """

  operands: Mapping[tuple[str, int], str]
  flow: Mapping[str, tuple[Tensor, ...]]


def plan(
  nodes: Mapping[str, NodeDef],
  carriers: Mapping[str, tuple[Tensor, ...]],
  activations: Mapping[str, str],
  rule: str,
) -> Plan:
  """Returns how relevance passes the products of a graph.

  Args:
    nodes: By name, each after the nodes it needs.
    carriers: For each node that depends on the input, the inputs that do.
    activations: Names of composite activations by the nodes they end in.
    rule: One of RULES.
  """
  if rule not in RULES:
    raise ValueError(f'Unknown rule for products {rule!r}; known are {RULES}.')
  tests = [
    functools.partial(_is_gate, _Gates(nodes, carriers, activations, roots))
    for roots in (_NORMALISER_ROOTS, _GATE_ROOTS, _WEAK_GATE_ROOTS)
  ]
  operands, flow = {}, {}
  for name in carriers:
    node = nodes[name]
    if name in activations:
      continue
    if node.op in _CHOICES:
      flow[name] = tuple(tensors.data_inputs(node))[1:]
    elif node.op == 'StopGradient':
      flow[name] = ()
    elif rule == 'gates_constant':
      kinds = _kinds(node, carriers, *tests)
      operands |= {(name, i): kind for i, kind in kinds.items()}
      if not CONSTANT.isdisjoint(kinds.values()):
        flow[name] = tuple(
          tensor
          for i, tensor in enumerate(tensors.data_inputs(node))
          if tensor in carriers[name] and kinds.get(i) not in CONSTANT
        )
  return Plan(operands, flow)


def is_product(node: NodeDef) -> bool:
  """Returns whether `plan` says how relevance passes the node."""
  return (
    node.op in operations.BILINEAR
    or node.op in _QUOTIENTS
    or node.op in _SQUARES
    or node.op in _CHOICES
    or node.op == 'StopGradient'
  )


def is_power(node: NodeDef, nodes: Mapping[str, NodeDef]) -> bool:
  """Returns whether the node is z^n with a constant n > 0, which is 0 at 0."""
  if node.op != 'Pow':
    return False
  exponent = nodes[list(tensors.data_inputs(node))[1][0]]
  if exponent.op != 'Const':
    return False
  return bool(np.all(tf.make_ndarray(exponent.attr['value'].tensor) > 0))


def is_covered(node: NodeDef, inputs: tuple[Tensor, ...]) -> bool:
  """Returns whether relevance can pass a product of these dependent inputs."""
  if node.op in _QUOTIENTS:  # A number over a signal is no linear function.
    return next(tensors.data_inputs(node)) in inputs
  return len(inputs) <= 2 or node.op in _CHOICES


def _kinds(
  node: NodeDef, carriers, is_normaliser, *gate_tests
) -> dict[int, str]:
  """Returns what operands are, by number; those of no kind pass relevance."""
  inputs = list(tensors.data_inputs(node))
  dependent = [i for i, t in enumerate(inputs) if t in carriers[node.name]]
  if node.op in _QUOTIENTS:
    return {1: NORMALISER} if dependent == [0, 1] else {}
  if node.op in _SQUARES:
    return {i: HALF for i in dependent}
  if node.op not in operations.BILINEAR or len(dependent) != 2:
    return {}
  for is_gate in gate_tests:
    gates = [i for i in dependent if is_gate(inputs[i])]
    if len(gates) == 1:
      kind = NORMALISER if is_normaliser(inputs[gates[0]]) else GATE
      return {gates[0]: kind}
  return {i: HALF for i in dependent}


@dataclasses.dataclass(frozen=True)
class _Gates:
  nodes: Mapping[str, NodeDef]
  carriers: Mapping[str, tuple[Tensor, ...]]
  activations: Mapping[str, str]
  roots: frozenset[str]
  known: dict[str, bool] = dataclasses.field(default_factory=dict)


def _is_gate(graph: _Gates, tensor: Tensor) -> bool:
  """Returns whether a tensor comes from a gate, through linear operations."""
  stack = [tensor[0]]
  while stack:  # Not recursive: chains may be longer than Python's stack.
    name = stack[-1]
    if name in graph.known:
      stack.pop()
      continue
    answer, needed = _step(graph, name)
    missing = [n for n in needed if n not in graph.known]
    if missing:
      stack.extend(missing)
      continue
    graph.known[name] = answer and all(graph.known[n] for n in needed)
    stack.pop()
  return graph.known[tensor[0]]


def _step(graph: _Gates, name: str) -> tuple[bool, list[str]]:
  """Returns whether a node is a gate if those that it also names are."""
  if name not in graph.carriers:
    return False, []  # The input itself.
  if name in graph.activations:
    return graph.activations[name] in graph.roots, []
  node, inputs = graph.nodes[name], graph.carriers[name]
  if node.op in graph.roots:
    return True, []
  if node.op in _QUOTIENTS:
    numerator = next(tensors.data_inputs(node))
    if numerator not in inputs:  # 1 / x normalises.
      return True, []
    return True, [numerator[0]]
  if node.op in operations.LINEAR or node.op in operations.BILINEAR:
    return True, [n for n, _ in inputs]
  if node.op in operations.LINEAR_IN_FIRST and len(inputs) == 1:
    return True, [inputs[0][0]]
  if node.op in _LIMITS and len(inputs) == 1:
    return True, [inputs[0][0]]
  return False, []
