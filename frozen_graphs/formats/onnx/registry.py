"""The registry of ONNX operations, each a function of its operands.

A function is given the node and its operands, None for one that is left out,
and returns its result, or a tuple of results. Any LookupError, TypeError or
ValueError that it raises tells why the node cannot be converted. An attribute
that the function does not ask for is refused: it would be ignored.
"""

from collections.abc import Callable, Collection, Sequence

import tensorflow as tf

from frozen_graphs import budget, session
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import converter
from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.values import (
  Operand,
  Value,
  boxed,
  is_known,
  settled,
)
from toolkit_basics.registry import Registry

Function = Callable[..., Operand | tuple[Operand, ...]]

# Functions, and the attributes that do not change what a network computes.
_OPERATIONS: Registry[tuple[Function, frozenset[str]]] = Registry(
  'ONNX operation', __package__
)
ops = _OPERATIONS.names

# Why, and what will do instead.
_REFUSED = {
  (
    'belongs to a quantised network, through which no gradient flows; take the '
    'file with floating-point weights.'
  ): {
    'QuantizeLinear', 'DynamicQuantizeLinear',
    'QLinearConv', 'QLinearMatMul', 'ConvInteger', 'MatMulInteger',
  },
  (
    'draws at random, so that the network gives another result each time; '
    'export it for inference, or let the encoder end before '
    '(`representation`).'
  ): {
    'Bernoulli', 'Multinomial', 'RandomNormal', 'RandomNormalLike',
    'RandomUniform', 'RandomUniformLike',
  },
}  # fmt: skip


def register_op(
  *ops: str, irrelevant: Collection[str] = ()
) -> Callable[[Function], Function]:
  """Returns a decorator of what converts operations.

  Attributes that are irrelevant do not change what a network computes.
  """

  def register(function: Function) -> Function:
    for op in ops:
      _OPERATIONS.register(op)((function, frozenset(irrelevant)))
    return function

  return register


def convert(
  node: Node, operands: Sequence[Operand | None]
) -> tuple[Operand, ...]:
  """Returns the results of a node.

  Raises:
    GraphError: If its type is not known, or it cannot be converted.
  """
  for reason, refused in _REFUSED.items():
    if node.op in refused:
      raise GraphError(f'{node} {reason}')
  if node.op not in _OPERATIONS:
    raise GraphError(
      f'{node} is of a type that is not known. If the encoder ends before it, '
      'say where (`representation`): only what is needed has to be known.'
    )
  function, irrelevant = _OPERATIONS.get(node.op)
  with converter.explained(str(node)):
    results = _computed(function, node, operands)
  if ignored := set(node.attributes) - node.asked - irrelevant:
    raise GraphError(f'{node} has unknown attributes {sorted(ignored)}.')
  return tuple(
    r if isinstance(r, Value) else settled(boxed(r)) for r in results
  )


def _computed(
  function: Function, node: Node, operands: Sequence[Operand | None]
) -> tuple[Operand, ...]:
  """Returns the results, as arrays if all operands are known."""
  given = [operand for operand in operands if operand is not None]
  if not given or not all(map(is_known, given)):
    results = function(node, *operands)
    return results if isinstance(results, tuple) else (results,)
  with tf.Graph().as_default() as graph:  # At once, and not in the network.
    results = function(node, *operands)
    results = results if isinstance(results, tuple) else (results,)
    made = {
      i: result.in_onnx_order()
      for i, result in enumerate(results)
      if isinstance(result, Value)
    }
  size = sum(getattr(result, 'nbytes', 0) for result in results)
  for tensor in made.values():
    size += (tensor.shape.num_elements() or 0) * tensor.dtype.size
  spent = budget.active(lambda: sum(operand.nbytes for operand in given))
  spent.charge(f'What {node} computes', size=size)
  if not made:
    return results
  config = session.config()
  with tf.compat.v1.Session(graph=graph, config=config) as running:
    made = running.run(made)
  return tuple(made.get(i, result) for i, result in enumerate(results))
