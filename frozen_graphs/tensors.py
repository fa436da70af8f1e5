"""Names of tensors: how nodes refer to them, and what users ask for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import difflib
from typing import TypeVar

import tensorflow as tf

from frozen_graphs import op_definitions
from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef
T = TypeVar('T')


def split(tensor: str) -> tuple[str, int]:
  """Returns (node, number); the number of a control input is -1."""
  if tensor.startswith('^'):
    return tensor[1:], -1
  name, colon, number = tensor.rpartition(':')
  return (name, int(number)) if colon and number.isdigit() else (tensor, 0)


def data_inputs(node: NodeDef) -> Iterator[tuple[str, int]]:
  """Yields (node, number) of the tensors that `node` takes."""
  for tensor in node.input:
    if not tensor.startswith('^'):
      yield split(tensor)


def reachable(
  starts: Iterable[T], following: Callable[[T], Iterable[T]]
) -> set[T]:
  """Returns all that is reached from some things, with these.

  Args:
    starts: Names of nodes, or anything else.
    following: Returns what one of them leads to.
  """
  found, stack = set(), list(starts)
  while stack:
    item = stack.pop()
    if item not in found:
      found.add(item)
      stack.extend(following(item))
  return found


def in_order(
  needs: Mapping[str, Iterable[str]],
  admits: Callable[[str], bool] = lambda name: True,
) -> Iterator[str]:
  """Yields names after all that they need; those in loops are left out.

  Args:
    needs: By name.
    admits: Whether one, and so what needs it, is to be among them.
  """
  waiting = {name: set(needed) for name, needed in needs.items()}
  consumers = {}
  for name, needed in waiting.items():
    for source in needed:
      consumers.setdefault(source, []).append(name)
  ready = [name for name, needed in waiting.items() if not needed]
  while ready:
    name = ready.pop()
    if admits(name):
      yield name
      for consumer in consumers.get(name, ()):
        waiting[consumer].discard(name)
        if not waiting[consumer]:
          ready.append(consumer)


def resolve(nodes: Mapping[str, NodeDef], tensor: str) -> tuple[str, int]:
  """Returns (node, number) of a tensor, which may be named without `:0`.

  Raises:
    GraphError: If there is no such tensor; the message lists the closest ones.
  """
  name, number = split(tensor)
  if name not in nodes or number < 0:
    raise GraphError(
      f'The graph has no tensor {tensor!r}. Closest: '
      f'{", ".join(_closest(name, nodes)) or "none"}.'
    )
  count = len(op_definitions.output_types(nodes[name]))
  choices = ', '.join(f'{name}:{i}' for i in range(count)) or 'none'
  if number >= count:
    raise GraphError(
      f'The graph has no tensor {tensor!r}; node {name!r} ({nodes[name].op}) '
      f'has the tensors: {choices}.'
    )
  if count > 1 and name == tensor:
    raise GraphError(
      f'The tensor name {tensor!r} is ambiguous; choose one of {choices}.'
    )
  return name, number


def _closest(name: str, nodes: Mapping[str, NodeDef]) -> list[str]:
  """Returns up to five tensor names that may have been meant."""
  names = [n for n, node in nodes.items() if node.op not in ('Const', 'NoOp')]
  last = name.rsplit('/', 1)[-1]
  same_ending = [n for n in names if n.rsplit('/', 1)[-1] == last]
  alike = difflib.get_close_matches(name, names, n=5, cutoff=0.3)
  return [f'{n}:0' for n in dict.fromkeys([*same_ending, *alike])][:5]
