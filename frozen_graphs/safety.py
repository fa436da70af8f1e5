"""Refuses graphs that do more than compute: a frozen graph is a program.

Two checks, both before TensorFlow is given anything. The whole graph, with
its functions, may not hold an operation that reaches outside (files, Python,
libraries, the network). What is kept of it, between input and representation,
may hold only operations on an allow-list.
"""

from collections.abc import Iterable
import math
import re

import tensorflow as tf

from frozen_graphs import operations
from frozen_graphs.errors import GraphError, UnsafeGraphError

# Operations that reach outside the process or run code which is not the
# graph's. This list only makes the error clear: what keeps an operation out
# of TensorFlow is that it is not on the allow-list below.
_REACHES_OUTSIDE = re.compile(
  r'ReadFile|WriteFile|MatchingFiles|.*PyFunc.*|LoadLibrary|XlaLaunch.*|'
  r'Save|SaveSlices|SaveV2|Restore|RestoreSlice|RestoreV2|'
  r'MergeV2Checkpoints|CheckpointHasKey|ReaderRead.*|.*Reader(V2)?|'
  r'InitializeTableFromTextFile.*|FixedUnigramCandidateSampler|'
  r'.*Dataset(V\d+)?|.*Iterator(V\d+)?|IteratorGetNext.*|'
  r'.*SummaryWriter.*|Write.*Summary|.*SummaryFile.*|'
  r'Debug(Identity|NanCount|NumericSummary).*|Print(V2)?|'
  r'_?(Host)?(Send|Recv)|(Try)?Rpc|.*Rpc(Server|Client|Call).*|'
  r'DecodeProto.*|EncodeProto|RemoteCall|RemoteFusedGraphExecute|'
  r'TRTEngineOp|TPU.*|.*(Infeed|Outfeed).*|SymbolicGradient'
)

_PURE = frozenset({
  'Acos', 'All', 'Any', 'ArgMax', 'ArgMin', 'Asin', 'Asinh', 'Atan2', 'Ceil',
  'BroadcastArgs', 'Const', 'Cosh',
  'Cumprod', 'DataFormatDimMap', 'DataFormatVecPermute', 'Elu', 'Equal',
  'Fill', 'Floor', 'FloorDiv', 'FloorMod',
  'InvertPermutation', 'IsFinite', 'IsInf', 'IsNan', 'L2Loss', 'LRN',
  'LeakyRelu', 'LinSpace', 'LogSoftmax', 'LogicalAnd', 'LogicalNot',
  'LogicalOr', 'MaxPoolWithArgmax', 'Mod', 'NotEqual', 'OneHot',
  'Placeholder', 'Prod', 'Range', 'Rint', 'Round',
  'Selu', 'Sign', 'Sinh', 'Softmax', 'SquaredDifference',
  'StopGradient', 'Tan', 'TopKV2',
  'TruncateDiv', 'TruncateMod', 'Unique', 'Where', 'Xlogy',
})  # fmt: skip

ALLOWED = _PURE.union(operations.KEEPS_GRADIENT, operations.ELEMENTWISE)

_VARIABLES = frozenset({
  'Variable', 'VariableV2', 'VarHandleOp', 'ReadVariableOp', 'Assign',
  'AssignVariableOp', 'ResourceGather', 'TemporaryVariable',
})  # fmt: skip

# A constant may be stored as one number and a shape: bound what it unfolds to.
_MAX_CONSTANT_ELEMENTS = 2**30


def refuse_dangerous(graph_def: tf.compat.v1.GraphDef) -> None:
  """Raises UnsafeGraphError if any node or function reaches outside."""
  for node in graph_def.node:
    _refuse_reaching_outside(node, f'node {node.name!r}')
  for function in graph_def.library.function:
    for node in function.node_def:
      _refuse_reaching_outside(
        node, f'node {node.name!r} of function {function.signature.name!r}'
      )


def _refuse_reaching_outside(node: tf.compat.v1.NodeDef, where: str) -> None:
  if reaches_outside(node.op):
    raise UnsafeGraphError(
      f'The graph holds the operation {node.op} ({where}), which reaches '
      'outside the computation of a network; it is refused. Freeze the '
      'encoder alone, without this node.'
    )


def reaches_outside(op_type: str) -> bool:
  """Returns whether `op_type` is known to touch files, code or a network."""
  return bool(_REACHES_OUTSIDE.fullmatch(op_type))


def allowed() -> frozenset[str]:
  """Returns the operation types that a network may use."""
  return ALLOWED.union(operations.activations())


def refuse_unknown(nodes: Iterable[tf.compat.v1.NodeDef]) -> None:
  """Raises a GraphError unless all nodes, to be imported, are allowed."""
  admitted, elements = allowed(), 0
  for node in nodes:
    if node.op in _VARIABLES:
      raise GraphError(
        f'The graph is not frozen: node {node.name!r} ({node.op}) is a '
        'variable. Turn variables into constants first.'
      )
    if node.op not in admitted:
      raise UnsafeGraphError(
        f'The graph holds the operation {node.op} (node {node.name!r}), '
        'which is not on the list of operations a network may use; it is '
        'refused.'
      )
    if node.op == 'Const':
      shape = node.attr['value'].tensor.tensor_shape.dim
      elements += math.prod(max(0, dim.size) for dim in shape)
  if elements > _MAX_CONSTANT_ELEMENTS:
    raise GraphError(
      f'The constants of the graph have {elements} elements, more than the '
      f'{_MAX_CONSTANT_ELEMENTS} allowed.'
    )
