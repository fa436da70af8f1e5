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
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite.file import Operator
from toolkit_basics.registry import Registry

Operand = tf.Tensor | np.ndarray
Function = Callable[..., Operand | tuple[Operand, ...]]

# For each operation its function, and the name its results are counted by.
_OPS: Registry[tuple[Function, str]] = Registry('TensorFlow Lite operation')

_ACTIVATIONS = {
  'RELU': ('Relu', tf.nn.relu),
  'RELU6': ('Relu6', tf.nn.relu6),
  'RELU_N1_TO_1': ('Minimum', lambda x: tf.minimum(tf.maximum(x, -1.0), 1.0)),
  'TANH': ('Tanh', tf.tanh),
}


def register_op(op: str, kind: str) -> Callable[[Function], Function]:
  """Returns a decorator that makes an operation known.

  Args:
    op: Its type, as the file format calls it.
    kind: The type of operation that TensorFlow has for it.
  """

  def register(function: Function) -> Function:
    _OPS.register(op)((function, kind))
    return function

  return register


def ops() -> tuple[str, ...]:
  """Returns the types that are known, sorted."""
  return tuple(sorted(_OPS))


def kind(operator: Operator) -> str:
  """Returns what an operator's results are counted by: its last operation."""
  activation = _fused_activation(operator)
  if activation in _ACTIVATIONS:
    return _ACTIVATIONS[activation][0]
  return _OPS.get(operator.op)[1] if operator.op in _OPS else operator.op


def _fused_activation(operator: Operator) -> str:
  if not hasattr(operator.options, 'FusedActivationFunction'):
    return 'NONE'
  number = operator.get('FusedActivationFunction')
  return tflite_file.activations().get(number, str(number))


def convert(
  operator: Operator, operands: Sequence[Operand | None], where: str
) -> tuple[Operand, ...]:
  """Returns the results of an operator, its activation split off.

  Args:
    operator: Which.
    operands: Of it.
    where: Name of its result, for messages.

  Raises:
    GraphError: If its type is not known, or it cannot be converted.
  """
  if operator.op not in _OPS:
    raise GraphError(
      f'the operation {operator.op} (which computes {where!r}) is not known. '
      'If the encoder ends before it, convert that part alone: outputs=[name '
      'of a tensor].'
    )
  activation = _fused_activation(operator)
  try:
    results = _OPS.get(operator.op)[0](operator, *operands)
    if activation in _ACTIVATIONS:
      results = _ACTIVATIONS[activation][1](results)
    elif activation != 'NONE':
      raise ValueError(f'the activation {activation} is not known')
  except (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    tf.errors.OpError,
  ) as error:
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise GraphError(
      f'the operation {operator.op} (which computes {where!r}) cannot be '
      f'converted: {reason}.'
    ) from error
  return results if isinstance(results, tuple) else (results,)


def known(operand: Operand, what: str) -> np.ndarray:
  """Returns the value of an operand that must not depend on the input."""
  value = operand
  if isinstance(operand, tf.Tensor):
    value = tf.get_static_value(operand)
  if value is None:
    raise ValueError(f'{what} depends on the input')
  return np.asarray(value)


def integers(operand: Operand, what: str) -> list[int]:
  return [int(number) for number in known(operand, what).reshape(-1)]
