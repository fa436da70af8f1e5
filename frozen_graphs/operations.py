"""What is known about operation types, as tables.

Epsilon-LRP may only meet operations listed here; the safety check admits these
and a few more.
"""

from collections.abc import Callable, Mapping
import math
import types

import numpy as np

# Linear in all their data together: TensorFlow's gradient is relevance's way.
LINEAR = frozenset({
  'Add', 'AddV2', 'AddN', 'Sub', 'Neg', 'BiasAdd', 'BiasAddV1',
  'Concat', 'ConcatV2', 'Pack', 'Unpack', 'Split', 'SplitV',
  'Slice', 'StridedSlice', 'Reshape', 'Squeeze', 'ExpandDims', 'Transpose',
  'Pad', 'PadV2', 'MirrorPad', 'Tile', 'BroadcastTo', 'Reverse', 'ReverseV2',
  'Roll',
  'AvgPool', 'AvgPool3D', 'Mean', 'Sum', 'Cumsum',
  'ResizeBilinear', 'ResizeNearestNeighbor', 'ResizeBicubic', 'ResizeArea',
  'ScaleAndTranslate',
  'SpaceToDepth', 'DepthToSpace', 'SpaceToBatch', 'BatchToSpace',
  'SpaceToBatchND', 'BatchToSpaceND', 'ExtractImagePatches', 'Cast',
})  # fmt: skip

# Linear in any one operand while the others are constant.
BILINEAR = frozenset({
  'Mul', 'MatMul', 'BatchMatMul', 'BatchMatMulV2', 'BatchMatMulV3', 'Einsum',
  'Conv2D', 'Conv2DBackpropInput', 'DepthwiseConv2dNative',
  'DepthwiseConv2dNativeBackpropInput', 'Conv3D', 'Conv3DBackpropInputV2',
})  # fmt: skip

# Linear in the first operand while the others are constant.
LINEAR_IN_FIRST = frozenset({
  'RealDiv', 'Div', 'DivNoNan', 'Xdivy', 'Gather', 'GatherV2', 'GatherNd',
  'FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3',
  'BatchNormWithGlobalNormalization', 'CropAndResize', 'MatrixBandPart',
})  # fmt: skip

# Linear in these operands together while the others are constant.
LINEAR_IN: Mapping[str, frozenset[int]] = types.MappingProxyType({
  'ScatterNd': frozenset({1}),
  'TensorScatterAdd': frozenset({0, 2}),
  'TensorScatterSub': frozenset({0, 2}),
  'TensorScatterUpdate': frozenset({0, 2}),
})  # fmt: skip

# Choose one of their data: relevance follows the winner, as the gradient does.
WINNER_TAKES_ALL = frozenset(
  {'MaxPool', 'MaxPoolV2', 'MaxPool3D', 'Max', 'Min'}
)

# What they return depends on the shape of their data, not on its values.
STATIC = frozenset({
  'Shape', 'ShapeN', 'Size', 'Rank', 'ZerosLike', 'OnesLike',
})  # fmt: skip

BATCH_NORM = frozenset(
  {'FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'}
)

# Activations by themselves: a rule replaces their derivative.
ACTIVATIONS = frozenset({
  'Relu', 'Relu6', 'LeakyRelu', 'Elu', 'Selu', 'Sigmoid', 'Tanh', 'Softplus',
  'Softsign',
  # Piecewise linear pieces that real graphs build PReLU and clipping from.
  'Abs', 'Maximum', 'Minimum', 'ClipByValue',
  # Rounding, in training for fewer bits.
  'FakeQuantWithMinMaxArgs', 'FakeQuantWithMinMaxVars',
  'FakeQuantWithMinMaxVarsPerChannel', 'QuantizeAndDequantizeV2',
  'QuantizeAndDequantizeV3',
  # z / norm(z) is z times a constant normaliser, and sqrt(z) is z to a power.
  'LRN', 'Sqrt',
})  # fmt: skip
_more_activations: set[str] = set()

# Return what they are given: left out of the graph, with their gradients.
PASS_THROUGH = frozenset({
  'Identity', 'IdentityN', 'Snapshot', 'PreventGradient', 'CheckNumerics',
  'CheckNumericsV2', 'PlaceholderWithDefault', 'EnsureShape',
})  # fmt: skip

# Loops and choices of what is computed.
CONTROL_FLOW = frozenset({
  'If', 'StatelessIf', 'Case', 'StatelessCase', 'Switch', 'RefSwitch', 'Merge',
  'RefMerge', 'While', 'StatelessWhile', 'For', 'Enter', 'RefEnter', 'Exit',
  'RefExit', 'LoopCond', 'NextIteration', 'RefNextIteration',
})  # fmt: skip

# TensorFlow's gradient is how relevance passes them, wherever it does.
KEEPS_GRADIENT = LINEAR.union(
  BILINEAR, LINEAR_IN_FIRST, LINEAR_IN, WINNER_TAKES_ALL, STATIC, PASS_THROUGH
)


def activations() -> tuple[str, ...]:
  """Returns the op types that are activations by themselves, sorted."""
  return tuple(sorted(ACTIVATIONS | _more_activations))


def admit_activation(op_type: str) -> None:
  """Makes a further op type an activation, for this process.

  Raises:
    ValueError: If its gradient is kept as it is.
  """
  if op_type in KEEPS_GRADIENT:
    raise ValueError(f'The operation {op_type} is no activation.')
  _more_activations.add(op_type)


def is_training_norm(node) -> bool:
  """Returns whether a node is a batch normalization in training mode."""
  is_training = 'is_training' not in node.attr or node.attr['is_training'].b
  return node.op in BATCH_NORM and is_training


def _elu(z):
  return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


# Operations that act on each element alone, as NumPy functions of operands.
ELEMENTWISE: Mapping[str, Callable] = types.MappingProxyType(
  {
    'Abs': np.abs,
    'Add': np.add,
    'AddV2': np.add,
    'Atan': np.arctan,
    'ClipByValue': np.clip,
    'Cos': np.cos,
    'Div': np.divide,
    'Elu': _elu,
    'Erf': np.vectorize(math.erf, otypes=[float]),
    'Erfc': np.vectorize(math.erfc, otypes=[float]),
    'Exp': np.exp,
    'Expm1': np.expm1,
    'Greater': np.greater,
    'GreaterEqual': np.greater_equal,
    'Less': np.less,
    'LessEqual': np.less_equal,
    'Log': np.log,
    'Log1p': np.log1p,
    'Maximum': np.maximum,
    'Minimum': np.minimum,
    'Mul': np.multiply,
    'Neg': np.negative,
    'Pow': np.power,
    'RealDiv': np.divide,
    'Reciprocal': np.reciprocal,
    'Relu': lambda z: np.maximum(z, 0),
    'Relu6': lambda z: np.clip(z, 0, 6),
    'Rsqrt': lambda z: 1 / np.sqrt(z),
    'Select': np.where,
    'SelectV2': np.where,
    'Sigmoid': lambda z: 1 / (1 + np.exp(-z)),
    'Sin': np.sin,
    'Softplus': lambda z: np.logaddexp(z, 0),
    'Softsign': lambda z: z / (1 + np.abs(z)),
    'Sqrt': np.sqrt,
    'Square': np.square,
    'Sub': np.subtract,
    'Tanh': np.tanh,
  }
)
