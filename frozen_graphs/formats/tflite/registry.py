"""The registry of TensorFlow Lite's operations, each a function of operands.

A function is given the operator and its operands: an array where the value is
known, a tensor where not, None for one that is left out. It returns a tensor
(or array), or a tuple of them. A LookupError, TypeError or ValueError that it
raises tells why the operator cannot be converted.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats import converter
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite.file import Operator
from toolkit_basics.registry import Registry

Operand = tf.Tensor | np.ndarray
Function = Callable[..., Operand | tuple[Operand, ...]]

# Functions, and the names that their results are counted by.
_OPERATIONS: Registry[tuple[Function, str]] = Registry(
  'operation of TensorFlow Lite', __package__
)
ops = _OPERATIONS.names


def register_op(op: str, kind: str) -> Callable[[Function], Function]:
  """Returns a decorator of what converts `op`; TensorFlow calls it `kind`."""

  def register(function: Function) -> Function:
    _OPERATIONS.register(op)((function, kind))
    return function

  return register


def kind(operator: Operator) -> str:
  """Returns what an operator's results are counted by: its last operation."""
  for op in (_fused_activation(operator), operator.op):
    if op in _OPERATIONS:
      return _OPERATIONS.get(op)[1]
  return operator.op


def _fused_activation(operator: Operator) -> str:
  if not hasattr(operator.options, 'FusedActivationFunction'):
    return 'NONE'
  number = operator.get('FusedActivationFunction')
  return tflite_file.activations().get(number, str(number))


def convert(
  operator: Operator, operands: Sequence[Operand | None], where: str
) -> tuple[Operand, ...]:
  """Returns the results of an operator, its activation split off.

  Raises:
    GraphError: If its type is not known, or it cannot be converted; the message
      says `where`, by the name of its result.
  """
  described = f'the operation {operator.op} (which computes {where!r})'
  if operator.op not in _OPERATIONS:
    raise GraphError(
      f'{described} is not known. If the encoder ends before it, say where '
      '(`representation`): only what is needed has to be known.'
    )
  activation = _fused_activation(operator)
  with converter.explained(described):
    results = _OPERATIONS.get(operator.op)[0](operator, *operands)
    if activation in _OPERATIONS:
      results = _OPERATIONS.get(activation)[0](operator, results)
    elif activation != 'NONE':
      raise ValueError(f'the activation {activation} is not known')
  return results if isinstance(results, tuple) else (results,)


def known(operand: Operand, what: str) -> np.ndarray:
  """Returns the value of an operand that must not depend on the input."""
  value = tf.get_static_value(operand)
  if value is None:
    raise ValueError(f'{what} depends on the input')
  return np.asarray(value)


def integers(operand: Operand, what: str) -> list[int]:
  return [int(number) for number in known(operand, what).reshape(-1)]
