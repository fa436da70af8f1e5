"""Tests of TensorFlow Lite's operations against its interpreter."""

from collections.abc import Callable
import functools
import pathlib
import types

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip('tflite', reason='needs the extra tflite')

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite import model as tflite_model
from frozen_graphs.formats.tflite import registry as tflite_registry
from tests import onnx_testing, tflite_testing  # noqa: E402

_SHAPE = (1, 8, 6, 4)


def arithmetic(x):
  y = x[:, ::-1] + 2.5
  yield from (x + y, x - y, x * y, x / y, tf.maximum(x, y), tf.minimum(x, y))
  yield from (tf.pow(y, x), tf.math.squared_difference(x, y))
  yield from (tf.math.floormod(x, y), tf.math.floordiv(x, y))
  for function in (tf.square, tf.exp, tf.abs, tf.negative, tf.sign, tf.floor):
    yield function(x)
  for function in (tf.math.ceil, tf.round, tf.sin, tf.cos):
    yield function(x)
  yield from (tf.sqrt(y), tf.math.rsqrt(y), tf.math.log(y))
  yield tf.add_n([x, y, x * 3.0])


def comparisons(x):
  y = tf.reverse(x, [2])
  above, below = x > 0.2, y <= -0.1
  chosen = [
    above, below, tf.logical_and(above, below), tf.logical_or(above, below),
    tf.logical_not(above), x >= y, x < y, tf.equal(x, y), tf.not_equal(x, y),
  ]  # fmt: skip
  for condition in chosen:
    yield tf.where(condition, x, y)
  yield tf.where(x[:, :, :, :1] > 0, x, y)


def activations(x):
  for function in (tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.sigmoid, tf.tanh,
                   tf.nn.softmax, tf.nn.log_softmax, tf.nn.gelu):  # fmt: skip
    yield function(3 * x)
  yield tf.nn.gelu(x, approximate=True)
  yield tf.nn.leaky_relu(x, 0.3)
  yield tf.cumsum(x, 1, exclusive=True)
  yield tf.cumsum(x, -1, reverse=True)
  yield tf.clip_by_value(x, -1.0, 1.0)
  yield tf.clip_by_value(x, 0.0, 1.0)
  yield x * tf.nn.relu6(x + 3.0) * (1 / 6)
  yield tf.nn.l2_normalize(x, 3)
  yield tf.nn.local_response_normalization(x, 2, 1.5, 0.2, 0.6)


def windows(x):
  rng = np.random.default_rng(1)
  for strides, padding in ((1, 'SAME'), ([1, 2], 'VALID'), (2, 'SAME')):
    yield tf.nn.max_pool2d(x, [3, 2], strides, padding)
    yield tf.nn.avg_pool2d(x, [2, 3], strides, padding)
    kernel = tf.constant(rng.normal(size=(3, 2, 4, 5)), tf.float32)
    yield tf.nn.conv2d(x, kernel, strides, padding)
    yield tf.nn.relu(tf.nn.conv2d_transpose(
      x, tf.constant(rng.normal(size=(3, 3, 5, 4)), tf.float32),
      [1, 16, 12, 5], 2, 'SAME'))  # fmt: skip
  yield tf.nn.conv2d(x, kernel, 1, 'VALID', dilations=2)
  grouped = tf.constant(rng.normal(size=(2, 2, 2, 6)), tf.float32)
  yield tf.nn.conv2d(x, grouped, 1, 'SAME')
  depthwise = tf.constant(rng.normal(size=(3, 3, 4, 2)), tf.float32)
  yield tf.nn.depthwise_conv2d(x, depthwise, [1, 2, 2, 1], 'SAME')
  yield tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], 'VALID')
  yield tf.nn.depthwise_conv2d(
    x, depthwise, [1, 1, 1, 1], 'SAME', dilations=[2, 2]
  )


def sizes(x):
  for function in (tf.raw_ops.ResizeBilinear, tf.raw_ops.ResizeNearestNeighbor):
    for size in ([16, 12], [5, 9], [4, 3]):
      for options in ({}, {'align_corners': True},
                      {'half_pixel_centers': True}):  # fmt: skip
        yield function(images=x, size=tf.constant(size), **options)
  yield tf.nn.depth_to_space(x, 2)
  yield tf.nn.space_to_depth(x, 2)
  blocks = tf.space_to_batch(x, [2, 3], [[1, 1], [0, 0]])
  yield blocks
  yield tf.batch_to_space(blocks + 1.0, [2, 3], [[1, 0], [0, 2]])


def axes(x):
  for function in (tf.reduce_mean, tf.reduce_sum, tf.reduce_max, tf.reduce_min,
                   tf.reduce_prod):  # fmt: skip
    yield function(x, [1, 2])
    yield function(x, [-1], keepdims=True)
  yield tf.cast(tf.argmax(x, 3), tf.float32)
  yield tf.concat([x, x[:, :, :, 1:3] * 2.0], 3)
  yield from tf.split(tf.exp(x), 2, axis=3)
  yield from tf.split(tf.exp(x), [1, 3, 2], axis=2)
  parts = tf.unstack(x * 2.0, axis=3)
  yield tf.stack(parts[::-1], 2)
  yield tf.transpose(x, [0, 3, 1, 2])
  yield tf.gather(x, [2, 0], axis=2)
  yield tf.gather_nd(x, [[0, 2], [0, 5]])
  yield tf.tile(x, [1, 1, 2, 1])
  yield tf.broadcast_to(x[:, :1], _SHAPE) + 0.0
  yield tf.reverse(x, [1])


def shapes(x):
  yield tf.reshape(x, [1, 48, 4])
  yield tf.expand_dims(x, 2)
  yield tf.squeeze(x[:, :1], [0, 1])
  yield tf.squeeze(x[:, :1, :1])
  yield x[:, 1:7:2, -3:, :2]
  yield x[:, 2, tf.newaxis, ..., 1]
  yield tf.slice(x, [0, 2, 1, 0], [1, 3, -1, 2])
  yield tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]])
  yield tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=1.5)
  yield tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], 'REFLECT')
  yield tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], 'SYMMETRIC')
  yield tf.zeros_like(x) + x


def products(x):
  rng = np.random.default_rng(2)
  rows = tf.reshape(x, [48, 4])
  weights = tf.constant(rng.normal(size=(4, 5)), tf.float32)
  yield tf.nn.relu(tf.matmul(rows, weights) + tf.ones(5))
  yield tf.matmul(rows, rows, transpose_a=True)
  yield tf.matmul(x, x, transpose_b=True)
  yield tf.matmul(x, x, transpose_a=True)
  yield tf.tensordot(x, weights, 1)


def open_sizes(x):
  """Computes with the number of images, which is open."""
  count = tf.shape(x)[0]
  yield tf.reshape(x, [count, 4, -1])
  yield tf.fill([count, 2], 1.5) + tf.reduce_sum(x)
  yield tf.cast(tf.range(count), tf.float32) + tf.reduce_sum(x)
  yield tf.broadcast_to(x[:, :1], tf.shape(x)) + 0.0


_GROUPS = (arithmetic, comparisons, activations, windows, sizes, axes, shapes,
           products, open_sizes)  # fmt: skip
_NAMED = [(f.__name__, f) for f in _GROUPS]


def _option(**values):
  """Returns options as the package `tflite` reads them."""
  return types.SimpleNamespace(
    **{name: (lambda value=value: value) for name, value in values.items()}
  )


_X = np.random.default_rng(3).uniform(-2, 2, (2, 1, 3)).astype(np.float32)
# What converters make something else of, or used to write: the operation, its
# options, operands and result.
_RARE = (
  ('BROADCAST_ARGS', None, [np.array([2, 1]), np.array([3])], [2, 3]),
  ('DENSIFY', None, [_X], _X),
  ('EXPAND_DIMS', None, [_X, np.array(1)], _X[:, None]),
  ('LOGICAL_NOT', None, [_X > 0], _X <= 0),
  ('PRELU', None, [_X, np.float32([0.1, 0.2, 0.3])],
   np.where(_X > 0, _X, _X * np.float32([0.1, 0.2, 0.3]))),
  ('RANK', None, [_X], 3),
  ('RELU_0_TO_1', None, [_X], np.clip(_X, 0, 1)),
  ('SQUEEZE', None, [_X], _X[:, 0]),
  ('SQUEEZE', _option(SqueezeDimsLength=1, SqueezeDimsAsNumpy=np.array([1])),
   [_X[:1]], _X[:1, 0]),
  ('ZEROS_LIKE', None, [_X], 0 * _X),
  ('ADD', _option(FusedActivationFunction=4), [_X, _X], np.tanh(2 * _X)),
  ('ADD', _option(FusedActivationFunction=2), [_X, _X], np.clip(2 * _X, -1, 1)),
)  # fmt: skip


@functools.cache
def _converted(function: Callable) -> bytes:
  count = None if function is open_sizes else _SHAPE[0]
  return tflite_testing.content(
    lambda x: [tf.identity(y) for y in function(x)], [(count, *_SHAPE[1:])]
  )


class TfliteOpsTest(parameterized.TestCase):
  def _save(self, content: bytes) -> pathlib.Path:
    return tflite_testing.save(content, self.create_tempdir().full_path)

  @parameterized.named_parameters(*_NAMED)
  def test_operations_compute_what_the_interpreter_does(self, function):
    path = self._save(_converted(function))
    count = 3 if function is open_sizes else 1
    images = np.random.default_rng(0).uniform(-2, 2, (count, *_SHAPE[1:]))
    images = images.astype(np.float32)
    network = tflite_model.load(path)
    actual = onnx_testing.run(network, {network.inputs[0]: images})
    expected = tflite_testing.interpret(_converted(function), images)
    graph = tflite_file.read(path)
    names = [graph.tensors[number].name for number in graph.outputs]
    for name, result in zip(dict.fromkeys(names), actual, strict=True):
      with self.subTest(name):
        self.assertEqual(result.shape, expected[name].shape)
        np.testing.assert_allclose(result, expected[name], 1e-4, 1e-5)

  @parameterized.parameters(*_RARE)
  def test_rare_operations_compute_what_they_mean(
    self, op, options, operands, expected
  ):
    operator = tflite_file.Operator(op, (), (0,), options)
    (result,) = tflite_registry.convert(operator, operands, 'result')
    np.testing.assert_allclose(result, expected, 1e-6)

  def test_every_operation_has_a_case(self):
    seen = {op for op, *_ in _RARE}
    for function in _GROUPS:
      graph = tflite_file.read(self._save(_converted(function)))
      seen |= {operator.op for operator in graph.operators}
    self.assertContainsSubset(tflite_registry.ops(), seen)

  def test_unknown_fused_activation_is_named(self):
    options = _option(FusedActivationFunction=5)
    operator = tflite_file.Operator('ADD', (), (0,), options)
    with self.assertRaisesRegex(GraphError, 'activation SIGN_BIT is not known'):
      tflite_registry.convert(operator, [_X, _X], 'sum')


if __name__ == '__main__':
  absltest.main()
