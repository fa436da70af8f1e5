"""Which tensors of a flow are feature maps, and where they are scaled up."""

from collections.abc import Mapping
import dataclasses
import math

from frozen_graphs import op_definitions, operations
from frozen_graphs.inspection.flow import Flow
from frozen_graphs.inspection.inputs import WEIGHTED

NHWC, NCHW, TOKENS = 'NHWC', 'NCHW', 'tokens'

# Their result has rows and columns, wherever what they are given is from.
_SPATIAL = frozenset({
  'Conv2D', 'DepthwiseConv2dNative', 'Conv2DBackpropInput', 'MaxPool',
  'MaxPoolV2', 'AvgPool', 'SpaceToDepth', 'DepthToSpace', 'ResizeBilinear',
  'ResizeNearestNeighbor', 'ResizeBicubic', 'ResizeArea', 'LRN',
  'FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3',
  'DepthwiseConv2dNativeBackpropInput', 'ScaleAndTranslate',
})  # fmt: skip
# These lose what the dimensions mean, if they do not keep the shape.
_REARRANGING = frozenset({
  'Reshape', 'Transpose', 'Pack', 'Unpack', 'Gather', 'GatherV2', 'GatherNd',
  'ExpandDims', 'Squeeze', 'Einsum', 'MatMul', 'BatchMatMul', 'BatchMatMulV2',
  'BatchMatMulV3', 'TopKV2', 'ExtractImagePatches', 'CropAndResize',
  'ScatterNd', 'Tile',
})  # fmt: skip
_PADDING = frozenset({'Pad', 'PadV2', 'MirrorPad'})
_UPSAMPLING_RATIO = 1.6  # Of areas; a little more comes from padding, too.
_MERGES = frozenset({
  'Add', 'AddV2', 'AddN', 'Sub', 'Mul', 'ConcatV2', 'Concat', 'Maximum',
  'Minimum', 'SelectV2', 'Select',
})  # fmt: skip
_POOLS = frozenset({'MaxPool', 'MaxPoolV2', 'AvgPool'})
# They end networks at least as often as they end layers.
_OUTPUT_ACTIVATIONS = frozenset({'Sigmoid', 'Softmax', 'LogSoftmax', 'Tanh'})
_CONSTANT_FACTORS = frozenset({
  'Mul', 'Add', 'AddV2', 'Sub', 'RealDiv', 'Div', 'BiasAdd',
  'FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3',
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FeatureMap:
  """What is known of the first tensor of a node.

  Attributes:
    shape: Of the tensor.
    layout: NHWC, NCHW or TOKENS.
    ends_block: Whether a layer or block ends here: an activation, a sum or
      product of branches, or pooling, perhaps scaled by constants.
    weighted: How many weighted layers the longest way from the input has.
  """

  shape: tuple[int, ...]
  layout: str
  ends_block: bool
  weighted: int

  @property
  def area(self) -> int:
    if self.layout == TOKENS:
      return self.shape[1]
    return math.prod(self.shape[2:] if self.layout == NCHW else self.shape[1:3])

  @property
  def channels(self) -> int:
    return self.shape[1] if self.layout == NCHW else self.shape[-1]


def find(flow: Flow) -> dict[str, FeatureMap]:
  """Returns the feature maps of a flow by node, each after those before it.

  Feature maps have rows and columns, or are tokens [N, T, D]; dimensions that
  are one after a reshape or transposition are followed where that is possible.
  """
  layouts, origins, result = {}, {}, {}
  weighted = weighted_layers(flow)
  ends = block_ends(flow)
  for name in flow.carriers:
    # The shape of the last maps [N, h, w, c] before the tensor.
    before = (origins.get(n) for n, _ in flow.carriers[name])
    origin = next(filter(None, before), None)
    layouts[name] = layout = _layout(flow, name, layouts, origin)
    if layout in (NHWC, NCHW):
      origin = flow.shapes[name, 0] if layout == NHWC else None
    origins[name] = origin
    if layout and (shape := flow.shapes[name, 0])[0] == flow.input_shape[0]:
      result[name] = FeatureMap(shape, layout, name in ends, weighted[name])
  return result


def _layout(
  flow: Flow, name: str, layouts: Mapping, origin: tuple[int, ...] | None
) -> str | None:
  node = flow.nodes[name]
  shape = flow.shapes.get((name, 0))
  if shape is None:
    return None
  if len(shape) == 3:
    return TOKENS if shape[1] >= 4 and shape[2] >= 8 else None
  if len(shape) != 4:
    return None
  if node.op in _SPATIAL:
    return NCHW if op_definitions.is_channels_first(node) else NHWC
  known = [
    (layouts.get(t[0]), flow.shapes.get(t))
    for t in flow.carriers[name]
    if layouts.get(t[0]) in (NHWC, NCHW)
  ]
  if node.op == 'Transpose':
    return _transposed(known, shape)
  if node.op == 'Reshape':
    if known and known[0][1] == shape:
      return known[0][0]
    # Windows and tokens are undone so, and scaling up is written so.
    return NHWC if _are_maps_again(origin, shape) else None
  if node.op in _REARRANGING:
    return None
  return next((layout for layout, s in known if s and len(s) == 4), None)


def _are_maps_again(origin, shape: tuple[int, ...]) -> bool:
  """Returns whether a reshape goes back to rows and columns, or larger ones."""
  if origin is None or min(shape[1:3]) < 2:
    return False
  rows, columns = shape[1] / origin[1], shape[2] / origin[2]
  return rows == columns and (rows == 1 or (rows % 1 == 0 and rows <= 8))


def _transposed(known, shape) -> str | None:
  layout, before = known[0] if known else (None, None)
  if before is None:
    return None
  for other, order in ((NHWC, (0, 2, 3, 1)), (NCHW, (0, 3, 1, 2))):
    if other != layout and tuple(before[i] for i in order) == shape:
      return other
  return None


def weighted_layers(flow: Flow) -> dict[str, int]:
  """Returns by node the number of weighted layers on the longest way to it."""
  depth = {}
  for name, inputs in flow.carriers.items():
    before = max(depth.get(n, 0) for n, _ in inputs)
    depth[name] = before + (flow.nodes[name].op in WEIGHTED)
  return depth


def block_ends(flow: Flow) -> set[str]:
  """Returns the nodes where a layer or block ends; see FeatureMap."""
  used = {name for inputs in flow.carriers.values() for name, _ in inputs}
  always = _POOLS.union(operations.activations()) - {'Abs'}
  ends = set()
  for name, inputs in flow.carriers.items():
    kind, is_merged = flow.nodes[name].op, len({n for n, _ in inputs}) > 1
    if kind in _OUTPUT_ACTIVATIONS and name not in used:
      continue
    if (
      kind in always
      or (is_merged and kind in _MERGES)
      or (not is_merged and kind in _CONSTANT_FACTORS and inputs[0][0] in ends)
    ):
      ends.add(name)
  return ends


def first_upsamplings(
  flow: Flow, maps: Mapping[str, FeatureMap]
) -> tuple[set[str], set[str]]:
  """Returns the nodes that scale features up, and all that comes after one.

  Only those that no other comes before; not those that spread one vector over
  all places, and not those that act on the image before any weighted layer.
  """
  firsts, after = set(), set()
  spatial = {n: m for n, m in maps.items() if m.layout != TOKENS}
  last = {}  # The last maps before a node, where it makes none itself.
  for name, inputs in flow.carriers.items():
    befores = [last[n] for n, _ in inputs if n in last]
    if name in spatial:
      last[name] = spatial[name]
    elif befores:
      last[name] = max(befores, key=lambda m: m.area)
    if any(n in after for n, _ in inputs):
      after.add(name)
      continue
    if name not in spatial or flow.nodes[name].op in _PADDING:
      continue
    area = max((m.area for m in befores), default=0)
    is_larger = area > 1 and maps[name].area >= _UPSAMPLING_RATIO * area
    if is_larger and any(m.weighted for m in befores):
      firsts.add(name)
      after.add(name)
  return firsts, after
