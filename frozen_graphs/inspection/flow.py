"""What images flow through in a graph, with the shape of every tensor.

TensorFlow gets only nodes that are allowed, and that need nothing but the
input; what lies behind loops, further inputs or unknown operations is left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import re

import numpy as np
import tensorflow as tf

from frozen_graphs import op_definitions, operations, safety, session
from frozen_graphs import tensors as tensor_names
from frozen_graphs.errors import GraphError
from frozen_graphs.node_checks import NodeChecks
from frozen_graphs.tensors import NodeDef, Nodes, Tensor

_MAX_DROPPED = 40  # Nodes that TensorFlow does not take.


@dataclasses.dataclass(frozen=True)
class Flow:
  """All that can be computed from one input.

  Attributes:
    source: The tensor that images are fed to.
    input_shape: The shape it has here, of a batch as the graph has it, or 1.
    nodes: By name, each after those it needs; all that need only the source.
    carriers: For each node whose values depend on the source, the inputs that
      do.
    shapes: Of all floating-point tensors that depend on it and whose shape is
      known.
    left_out: Why nodes behind the source are not part of it, with counts.
    dropped: How many nodes TensorFlow refused for inputs of this shape.
  """

  source: Tensor
  input_shape: tuple[int, ...]
  nodes: Nodes
  carriers: Mapping[str, tuple[Tensor, ...]]
  shapes: Mapping[Tensor, tuple[int, ...]]
  left_out: Mapping[str, int]
  dropped: int = 0


def usable(
  nodes: Nodes, source: Tensor
) -> tuple[dict[str, NodeDef], Counter[str]]:
  """Returns what is computed from a tensor and constants, in order.

  And counts of reasons why others, functions inlined, are not among them.
  """
  allowed, checks = safety.allowed(), NodeChecks()
  kept, reasons = {}, Counter()
  # What the tensor is computed from, which feeding it replaces.
  behind = tensor_names.reachable(
    tensor_names.producers(nodes[source[0]]),
    lambda name: tensor_names.producers(nodes[name]),
  )
  for name in tensor_names.in_order(nodes, source):
    node = nodes[name]
    given = tensor_names.data_inputs(node)
    if not all(t == source or t[0] in kept for t in given):
      continue
    reason = _reason_against(node, allowed, source, checks)
    if reason is None:
      kept[name] = node
    elif name not in behind and node.op != 'NoOp':
      reasons[reason] += 1
  return kept, reasons


def _reason_against(
  node: NodeDef, allowed, source: Tensor, checks: NodeChecks
) -> str | None:
  if node.op == 'Placeholder' and node.name != source[0]:
    return f'a further input ({node.name})'
  if node.op not in allowed:
    return f'the operation {node.op}'
  if operations.is_training_norm(node):
    return 'batch normalization in training mode'
  try:
    checks.check(node)
  except GraphError:
    return f'a damaged {node.op}'
  return None


def dependent(nodes: Nodes, source: Tensor) -> dict[str, tuple[Tensor, ...]]:
  """Returns, by node that depends on a tensor, the inputs that do.

  Nodes that pass on what they are given are left out: those that take it from
  them appear to take it from where it was made.
  """
  carriers, made = {}, {source: source}
  for name, node in nodes.items():
    if node.op in operations.STATIC or name == source[0]:
      continue
    given = list(tensor_names.data_inputs(node))
    if node.op in operations.PASS_THROUGH:
      for i, tensor in enumerate(given):
        if tensor in made or tensor[0] in carriers:
          made[name, i] = made.get(tensor, tensor)
      continue
    inputs = tuple(
      made.get(t, t) for t in given if t in made or t[0] in carriers
    )
    if inputs:
      carriers[name] = inputs
  return carriers


def trace(nodes: Nodes, source: Tensor, input_shape: Sequence[int]) -> Flow:
  """Returns the flow from a tensor, with shapes for an input of a shape.

  Shapes that TensorFlow does not infer are found by one run on noise.

  Raises:
    GraphError: If nothing can be computed from it.
  """
  kept, reasons = usable(nodes, source)
  kind = op_definitions.output_types(nodes[source[0]])[source[1]]
  carriers = dependent(kept, source)
  if not carriers:
    raise GraphError(
      f'Nothing can be computed from {tensor_names.name_of(source)!r} alone'
      + (f': there is {", ".join(sorted(reasons))}.' if reasons else '.')
    )
  kept = _needed(kept, carriers, source)
  dropped = 0
  while True:
    try:
      shapes = _shapes(kept, carriers, source, tuple(input_shape), kind)
      break
    except ValueError as error:
      culprit = _culprit(str(error), kept)
      dropped += 1
      if culprit is None or dropped > _MAX_DROPPED:
        reason = ' '.join(str(error).split())
        raise GraphError(
          f'TensorFlow cannot import the graph: {reason}'
        ) from error
      consumers = tensor_names.consumers(kept)
      gone = tensor_names.reachable(
        [culprit], lambda name, of=consumers: of.get(name, ())
      )
      kept = {name: node for name, node in kept.items() if name not in gone}
      carriers = dependent(kept, source)
      reason = f'a {nodes[culprit].op} that TensorFlow does not take'
      reasons[reason] += 1
  return Flow(
    source, tuple(input_shape), kept, carriers, shapes, reasons, dropped
  )


def _needed(kept, carriers, source) -> dict[str, NodeDef]:
  """Returns those nodes that dependent ones need, in their order."""
  needed = tensor_names.reachable(
    carriers,
    lambda name: [
      t[0] for t in tensor_names.data_inputs(kept[name]) if t != source
    ],
  )
  return {name: node for name, node in kept.items() if name in needed}


def _culprit(message: str, nodes: Nodes) -> str | None:
  for pattern in (r"[Nn]ode '([^']+)'", r'\{\{node ([^}]+)\}\}', r"'([^']+)'"):
    for name in re.findall(pattern, message):
      name = name.removeprefix('import/')
      if name in nodes:
        return name
  return None


def _shapes(
  nodes: Nodes,
  carriers: Mapping[str, tuple[Tensor, ...]],
  source: Tensor,
  input_shape: tuple[int, ...],
  kind: tf.DType,
) -> dict[Tensor, tuple[int, ...]]:
  """Returns shapes of float tensors; raises ValueError if it is no graph."""
  name = tensor_names.unused_name('inspected_input', nodes)
  placeholder = tensor_names.placeholder(name, kind, input_shape)
  graph_def = tf.compat.v1.GraphDef(node=[placeholder])
  for node in nodes.values():
    if node.op != 'Placeholder' or node.name != source[0]:
      given = tensor_names.data_inputs(node)
      inputs = [(name, 0) if t == source else t for t in given]
      graph_def.node.append(tensor_names.cleaned(node, inputs))
  with tf.Graph().as_default() as graph:
    tf.import_graph_def(graph_def, name='')
    session.check_sizes(graph)
    fed = graph.get_tensor_by_name(f'{name}:0')
    shapes, open_ones = {source: input_shape}, []
    for carrier in carriers:
      for tensor in graph.get_operation_by_name(carrier).outputs:
        if not tensor.dtype.is_floating:
          continue
        key = (carrier, tensor.value_index)
        if tensor.shape.is_fully_defined():
          shapes[key] = tuple(tensor.shape.as_list())
        elif tensor.shape.rank is None or tensor.shape.rank in (2, 3, 4):
          open_ones.append((key, tensor))
    if open_ones:
      shapes |= _run(fed, open_ones)
  return shapes


def _run(fed: tf.Tensor, wanted: list) -> dict[Tensor, tuple[int, ...]]:
  """Returns the shapes that tensors have in one run; those that run."""
  noise = np.random.default_rng(0).uniform(size=fed.shape)
  fed_noise = {fed: noise.astype(fed.dtype.as_numpy_dtype)}
  found, queue, runs = {}, [wanted], 0
  with tf.compat.v1.Session(config=session.config()) as running:
    while queue and runs < 64:  # Halves what fails: some parts may not run.
      part = queue.pop()
      runs += 1
      try:
        values = running.run([tf.shape(t) for _, t in part], fed_noise)
      except (tf.errors.OpError, ValueError):
        if len(part) > 1:
          middle = len(part) // 2
          queue += [part[middle:], part[:middle]]
        continue
      found |= {
        key: tuple(int(n) for n in value)
        for (key, _), value in zip(part, values, strict=True)
      }
  return found


def ancestors(
  carriers: Mapping[str, tuple[Tensor, ...]], names: Iterable[str]
) -> set[str]:
  """Returns nodes that carry the input to any of `names`, with these."""
  return tensor_names.reachable(
    names, lambda name: [n for n, _ in carriers.get(name, ()) if n in carriers]
  )
