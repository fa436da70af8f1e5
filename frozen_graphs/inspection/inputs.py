"""Which tensors of a graph images could be fed to, the likeliest first."""

from collections.abc import Iterator, Mapping
import dataclasses
import itertools
import math

import tensorflow as tf

from frozen_graphs import graph_ends, op_definitions, safety
from frozen_graphs import tensors as tensor_names
from frozen_graphs.errors import GraphError
from frozen_graphs.graph_ends import Shape
from frozen_graphs.inspection import flow as flows
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

WEIGHTED = frozenset({
  'Conv2D', 'DepthwiseConv2dNative', 'Conv2DBackpropInput', 'MatMul',
  'BatchMatMul', 'BatchMatMulV2', 'BatchMatMulV3', 'Einsum', 'Conv3D',
  'DepthwiseConv2dNativeBackpropInput',
})  # fmt: skip
_CONVOLUTIONS = ('Conv2D', 'DepthwiseConv2dNative')
_CHANNELS = (3, 1, 4)
# Tried in turn where a graph leaves them open.
_SIDES = (256, 224, 320, 512, 128, 300, 192, 64, 32)
_FLOATS = (tf.float16, tf.float32, tf.float64)
_MAKES_RANK_4 = ('ExpandDims', 'Pack', 'Reshape')
_MAX_CONVOLUTIONS = 64  # Looked at to find the first image of floats.


@dataclasses.dataclass(frozen=True)
class InputCandidate:
  """A tensor that images could be fed to.

  Attributes:
    tensor: Its name.
    dtype: Of its elements.
    shape: As the graph states it, None where it is open; None in all if the
      graph does not state a rank.
    channels_first: Whether it takes [N, c, h, w]; None if nothing tells.
    weights: How many numbers the constants behind it hold.
    stands_for: The integer or string input it is computed from, if it is not
      one that is fed by itself.
    why_not: Why it cannot be explained; empty if it can.
  """

  tensor: str
  dtype: str
  shape: Shape
  channels_first: bool | None
  weights: int
  stands_for: str = ''
  why_not: str = ''

  @property
  def source(self) -> Tensor:
    return tensor_names.split(self.tensor)

  def trial_shapes(self) -> Iterator[tuple[int, ...]]:
    """Yields complete shapes worth a trial, the likeliest first."""
    shape = self.shape or (None,) * 4
    firsts = (
      (False, True) if self.channels_first is None else (self.channels_first,)
    )
    batch = shape[0] or 1
    for first, channels, side in itertools.product(firsts, _CHANNELS, _SIDES):
      sides = shape[2:] if first else shape[1:3]
      known = shape[1] if first else shape[3]
      if known and channels != _CHANNELS[0]:
        continue
      if all(sides) and side != _SIDES[0]:
        continue
      spatial = tuple(n or side for n in sides)
      count = known or channels
      yield ((batch, count, *spatial) if first else (batch, *spatial, count))


def candidates(nodes: Nodes) -> list[InputCandidate]:
  """Returns what images could be fed to; those with most behind them first."""
  found = {}
  for node in nodes.values():
    if node.op in graph_ends.FED:
      for candidate in _of_placeholder(nodes, node):
        found.setdefault(candidate.tensor, candidate)
  return sorted(
    found.values(), key=lambda c: (bool(c.why_not), -c.weights, c.tensor)
  )


def of_tensor(nodes: Nodes, name: str) -> InputCandidate:
  """Returns what is known of a tensor that somebody chose as the input."""
  return _candidate(nodes, tensor_names.resolve(nodes, name))


def _of_placeholder(nodes: Nodes, node: NodeDef) -> Iterator[InputCandidate]:
  candidate = _candidate(nodes, (node.name, 0))
  if node.op == 'PlaceholderWithDefault' and (
    candidate.shape is None or len(candidate.shape) != 4
  ):
    return  # A switch such as dropout's, which keeps its default.
  if not candidate.why_not and candidate.weights:
    yield candidate
    return
  behind = [
    _candidate(nodes, tensor, candidate.tensor)
    for tensor in _floats_behind(nodes, candidate)
  ]
  behind = [c for c in behind if c.weights and not c.why_not]
  if behind:
    best = max(behind, key=lambda c: c.weights)
    if best.shape is None and len(candidate.shape or ()) == 4:
      best = dataclasses.replace(best, shape=candidate.shape)
    yield best
  if candidate.why_not or not behind:
    yield dataclasses.replace(
      candidate,
      weights=0,
      why_not=candidate.why_not or 'no weights are reached from it alone',
    )


def _candidate(
  nodes: Nodes, source: Tensor, stands_for: str = ''
) -> InputCandidate:
  node = nodes[source[0]]
  kind = op_definitions.output_types(node)[source[1]]
  # Exporters before TensorFlow 1.0 wrote no shape as that of a scalar.
  shape = graph_ends.stated_shape(nodes, source) or _ensured_shape(
    nodes, source
  )
  why_not = ''
  if kind not in _FLOATS:
    why_not = f'no gradient flows through its type, {kind.name}'
  elif shape is not None and len(shape) != 4:
    why_not = f'images need 4 dimensions, but its shape is {list(shape)}'
  weights = 0
  if not why_not:
    kept, _ = flows.usable(nodes, source)
    weights = count_weights(kept, flows.dependent(kept, source))
  return InputCandidate(
    tensor=tensor_names.name_of(source),
    dtype=kind.name,
    shape=shape,
    channels_first=_channels_first(nodes, source, shape),
    weights=weights,
    stands_for=stands_for,
    why_not=why_not,
  )


def _ensured_shape(nodes, source: Tensor) -> Shape:
  """Returns the shape that a check right behind a tensor asks for."""
  for node in nodes.values():
    if node.op == 'EnsureShape' and source in tensor_names.data_inputs(node):
      if (shape := graph_ends.dims(node.attr['shape'].shape)) is not None:
        return shape
  return None


def _channels_first(nodes, source: Tensor, shape) -> bool | None:
  if shape is not None and len(shape) == 4:
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first != last:
      return first
    if not first and shape[1] and shape[3]:
      return shape[1] < shape[3]
  first = next(_convolutions(nodes, source[0]), None)
  if first is None or not _is_plain_way(nodes, source, first):
    return None
  return op_definitions.is_channels_first(first)


def _is_plain_way(nodes, source: Tensor, node: NodeDef) -> bool:
  """Returns whether no transposition lies between a tensor and a node."""
  for _ in range(64):
    tensor = next(tensor_names.data_inputs(node), None)
    if tensor is None or tensor == source:
      return tensor == source
    node = nodes[tensor[0]]
    if node.op in ('Transpose', *_MAKES_RANK_4):
      return False
  return False


def count_weights(
  nodes: Nodes, carriers: Mapping[str, tuple[Tensor, ...]]
) -> int:
  """Returns how many numbers the constants hold that meet the images."""

  def constant_inputs(name: str) -> list[str]:
    producers = tensor_names.producers(nodes[name])
    return [n for n in producers if n in nodes and n not in carriers]

  total = 0
  for name in tensor_names.reachable(carriers, constant_inputs):
    if nodes[name].op == 'Const':
      value = nodes[name].attr['value'].tensor
      if tf.as_dtype(value.dtype).is_floating:
        total += math.prod(d.size for d in value.tensor_shape.dim)
  return total


def _convolutions(nodes, start: str) -> Iterator[NodeDef]:
  """Yields the convolutions behind a node, the nearest first."""
  consumers = tensor_names.consumers(nodes)
  queue, seen = [start], {start}
  for name in queue:  # It grows meanwhile.
    if nodes[name].op in _CONVOLUTIONS:
      yield nodes[name]
    following = [n for n in consumers.get(name, ()) if n not in seen]
    queue += following
    seen.update(following)


def _takes_images(nodes, convolution: NodeDef) -> bool:
  """Returns whether a convolution has the number of channels of an image."""
  kernel = list(tensor_names.data_inputs(convolution))[1]
  passing = ('Identity', 'ReadVariableOp')
  name, _ = tensor_names.follow(nodes, kernel, passing)
  dims = nodes[name].attr['value'].tensor.tensor_shape.dim
  return len(dims) != 4 or dims[2].size in _CHANNELS


def _floats_behind(nodes, candidate: InputCandidate) -> set[Tensor]:
  """Returns tensors from which gradients flow to a first convolution."""
  allowed = safety.allowed()
  stops = () if len(candidate.shape or ()) == 4 else _MAKES_RANK_4
  found = set()
  for convolution in itertools.islice(
    _convolutions(nodes, candidate.source[0]), _MAX_CONVOLUTIONS
  ):
    if not _takes_images(nodes, convolution):
      continue
    tensor = next(tensor_names.data_inputs(convolution))
    for _ in range(len(nodes)):
      node = nodes[tensor[0]]
      if node.op not in allowed or node.op in stops:
        break
      parents = [
        t
        for t in dict.fromkeys(tensor_names.data_inputs(node))
        if nodes[t[0]].op != 'Const' and _is_float(nodes, t)
      ]
      if len(parents) != 1:
        break
      tensor = parents[0]
    if _is_float(nodes, tensor) and tensor != candidate.source:
      found.add(tensor)
  return found


def _is_float(nodes, tensor: Tensor) -> bool:
  return op_definitions.output_types(nodes[tensor[0]])[tensor[1]] in _FLOATS


def trace(nodes: Nodes, candidate: InputCandidate) -> flows.Flow:
  """Returns the flow from an input, for the first shape that suits the graph.

  Raises:
    GraphError: If the graph takes none of the shapes that were tried.
  """
  best, first_error = None, None
  for shape in candidate.trial_shapes():
    try:
      flow = flows.trace(nodes, candidate.source, shape)
    except GraphError as error:
      first_error = first_error or error
      continue
    if best is None or len(flow.carriers) > len(best.carriers):
      best = flow
    if not flow.dropped:
      break
  if best is None:
    raise first_error
  return best
