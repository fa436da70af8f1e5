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
# Through which a gate stays one; of the others, if they have one such operand.
_LINEAR = operations.LINEAR | operations.BILINEAR
_LINEAR_IN_ONE = operations.LINEAR_IN_FIRST.union(
  {'ClipByValue', 'Maximum', 'Minimum'}
)

# Op types of which `plan` says how relevance passes.
PRODUCTS = operations.BILINEAR.union(
  _QUOTIENTS, _SQUARES, _CHOICES, {'StopGradient'}
)


def plan(
  nodes: Mapping[str, NodeDef],
  carriers: Mapping[str, tuple[Tensor, ...]],
  activations: Mapping[str, str],
  rule: str,
) -> tuple[dict[tuple[str, int], str], dict[str, tuple[Tensor, ...]]]:
  """Returns how relevance passes the products of a graph, by one of RULES.

  `nodes` and `carriers` are as for `composites.find`; `activations` are names
  of composite activations by the nodes they end in.

  Returns:
    What operands of products are that relevance does not simply pass, GATE,
    NORMALISER or HALF, by node and number of the operand; and, by node, of
    those that do not pass relevance to all of their operands that depend on
    the input, the ones that they do pass it to.
  """
  if rule not in RULES:
    raise ValueError(f'Unknown rule for products {rule!r}; known are {RULES}.')
  gates = [
    _Gates(nodes, carriers, activations, roots)
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
      kinds = _kinds(node, carriers, *gates)
      operands |= {(name, i): kind for i, kind in kinds.items()}
      if not CONSTANT.isdisjoint(kinds.values()):
        flow[name] = tuple(
          tensor
          for i, tensor in enumerate(tensors.data_inputs(node))
          if tensor in carriers[name] and kinds.get(i) not in CONSTANT
        )
  return operands, flow


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
  node: NodeDef, carriers, normalisers: '_Gates', *known_gates: '_Gates'
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
  for known in known_gates:
    gates = [i for i in dependent if inputs[i] in known]
    if len(gates) == 1:
      kind = NORMALISER if inputs[gates[0]] in normalisers else GATE
      return {gates[0]: kind}
  return {i: HALF for i in dependent}


@dataclasses.dataclass(frozen=True)
class _Gates:
  """The tensors that come from a root, through linear operations."""

  nodes: Mapping[str, NodeDef]
  carriers: Mapping[str, tuple[Tensor, ...]]
  activations: Mapping[str, str]
  roots: frozenset[str]
  known: dict[str, bool] = dataclasses.field(default_factory=dict)

  def __contains__(self, tensor: Tensor) -> bool:
    stack = [tensor[0]]
    while stack:  # Not recursive: chains may be longer than Python's stack.
      name = stack[-1]
      answer, needed = self._step(name)
      missing = [n for n in needed if n not in self.known]
      if missing:
        stack.extend(missing)
        continue
      self.known[name] = answer and all(self.known[n] for n in needed)
      stack.pop()
    return self.known[tensor[0]]

  def _step(self, name: str) -> tuple[bool, list[str]]:
    """Returns whether a node is a gate if those that it also names are."""
    if name in self.known or name not in self.carriers:  # Or the input itself.
      return self.known.get(name, False), []
    if name in self.activations:
      return self.activations[name] in self.roots, []
    node, inputs = self.nodes[name], self.carriers[name]
    if node.op in self.roots:
      return True, []
    if node.op in _QUOTIENTS:
      numerator = next(tensors.data_inputs(node))  # 1 / x normalises.
      return True, [numerator[0]] if numerator in inputs else []
    linear = _LINEAR if len(inputs) > 1 else _LINEAR | _LINEAR_IN_ONE
    passes = node.op in linear
    return passes, [n for n, _ in inputs] if passes else []
