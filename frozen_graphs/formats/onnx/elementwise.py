"""ONNX operations that act on each element alone."""

from collections.abc import Callable
import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.formats.onnx.file import Node
from frozen_graphs.formats.onnx.registry import register_op
from frozen_graphs.formats.onnx.values import (
  Operand,
  Value,
  boxed,
  check_size,
  elementwise,
  is_known,
  known,
  normal_axis,
)


def _quotient(a, b):
  """Returns a / b, of integers rounded towards zero."""
  if a.dtype == object or b.dtype == object:
    return a // b  # Sizes, which are not negative.
  if a.dtype.kind == 'f':
    return a / b
  return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def _divide(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  if a.dtype.is_floating:
    return tf.realdiv(a, b)
  return tf.truncatediv(a, b)


# For each operation a NumPy function for what is known at once, and
# TensorFlow's for the rest.
_FUNCTIONS = {
  'Add': (np.add, tf.add),
  'Sub': (np.subtract, tf.subtract),
  'Mul': (np.multiply, tf.multiply),
  'Div': (_quotient, _divide),
  'And': (np.logical_and, tf.logical_and),
  'Or': (np.logical_or, tf.logical_or),
  'Not': (np.logical_not, tf.logical_not),
  'Equal': (np.equal, tf.equal),
  'Greater': (np.greater, tf.greater),
  'GreaterOrEqual': (np.greater_equal, tf.greater_equal),
  'Less': (np.less, tf.less),
  'LessOrEqual': (np.less_equal, tf.less_equal),
  'Where': (np.where, tf.where),
  'Abs': (np.abs, tf.abs),
  'Neg': (np.negative, tf.negative),
  'Sqrt': (np.sqrt, tf.sqrt),
  'Exp': (np.exp, tf.exp),
  'Log': (np.log, tf.math.log),
  'Floor': (np.floor, tf.floor),
  'Ceil': (np.ceil, tf.math.ceil),
  'Round': (np.rint, tf.round),
  'Sign': (np.sign, tf.sign),
  'Reciprocal': (np.reciprocal, tf.math.reciprocal),
  'Sin': (np.sin, tf.sin),
  'Cos': (np.cos, tf.cos),
  'Tan': (np.tan, tf.tan),
  'Asin': (np.arcsin, tf.asin),
  'Acos': (np.arccos, tf.acos),
  'Atan': (np.arctan, tf.atan),
  'Sinh': (np.sinh, tf.sinh),
  'Cosh': (np.cosh, tf.cosh),
  'Asinh': (np.arcsinh, tf.asinh),
  'IsNaN': (np.isnan, tf.math.is_nan),
}
# Also of sizes that are not known yet.
_OF_SIZES = ('Add', 'Sub', 'Mul', 'Div')


@register_op(*_FUNCTIONS)
def _arithmetic(node: Node, *operands: Operand) -> Operand:
  if node.op == 'Where' and _is_guard(operands[0], operands[2]):
    return operands[2]
  return _compute(node, *_FUNCTIONS[node.op], *operands)


def _is_guard(condition: Operand, otherwise: Operand) -> bool:
  """Returns whether a choice is of a softmax wherever that is a number.

  PyTorch writes so what it does where everything is masked, of which nothing is
  left to be explained. Elsewhere it is the softmax, as rules know it.
  """
  if not isinstance(condition, Value) or not isinstance(otherwise, Value):
    return False
  made = condition.tensor.op
  return (
    made.type == 'IsNan'
    and made.inputs[0].name == otherwise.tensor.name
    and condition.order == otherwise.order
    and otherwise.tensor.op.type == 'Softmax'
  )


def _compute(node: Node, of_arrays, of_tensors, *operands: Operand) -> Operand:
  if all(
    is_known(o) or (isinstance(o, np.ndarray) and node.op in _OF_SIZES)
    for o in operands
  ):
    check_size(np.broadcast_shapes(*(o.shape for o in operands)))
    with np.errstate(all='ignore'):
      return boxed(of_arrays(*operands))
  return elementwise(of_tensors, *operands)


@register_op('IsInf')
def _is_infinite(node: Node, x: Operand) -> Operand:
  signs = [
    sign
    for sign, name in ((-1, 'detect_negative'), (1, 'detect_positive'))
    if node.flag(name, default=True)
  ]
  if len(signs) == 2:
    return _compute(node, np.isinf, tf.math.is_inf, x)
  wanted = np.float32(math.inf * sum(signs))  # Not a number: it is none.
  if not signs:
    wanted = np.float32(math.nan)
  return _compute(
    node, lambda a: np.equal(a, wanted), lambda t: tf.equal(t, wanted), x
  )


@register_op('Pow')
def _pow(node: Node, x: Operand, exponent: Operand) -> Operand:
  if is_known(exponent) and isinstance(x, Value):
    if np.all(exponent == 2) and exponent.size == 1:
      return x.with_axes(tf.square(x.tensor))
    exponent = exponent.astype(x.tensor.dtype.as_numpy_dtype)
  return _compute(
    node, lambda a, b: np.power(a, b).astype(a.dtype), tf.pow, x, exponent
  )


@register_op('Mod')
def _mod(node: Node, a: Operand, b: Operand) -> Operand:
  if node.flag('fmod'):
    return _compute(node, np.fmod, tf.truncatemod, a, b)
  return _compute(node, np.mod, tf.math.floormod, a, b)


_REPEATED = {
  'Max': (np.maximum, tf.maximum),
  'Min': (np.minimum, tf.minimum),
  'Sum': (np.add, tf.add),
  'Mean': (np.add, tf.add),
}


@register_op(*_REPEATED)
def _repeated(node: Node, *operands: Operand) -> Operand:
  pair = functools.partial(_compute, node, *_REPEATED[node.op])
  result = functools.reduce(pair, operands)
  if node.op == 'Mean':
    count = np.asarray(np.float32(len(operands)))
    result = _compute(node, np.divide, tf.realdiv, result, count)
  return result


# Those of 16 and 64 bits are computed in 32 bits: they are to save memory.
_CAST_TO = {
  1: 'float32', 2: 'uint8', 3: 'int8', 4: 'uint16', 5: 'int16', 6: 'int32',
  7: 'int64', 9: 'bool', 10: 'float32', 11: 'float32', 12: 'uint32',
  13: 'uint64', 16: 'float32',
}  # fmt: skip


@register_op('Cast', irrelevant=('saturate', 'round_mode'))
def _cast(node: Node, x: Operand) -> Operand:
  target = node.get('to')
  if target not in _CAST_TO:
    raise ValueError(f'to={target} is no known type')
  return _as_type(x, _CAST_TO[target])


@register_op('CastLike', irrelevant=('saturate', 'round_mode'))
def _cast_like(node: Node, x: Operand, model: Operand) -> Operand:
  like = model.tensor if isinstance(model, Value) else model
  kind = like.dtype.name
  return _as_type(x, 'int64' if kind == 'object' else kind)


def _as_type(x: Operand, kind: str) -> Operand:
  if isinstance(x, np.ndarray) and x.dtype == object and 'int' in kind:
    return x  # Sizes have one type until they become tensors.
  if is_known(x):
    return x.astype(kind)
  if isinstance(x, Value) and x.tensor.dtype.name == kind:
    return x
  return elementwise(lambda tensor: tf.cast(tensor, kind), x)


@register_op('DequantizeLinear', irrelevant=('output_dtype',))
def _dequantise(
  node: Node, x: Operand, scale: Operand, zero: Operand | None = None
) -> np.ndarray:
  """Returns the weights that quantised ones stand for."""
  if not is_known(x):
    raise ValueError(
      'it belongs to a quantised network, through which no gradient flows; '
      'take the file of which at most the weights are quantised'
    )
  axis = node.get('axis', 1)
  if node.get('block_size', 0):
    raise ValueError('block_size is not supported')
  scale = known(scale, 'the scale')
  zero = np.zeros_like(scale) if zero is None else known(zero, 'the zero point')
  if scale.size == 1:
    scale, zero = scale.reshape(()), zero.reshape(())
  else:
    shape = [1] * x.ndim
    shape[normal_axis(axis, x.ndim)] = -1
    scale, zero = scale.reshape(shape), zero.reshape(shape)
  return ((x.astype(np.float32) - zero.astype(np.float32)) * scale).astype(
    np.float32
  )


@register_op('Identity')
def _identity(node: Node, x: Operand) -> Operand:
  return x


@register_op('Dropout', irrelevant=('ratio', 'seed', 'is_test'))
def _dropout(
  node: Node,
  x: Operand,
  ratio: Operand | None = None,
  training: Operand | None = None,
) -> Operand:
  if training is not None and known(training, 'training_mode').any():
    raise ValueError('it is in training mode; export the network for inference')
  return x


def _bent(x: tf.Tensor, negative: float, inside: float = 1.0) -> tf.Tensor:
  """Returns x where positive, else negative * (exp(x / inside) - 1)."""
  # The minimum keeps the branch that is not chosen from overflowing.
  below = tf.math.expm1(tf.minimum(x, 0.0) / inside)
  return tf.where(x > 0, x, negative * below)


def _elu(x: tf.Tensor, alpha: float) -> tf.Tensor:
  return tf.nn.elu(x) if alpha == 1.0 else _bent(x, alpha)


def _selu(x: tf.Tensor, alpha: float, gamma: float) -> tf.Tensor:
  if math.isclose(alpha, 1.6732632, rel_tol=1e-6) and math.isclose(
    gamma, 1.050701, rel_tol=1e-6
  ):
    return tf.nn.selu(x)
  return gamma * _bent(x, alpha)


def _hard_sigmoid(x: tf.Tensor, alpha: float, beta: float) -> tf.Tensor:
  return tf.minimum(tf.maximum(alpha * x + beta, 0.0), 1.0)


def _gelu(x: tf.Tensor, approximate: str) -> tf.Tensor:
  if approximate not in ('none', 'tanh'):
    raise ValueError(f'approximate={approximate!r} is not known')
  return tf.nn.gelu(x, approximate=approximate == 'tanh')


# Functions of a tensor and of attributes, and what these are by default.
_ACTIVATIONS: dict[str, tuple[Callable, dict[str, Any]]] = {
  'Relu': (tf.nn.relu, {}),
  'Sigmoid': (tf.sigmoid, {}),
  'Tanh': (tf.tanh, {}),
  'Softplus': (tf.nn.softplus, {}),
  'Softsign': (tf.nn.softsign, {}),
  'Erf': (tf.math.erf, {}),
  'LeakyRelu': (tf.nn.leaky_relu, {'alpha': 0.01}),
  'Elu': (_elu, {'alpha': 1.0}),
  'Celu': (lambda x, alpha: _bent(x, alpha, alpha), {'alpha': 1.0}),
  'Selu': (_selu, {'alpha': 1.6732632423543772, 'gamma': 1.0507009873554805}),
  'ThresholdedRelu': (
    lambda x, alpha: tf.where(x > alpha, x, tf.zeros_like(x)),
    {'alpha': 1.0},
  ),
  'HardSigmoid': (_hard_sigmoid, {'alpha': 0.2, 'beta': 0.5}),
  'HardSwish': (lambda x: x * (tf.nn.relu6(x + 3.0) * (1 / 6)), {}),
  'Swish': (lambda x, alpha: x * tf.sigmoid(alpha * x), {'alpha': 1.0}),
  'Gelu': (_gelu, {'approximate': 'none'}),
  'Mish': (lambda x: x * tf.tanh(tf.nn.softplus(x)), {}),
}


@register_op(*_ACTIVATIONS)
def _activation(node: Node, x: Operand) -> Value:
  function, defaults = _ACTIVATIONS[node.op]
  options = {name: node.get(name, value) for name, value in defaults.items()}
  return elementwise(functools.partial(function, **options), x)


@register_op('PRelu')
def _prelu(node: Node, x: Operand, slope: Operand) -> Value:
  return elementwise(
    lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x), x, slope
  )


@register_op('Clip')
def _clip(
  node: Node,
  x: Operand,
  low: Operand | None = None,
  high: Operand | None = None,
) -> Operand:
  """Limits values: attributes before opset 11, then operands."""
  if node.opset < 11:
    if low is not None or high is not None:
      raise ValueError('its limits are no operands before opset 11')
    low, high = node.get('min', -math.inf), node.get('max', math.inf)
  elif not all(limit is None or is_known(limit) for limit in (low, high)):
    for limit, function in ((low, tf.maximum), (high, tf.minimum)):
      x = x if limit is None else elementwise(function, x, limit)
    return x
  else:
    low = -math.inf if low is None else low.item()
    high = math.inf if high is None else high.item()
  if is_known(x):
    return np.clip(x, low, high).astype(x.dtype)
  return elementwise(lambda tensor: _limited(tensor, low, high), x)


def _limited(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
  """Returns min(max(x, low), high) as the activation that it is, if any."""
  limits = x.dtype
  is_open = high >= limits.max
  if x.dtype.is_floating and low == 0 and (is_open or high == 6):
    return tf.nn.relu(x) if is_open else tf.nn.relu6(x)
  if low > limits.min:
    x = tf.maximum(x, tf.cast(low, x.dtype))
  return x if is_open else tf.minimum(x, tf.cast(high, x.dtype))
