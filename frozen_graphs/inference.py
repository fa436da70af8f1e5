"""Refuses what is no fixed function of an image: choices, loops, chance."""

from collections.abc import Iterable, Iterator, Mapping
import re

import tensorflow as tf

from frozen_graphs import control_flow, operations, tensors
from frozen_graphs.errors import GraphError, UnsafeGraphError

NodeDef = tf.compat.v1.NodeDef

_RANDOM = re.compile(
  r'(Stateless)?(Random|TruncatedNormal|ParameterizedTruncatedNormal|'
  r'Multinomial|Stateful(Uniform|StandardNormal|TruncatedNormal|Random)).*'
)
_FED = frozenset({'Placeholder', 'PlaceholderWithDefault'})


def check(
  nodes: Mapping[str, NodeDef], start: tuple[str, int], end: tuple[str, int]
) -> None:
  """Raises GraphError if what happens between two tensors is not fixed.

  Args:
    nodes: Of a graph without function calls, its conditionals folded, by name.
    start: The tensor of the images: its node, and its number.
    end: The representation.
  """
  for node in _between(nodes, start, end):
    if node.op in control_flow.CONTROL_FLOW:
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
        f'noise{_switch(nodes, node)}. Save it for inference.'
      )


def check_batch_norms(nodes: Iterable[NodeDef]) -> None:
  """Raises GraphError if images would influence each other."""
  for node in nodes:
    is_training = 'is_training' not in node.attr or node.attr['is_training'].b
    if node.op in operations.BATCH_NORM and is_training:
      raise GraphError(
        f'Batch normalization {node.name!r} is in training mode, where the '
        'images of a batch influence each other; freeze the graph for '
        'inference.'
      )


def _between(nodes: Mapping[str, NodeDef], start, end) -> Iterator[NodeDef]:
  """Yields the nodes that a tensor is computed from, none before `start`."""
  seen, stack = set(), [end]
  while stack:
    tensor = stack.pop()
    if tensor == start or tensor[0] in seen or tensor[0] not in nodes:
      continue
    seen.add(tensor[0])
    yield nodes[tensor[0]]
    stack.extend(tensors.data_inputs(nodes[tensor[0]]))


def _asking(nodes: Mapping[str, NodeDef], node: NodeDef) -> str:
  """Returns a hint at the placeholder that a conditional asks."""
  if 'While' in node.op or node.op == 'Merge':
    inputs = []
  elif node.op == 'Switch':
    inputs = list(tensors.data_inputs(node))[1:2]
  else:
    inputs = list(tensors.data_inputs(node))[:1]
  names = [
    each.name
    for tensor in inputs
    for each in _between(nodes, None, tensor)
    if each.op in _FED and _is_switch(each)
  ]
  return _hint(names)


def _switch(nodes: Mapping[str, NodeDef], node: NodeDef) -> str:
  """Returns a hint at placeholders that say whether a network is trained."""
  del node
  return _hint([
    each.name
    for each in nodes.values()
    if each.op in _FED and _is_switch(each)
  ])  # fmt: skip


def _is_switch(node: NodeDef) -> bool:
  return node.attr['dtype'].type == tf.bool.as_datatype_enum


def _hint(names: list[str]) -> str:
  if not names:
    return ''
  return (
    f'; it is fed {", ".join(map(repr, names[:5]))}, which can be made '
    f'constant, {names[0]} = False for example'
  )
