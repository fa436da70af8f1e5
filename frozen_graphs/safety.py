"""Refuses graphs that do more than compute: a frozen graph is a program.

All checks come before TensorFlow is given anything. The whole graph, with its
functions, may not hold an operation that reaches outside (files, Python,
libraries, the network). What is kept of it, between input and representation,
may hold only operations on an allow-list, and must be a fixed function of an
image: without choices, loops and chance.
"""

from collections.abc import Iterable, Iterator
import re

import tensorflow as tf

from frozen_graphs import budget, constants, graph_ends, operations, tensors
from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.node_checks import NodeChecks
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

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

_RANDOM = re.compile(
  r'(Stateless)?(Random|TruncatedNormal|ParameterizedTruncatedNormal|'
  r'Multinomial|Stateful(Uniform|StandardNormal|TruncatedNormal|Random)).*'
)


def refuse_dangerous(graph_def: tf.compat.v1.GraphDef) -> None:
  """Raises UnsafeGraphError if any node or function reaches outside."""
  parts = [('', graph_def.node)]
  for function in graph_def.library.function:
    parts.append(
      (f' of function {function.signature.name!r}', function.node_def)
    )
  for where, nodes in parts:
    for node in nodes:
      if reaches_outside(node.op):
        raise UnsafeGraphError(
          f'The graph holds the operation {node.op} (node {node.name!r}{where}'
          '), which reaches outside the computation of a network; it is '
          'refused. Freeze the encoder alone, without this node.'
        )


def reaches_outside(op_type: str) -> bool:
  """Returns whether `op_type` is known to touch files, code or a network."""
  return bool(_REACHES_OUTSIDE.fullmatch(op_type))


def allowed() -> frozenset[str]:
  """Returns the operation types that a network may use."""
  return ALLOWED.union(operations.activations())


def refuse_unknown(nodes: Iterable[NodeDef]) -> None:
  """Raises a GraphError unless all nodes, to be imported, are allowed.

  Each has to be as its operation is defined, and is behind those that it takes.
  What constants unfold to is charged to the budget of the load.
  """
  nodes = list(nodes)
  admitted, checks = allowed(), NodeChecks()
  spent = budget.active(lambda: sum(node.ByteSize() for node in nodes))
  for node in nodes:
    if tensors.CHANGED in node.attr:
      raise GraphError(
        f'Node {node.name!r} reads a variable that the graph itself changes '
        'before, so that results depend on how often it was run. Save it for '
        'inference, or choose a representation before that node.'
      )
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
    checks.check(node)
    if node.op == 'Const':
      spent.charge('The constants of the graph', size=constants.check(node))


def refuse_open_choices(nodes: Nodes, start: Tensor, end: Tensor) -> None:
  """Raises GraphError if what happens between two tensors is not fixed.

  Args:
    nodes: Of a graph without function calls, its conditionals folded, by name.
    start: The tensor of the images: its node, and its number.
    end: The representation.
  """
  for node in _between(nodes, start, end):
    if node.op in operations.CONTROL_FLOW:
      raise UnsafeGraphError(
        f'The representation depends on {node.op} (node {node.name!r}): a '
        'loop, or a choice whose condition is only known while the network '
        f'runs{_asking(nodes, node)}. Choose a representation before it, or an '
        'input behind it.'
      )
    if node.op == 'Placeholder':
      raise GraphError(
        f'The representation also depends on the input {node.name!r}, which '
        'is no image; give it a value (constants), or choose an input behind '
        'it.'
      )
    if _RANDOM.fullmatch(node.op):
      raise UnsafeGraphError(
        f'The representation depends on random numbers, of node {node.name!r} '
        f'({node.op}): the network is in training mode, with dropout or '
        f'noise{_hint(nodes.values())}. Save it for inference.'
      )


def refuse_training_norms(nodes: Iterable[NodeDef]) -> None:
  """Raises GraphError if images would influence each other."""
  for node in nodes:
    if operations.is_training_norm(node):
      raise GraphError(
        f'Batch normalization {node.name!r} is in training mode, where the '
        'images of a batch influence each other; freeze the graph for '
        'inference.'
      )


def _between(nodes: Nodes, start, end) -> Iterator[NodeDef]:
  """Yields the nodes that a tensor is computed from, none before `start`."""

  def is_behind(tensor: Tensor) -> bool:
    return tensor != start and tensor[0] in nodes

  found = tensors.reachable(
    filter(is_behind, [end]),
    lambda t: filter(is_behind, tensors.data_inputs(nodes[t[0]])),
  )
  yield from (nodes[name] for name in dict.fromkeys(name for name, _ in found))


def _asking(nodes: Nodes, node: NodeDef) -> str:
  """Returns a hint at the placeholder that a conditional asks."""
  if 'While' in node.op or node.op == 'Merge':
    inputs = []
  elif node.op == 'Switch':
    inputs = list(tensors.data_inputs(node))[1:2]
  else:
    inputs = list(tensors.data_inputs(node))[:1]
  return _hint(n for tensor in inputs for n in _between(nodes, None, tensor))


def _hint(nodes: Iterable[NodeDef]) -> str:
  """Returns a hint at placeholders that say whether a network is trained."""
  names = [
    node.name
    for node in nodes
    if node.op in graph_ends.FED
    and node.attr['dtype'].type == tf.bool.as_datatype_enum
  ]
  if not names:
    return ''
  return (
    f'; it is fed {", ".join(map(repr, names[:5]))}, which can be made '
    f'constant, {names[0]} = False for example'
  )
