"""What the functions of an ONNX model become when they are inlined.

Functions that call each other double with each call, and one that calls itself
never ends. So their size is counted before the inliner of `onnx` gets them.
"""

from collections.abc import Iterator
from typing import Any

from frozen_graphs import budget
from frozen_graphs.errors import GraphError

_MAX_DEPTH = 200  # Of calls within calls; the inliner calls itself for each.


def charge(onnx: Any, model: Any) -> None:
  """Charges the budget of the load for the nodes and bytes of all calls.

  Args:
    onnx: The package.
    model: A ModelProto.

  Raises:
    GraphError: If that is more than the budget allows, a function calls itself,
      or has the name of an operation.
  """
  functions = {_key(f.domain, f.name, f): f for f in model.functions}
  for domain, name, _ in functions:
    # Which of the two is meant, the standard leaves to who runs it.
    if onnx.defs.has(name, domain):
      raise GraphError(f'its function {name!r} has the name of an operation.')
  sizes = _Sizes(functions)
  nodes, size = sizes.of_nodes(model.graph.node, 0)
  budget.active(model.ByteSize).charge(
    'The functions of the model', nodes=nodes, size=size
  )


def _key(domain: str, name: str, holder: Any) -> tuple[str, str, str]:
  domain = '' if domain == 'ai.onnx' else domain
  return domain, name, getattr(holder, 'overload', '')


class _Sizes:
  """The numbers of nodes and bytes of functions, each counted once."""

  def __init__(self, functions: dict[tuple, Any]):
    self._functions = functions
    self._known: dict[tuple, tuple[int, int] | None] = {}

  def of_nodes(self, nodes: Any, depth: int) -> tuple[int, int]:
    """Returns what nodes become, with all that they call."""
    number, size = 0, 0
    for node in _all(nodes):
      number += 1
      key = _key(node.domain, node.op_type, node)
      if key in self._functions:
        more, bytes_ = self._of_function(key, depth + 1)
        number, size = number + more, size + bytes_
    return number, size

  def _of_function(self, key: tuple, depth: int) -> tuple[int, int]:
    name = key[1]
    if key not in self._known:
      if depth > _MAX_DEPTH:
        raise GraphError(
          f'its functions call each other {_MAX_DEPTH} deep, as {name!r}; the '
          'file is damaged or made to do harm.'
        )
      self._known[key] = None
      function = self._functions[key]
      nodes, size = self.of_nodes(function.node, depth)
      self._known[key] = nodes, size + function.ByteSize()
    known = self._known[key]
    if known is None:
      raise GraphError(
        f'its function {name!r} calls itself; the file is damaged or made to '
        'do harm.'
      )
    return known


def _all(nodes: Any) -> Iterator[Any]:
  """Yields nodes, and those of the graphs in their attributes."""
  stack = [nodes]
  while stack:
    for node in stack.pop():
      yield node
      for attribute in node.attribute:
        stack += [graph.node for graph in (attribute.g, *attribute.graphs)]
