"""Tests of what is recognised as an activation, and what is refused."""

import math
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import overrides
from attribution.explainer import Explainer
from frozen_graphs import operations
from frozen_graphs.errors import UnsupportedOpError
from tests import testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}
_EPSILON = 1e-4
_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


def _gelu_tanh(z):
  return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


FORMULAS = {
  'silu': lambda z: z * _sigmoid(z),
  'hard_silu': lambda z: z * np.clip(z + 3, 0, 6) / 6,
  'hard_sigmoid': lambda z: np.clip(z + 3, 0, 6) / 6,
  'hard_sigmoid_0.2': lambda z: np.clip(0.2 * z + 0.5, 0, 1),
  'gelu': lambda z: z / 2 * (1 + _erf(z / np.sqrt(2))),
  'gelu_tanh': _gelu_tanh,
  'mish': lambda z: z * np.tanh(np.log1p(np.exp(z))),
  'elu': lambda z: np.where(z > 0, z, np.expm1(z)),
  'leaky_relu': lambda z: np.where(z > 0, z, 0.2 * z),
  'celu': lambda z: np.where(z > 0, z, np.expm1(z)),
  'celu_0.7': lambda z: np.where(z > 0, z, 0.7 * np.expm1(z / 0.7)),
  'squareplus': lambda z: (z + np.sqrt(z**2 + 4)) / 2,
  'squareplus_0.5': lambda z: (z + np.sqrt(z**2 + 0.5)) / 2,
  'relu6': lambda z: np.clip(z, 0, 6),
  'softsign': lambda z: z / (1 + np.abs(z)),
  'sigmoid': _sigmoid,
  'softplus': lambda z: np.log1p(np.exp(z)),
}

# As Keras 3 builds them, by the name of the formula.
KERAS = {
  'silu': 'silu',
  'hard_silu': 'hard_silu',
  'hard_sigmoid': 'hard_sigmoid',
  'gelu': 'gelu',
  'gelu_tanh': lambda x: tf.keras.activations.gelu(x, approximate=True),
  'mish': 'mish',
  'elu': 'elu',
  'celu': 'celu',
  'celu_0.7': lambda x: tf.keras.activations.celu(x, 0.7),
  'squareplus': 'squareplus',
  'squareplus_0.5': lambda x: tf.keras.activations.squareplus(x, 0.5),
  'relu6': 'relu6',
  'softsign': 'softsign',
}

# As TensorFlow 1 code wrote them.
WRITTEN_OUT = (
  ('silu', lambda x: x * tf.sigmoid(x)),
  ('silu', lambda x: tf.sigmoid(x) * x),
  ('silu', lambda x: x / (1 + tf.exp(-x))),
  ('silu', tf.nn.silu),
  ('hard_silu', lambda x: x * tf.nn.relu6(x + 3) / 6),
  ('hard_silu', lambda x: x * (tf.nn.relu6(3 + x) * np.float32(1 / 6))),
  ('hard_silu', lambda x: x * tf.clip_by_value(x / 6 + 0.5, 0, 1)),
  ('hard_sigmoid', lambda x: tf.nn.relu6(x + 3) * 0.16666667),
  ('hard_sigmoid', lambda x: tf.minimum(tf.nn.relu(x + 3), 6) / 6),
  ('hard_sigmoid_0.2', lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)),
  ('gelu', lambda x: 0.5 * x * (1 + tf.math.erf(x / np.float32(np.sqrt(2))))),
  ('gelu', lambda x: x * (0.5 * (1 + tf.math.erf(x * 0.70710678)))),
  (
    'gelu_tanh',
    lambda x: 0.5 * x * (1 + tf.tanh(0.79788456 * (x + 0.044715 * x * x * x))),
  ),
  (
    'gelu_tanh',
    lambda x: (
      x * (0.5 * (1 + tf.tanh(0.79788456 * (x + 0.044715 * tf.pow(x, 3)))))
    ),
  ),
  ('mish', lambda x: x * tf.tanh(tf.nn.softplus(x))),
  ('mish', lambda x: x * tf.tanh(tf.math.log(1 + tf.exp(x)))),
  ('elu', lambda x: tf.where(x > 0, x, tf.exp(x) - 1)),
  ('leaky_relu', lambda x: tf.maximum(x, 0.2 * x)),
  ('leaky_relu', lambda x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x)),
  ('leaky_relu', lambda x: tf.nn.relu(x) + 0.1 * (x - tf.abs(x))),
  (
    'celu_0.7',
    lambda x: tf.nn.relu(x) + 0.7 * (tf.exp(tf.minimum(x, 0) / 0.7) - 1),
  ),
  (
    'celu_0.7',
    lambda x: tf.where(x > 0, x, 0.7 * tf.math.expm1(x * (1 / 0.7))),
  ),
  ('squareplus', lambda x: 0.5 * (x + tf.sqrt(x * x + 4))),
  ('squareplus_0.5', lambda x: (tf.sqrt(0.5 + tf.square(x)) + x) / 2),
  ('squareplus_0.5', lambda x: (x + tf.pow(x**2 + 0.5, 0.5)) * 0.5),
  ('relu6', lambda x: tf.minimum(tf.maximum(x, 0), 6)),
  ('sigmoid', lambda x: 1 / (1 + tf.exp(-x))),
  ('softplus', lambda x: tf.math.log(1 + tf.exp(x))),
)


def elrp(graph_def, images, **kwargs):
  """Returns epsilon-LRP maps of the encoder's inputs, and what was ruled."""
  with Explainer(
    graph_def, **TENSORS, preprocessing='range(-8, 8)', **kwargs
  ) as explainer:
    maps = explainer.explain(images, inverse=False).maps['elrp']
    return maps, explainer.summary.ruled


def expected_elrp(formula, images):
  """Returns the maps of f(2 x + bias), units of which are input values."""
  x = (images.astype(np.float32) / 255 * 16 - 8).astype(np.float64)
  z = 2 * x + BIAS
  ratio = formula(z) / (z + _EPSILON * np.where(z >= 0, 1, -1))
  return x * 2 * ratio / x[0].size


BIAS = np.array([0.3, -0.2, 0.1])


def bend(function):
  """Returns f(2 x + bias) scaled up and down again, as in a real network."""

  def encoder(x):
    y = function(tf.nn.bias_add(2 * x, tf.constant(BIAS, tf.float32)))
    return tf.constant([4.0, 2.0, 0.5]) * (y / tf.constant([4.0, 2.0, 0.5]))

  return encoder


def freeze_keras(layers) -> tf.compat.v1.GraphDef:
  """Returns the frozen graph of Keras layers."""
  model = tf.keras.Sequential([tf.keras.layers.Input((16, 16, 3)), *layers])
  trainable = [v.numpy() for v in model.trainable_variables]
  others = [v.numpy() for v in model.non_trainable_variables]

  def forward(images):
    outputs, _ = model.stateless_call(
      list(map(tf.constant, trainable)), list(map(tf.constant, others)), images
    )
    return outputs

  return testing.freeze(forward)


class RecognisedTest(parameterized.TestCase):
  """However an activation is spelled, the rule is f(z) / z of the whole."""

  def setUp(self):
    super().setUp()
    self.images = testing.images(2)

  @parameterized.parameters(*WRITTEN_OUT)
  def test_written_out_activation_is_ruled_as_one(self, name, function):
    maps, ruled = elrp(testing.freeze(bend(function)), self.images)
    # Rules of parts (ReLU of z and of -z) put epsilon into each of them.
    np.testing.assert_allclose(
      maps, expected_elrp(FORMULAS[name], self.images), rtol=2e-2, atol=1e-5
    )
    self.assertNotEmpty(ruled)

  @parameterized.parameters(*KERAS)
  def test_keras_activation_is_ruled_as_one(self, name):
    scale = tf.keras.layers.Conv2D(
      3,
      1,
      kernel_initializer=lambda shape, dtype=None: 2 * np.eye(3)[None, None],
      bias_initializer=lambda shape, dtype=None: BIAS,
    )
    graph_def = freeze_keras([scale, tf.keras.layers.Activation(KERAS[name])])
    maps, ruled = elrp(graph_def, self.images)
    np.testing.assert_allclose(
      maps, expected_elrp(FORMULAS[name], self.images), rtol=2e-2, atol=1e-5
    )
    self.assertEqual(sum(ruled.values()), 1)

  def test_keras_network_with_batch_normalization_is_ruled_layer_by_layer(self):
    layers = tf.keras.layers
    graph_def = freeze_keras(
      [
        layers.Conv2D(4, 3, padding='same'),
        layers.BatchNormalization(),
        layers.Activation('silu'),
        layers.DepthwiseConv2D(3, strides=2),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.MaxPooling2D(),
        layers.LeakyReLU(),
        layers.PReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation='tanh'),
      ]
    )
    maps, ruled = elrp(graph_def, self.images)
    self.assertGreater(np.linalg.norm(maps), 0)
    self.assertEqual(ruled['Mul+Sigmoid'], 1)
    self.assertEqual(ruled['Tanh'], 1)
    self.assertEqual(ruled['Relu6'], 1)

  def test_activation_after_activation_is_two(self):
    def twice(x):
      y = x * tf.sigmoid(x)
      return y * tf.sigmoid(y)

    _, ruled = elrp(testing.freeze(twice), self.images)
    self.assertEqual(ruled, {'Mul+Sigmoid': 2})
    _, ruled = elrp(
      testing.freeze(lambda x: tf.tanh(2 * tf.nn.relu(x) - 1)), self.images
    )
    self.assertEqual(ruled, {'Tanh': 1, 'Relu': 1})

  def test_batch_normalization_in_parts_stays_outside(self):
    def encoder(x):
      z = x * tf.constant([1.0, 2.0, 3.0]) + tf.constant([0.1, 0.2, 0.3])
      return z * tf.sigmoid(z)

    maps, _ = elrp(testing.freeze(encoder), self.images)
    x = self.images.astype(np.float32) / 255.0 * 16 - 8
    scale = np.array([1.0, 2.0, 3.0])
    z = x * scale + np.array([0.1, 0.2, 0.3])
    ratio = z * _sigmoid(z) / (z + _EPSILON * np.where(z >= 0, 1, -1))
    np.testing.assert_allclose(
      maps, x * scale * ratio / x[0].size, rtol=1e-2, atol=1e-6
    )

  def test_part_used_elsewhere_has_its_own_rule_there(self):
    def encoder(x):
      gate = tf.sigmoid(x)
      return x * gate + 3 * gate

    maps, ruled = elrp(testing.freeze(encoder), self.images)
    self.assertEqual(ruled, {'Mul+Sigmoid': 1, 'Sigmoid': 1})
    x = self.images.astype(np.float32) / 255.0 * 16 - 8
    shifted = x + _EPSILON * np.where(x >= 0, 1, -1)
    expected = x * (x * _sigmoid(x) + 3 * _sigmoid(x)) / shifted / x[0].size
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-7)

  def test_parts_before_a_part_used_elsewhere_have_their_rules_too(self):
    def encoder(x):
      gate = tf.tanh(tf.nn.softplus(x))
      return x * gate + 3 * gate

    maps, ruled = elrp(testing.freeze(encoder), self.images)
    self.assertEqual(ruled, {'Mul+Softplus+Tanh': 1, 'Tanh': 1, 'Softplus': 1})
    x = self.images.astype(np.float32) / 255.0 * 16 - 8
    shifted = x + _EPSILON * np.where(x >= 0, 1, -1)
    plus = np.log1p(np.exp(x))
    gate = np.tanh(plus)
    chain = gate / (plus + _EPSILON) * plus / shifted
    expected = x * (x * gate / shifted + 3 * chain) / x[0].size
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-7)

  def test_larger_of_two_branches_takes_all_relevance(self):
    def encoder(x):
      return tf.tanh(tf.maximum(tf.reverse(x, [3]), x - 1))

    maps, ruled = elrp(testing.freeze(encoder), self.images)
    self.assertEqual(ruled, {'Tanh': 1})
    x = self.images.astype(np.float32) / 255.0 * 16 - 8
    wins = x[..., ::-1] > x - 1
    z = np.where(wins, x[..., ::-1], x - 1)
    share = np.tanh(z) / (z + _EPSILON * np.where(z >= 0, 1, -1))
    gradient = np.where(wins, share, 0)[..., ::-1] + np.where(wins, 0, share)
    np.testing.assert_allclose(
      maps, x * gradient / x[0].size, rtol=1e-3, atol=1e-7
    )

  def test_each_of_two_signals_of_a_product_gets_half(self):
    images = testing.images(2)
    maps, ruled = elrp(
      testing.freeze(lambda x: x[..., :2] * x[..., 1:]), images
    )
    x = images.astype(np.float32) / 255 * 16 - 8
    pairs = x[..., :2] * x[..., 1:] / 2
    expected = np.pad(pairs, [(0, 0)] * 3 + [(0, 1)])
    expected += np.pad(pairs, [(0, 0)] * 3 + [(1, 0)])
    np.testing.assert_allclose(maps, expected / pairs[0].size, 1e-4, 1e-6)
    self.assertEqual(ruled, {'half': 2})

  def test_names_of_marks_do_not_hit_other_nodes(self):
    def encoder(x):
      x = tf.nn.relu(x, name='block')
      return tf.multiply(x, 2.0, name='block/activation')

    maps, ruled = elrp(testing.freeze(encoder), self.images)
    self.assertEqual(ruled, {'Relu': 1})
    x = self.images.astype(np.float32) / 255.0 * 16 - 8
    expected = (
      2 * np.maximum(x, 0) * x / (x + _EPSILON * np.where(x >= 0, 1, -1))
    )
    np.testing.assert_allclose(maps, expected / x[0].size, 1e-3, 1e-7)

  def test_plain_gradient_ignores_marks(self):
    graph_def = testing.freeze(tf.nn.silu)
    both = ('elrp', 'gradient_times_input')
    for chosen in (both, both[::-1], both[1:]):
      with Explainer(graph_def, **TENSORS, methods=chosen) as explainer:
        actual = explainer.explain(self.images).maps['gradient_times_input']
      x = self.images.astype(np.float32) / 255.0
      s = _sigmoid(x)
      expected = x * s * (1 + x * (1 - s)) / x[0].size
      np.testing.assert_allclose(actual, expected, 1e-5)


class RefusedTest(parameterized.TestCase):
  """Never a silent plain gradient."""

  @parameterized.named_parameters(
    ('sin', lambda x: tf.sin(x, name='s'), "Sin .*'s'"),
    ('exp', lambda x: tf.exp(x, name='s'), "Exp .*'s'"),
    ('softmax', lambda x: tf.nn.softmax(x, name='s'), "Softmax .*'s'"),
    ('cast', lambda x: tf.cast(tf.cast(x, tf.int32, name='s'), tf.float32),
     "Cast .*'s'"),
    ('round', lambda x: tf.round(x, name='s'), "Round .*'s'"),
    ('log_softmax', lambda x: tf.nn.log_softmax(x, name='s'),
     "LogSoftmax .*'s'"),
    ('power', lambda x: tf.pow(x, -1, name='s'), "Pow .*'s'"),
    ('exponent', lambda x: tf.pow(x, x, name='s'), "Pow .*'s'"),
    ('reciprocal', lambda x: tf.divide(1.0, x, name='s'), "RealDiv .*'s'"),
  )  # fmt: skip
  def test_unknown_operation_is_named_with_the_ways_out(self, function, found):
    graph_def = testing.freeze(lambda x: tf.nn.relu(function(x)))
    with self.assertRaisesRegex(UnsupportedOpError, found) as caught:
      Explainer(graph_def, **TENSORS, methods=['saliency', 'elrp'])
    self.assertIn('register_activation', str(caught.exception))
    self.assertIn('gradient_times_input', str(caught.exception))

  @parameterized.parameters(tf.sin, tf.exp, tf.nn.softmax, tf.square)
  def test_plain_methods_need_no_rule(self, function):
    plain = ('saliency', 'gradient_times_input', 'integrated_gradients')
    with Explainer(
      testing.freeze(function), **TENSORS, methods=plain
    ) as explainer:
      maps = explainer.explain(testing.images(2)).maps
    x = tf.constant(testing.images(2).astype(np.float32) / 255)
    with tf.GradientTape() as tape:
      tape.watch(x)
      target = tf.reduce_mean(function(x), axis=[1, 2, 3])
    expected = np.abs(tape.gradient(target, x))
    np.testing.assert_allclose(maps['saliency'], expected, 1e-3, 1e-8)

  def test_many_unknown_operations_are_counted(self):
    def encoder(x):
      for _ in range(9):
        x = tf.sin(x)
      return x

    with self.assertRaisesRegex(UnsupportedOpError, 'and 4 more'):
      Explainer(testing.freeze(encoder), **TENSORS)

  def test_max_pooling_without_activation_is_an_error(self):
    graph_def = testing.freeze(lambda x: tf.nn.max_pool2d(x, 2, 2, 'SAME'))
    with self.assertRaisesRegex(UnsupportedOpError, 'No activation.*MaxPool'):
      Explainer(graph_def, **TENSORS)

  def test_shape_arithmetic_and_constants_may_be_anything(self):
    def encoder(x):
      side = tf.shape(x)[1] // 2
      x = tf.image.resize(x, [side, side]) * tf.sin(tf.exp(tf.constant(0.5)))
      return tf.reshape(tf.nn.relu(x), [tf.shape(x)[0], -1])

    maps, _ = elrp(testing.freeze(encoder), testing.images(2))
    self.assertGreater(np.linalg.norm(maps), 0)


def _boxes(x):
  """Returns boxes that depend on what is in the images."""
  return tf.concat([x[0, :1, :2, 0], x[0, :1, :2, 0] + 0.5], 1)


_UPWARDS = [[row] for row in range(15, -1, -1)]


def _by_rows(function):
  """Returns what a function of [rows, N, columns, channels] is of images."""
  return lambda x: tf.transpose(
    function(tf.transpose(x, [1, 0, 2, 3])), [1, 0, 2, 3]
  )


class OperandsTest(parameterized.TestCase):
  """Operations that are linear in some operands, while others are constant."""

  @parameterized.named_parameters(
    ('xdivy', lambda x: tf.math.xdivy(x, 2.0)),
    ('gather', lambda x: tf.gather(x, [0, 2, 2], axis=3)),
    ('gather_nd', _by_rows(lambda r: tf.gather_nd(r, [[3], [5], [5]]))),
    ('band', lambda x: tf.linalg.band_part(x, 1, 0)),
    ('boxes', lambda x: tf.image.crop_and_resize(
        x, tf.tile([[0.0, 0.2, 0.5, 1.0]], [tf.shape(x)[0], 1]),
        tf.range(tf.shape(x)[0]), [4, 4])),
    ('scatter', _by_rows(lambda r: tf.scatter_nd(
        _UPWARDS, 3 * r, tf.shape(r)))),
    ('scatter_into', _by_rows(lambda r: tf.tensor_scatter_nd_add(
        r, [[1]], tf.ones_like(r[:1])))),
    ('scattered', _by_rows(lambda r: tf.tensor_scatter_nd_update(
        tf.ones_like(r), _UPWARDS, r))),
    ('scattered_into_itself', _by_rows(lambda r: tf.tensor_scatter_nd_sub(
        r, [[0]], 3 * r[:1]))),
  )  # fmt: skip
  def test_linear_operands_keep_the_gradient(self, function):
    images = testing.images(2)
    graph_def = testing.freeze(function)
    method = ['elrp', 'gradient_times_input']
    with Explainer(graph_def, **TENSORS, methods=method) as explainer:
      maps = explainer.explain(images).maps
      self.assertEqual(explainer.summary.num_ruled, 0)
    x = tf.constant(images.astype(np.float32) / 255)
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)
      target = tf.reduce_sum(y) * x.shape[0] / tf.size(y, tf.float32)
    expected = x * tape.gradient(target, x)
    self.assertGreater(np.abs(expected).max(), 0)
    np.testing.assert_allclose(maps['elrp'], expected, 1e-5, 1e-9)
    np.testing.assert_array_equal(maps['elrp'], maps['gradient_times_input'])

  @parameterized.named_parameters(
    ('xdivy', lambda x: tf.math.xdivy(2.0, x), 'Xdivy'),
    ('both_of_xdivy', lambda x: tf.math.xdivy(x, x), 'Xdivy of 2 branches'),
    ('gather', lambda x: tf.gather(
        tf.range(9.0), tf.cast(8 * x, tf.int32)), 'GatherV2'),
    ('boxes', lambda x: tf.image.crop_and_resize(
        tf.ones([1, 8, 8, 3]), _boxes(x), [0], [4, 4]), 'CropAndResize'),
    ('boxes_of_images', lambda x: tf.image.crop_and_resize(
        x, _boxes(x), [0], [4, 4]), 'CropAndResize of 2 branches'),
    ('scatter', lambda x: tf.scatter_nd(
        tf.cast(x[..., :1], tf.int32), tf.ones_like(x[..., 0]), [9]),
     'ScatterNd'),
    ('scattered', lambda x: tf.tensor_scatter_nd_add(
        tf.zeros([9]), tf.cast(x[..., :1], tf.int32), x[..., 0]),
     'TensorScatterAdd of 2 branches'),
  )  # fmt: skip
  def test_others_have_no_rule(self, function, found):
    graph_def = testing.freeze(lambda x: tf.nn.relu(function(x)))
    with self.assertRaisesRegex(UnsupportedOpError, rf'No rule .*{found}'):
      Explainer(graph_def, **TENSORS)


class RegisterActivationTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    for module, target in (
      (operations, '_more_activations'),
      (overrides, '_FUNCTIONS'),
    ):
      saved = type(getattr(module, target))(getattr(module, target))
      patch = mock.patch.object(module, target, saved)
      patch.start()
      self.addCleanup(patch.stop)

  def test_op_type_can_be_registered(self):
    overrides.register_activation('Sin')
    overrides.register_activation('Sin')
    images = testing.images(2)
    maps, ruled = elrp(testing.freeze(bend(tf.sin)), images)
    self.assertEqual(ruled, {'Sin': 1})
    np.testing.assert_allclose(
      maps, expected_elrp(np.sin, images), rtol=2e-2, atol=1e-6
    )

  def test_function_of_several_operations_can_be_registered(self):
    def snake(x):
      return x + tf.sin(x) ** 2

    images = testing.images(2)
    with self.assertRaises(UnsupportedOpError):
      elrp(testing.freeze(bend(snake)), images)
    formula = lambda z: z + np.sin(z) ** 2  # noqa: E731
    overrides.register_activation('snake', formula)
    maps, ruled = elrp(testing.freeze(bend(snake)), images)
    self.assertEqual(ruled, {'snake': 1})
    np.testing.assert_allclose(
      maps, expected_elrp(formula, images), rtol=2e-2, atol=1e-6
    )
    self.assertIn('snake', overrides.activations())

  def test_what_cannot_be_an_activation_is_refused(self):
    for name in ('Conv2D', 'AddV2', 'MaxPool', 'ReadFile', 'PyFunc'):
      with self.assertRaises(ValueError):
        overrides.register_activation(name)
    overrides.register_activation('mine', np.tanh)
    with self.assertRaises(ValueError):
      overrides.register_activation('mine', np.sin)


if __name__ == '__main__':
  absltest.main()
