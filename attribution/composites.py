"""Recognises activations that a graph spells out in several operations.

`x * sigmoid(x)` is one activation, SiLU: epsilon-LRP's f(z) / z belongs to the
product. Ruling its sigmoid alone would send relevance through a gate. So the
elementwise nodes between a tensor `z` and a node `f(z)` are treated as one
activation if they either
  * compute one of the functions registered with `register_activation`, or
  * end in a product (or quotient, maximum, choice) of branches that all come
    from the same `z`, and hold a known non-linear part: SiLU, hard-swish, GELU
    (either form), Mish, ELU written with a condition, ...
Affine steps before `z`, such as a bias or a batch normalization, stay outside:
`z` is the nearest tensor from which all branches come.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import dataclasses

import numpy as np
import tensorflow as tf

from attribution import operations, tensors

NodeDef = tf.compat.v1.NodeDef
Tensor = tuple[str, int]

# Where branches of one activation meet without being added.
_JOINS = frozenset({
  'Mul', 'Div', 'RealDiv', 'Maximum', 'Minimum', 'Select', 'SelectV2',
})  # fmt: skip
# Besides ruled activations, what makes a join more than a polynomial.
_PARTS = frozenset({'Erf', 'Erfc', 'Exp', 'Expm1', 'Select', 'SelectV2'})
_AFFINE = frozenset({'Add', 'AddV2', 'Sub', 'Neg', 'Mul', 'Div', 'RealDiv'})
_MAX_NODES = 24  # The largest known, GELU's tanh form, has 9.
_GRID = np.linspace(-7.9, 7.9, 80)


@dataclasses.dataclass(frozen=True)
class Composite:
  """An activation f made of several nodes.

  Attributes:
    name: Of the registered function, or the op types it is made of.
    entry: The tensor z.
    end: Name of the node that computes f(z).
    nodes: Names of all nodes of f, `end` among them.
  """

  name: str
  entry: Tensor
  end: str
  nodes: frozenset[str]


def find(
  nodes: Mapping[str, NodeDef],
  carriers: Mapping[str, tuple[Tensor, ...]],
  activations: Collection[str],
  named: Mapping[str, Callable],
) -> list[Composite]:
  """Returns the composite activations, no two sharing a node.

  Args:
    nodes: By name, each after the nodes it needs.
    carriers: For each node that depends on the input, the inputs that do.
    activations: Op types that are activations by themselves.
    named: NumPy functions of z by the names of activations.
  """
  order = {name: position for position, name in enumerate(nodes)}
  known = _PARTS | set(activations)
  found, taken = [], set()
  for end in reversed(carriers):
    end_type = nodes[end].op
    cones = () if end in taken else _cones(end, nodes, carriers, order)
    for number, (entry, inside) in enumerate(cones):
      types = {nodes[name].op for name in inside}
      # A single activation is ruled as such; only the nearest entry of a join
      # keeps the steps before the activation out of it.
      is_single = len(inside) == 1 and end_type in activations
      name = None if is_single else _named(named, end, entry, inside, nodes)
      if name is None and number == 0 and _is_join(nodes[end], carriers[end]):
        name = '+'.join(sorted(types)) if types & known else None
      if name is not None and taken.isdisjoint(inside):
        found.append(Composite(name, entry, end, frozenset(inside)))
        taken.update(inside)
        break
  return found


def _is_join(node: NodeDef, branches: tuple[Tensor, ...]) -> bool:
  return node.op in _JOINS and len(branches) > 1


def _cones(end, nodes, carriers, order) -> Iterator[tuple[Tensor, tuple]]:
  """Yields (z, nodes) such that `end` is elementwise in z, nearest z first.

  The nodes come in an order in which they can be computed.
  """
  frontier, inside = {(end, 0)}, []
  while len(inside) < _MAX_NODES:
    tensor = max(frontier, key=lambda t: order[t[0]])
    name = tensor[0]
    if name not in carriers or nodes[name].op not in operations.ELEMENTWISE:
      return
    inside.append(name)
    frontier.remove(tensor)
    frontier.update(carriers[name])
    if len(frontier) == 1:
      yield next(iter(frontier)), tuple(reversed(inside))


def _named(named, end, entry, inside, nodes) -> str | None:
  """Returns the name of the registered function that `end` is of `entry`."""
  if {nodes[name].op for name in inside} <= _AFFINE:
    return None
  values = _evaluate(end, entry, inside, nodes)
  if values is None:
    return None
  for name, function in named.items():
    with np.errstate(all='ignore'):
      expected = function(_GRID)
    if np.allclose(values, expected, rtol=1e-5, atol=1e-6):
      return name
  return None


def _evaluate(end, entry, inside, nodes) -> np.ndarray | None:
  """Returns f on a grid, or None where f differs between elements."""
  values = {entry: _GRID}
  for name in inside:
    node = nodes[name]
    operands = []
    for tensor in tensors.data_inputs(node):
      value = values.get(tensor)
      if value is None:
        value = _scalar(nodes[tensor[0]])
      if value is None:
        return None
      operands.append(value)
    with np.errstate(all='ignore'):
      values[name, 0] = operations.ELEMENTWISE[node.op](*operands)
  return values[end, 0]


def _scalar(node: NodeDef) -> float | None:
  """Returns the value of a constant of which all elements are the same."""
  if node.op != 'Const':
    return None
  values = tf.make_ndarray(node.attr['value'].tensor)
  if not values.size or np.any(values != values.flat[0]):
    return None
  return float(values.flat[0])
