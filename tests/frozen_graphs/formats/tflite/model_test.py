"""Tests of whole TensorFlow Lite networks against its interpreter."""

from collections.abc import Callable
import functools
import pathlib
import random
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip('tflite', reason='needs the extra tflite')

from attribution.explainer import Explainer  # noqa: E402
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite import model as tflite_model
from tests import format_testing, onnx_testing, tflite_testing  # noqa: E402

layers = tf.keras.layers


def _model(*stack: layers.Layer, batch: int | None = 1) -> tf.keras.Model:
  inputs = x = tf.keras.Input((16, 16, 3), batch_size=batch)
  for layer in stack:
    x = layer(x)
  return format_testing.randomised(tf.keras.Model(inputs, x))


def classifier(batch: int | None = 1) -> tf.keras.Model:
  """Every activation that is fused, normalisation, pooling, a classifier."""
  return _model(
    layers.Conv2D(8, 3, 2, 'same', activation='relu6'),
    layers.Conv2D(16, 3, padding='same', use_bias=False),
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.MaxPool2D(3, 2, 'same'),
    layers.Conv2D(8, 1, activation=lambda x: tf.clip_by_value(x, -1.0, 1.0)),
    layers.Conv2D(8, 1, activation='tanh'),
    layers.AveragePooling2D(2),
    layers.Flatten(),
    layers.Dense(64, activation='relu'),
    layers.Dense(20),
    batch=batch,
  )


def mobile(batch: int | None = 1) -> tf.keras.Model:
  """Depthwise convolutions, a gate, a shortcut, hard-swish, PReLU."""
  inputs = x = tf.keras.Input((16, 16, 3), batch_size=batch)
  x = layers.Conv2D(8, 3, 2, 'same', activation='hard_swish')(x)
  y = layers.DepthwiseConv2D(3, padding='same', depth_multiplier=2)(x)
  y = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(y))
  gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
  gate = layers.Conv2D(4, 1, activation='relu')(gate)
  gate = layers.Conv2D(16, 1, activation='sigmoid')(gate)
  y = layers.Conv2D(8, 1)(layers.Multiply()([y, gate]))
  x = layers.ReLU()(layers.Add()([x, y]))
  x = layers.DepthwiseConv2D(3, 2, 'same', activation='relu6')(x)
  return format_testing.randomised(tf.keras.Model(inputs, x))


def pyramid(batch: int | None = 1) -> tf.keras.Model:
  """Resizing both ways, transposed and dilated convolutions, joins."""
  inputs = x = tf.keras.Input((16, 16, 3), batch_size=batch)
  fine = layers.Conv2D(4, 3, 2, 'same', activation='relu')(x)
  x = layers.Conv2D(6, 3, dilation_rate=2, padding='same')(fine)
  x = layers.LeakyReLU(negative_slope=0.2)(x)
  x = layers.MaxPool2D(2)(layers.ZeroPadding2D(1)(x))
  x = layers.UpSampling2D(2, interpolation='bilinear')(x)
  x = layers.Cropping2D(1)(x)
  x = layers.Concatenate()([fine, x])
  x = layers.Conv2DTranspose(3, 3, 2, 'same')(x)
  x = layers.UpSampling2D(2, interpolation='nearest')(x)
  x = layers.Conv2D(3, 3, groups=3, activation='elu')(x)
  return format_testing.randomised(tf.keras.Model(inputs, x))


_NETWORKS = [(f.__name__, f) for f in (classifier, mobile, pyramid)]


@functools.cache
def _built(build: Callable, batch: int | None = 1) -> tf.keras.Model:
  return build(batch)


@functools.cache
def _content(
  build: Callable, weights: str = 'float32', batch: int | None = 1
) -> bytes:
  return tflite_testing.content(_built(build, batch), weights=weights)


class TfliteModelTest(parameterized.TestCase):
  def _save(self, content: bytes) -> pathlib.Path:
    return tflite_testing.save(content, self.create_tempdir().full_path)

  def _results(self, content, images):
    """Returns what the frozen graph and the interpreter compute."""
    network = tflite_model.load(self._save(content))
    actual = onnx_testing.run(network, {network.inputs[0]: images})
    expected = tflite_testing.interpret(content, images)
    self.assertLen(expected, 1)
    return actual[0], *expected.values()

  @parameterized.product(network=_NETWORKS, weights=('float32', 'float16'))
  def test_network_computes_what_the_interpreter_does(self, network, weights):
    content = _content(network[1], weights)
    actual, expected = self._results(content, format_testing.images(1))
    self.assertGreater(expected.std(), 1e-3)
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  @parameterized.named_parameters(*_NETWORKS)
  def test_integer_weights_are_those_that_they_stand_for(self, build):
    content = _content(build, 'int8')
    kinds = {t.kind for t in tflite_file.read(self._save(content)).tensors}
    self.assertEqual('INT8' in kinds, build is classifier)
    # The interpreter rounds activations before it multiplies, too.
    actual, expected = self._results(content, format_testing.images(1))
    np.testing.assert_allclose(actual, expected, 0, 0.05 * np.ptp(expected))
    original = _built(build)(format_testing.images(1)).numpy()
    np.testing.assert_allclose(actual, original, 0, 0.05 * np.ptp(original))

  def test_sparse_weights_are_made_dense(self):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(64, 32)).astype(np.float32)
    matrix *= np.repeat(rng.random((16, 32)) < 0.2, 4, axis=0)
    content = tflite_testing.content(
      lambda x: tf.nn.relu(tf.matmul(x, tf.constant(matrix))),
      [(1, 64)],
      weights='sparse',
    )
    dense = matrix.nbytes
    self.assertLess(len(content), dense)  # It is stored so.
    network = tflite_model.load(self._save(content))
    x = rng.normal(size=(1, 64)).astype(np.float32)
    (actual,) = onnx_testing.run(network, {network.inputs[0]: x})
    np.testing.assert_allclose(actual, np.maximum(x @ matrix, 0), 1e-5, 1e-5)

  def test_integer_weights_are_decoded_exactly(self):
    rng = np.random.default_rng(0)
    matrix = rng.integers(-127, 128, (64, 32)).astype(np.float32)
    matrix[0] = 127  # All scales are 1 / 4, then.
    content = tflite_testing.content(
      lambda x: tf.matmul(x, tf.constant(matrix / 4)), [(1, 64)],
      weights='int8',
    )  # fmt: skip
    network = tflite_model.load(self._save(content))
    x = rng.integers(-9, 9, (1, 64)).astype(np.float32)
    (actual,) = onnx_testing.run(network, {network.inputs[0]: x})
    np.testing.assert_allclose(actual, x @ matrix / 4, 1e-5, 1e-3)

  @parameterized.product(network=_NETWORKS, batch=(1, None))
  def test_maps_are_finite_and_those_of_each_image_alone(self, network, batch):
    _, build = network
    network = tflite_model.load(self._save(_content(build, batch=batch)))
    images = format_testing.images(3)
    with Explainer(
      network.graph_def,
      input_tensor=network.inputs[0],
      representation_tensor=network.outputs[0],
      methods=('elrp', 'gradient_times_input'),
    ) as explainer:
      together, alone = (
        explainer.explain(images),
        explainer.explain(images[1:2]),
      )
    np.testing.assert_allclose(
      together.representation, _built(build)(images).numpy(), 1e-4, 1e-5
    )
    for method, maps in together.maps.items():
      self.assertTrue(np.isfinite(maps).all(), method)
      scale = np.abs(maps[1]).max()
      self.assertGreater(scale, 0, method)
      np.testing.assert_allclose(
        alone.maps[method][0], maps[1], 0, 1e-4 * scale
      )

  def test_gradient_is_that_of_the_keras_model(self):
    for _, build in _NETWORKS:
      with self.subTest(build.__name__):
        network = tflite_model.load(self._save(_content(build)))
        images = format_testing.images(1)
        format_testing.assert_same(
          format_testing.run(network, images),
          format_testing.original(_built(build), images),
          1e-4,
        )

  def test_fused_activations_are_split_off(self):
    path = self._save(_content(classifier))
    ops = [operator.op for operator in tflite_file.read(path).operators]
    self.assertNoCommonElements(ops, ['RELU', 'RELU6', 'RELU_N1_TO_1'])
    network = tflite_model.load(path)
    nodes = {node.name: node.op for node in network.graph_def.node}
    self.assertContainsSubset({
      'Relu6_0': 'Relu6', 'Relu_0': 'Relu', 'Relu_1': 'Relu',
      'Minimum_0': 'Minimum', 'Tanh_0': 'Tanh', 'input': 'Identity',
    }.items(), nodes.items())  # fmt: skip
    with Explainer(
      network.graph_def,
      input_tensor=network.inputs[0],
      representation_tensor='Tanh_0:0',
    ) as explainer:
      ruled = explainer.summary.ruled
    self.assertEqual((ruled['Relu6'], ruled['Relu'], ruled['Tanh']), (1, 1, 1))

  def test_network_can_be_cut_at_any_name(self):
    model = _built(classifier)
    path = self._save(_content(classifier))
    graph = tflite_file.read(path)
    own = graph.tensors[graph.operators[1].outputs[0]].name
    images = format_testing.images(1)
    part = tf.keras.Model(model.input, model.layers[4].output)
    for name in ('Relu_0', own):
      with self.subTest(name):
        network = tflite_model.load(path, outputs=[name])
        ops = {node.op for node in network.graph_def.node}
        self.assertNotIn('MatMul', ops)
        (actual,) = onnx_testing.run(network, {network.inputs[0]: images})
        np.testing.assert_allclose(actual, part(images), 1e-4, 1e-5)
    with self.assertRaisesRegex(
      GraphError, "no tensor 'Relu_9'.* Closest: .*[Rr]elu.* It ends in "
    ):
      tflite_model.load(path, outputs=['Relu_9'])


class TfliteErrorsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path) / 'model.tflite'

  def _refused(self, reason: str, content: bytes, **options) -> None:
    self.path.write_bytes(content)
    with self.assertRaisesRegex(GraphError, reason) as raised:
      tflite_model.load(self.path, **options)
    self.assertIn(str(self.path), str(raised.exception))

  def test_integer_activations_are_refused_as_such(self):
    model = _model(layers.Conv2D(8, 3, activation='relu'), layers.Conv2D(4, 1))
    examples = [format_testing.images(1)]
    content = tflite_testing.content(model, weights='int8', examples=examples)
    for partial in (False, True):
      self._refused(
        r"'tfl\.quantize' is quantised \(INT8\)", content, partial=partial
      )

  def test_unknown_operations_are_named(self):
    content = tflite_testing.content(
      lambda x: tf.math.top_k(tf.nn.relu(x), 2)[0], [(1, 8, 8, 3)]
    )
    self._refused(
      r'operation TOPK_V2 \(which .* not known.*`representation`', content
    )
    tflite_model.load(self.path, outputs=['Relu_0'])

  @parameterized.parameters('BesselI0e', 'RELU')
  def test_custom_operations_are_named(self, name):
    content = tflite_testing.content(
      lambda x: tf.cast(tf.raw_ops.BesselI0e(x=x), tf.float32),
      [(1, 8)],
      custom=True,
    )
    content = content.replace(b'BesselI0e', name.encode().ljust(9, b'\0'))
    self._refused(f'operation custom {name}.*not known', content)

  def test_cut_file_is_refused_wherever_it_is_cut(self):
    content = _content(mobile)
    rng = random.Random(0)
    for end in [0, 4, 8, *rng.sample(range(len(content)), 40)]:
      with self.subTest(end):
        self._refused('no TensorFlow Lite|damaged', content[:end])

  def test_damaged_file_never_raises_anything_else(self):
    for weights in ('float32', 'int8'):
      content = _content(classifier, weights)
      for seed in range(40):
        self.path.write_bytes(format_testing.damaged(content, seed))
        try:
          tflite_model.load(self.path)
        except GraphError:
          pass

  @parameterized.parameters(b'', b'\x08\x07\x12\x07pytorch', b'PK\3\4 zipped')
  def test_other_files_are_refused(self, content):
    self._refused('no TensorFlow Lite model', content)

  def test_missing_file_is_an_os_error(self):
    with self.assertRaises(FileNotFoundError):
      tflite_model.load(self.path)

  def test_too_large_file_is_refused_unread(self):
    self.path.write_bytes(bytes(101))
    with self.assertRaisesRegex(GraphError, 'more than the 100 allowed'):
      tflite_model.load(self.path, max_bytes=100)

  def test_missing_package_names_the_extra(self):
    self.path.write_bytes(b'')
    with (
      mock.patch.dict(sys.modules, {'tflite': None}),
      self.assertRaisesRegex(GraphError, r'attribution-transfer\[tflite\]'),
    ):
      tflite_model.load(self.path)

  def test_files_are_told_by_their_names(self):
    self.path.write_bytes(b'')
    self.assertTrue(tflite_model.matches(self.path))
    self.assertFalse(tflite_model.matches(self.path.parent))
    self.assertFalse(tflite_model.matches(self.path.with_suffix('.pb')))


if __name__ == '__main__':
  absltest.main()
