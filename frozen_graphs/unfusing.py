"""Splits fused operations into those they were fused from.

Converters and TensorFlow's own optimizer write a convolution, its bias and its
activation as one node. Such a node has no gradient, hides its activation from
epsilon-LRP, or is no operation of TensorFlow at all.
"""

from collections.abc import Iterable, Mapping, Sequence
import math

import tensorflow as tf

from frozen_graphs import tensors
from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef

_WINDOW = ('T', 'strides', 'padding', 'explicit_paddings', 'data_format')
# For each fused operation the plain one, and the attributes it takes over.
_CORES: Mapping[str, tuple[str, tuple[str, ...]]] = {
  '_FusedConv2D': ('Conv2D', (*_WINDOW, 'dilations', 'use_cudnn_on_gpu')),
  '_FusedMatMul': ('MatMul', ('T', 'transpose_a', 'transpose_b')),
} | dict.fromkeys(
  ('FusedDepthwiseConv2dNative', '_FusedDepthwiseConv2dNative'),
  ('DepthwiseConv2dNative', (*_WINDOW, 'dilations')),
)
_BATCH_NORMS = ('_FusedBatchNormEx', 'FusedBatchNormEx')
_PRELU = 'Prelu'  # Of TensorFlow.js.

# How many operands each part takes, in the order of the fused node's operands.
_OPERANDS = {'Add': 1, 'BiasAdd': 1, 'FusedBatchNorm': 4, 'Prelu': 1} | (
  dict.fromkeys(
    (
      'LeakyRelu', 'Relu', 'Relu6', 'Elu', 'Sigmoid', 'Tanh', 'GeluExact',
      'GeluApproximate',
    ),
    0,
  )
)  # fmt: skip

FUSED = frozenset({*_CORES, *_BATCH_NORMS, _PRELU})
# TensorFlow's default; an attribute with its default may be left out of a file.
_EPSILON = 1e-4


def unfuse(nodes: Iterable[NodeDef]) -> list[NodeDef]:
  """Returns the nodes with every fused one split into plain ones.

  The last of the plain nodes has the name of the fused one, so that the nodes
  that use it need no change; the others are named below it.

  Args:
    nodes: Of one graph; they are not changed.

  Raises:
    GraphError: If a node is fused from something unknown; it is named.
  """
  nodes = list(nodes)
  taken = {node.name for node in nodes}
  result = []
  for node in nodes:
    result.extend(_split(node, taken) if node.op in FUSED else [node])
  return result


class _Chain:
  """Plain nodes made from one fused node, the last one named as it was."""

  def __init__(self, fused: NodeDef, taken: set[str]):
    self._fused = fused
    self._taken = taken
    self.nodes: list[NodeDef] = []
    self.data = [name for name in fused.input if not name.startswith('^')]
    self._controls = [name for name in fused.input if name.startswith('^')]
    self._type = fused.attr['T'].type or tf.float32.as_datatype_enum

  def add(
    self, op: str, inputs: Sequence[str], attributes: Iterable[str] = ()
  ) -> str:
    """Appends a node with its type and these attributes; returns its name."""
    node = NodeDef(op=op, input=inputs, device=self._fused.device)
    if not self.nodes:
      node.input.extend(self._controls)
    node.attr['T'].type = self._type
    for attribute in attributes:
      if attribute in self._fused.attr:
        node.attr[attribute].CopyFrom(self._fused.attr[attribute])
    return self._append(node)

  def constant(self, value: float) -> str:
    """Appends a number of the node's type; returns its name."""
    return self._append(tensors.constant('', value, tf.as_dtype(self._type)))

  def _append(self, node: NodeDef) -> str:
    name = f'{self._fused.name}/{node.op}'
    node.name = tensors.unused_name(name, self._taken)
    self._taken.add(node.name)
    self.nodes.append(node)
    return node.name

  @property
  def last(self) -> NodeDef:
    return self.nodes[-1]

  def finish(self) -> list[NodeDef]:
    self.last.name = self._fused.name
    shapes = '_output_shapes'
    if shapes in self._fused.attr:
      self.last.attr[shapes].CopyFrom(self._fused.attr[shapes])
    return self.nodes

  def require_operands(self, count: int, parts: str) -> None:
    if len(self.data) != count:
      raise GraphError(
        f'Node {self._fused.name!r} ({self._fused.op}{parts}) needs {count} '
        f'operands, but has {len(self.data)}.'
      )


def _text(name: bytes) -> str:
  """Returns the name of a part, which need not be text in a damaged file."""
  return name.decode(errors='replace')


def _split(fused: NodeDef, taken: set[str]) -> list[NodeDef]:
  chain = _Chain(fused, taken)
  if fused.op == _PRELU:
    chain.require_operands(2, '')
    _add_prelu(chain, *chain.data)
  elif fused.op in _BATCH_NORMS:
    _add_batch_norm_and_activation(chain, fused)
  else:
    _add_core_and_parts(chain, fused)
  return chain.finish()


def _add_core_and_parts(chain: _Chain, fused: NodeDef) -> None:
  op, attributes = _CORES[fused.op]
  parts = [_text(part) for part in fused.attr['fused_ops'].list.s]
  if unknown := [part for part in parts if part not in _OPERANDS]:
    raise GraphError(
      f'Node {fused.name!r} ({fused.op}) is fused from {[op, *parts]}; '
      f'unknown: {unknown}. Known are {sorted(_OPERANDS)}.'
    )
  chain.require_operands(
    2 + sum(_OPERANDS[part] for part in parts), f' with {"+".join(parts)}'
  )
  operands = iter(chain.data)
  x = chain.add(op, [next(operands), next(operands)], attributes)
  for part in parts:
    more = [next(operands) for _ in range(_OPERANDS[part])]
    x = _add_part(chain, fused, part, x, more)


def _add_part(
  chain: _Chain, fused: NodeDef, part: str, x: str, operands: Sequence[str]
) -> str:
  """Appends one bias, normalization or activation; returns its result."""
  if part == 'Prelu':
    return _add_prelu(chain, x, *operands)
  if part in ('GeluExact', 'GeluApproximate'):
    return _add_gelu(chain, x, is_exact=part == 'GeluExact')
  if part == 'FusedBatchNorm':
    x = chain.add('FusedBatchNormV3', [x, *operands], ('data_format',))
    chain.last.attr['U'].type = tf.float32.as_datatype_enum
    stated = 'epsilon' in fused.attr
    chain.last.attr['epsilon'].f = (
      fused.attr['epsilon'].f if stated else _EPSILON
    )
    chain.last.attr['is_training'].b = False
    return x
  attributes = ('data_format',) if part == 'BiasAdd' else ()
  op = 'AddV2' if part == 'Add' else part
  x = chain.add(op, [x, *operands], attributes)
  if part == 'LeakyRelu':
    # Both TensorFlow's op and the fused one have the default 0.2.
    stated = 'leakyrelu_alpha' in fused.attr
    chain.last.attr['alpha'].f = (
      fused.attr['leakyrelu_alpha'].f if stated else 0.2
    )
  return x


def _add_prelu(chain: _Chain, x: str, alpha: str) -> str:
  """Appends relu(x) - alpha * relu(-x)."""
  positive = chain.add('Relu', [x])
  negative = chain.add('Relu', [chain.add('Neg', [x])])
  return chain.add('Sub', [positive, chain.add('Mul', [alpha, negative])])


def _add_gelu(chain: _Chain, x: str, is_exact: bool) -> str:
  """Appends x / 2 (1 + erf(x / sqrt(2))), or the form with tanh."""
  if is_exact:
    scaled = chain.add('Mul', [x, chain.constant(math.sqrt(0.5))])
    gate = chain.add('Erf', [scaled])
  else:
    square = chain.add('Mul', [x, x])
    cubic = chain.add('Mul', [square, chain.constant(0.044715)])
    factor = chain.add('AddV2', [cubic, chain.constant(1.0)])
    sum_ = chain.add('Mul', [x, factor])
    scaled = chain.add('Mul', [sum_, chain.constant(math.sqrt(2 / math.pi))])
    gate = chain.add('Tanh', [scaled])
  half = chain.add('Mul', [x, chain.constant(0.5)])
  gate = chain.add('AddV2', [gate, chain.constant(1.0)])
  return chain.add('Mul', [half, gate])


def _add_batch_norm_and_activation(chain: _Chain, fused: NodeDef) -> None:
  activation = _text(fused.attr['activation_mode'].s) or 'Identity'
  side_inputs = fused.attr['num_side_inputs'].i
  if activation not in ('Identity', 'Relu') or side_inputs not in (0, 1):
    raise GraphError(
      f'Node {fused.name!r} ({fused.op}) is fused from a batch normalization, '
      f'{side_inputs} side inputs and {activation!r}; at most one side input '
      'and Identity or Relu are known.'
    )
  chain.require_operands(5 + side_inputs, f' with {activation}')
  attributes = ('U', 'epsilon', 'data_format', 'is_training')
  x = chain.add('FusedBatchNormV3', chain.data[:5], attributes)
  if side_inputs:
    x = chain.add('AddV2', [x, chain.data[5]])
  if activation == 'Relu':
    chain.add('Relu', [x])
