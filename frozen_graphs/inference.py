"""Refuses what is no fixed function of an image: choices, loops, chance."""

from collections.abc import Iterable, Iterator, Mapping
import re

import tensorflow as tf

from frozen_graphs import graph_ends, operations, tensors
from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.tensors import Tensor

NodeDef = tf.compat.v1.NodeDef

_RANDOM = re.compile(
  r'(Stateless)?(Random|TruncatedNormal|ParameterizedTruncatedNormal|'
  r'Multinomial|Stateful(Uniform|StandardNormal|TruncatedNormal|Random)).*'
)


def check(nodes: Mapping[str, NodeDef], start: Tensor, end: Tensor) -> None:
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


def check_batch_norms(nodes: Iterable[NodeDef]) -> None:
  """Raises GraphError if images would influence each other."""
  for node in nodes:
    if operations.is_training_norm(node):
      raise GraphError(
        f'Batch normalization {node.name!r} is in training mode, where the '
        'images of a batch influence each other; freeze the graph for '
        'inference.'
      )


def _between(nodes: Mapping[str, NodeDef], start, end) -> Iterator[NodeDef]:
  """Yields the nodes that a tensor is computed from, none before `start`."""

  def is_behind(tensor: Tensor) -> bool:
    return tensor != start and tensor[0] in nodes

  found = tensors.reachable(
    filter(is_behind, [end]),
    lambda t: filter(is_behind, tensors.data_inputs(nodes[t[0]])),
  )
  yield from (nodes[name] for name in dict.fromkeys(name for name, _ in found))


def _asking(nodes: Mapping[str, NodeDef], node: NodeDef) -> str:
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
