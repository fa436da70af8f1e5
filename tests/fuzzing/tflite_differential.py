"""Compares random TensorFlow Lite files with what its interpreter computes.

  python -m tests.fuzzing.tflite_differential --networks=20000

Each has two to five operations with random operands, as TensorFlow itself has
them, so that the converter writes every operation that networks of Keras do not
have. One that the converter or the interpreter refuses is not counted; one that
this project refuses is no fault, for it says so; another result is.
"""

from collections import Counter
from collections.abc import Callable
import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

import toolkit_basics.cli as cli
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry
from tests import format_testing, tflite_testing
from tests.fuzzing import differential
from tests.fuzzing.mutations import one_of

FLAGS = cli.Flags()
_ASKED = differential.Asked(FLAGS)
_MAX_TRIES = 20  # Of operations that may follow.
_MOST_NUMBERS = 5000  # Of a tensor.

Function = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass
class _Maker(differential.Drawn):
  """Draws operations that fit behind a tensor of a shape."""

  def axes(self, most: int) -> list[int]:
    count = self.number(1, most)
    return [int(a) for a in self.rng.permutation(self.rank)[:count]]

  def weight(self, *shape: int, low: float = -1.0) -> tf.Tensor:
    return tf.constant(self.rng.uniform(low, 1.5, shape).astype(np.float32))

  def operand(self, low: float = -1.0) -> tf.Tensor:
    """Returns a constant that is broadcast."""
    shape = [self.one_of(1, size) for size in self.shape]
    return self.weight(*shape[self.number(0, self.rank) :], low=low)


def _elementwise(m: _Maker) -> Function:
  limit = m.one_of(1.0, 6.0)
  return m.one_of(
    tf.abs, tf.exp, tf.sin, tf.cos, tf.square, tf.tanh, tf.sigmoid, tf.negative,
    tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.gelu, tf.nn.softsign,
    lambda x: tf.nn.gelu(x, approximate=True),
    lambda x: tf.nn.leaky_relu(x, 0.3),
    lambda x: tf.clip_by_value(x, -1.0, limit),
    lambda x: tf.clip_by_value(x, 0.0, limit),
    lambda x: x * tf.nn.relu6(x + 3) / 6,
    lambda x: tf.sqrt(tf.abs(x) + 0.1), lambda x: tf.math.log(tf.abs(x) + 0.5),
    lambda x: tf.math.rsqrt(tf.abs(x) + 0.5), tf.zeros_like,
  )  # fmt: skip


def _arithmetic(m: _Maker) -> Function:
  positive, other = m.operand(low=0.3), m.operand()
  flipped = m.one_of(False, True)
  op = m.one_of(
    tf.add, tf.subtract, tf.multiply, tf.maximum, tf.minimum,
    tf.math.squared_difference,
  )  # fmt: skip
  activation = m.one_of(tf.identity, tf.nn.relu, tf.nn.relu6, tf.tanh)
  return m.one_of(
    lambda x: activation(op(other, x) if flipped else op(x, other)),
    lambda x: activation(x / positive),
    lambda x: tf.pow(tf.abs(x) + 0.1, positive),
    lambda x: tf.where(x > other, x, other),
    lambda x: tf.where(tf.logical_or(x < other, x > 1.0), 0.5 * x, x),
    lambda x: x * tf.cast(tf.not_equal(x, other), tf.float32),
  )


def _convolution(m: _Maker) -> Function:
  channels, rows, columns = m.shape[-1], m.number(1, 3), m.number(1, 3)
  stride = m.number(1, 3)
  padding, dilation = m.one_of('SAME', 'VALID'), m.number(1, 2)
  steps = {'strides': stride, 'padding': padding}
  if m.one_of(True, False):
    steps = {'strides': 1, 'padding': padding, 'dilations': dilation}
  width = m.number(1, 4)
  kernel = m.weight(rows, columns, channels, width)
  bias = m.weight(width)
  deep = m.weight(rows, columns, channels, m.number(1, 2))
  fours = [1, stride, stride, 1]
  activation = m.one_of(tf.identity, tf.nn.relu, tf.nn.relu6)
  height, length = m.shape[1] * stride, m.shape[2] * stride
  turned = m.weight(rows, columns, width, channels)
  return m.one_of(
    lambda x: activation(
      tf.nn.bias_add(tf.nn.conv2d(x, kernel, **steps), bias)
    ),
    lambda x: activation(tf.nn.depthwise_conv2d(x, deep, fours, padding)),
    lambda x: tf.nn.depthwise_conv2d(
      x, deep, [1] * 4, padding, dilations=[dilation] * 2
    ),
    lambda x: tf.nn.conv2d_transpose(
      x, turned, [1, height, length, width], stride, 'SAME'
    ),
  )


def _window(m: _Maker) -> Function:
  # A window that is larger than the image ends the process (of TensorFlow).
  size = [m.number(1, min(3, side)) for side in m.shape[1:3]]
  stride, padding = m.number(1, 3), m.one_of('SAME', 'VALID')
  sides = m.number(1, 9), m.number(1, 9)
  aligned, centred = m.one_of((True, False), (False, True), (False, False))
  resize = m.one_of('resize_bilinear', 'resize_nearest_neighbor')
  radius = m.number(1, 3)
  if resize.endswith('neighbor') and aligned:
    aligned = False  # The interpreter rounds halves the other way.
  return m.one_of(
    lambda x: tf.nn.avg_pool2d(x, size, stride, padding),
    lambda x: tf.nn.max_pool2d(x, size, stride, padding),
    lambda x: getattr(tf.compat.v1.image, resize)(
      x, sides, align_corners=aligned, half_pixel_centers=centred
    ),
    lambda x: tf.nn.lrn(x, radius, 1.0, 0.3, 0.6),
    lambda x: tf.nn.space_to_depth(x, 2),
    lambda x: tf.nn.depth_to_space(x, 2),
  )


def _norm(m: _Maker) -> Function:
  axis = m.axis()
  exclusive, backwards = m.one_of(True, False), m.one_of(True, False)
  return m.one_of(
    tf.nn.softmax,
    tf.nn.log_softmax,
    lambda x: tf.nn.softmax(x, axis),
    lambda x: tf.math.l2_normalize(x, -1),
    lambda x: tf.math.l2_normalize(x, axis),
    lambda x: tf.cumsum(x, axis, exclusive, backwards),
  )


def _reduction(m: _Maker) -> Function:
  axes, keep = m.axes(m.rank - 1), m.one_of(True, False)
  op = m.one_of(
    tf.reduce_mean, tf.reduce_sum, tf.reduce_max, tf.reduce_min,
    tf.reduce_prod, tf.reduce_logsumexp,
  )  # fmt: skip
  return lambda x: op(x, axes, keepdims=keep)


def _movement(m: _Maker) -> Function:
  axis, perm = m.axis(), [int(a) for a in m.rng.permutation(m.rank)]
  size = m.shape[axis]
  pads = [[m.number(0, 2), m.number(0, 2)] for _ in m.shape]
  pads[0] = [0, 0]  # Images stay apart.
  mirrored = [[min(a, s - 1), min(b, s - 1)]
              for (a, b), s in zip(pads, m.shape, strict=True)]  # fmt: skip
  mode, fill = m.one_of('REFLECT', 'SYMMETRIC'), m.one_of(0.0, 0.7)
  places = [m.number(0, size - 1) for _ in range(3)]
  begin = [m.number(0, s - 1) for s in m.shape]
  step = m.one_of(1, 2, -1)
  slices = [slice(b if step > 0 else None, None, step) for b in begin]
  times = [m.number(1, 2) for _ in m.shape]
  first = m.number(1, max(1, size - 1))
  return m.one_of(
    lambda x: tf.transpose(x, perm),
    lambda x: tf.pad(x, pads, constant_values=fill),
    lambda x: tf.pad(x, mirrored, mode),
    lambda x: tf.gather(x, places, axis=axis),
    lambda x: tf.slice(x, begin, [-1] * m.rank),
    lambda x: x[tuple(slices)],
    lambda x: x[..., tf.newaxis, begin[-1]],
    lambda x: tf.tile(x, times),
    lambda x: tf.reverse(x, [axis]),
    lambda x: tf.concat([x, 2 * x], axis),
    lambda x: tf.stack([x, -x], axis),
    lambda x: tf.unstack(x, axis=axis)[-1],
    lambda x: tf.split(x, [first, size - first], axis)[0],
    lambda x: tf.reshape(x, [1, -1, m.shape[-1]]),
    lambda x: tf.expand_dims(x, axis),
    lambda x: tf.squeeze(x),
    lambda x: tf.roll(x, 1, axis),
  )


def _product(m: _Maker) -> Function:
  size, width = m.shape[-1], m.number(1, 4)
  w, turned = m.weight(size, width), m.weight(width, size)
  bias = m.weight(width)
  if m.rank == 2:
    return m.one_of(
      lambda x: tf.nn.relu(tf.matmul(x, w) + bias),
      lambda x: tf.matmul(x, turned, transpose_b=True),
    )
  return m.one_of(
    lambda x: tf.matmul(x, tf.broadcast_to(w, [*m.shape[:-2], size, width])),
    lambda x: tf.matmul(x, x, transpose_b=True),
    lambda x: tf.tensordot(x, w, 1),
    lambda x: tf.einsum('...a,ab->...b', x, w),
  )


_OF_IMAGES = (_convolution, _convolution, _window, _window)
_OF_ANY = (
  _elementwise, _arithmetic, _arithmetic, _norm, _reduction, _movement,
  _movement, _product,
)  # fmt: skip


def _network(
  rng: np.random.Generator,
) -> tuple[Callable[[tf.Tensor], tf.Tensor], tuple[int, ...], str]:
  """Returns a random function, the shape it takes, and its parts in words."""
  shape = first = (1, *(int(n) for n in rng.integers(3, 8, 2)),
                   int(rng.integers(1, 5)))  # fmt: skip
  functions: list[Function] = []
  kinds: list[str] = []
  for _ in range(int(rng.integers(2, 6))):
    for _ in range(_MAX_TRIES):
      makers = _OF_ANY + (_OF_IMAGES if len(shape) == 4 else ())
      maker = one_of(rng, makers)
      try:
        function = maker(_Maker(rng, shape))
        found = tuple(function(tf.zeros(shape)).shape)
      except (ValueError, IndexError, tf.errors.OpError):
        continue  # It does not fit.
      if 0 < np.prod(found) < _MOST_NUMBERS and 1 < len(found) < 6:
        functions.append(function)
        kinds.append(maker.__name__.strip('_'))
        shape = found
        break

  def network(x: tf.Tensor) -> tf.Tensor:
    for function in functions:
      x = function(x)
    return x

  return network, first, ' '.join(kinds)


def compare(seed: int, number: int, folder: pathlib.Path) -> tuple[str, str]:
  """Returns how a network compares, and why.

  Returns:
    'same', 'refused', 'illegal' (by the converter or interpreter) or 'OTHER'.
  """
  rng = np.random.default_rng([seed, number])
  function, shape, described = _network(rng)
  images = rng.normal(size=shape).astype(np.float32)
  path = folder / 'model.tflite'
  try:
    path.write_bytes(tflite_testing.content(function, [shape]))
    (expected,) = tflite_testing.interpret(path.read_bytes(), images).values()
  except Exception as error:
    return 'illegal', f'{described}: {str(error)[:150]}'
  try:
    value, _ = format_testing.run(registry.of(path).load(path), images)
  except (GraphError, tf.errors.OpError) as error:
    return 'refused', f'{described}: {error}'
  except Exception as error:
    why = f'{described}: {type(error).__name__} {error}'
    return differential.OTHER, why
  return differential.verdict(value, expected, described)


def main() -> None:
  counts: Counter[str] = Counter()
  for _, kind, _ in _ASKED.compared(compare, (differential.OTHER, 'refused')):
    counts[kind] += 1
  print(', '.join(f'{count} {kind}' for kind, count in sorted(counts.items())))
  differential.check(counts[differential.OTHER])


if __name__ == '__main__':
  cli.run(main, FLAGS)
