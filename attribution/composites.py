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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import dataclasses
import functools
import inspect

import numpy as np
import tensorflow as tf

from frozen_graphs import operations, tensors

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
  """An activation f made of several nodes."""

  name: str  # Of the registered function, or the op types it is made of.
  entry: Tensor  # The tensor z.
  end: str  # Name of the node that computes f(z).
  nodes: frozenset[str]  # Names of all nodes of f, `end` among them.


def find(
  nodes: Mapping[str, NodeDef],
  carriers: Mapping[str, tuple[Tensor, ...]],
  activations: Collection[str],
  named: Mapping[str, Callable],
) -> list[Composite]:
  """Returns the composite activations, no two sharing a node.

  `nodes` stand after those that they need; `carriers` are, of each that depends
  on the input, the inputs that do; `activations` are op types that are some by
  themselves, `named` NumPy functions of z, or of z and a number.
  """
  order = {name: position for position, name in enumerate(nodes)}
  known = _PARTS | set(activations)
  names = _Names(nodes, named)
  found, taken = [], set()
  for end in reversed(carriers):
    cones = () if end in taken else _cones(end, nodes, carriers, order)
    for number, (entry, inside) in enumerate(cones):
      types = {nodes[name].op for name in inside}
      # A single activation is ruled as such; only the nearest entry of a join
      # keeps the steps before the activation out of it.
      is_single = len(inside) == 1 and nodes[end].op in activations
      name = None if is_single else names.find(entry, inside)
      is_join = nodes[end].op in _JOINS and len(carriers[end]) > 1
      if name is None and number == 0 and is_join:
        bends = any(_bends(nodes[n], carriers[n], known) for n in inside)
        name = '+'.join(sorted(types)) if bends else None
      if name is not None and taken.isdisjoint(inside):
        found.append(Composite(name, entry, end, frozenset(inside)))
        taken.update(inside)
        break
  return found


def _bends(
  node: NodeDef, inputs: tuple[Tensor, ...], known: Collection[str]
) -> bool:
  """Returns whether a node is what makes an activation non-linear."""
  if node.op in ('Select', 'SelectV2'):  # A fixed choice is linear.
    return next(tensors.data_inputs(node)) in inputs
  return node.op in known


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


class _Names:
  """Recognises registered functions; equal expressions are computed once."""

  def __init__(self, nodes: Mapping[str, NodeDef], named: Mapping):
    self._nodes = nodes
    self._scalar = functools.cache(lambda name: _scalar(nodes[name]))
    expected = {
      name: functools.cache(functools.partial(_values_of, function))
      for name, function in named.items()
    }
    self._name = functools.cache(functools.partial(_name, expected))

  def find(self, entry: Tensor, inside: Sequence[str]) -> str | None:
    """Returns the name of the function of `entry` that a cone computes."""
    if {self._nodes[name].op for name in inside} <= _AFFINE:
      return None
    steps = self._steps(entry, inside)
    return None if steps is None else self._name(steps)

  def _steps(self, entry: Tensor, inside: Sequence[str]) -> tuple | None:
    """Returns an expression, or None where it differs between elements.

    Of each node its op type and operands: numbers, or, in a tuple, which of
    the results so far, the entry being the first.
    """
    places = {entry: 0}
    steps = []
    for name in inside:
      node = self._nodes[name]
      operands = [
        (places[tensor],) if tensor in places else self._scalar(tensor[0])
        for tensor in tensors.data_inputs(node)
      ]
      if None in operands:
        return None
      places[name, 0] = len(places)
      steps.append((node.op, *operands))
    return tuple(steps)


def has_parameter(function: Callable) -> bool:
  """Returns whether a function is one of z and a number, as of z alone."""
  return len(inspect.signature(function).parameters) > 1


def _values_of(
  function: Callable, parameters: frozenset[float]
) -> list[np.ndarray]:
  """Returns the values on the grid, with each number a parameter may be."""
  with np.errstate(all='ignore'):
    if not has_parameter(function):
      return [function(_GRID)]
    return [function(_GRID, number) for number in sorted(parameters)]


def _name(known: Mapping[str, Callable], steps: tuple) -> str | None:
  """Returns the name of the function that an expression computes, if any.

  Args:
    known: By name, the values that a function may have with some numbers.
    steps: The expression, in which its number stands, or the number's inverse;
      1 may have been left out.
  """
  values = _evaluate(steps)
  numbers = {n for _, *operands in steps for n in operands if _is_number(n)}
  numbers = frozenset({1.0, *numbers, *(1 / n for n in numbers)})
  for name, expected in known.items():
    for each in expected(numbers):
      if np.allclose(values, each, rtol=1e-5, atol=1e-6):
        return name
  return None


def _is_number(operand: float | tuple) -> bool:
  return not isinstance(operand, tuple) and 1e-6 < abs(operand) < 1e6


def _evaluate(steps: tuple) -> np.ndarray:
  """Returns the values of an expression on the grid."""
  values = [_GRID]
  with np.errstate(all='ignore'):
    for op_type, *operands in steps:
      operands = [values[v[0]] if isinstance(v, tuple) else v for v in operands]
      values.append(operations.ELEMENTWISE[op_type](*operands))
  return values[-1]


def _scalar(node: NodeDef) -> float | None:
  """Returns the value of a constant of which all elements are the same."""
  if node.op != 'Const':
    return None
  values = tf.make_ndarray(node.attr['value'].tensor)
  if not values.size or np.any(values != values.flat[0]):
    return None
  return float(values.flat[0])
