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
from frozen_graphs.tensors import NodeDef

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
_OF_BATCH_NORM = ('U', 'epsilon', 'data_format', 'is_training')
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


def unfuse(nodes: Iterable[NodeDef]) -> list[NodeDef]:
  """Returns the nodes with every fused one split into plain ones.

  The last of the plain nodes has the name of the fused one, so that the nodes
  that use it need no change; the others are named below it.

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


def _text(name: bytes) -> str:
  """Returns the name of a part, which need not be text in a damaged file."""
  return name.decode(errors='replace')


def _number(fused: NodeDef, attribute: str, default: float) -> float:
  """Returns an attribute; one with TensorFlow's default may be left out."""
  return fused.attr[attribute].f if attribute in fused.attr else default


def _split(fused: NodeDef, taken: set[str]) -> list[NodeDef]:
  if fused.op == _PRELU:
    op, count, attributes, parts = '', 1, (), ['Prelu']
  elif fused.op in _BATCH_NORMS:
    op, count, attributes = 'FusedBatchNormV3', 5, _OF_BATCH_NORM
    parts = _parts_behind_batch_norm(fused)
  else:
    (op, attributes), count = _CORES[fused.op], 2
    parts = [_text(part) for part in fused.attr['fused_ops'].list.s]
  if unknown := [part for part in parts if part not in _OPERANDS]:
    raise GraphError(
      f'Node {fused.name!r} ({fused.op}) is fused from {[op, *parts]}; '
      f'unknown: {unknown}. Known are {sorted(_OPERANDS)}.'
    )
  chain = _Chain(fused, taken)
  needed = count + sum(_OPERANDS[part] for part in parts)
  if len(chain.data) != needed:
    raise GraphError(
      f'Node {fused.name!r} ({fused.op}, fused from {[op, *parts]}) needs '
      f'{needed} operands, but has {len(chain.data)}.'
    )
  first, operands = chain.data[:count], iter(chain.data[count:])
  x = chain.add(op, first, attributes) if op else first[0]
  for part in parts:
    more = [next(operands) for _ in range(_OPERANDS[part])]
    x = _add_part(chain, fused, part, x, more)
  return chain.finish()


def _parts_behind_batch_norm(fused: NodeDef) -> list[str]:
  activation = _text(fused.attr['activation_mode'].s) or 'Identity'
  side_inputs = fused.attr['num_side_inputs'].i
  if activation not in ('Identity', 'Relu') or side_inputs not in (0, 1):
    raise GraphError(
      f'Node {fused.name!r} ({fused.op}) is fused from a batch normalization, '
      f'{side_inputs} side inputs and {activation!r}; at most one side input '
      'and Identity or Relu are known.'
    )
  return ['Add'] * side_inputs + ['Relu'] * (activation == 'Relu')


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
    chain.last.attr['epsilon'].f = _number(fused, 'epsilon', 1e-4)
    chain.last.attr['is_training'].b = False
    return x
  attributes = ('data_format',) if part == 'BiasAdd' else ()
  op = 'AddV2' if part == 'Add' else part
  x = chain.add(op, [x, *operands], attributes)
  if part == 'LeakyRelu':
    chain.last.attr['alpha'].f = _number(fused, 'leakyrelu_alpha', 0.2)
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
