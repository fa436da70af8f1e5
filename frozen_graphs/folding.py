"""Computes what a graph computes of constants, and scales weights for it.

A batch normalization in inference mode, whether it is one node or spelled out
in products and sums, is an affine map of each channel. Behind a convolution
with constant weights it becomes a part of these and one bias; elsewhere one
product and one sum, whose gradients are cheaper than those of the node. All of
it is linear, so that gradients and relevance stay what they are, up to the
rounding of single numbers.

Nothing is folded past a tensor that goes two ways. So what is folded may be a
graph with its activations marked: a mark looks at the tensor z before an
activation, which stays as it is.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import math

import numpy as np
import tensorflow as tf

from frozen_graphs import constants, op_definitions, operations, tensors
from frozen_graphs.graph import SubGraph
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

# By op type, where the channels of the result are in the weights.
_WEIGHTED = {'Conv2D': (3,), 'DepthwiseConv2dNative': (2, 3), 'MatMul': (1,)}
_RANKS = {'Conv2D': 4, 'DepthwiseConv2dNative': 4, 'MatMul': 2}
_LAST, _FIRST = 'channels last', 'channels first'
_TRANSPOSED = {
  (_LAST, (0, 3, 1, 2)): _FIRST,
  (_FIRST, (0, 2, 3, 1)): _LAST,
}
# From (value, whether it is the second operand) to (scale, offset).
_MAPS: Mapping[str, Callable[[np.ndarray, bool], tuple]] = {
  'BiasAdd': lambda v, _: (np.ones(1), v),
  'Add': lambda v, _: (np.ones(1), v),
  'AddV2': lambda v, _: (np.ones(1), v),
  'Sub': lambda v, second: (np.ones(1), -v) if second else (-np.ones(1), v),
  'Mul': lambda v, _: (v, np.zeros(1)),
  'RealDiv': lambda v, second: (1 / v, np.zeros(1)) if second else (None, None),
}
# What only arranges its first operand anew.
_ARRANGING: Mapping[str, Callable[[NodeDef], Callable]] = {
  'Cast': lambda node: lambda x: x,  # To the type of the result, as all are.
  'ExpandDims': lambda node: lambda x, axis: np.expand_dims(x, int(axis)),
  'Reshape': lambda node: lambda x, shape: x.reshape(shape),
  'Squeeze': lambda node: (
    lambda x: np.squeeze(
      x, tuple(op_definitions.attribute(node, 'squeeze_dims').list.i) or None
    )
  ),
}
_GROWTH = 2  # How much larger a result may be than what it is computed of.


@dataclasses.dataclass(frozen=True)
class _ChannelMap:
  """An affine map of each channel: scale * x + offset.

  Attributes:
    scale: float64 [channels] or [1].
    offset: Likewise.
    layout: Where the channels are; None if both are of all channels.
  """

  scale: np.ndarray
  offset: np.ndarray
  layout: str | None


@dataclasses.dataclass(frozen=True)
class _AffineChain:
  """Maps behind a weighted node, all of which nobody else looks at.

  Attributes:
    root: Name of the weighted node.
    layout: Where the channels are at the end of the chain.
    scale: Of all maps together, [channels] or [1].
    offset: Likewise.
    inner: Names of the nodes, in order.
    passing: Of those that pass values on in another order.
  """

  root: str
  layout: str
  scale: np.ndarray
  offset: np.ndarray
  inner: tuple[str, ...] = ()
  passing: tuple[str, ...] = ()

  def then(self, name: str, found: _ChannelMap) -> '_AffineChain':
    return dataclasses.replace(
      self,
      scale=self.scale * found.scale,
      offset=self.offset * found.scale + found.offset,
      inner=(*self.inner, name),
    )

  def through(self, name: str, layout: str) -> '_AffineChain':
    return dataclasses.replace(
      self,
      layout=layout,
      inner=(*self.inner, name),
      passing=(*self.passing, name),
    )


def fold(subgraph: SubGraph, layers: Sequence[str] = ()) -> SubGraph:
  """Returns a graph that computes the same with fewer operations.

  The last node of what is folded together keeps its name.

  Args:
    subgraph: The graph, in which activations may be marked.
    layers: Tensors that are looked at beside the representation.
  """
  nodes = compute_constants(subgraph.nodes)
  wanted = subgraph.representation_tensor, *layers
  nodes = _Folder(nodes, wanted).folded()
  ends = subgraph.input_tensor, *wanted
  needed = tensors.reachable(
    [tensors.split(end)[0] for end in ends],
    lambda name: tensors.producers(nodes[name]),
  )
  kept = {name: node for name, node in nodes.items() if name in needed}
  return dataclasses.replace(subgraph, nodes=kept)


def compute_constants(nodes: Nodes) -> dict[str, NodeDef]:
  """Returns nodes with a constant in place of what is computed of some.

  Args:
    nodes: By name, each after the nodes it needs.
  """
  result: dict[str, NodeDef] = {}
  for name, node in nodes.items():
    value = None if node.op == 'Const' else _computed(node, result)
    result[name] = node if value is None else tensors.constant(name, value)
  return result


def _computed(node: NodeDef, nodes: Nodes) -> np.ndarray | None:
  """Returns what a node computes, None if not of constants, or too much."""
  function = operations.ELEMENTWISE.get(node.op)
  if node.op in _ARRANGING:
    function = _ARRANGING[node.op](node)
  if function is None:
    return None
  operands = [_constant(nodes, tensor) for tensor in tensors.data_inputs(node)]
  (kind,) = op_definitions.output_types(node)
  if any(operand is None for operand in operands) or not kind.is_floating:
    return None
  size = sum(operand.size for operand in operands)
  with np.errstate(all='ignore'):
    try:
      if node.op in operations.ELEMENTWISE:
        made = math.prod(np.broadcast_shapes(*(o.shape for o in operands)))
        if made > _GROWTH * size:
          return None
      value = np.asarray(function(*operands), kind.as_numpy_dtype)
    except (TypeError, ValueError):
      return None  # Damaged: TensorFlow will say how.
  return value if np.isfinite(value).all() else None


def _constant(nodes: Nodes, tensor: Tensor) -> np.ndarray | None:
  """Returns the value of a tensor, None if it is no constant."""
  node = nodes.get(tensor[0])
  is_constant = node is not None and node.op == 'Const' and tensor[1] == 0
  return constants.value(node) if is_constant else None


class _Folder:
  """Finds chains of maps, and folds them into the weights before them."""

  def __init__(self, nodes: dict[str, NodeDef], wanted: Iterable[str]):
    self._nodes = nodes
    self._uses = Counter(
      tensor for node in nodes.values() for tensor in tensors.data_inputs(node)
    )
    self._uses.update(map(tensors.split, wanted))
    self._chains: dict[str, _AffineChain] = {}  # By their last node.

  def folded(self) -> dict[str, NodeDef]:
    """Returns the nodes, with each chain folded at its end."""
    for name, node in self._nodes.items():
      chain = self._begun(node) or self._continued(node)
      if chain is not None:
        self._chains[name] = chain
    ends, gone = {}, set()
    for name in reversed(self._chains):
      chain = self._chains[name]
      if name not in gone and self._is_worth_while(chain, name):
        ends[name] = chain
        gone.update((chain.root, *chain.inner))
    result = {}
    for name, node in self._nodes.items():
      if name in ends:
        result |= _by_name(self._into_weights(ends[name]))
      elif name not in gone:
        result |= _by_name(self._as_map(node))
    return result

  def _begun(self, node: NodeDef) -> _AffineChain | None:
    """Returns the chain that may follow a weighted node."""
    if node.op not in _WEIGHTED or not _is_channels_last(node):
      return None
    if 'transpose_b' in node.attr and node.attr['transpose_b'].b:
      return None
    weights = self._nodes.get(tensors.producers(node)[1])
    if weights is None or weights.op != 'Const':
      return None
    return _AffineChain(node.name, _LAST, np.ones(1), np.zeros(1))

  def _continued(self, node: NodeDef) -> _AffineChain | None:
    """Returns the chain that a node ends, if it goes on with one."""
    given = list(tensors.data_inputs(node))
    before = [t for t in given if t[1] == 0 and t[0] in self._chains]
    if len(before) != 1 or self._uses[before[0]] != 1:
      return None
    source, chain = before[0], self._chains[before[0][0]]
    if node.op == 'BatchToSpaceND' and source == given[0]:
      return chain.through(node.name, chain.layout)
    if node.op == 'Transpose':
      order = _constant(self._nodes, given[1])
      key = chain.layout, () if order is None else tuple(order.reshape(-1))
      layout = _TRANSPOSED.get(key)
      return chain.through(node.name, layout) if layout else None
    found = self._map_of(node, source, _RANKS[self._nodes[chain.root].op])
    if found is None or found.layout not in (None, chain.layout):
      return None
    return chain.then(node.name, found)

  def _map_of(
    self, node: NodeDef, source: Tensor, rank: int = 4
  ) -> _ChannelMap | None:
    """Returns the affine map that a node is of a tensor, if it is one."""
    if node.op in operations.BATCH_NORM:
      return self._of_batch_norm(node)
    given = list(tensors.data_inputs(node))
    if node.op not in _MAPS or len(given) != 2 or given[0] == given[1]:
      return None
    is_second = given[0] == source
    value = _constant(self._nodes, given[1 if is_second else 0])
    if value is None or value.ndim > rank:
      return None
    layout = _layout(value.shape)
    if node.op == 'BiasAdd' and not _is_channels_last(node):
      layout = _FIRST
    if layout is None and value.size > 1:
      return None
    with np.errstate(all='ignore'):
      made = _MAPS[node.op](value.reshape(-1).astype(np.float64), is_second)
    return _finite(*made, layout)

  def _of_batch_norm(self, node: NodeDef) -> _ChannelMap | None:
    is_more = any(self._uses[node.name, number] for number in range(1, 6))
    if operations.is_training_norm(node) or is_more:
      return None
    _, *others = tensors.data_inputs(node)
    values = [_constant(self._nodes, tensor) for tensor in others]
    if any(value is None for value in values):
      return None
    gamma, beta, mean, variance = (v.astype(np.float64) for v in values)
    epsilon = node.attr['epsilon'].f if 'epsilon' in node.attr else 1e-4
    with np.errstate(all='ignore'):
      scale = gamma / np.sqrt(variance + epsilon)
      offset = beta - mean * scale
    return _finite(scale, offset, _LAST if _is_channels_last(node) else _FIRST)

  def _is_worth_while(self, chain: _AffineChain, name: str) -> bool:
    """Returns whether a chain becomes fewer or cheaper nodes."""
    if not chain.inner or name in chain.passing:
      return False
    count = math.prod(self._channels(chain.root))
    if {chain.scale.size, chain.offset.size} - {1, count}:
      return False
    maps = [n for n in chain.inner if n not in chain.passing]
    return len(maps) > 1 or self._nodes[maps[0]].op != 'BiasAdd'

  def _channels(self, root: str) -> Sequence[int]:
    """Returns the sizes of those axes of weights that are channels' own."""
    node = self._nodes[root]
    weights = self._nodes[tensors.producers(node)[1]]
    shape = tf.TensorShape(weights.attr['value'].tensor.tensor_shape).as_list()
    return [shape[axis] for axis in _WEIGHTED[node.op]]

  def _into_weights(self, chain: _AffineChain) -> Iterable[NodeDef]:
    """Yields what computes a chain; the last one has its last one's name."""
    name, root = chain.inner[-1], self._nodes[chain.root]
    source, weights = tensors.data_inputs(root)
    channels = self._channels(chain.root)
    value = _constant(self._nodes, weights)
    scale = np.broadcast_to(chain.scale, [math.prod(channels)])
    scaled = (value * scale.reshape(channels)).astype(value.dtype)
    scaled = self._const(f'{name}/weights', scaled)
    weighted = self._copy(root, f'{name}/weighted', [source, (scaled.name, 0)])
    offset = np.broadcast_to(chain.offset, [math.prod(channels)])
    offset = self._const(f'{name}/offset', offset.astype(value.dtype))
    bias = self._bias(f'{name}/bias', (weighted.name, 0), offset)
    made = [scaled, weighted, offset, bias]
    for passing in chain.passing:
      node = self._nodes[passing]
      _, *others = tensors.data_inputs(node)
      inputs = [(made[-1].name, 0), *others]
      made.append(self._copy(node, f'{name}/{passing}', inputs))
    made[-1].name = name
    return made

  def _as_map(self, node: NodeDef) -> Iterable[NodeDef]:
    """Returns a product and a sum for a batch normalization, else the node."""
    if node.op not in operations.BATCH_NORM:
      return [node]
    found = self._of_batch_norm(node)
    if found is None or found.layout != _LAST:
      return [node]
    (kind, *_), name = op_definitions.output_types(node), node.name
    scale, offset = (
      self._const(f'{name}/{what}', value.astype(kind.as_numpy_dtype))
      for what, value in (('scale', found.scale), ('offset', found.offset))
    )
    product = NodeDef(op='Mul', name=self._fresh(f'{name}/scaled'))
    source = next(tensors.data_inputs(node))
    product.input.extend([tensors.name_of(source), f'{scale.name}:0'])
    product.attr['T'].type = kind.as_datatype_enum
    bias = self._bias(name, (product.name, 0), offset)
    bias.name = name  # The norm's own, which is free now.
    return [scale, product, offset, bias]

  def _fresh(self, name: str) -> str:
    return tensors.unused_name(name, self._nodes)

  def _const(self, name: str, value: np.ndarray) -> NodeDef:
    return tensors.constant(self._fresh(name), value)

  def _copy(
    self, node: NodeDef, name: str, inputs: Sequence[Tensor]
  ) -> NodeDef:
    copy = tensors.cleaned(node, inputs)
    copy.name = self._fresh(name)
    return copy

  def _bias(self, name: str, source: Tensor, offset: NodeDef) -> NodeDef:
    # Its gradient is the sum's own; that of Add looks for broadcast axes.
    bias = NodeDef(op='BiasAdd', name=self._fresh(name))
    bias.input.extend([tensors.name_of(source), f'{offset.name}:0'])
    bias.attr['T'].type = offset.attr['dtype'].type
    return bias


def _by_name(nodes: Iterable[NodeDef]) -> dict[str, NodeDef]:
  return {node.name: node for node in nodes}


def _is_channels_last(node: NodeDef) -> bool:
  is_said = 'data_format' in node.attr
  return not is_said or node.attr['data_format'].s in (b'', b'NHWC')


def _layout(shape: Sequence[int]) -> str | None:
  """Returns which axis a constant differs along; None if along no one axis."""
  if math.prod(shape) == 1 or not shape:
    return None
  if math.prod(shape) == shape[-1]:
    return _LAST
  is_first = len(shape) >= 3 and math.prod(shape) == shape[-3]
  return _FIRST if is_first else None


def _finite(
  scale: np.ndarray | None, offset: np.ndarray, layout: str | None
) -> _ChannelMap | None:
  if scale is None or not np.isfinite(scale).all():
    return None
  return (
    _ChannelMap(scale, offset, layout) if np.isfinite(offset).all() else None
  )
