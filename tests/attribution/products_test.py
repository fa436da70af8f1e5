"""Tests of how relevance passes gates, normalisers and products of signals."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods, products
from attribution.explainer import Explainer
from frozen_graphs.errors import UnsupportedOpError
from tests import testing

_TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
  'preprocessing': 'range(-1, 1)',
}
_IMAGES = testing.images(3, 6)
_X = _IMAGES.astype(np.float32) / 255 * 2 - 1
_RNG = np.random.default_rng(0)
_MIX = _RNG.normal(size=(3, 3)).astype(np.float32)
_OTHER = _RNG.normal(size=(3, 3)).astype(np.float32)


def _elrp(encoder, rule='gates_constant', epsilon=1e-7):
  method = methods.EpsilonLRP(epsilon, rule)
  graph_def = testing.freeze(encoder, 6)
  with Explainer(graph_def, **_TENSORS, methods=[method]) as explainer:
    result = explainer.explain(_IMAGES)
  return result.maps['elrp'], result.representation, explainer.summary


def _dense(x, kernel):
  return tf.tensordot(x, tf.constant(kernel), 1)


def _scaled(function):
  return lambda x: function(x) * tf.constant([1.0, 2.0, -0.5])


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


def _squeeze_excite(x):
  pooled = tf.reduce_mean(x, [1, 2], keepdims=True)
  return x * tf.sigmoid(_dense(tf.nn.relu(_dense(pooled, _MIX)), _OTHER))


def _layer_norm(x):
  mean = tf.reduce_mean(x, 3, keepdims=True)
  variance = tf.reduce_mean(tf.math.squared_difference(x, mean), 3, True)
  return (x - mean) * tf.math.rsqrt(variance + 1e-3)


def _layer_norm_of_keras(x):
  mean, variance = tf.nn.moments(x, [3], keepdims=True)
  scale = tf.math.rsqrt(variance + 1e-3) * tf.constant([1.0, 2.0, -0.5])
  return x * scale + (tf.constant([0.1, 0.0, -0.1]) - mean * scale)


def _instance_norm(x):
  mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
  return (x - mean) / tf.sqrt(variance + 1e-3)


def _attention(x):
  tokens = tf.reshape(x, [-1, 36, 3])
  scores = tf.matmul(_dense(tokens, _MIX), tokens, transpose_b=True)
  return tf.matmul(tf.nn.softmax(scores), _dense(tokens, _OTHER))


def _gated_linear(x):
  return _dense(x, _MIX) * _dense(x, _OTHER)


class GateTest(parameterized.TestCase):
  """Against each formula written out, with x, W and gates as arrays."""

  def test_squeeze_and_excite_scales_the_signal(self):
    actual, _, summary = _elrp(_squeeze_excite)
    hidden = np.maximum(_X.mean(axis=(1, 2), keepdims=True) @ _MIX, 0)
    expected = _X * _sigmoid(hidden @ _OTHER) / _X[0].size
    np.testing.assert_allclose(actual, expected, 1e-5, 1e-8)
    self.assertEqual(summary.ruled, {'gate': 1})

  @parameterized.parameters(
    (_scaled(_layer_norm), 3, 1),
    (_scaled(_instance_norm), (1, 2), 1),
    (_layer_norm_of_keras, 3, 2),
  )
  def test_normaliser_is_constant_and_the_mean_is_linear(
    self, norm, axis, count
  ):
    actual, _, summary = _elrp(norm)
    variance = _X.var(axis=axis, keepdims=True)
    weight = np.array([1.0, 2.0, -0.5]) / np.sqrt(variance + 1e-3)
    passed = weight - weight.mean(axis=axis, keepdims=True)
    passed = np.broadcast_to(passed, _X.shape)
    np.testing.assert_allclose(actual, _X * passed / _X[0].size, 1e-4, 1e-7)

    self.assertEqual(summary.ruled, {'normaliser': count})

  @parameterized.parameters(
    lambda x: x / tf.norm(x, axis=3, keepdims=True),
    lambda x: tf.math.l2_normalize(x, 3),
    lambda x: x * tf.pow(tf.reduce_sum(tf.square(x), 3, True), -0.5),
    lambda x: x * (1 / tf.norm(x, axis=3, keepdims=True)),
    lambda x: tf.nn.lrn(x, 3, 1e-9, 1, 0.5),
  )
  def test_norm_is_constant_however_it_is_written(self, normalise):
    weight = np.array([1.0, 2.0, -0.5])
    actual, _, summary = _elrp(_scaled(normalise))
    norm = np.sqrt(np.square(_X).sum(axis=3, keepdims=True))
    np.testing.assert_allclose(
      actual, _X * weight / norm / _X[0].size, 1e-4, 1e-7
    )
    self.assertEqual(summary.num_ruled, 1)

  def test_attention_weights_are_constant(self):
    actual, *_ = _elrp(_attention)
    tokens = _X.reshape(3, 36, 3)
    scores = (tokens @ _MIX) @ tokens.transpose(0, 2, 1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    gradient = weights.sum(axis=1)[..., None] * _OTHER.sum(axis=1)
    expected = tokens * gradient / tokens[0].size
    np.testing.assert_allclose(actual, expected.reshape(_X.shape), 1e-4, 1e-7)

  def test_masks_are_constant(self):
    actual, *_ = _elrp(lambda x: x * tf.cast(x[..., :1] > 0.1, tf.float32))
    expected = _X * (_X[..., :1] > 0.1) / _X[0].size
    np.testing.assert_allclose(actual, expected, 1e-5, 1e-9)

  def test_hard_sigmoid_is_a_gate_too(self):
    actual, _, summary = _elrp(
      lambda x: x * tf.nn.relu6(3 + tf.reduce_sum(x, 3, True)) / 6
    )
    gate = np.clip(_X.sum(axis=3, keepdims=True) / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(actual, _X * gate / _X[0].size, 1e-4, 1e-8)
    self.assertEqual(summary.ruled, {'gate': 1})

  @parameterized.parameters(
    (lambda g: tf.raw_ops.ClipByValue(
      t=g, clip_value_min=0.4, clip_value_max=0.6), lambda g: g.clip(0.4, 0.6)),
    (lambda g: tf.maximum(g, 0.5), lambda g: np.maximum(g, 0.5)),
    (lambda g: g / 3, lambda g: g / 3),
    (lambda g: tf.minimum(0.5, g), lambda g: np.minimum(g, 0.5)),
    (lambda g: tf.gather(g, [2, 0, 1], axis=3), lambda g: g[..., [2, 0, 1]]),
  )  # fmt: skip
  def test_what_bounds_or_moves_a_gate_is_one(self, function, expected):
    actual, _, summary = _elrp(
      lambda x: x * function(tf.sigmoid(_dense(x, _MIX)))
    )
    gate = expected(_sigmoid(_X @ _MIX))
    np.testing.assert_allclose(actual, _X * gate / _X[0].size, 1e-4, 1e-8)
    self.assertEqual(summary.ruled, {'gate': 1})

  @parameterized.parameters(tf.maximum, tf.minimum)
  def test_the_larger_of_two_gates_is_none(self, function):
    _, _, summary = _elrp(
      lambda x: (
        x * function(tf.sigmoid(_dense(x, _OTHER)), tf.sigmoid(_dense(x, _MIX)))
      )
    )
    self.assertEqual(summary.ruled, {'half': 2, 'Sigmoid': 2})

  def test_choice_passes_relevance_to_what_was_chosen(self):
    actual, *_ = _elrp(
      lambda x: tf.where(tf.sin(x[..., :1]) > 0, 2 * x, _dense(x, _MIX))
    )
    chosen = np.sin(_X[..., :1]) > 0
    gradient = np.where(chosen, 2.0, _MIX.sum(axis=1))
    np.testing.assert_allclose(actual, _X * gradient / _X[0].size, 1e-4, 1e-8)

  @parameterized.parameters(False, True)
  def test_activations_of_each_choice_have_their_rule(self, is_first):
    def encoder(x):
      branches = [tf.tanh(_dense(x, _MIX)), x]
      return tf.where(x > 0.1, *(branches if is_first else branches[::-1]))

    actual, *_ = _elrp(encoder)
    z = _X @ _MIX
    is_ruled = (_X > 0.1) == is_first
    expected = _X * ((is_ruled * np.tanh(z) / z) @ _MIX.T + ~is_ruled)
    np.testing.assert_allclose(actual, expected / _X[0].size, 1e-3, 1e-8)


class PowerTest(absltest.TestCase):
  def test_only_constant_powers_above_0_are_0_at_0(self):
    with tf.Graph().as_default() as graph:
      x = tf.compat.v1.placeholder(tf.float32, [2])
      for name, exponent in (
        ('two', 2.0), ('some', [0.5, 3.0]), ('zero', 0.0), ('low', [2.0, -1.0]),
        ('mixed', [2.0, 0.0]), ('own', x),
      ):  # fmt: skip
        tf.pow(x, exponent, name=name)
    nodes = {node.name: node for node in graph.as_graph_def().node}
    powers = {n for n, node in nodes.items() if products.is_power(node, nodes)}
    self.assertEqual(powers, {'two', 'some'})


class SignalsTest(parameterized.TestCase):
  def test_each_of_two_signals_gets_half(self):
    actual, _, summary = _elrp(_gated_linear)
    u, v = _X @ _MIX, _X @ _OTHER
    expected = _X * (v @ _MIX.T + u @ _OTHER.T) / 2 / _X[0].size
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-7)
    self.assertEqual(summary.ruled, {'half': 2})

  @parameterized.parameters(
    tf.square,
    lambda x: x * x,
    lambda x: tf.math.squared_difference(x, 0.0),
  )
  def test_squares_are_products_of_two_signals(self, square):
    actual, *_ = _elrp(square)
    np.testing.assert_allclose(actual, _X * _X / _X[0].size, 1e-5, 1e-9)

  @parameterized.parameters(
    (lambda x: tf.pow(x, 3.0), _X**3),
    (lambda x: tf.pow(tf.nn.relu(x), 0.5), np.sqrt(np.maximum(_X, 0))),
    (lambda x: tf.sqrt(tf.nn.relu(x)), np.sqrt(np.maximum(_X, 0))),
    (
      lambda x: tf.pow(tf.reduce_mean(tf.square(x), 3, True), 0.5),
      None,
    ),
  )
  def test_powers_pass_all_relevance(self, power, expected):
    actual, representation, _ = _elrp(power)
    if expected is None:  # Generalised mean pooling.
      square = np.square(_X)
      share = square / square.sum(axis=3, keepdims=True) * 3
      expected = share * np.sqrt(square.mean(axis=3, keepdims=True))
    np.testing.assert_allclose(actual, expected / _X[0].size, 1e-3, 1e-7)

  @parameterized.parameters(
    (_gated_linear,),
    (lambda x: _gated_linear(tf.nn.relu(_gated_linear(x))),),
    (_squeeze_excite,),
    (lambda x: _squeeze_excite(_gated_linear(tf.nn.relu(x))),),
    (_attention,),
    (lambda x: tf.nn.silu(_squeeze_excite(_dense(x, _MIX))),),
  )
  def test_relevance_is_conserved_without_biases(self, encoder):
    actual, representation, _ = _elrp(encoder)
    np.testing.assert_allclose(
      actual.sum(axis=(1, 2, 3)),
      representation.reshape(3, -1).mean(axis=1),
      rtol=1e-3,
      atol=1e-5,
    )


class GradientRuleTest(parameterized.TestCase):
  @parameterized.parameters(_gated_linear, tf.square)
  def test_products_alone_give_gradient_times_input(self, encoder):
    graph_def = testing.freeze(lambda x: tf.nn.relu(encoder(x)), 6)
    elrp = methods.EpsilonLRP(1e-9, 'gradient')
    chosen = [elrp, 'gradient_times_input']
    with Explainer(graph_def, **_TENSORS, methods=chosen) as explainer:
      maps = explainer.explain(_IMAGES).maps
    np.testing.assert_allclose(
      maps['elrp'], maps['gradient_times_input'], 1e-4, 1e-7
    )

  def test_gates_are_overridden_as_activations(self):
    actual, _, summary = _elrp(_squeeze_excite, 'gradient')
    self.assertEqual(summary.ruled, {'Relu': 1, 'Sigmoid': 1})
    plain, *_ = _elrp(_squeeze_excite)
    self.assertGreater(np.abs(actual - plain).max(), 1e-5)

  def test_what_is_no_activation_keeps_its_gradient_in_gates(self):
    for encoder in (_attention, _layer_norm, _instance_norm):
      graph_def = testing.freeze(encoder, 6)
      elrp = methods.EpsilonLRP(1e-9, 'gradient')
      chosen = [elrp, 'gradient_times_input']
      with Explainer(graph_def, **_TENSORS, methods=chosen) as explainer:
        maps = explainer.explain(_IMAGES).maps
      np.testing.assert_allclose(
        maps['elrp'], maps['gradient_times_input'], 1e-3, 1e-6
      )

  def test_plain_gradients_do_not_know_gates(self):
    for encoder in (_squeeze_excite, _gated_linear, _attention):
      graph_def = testing.freeze(encoder, 6)
      both = ['gradient_times_input', 'elrp']
      found = []
      for chosen in (both, both[:1]):
        with Explainer(graph_def, **_TENSORS, methods=chosen) as explainer:
          maps = explainer.explain(_IMAGES).maps
        found.append(maps['gradient_times_input'])
      np.testing.assert_allclose(*found, 1e-5, 1e-8)


class RefusedTest(parameterized.TestCase):
  @parameterized.parameters(
    (lambda x: tf.divide(1.0, x, name='s'), "RealDiv .*'s'"),
    (lambda x: tf.nn.softmax(x, name='s'), "Softmax .*'s'"),
    (lambda x: tf.math.rsqrt(x, name='s'), "Rsqrt .*'s'"),
    (lambda x: tf.math.xdivy(x, x, name='s'), "Xdivy of 2 branches .*'s/"),
  )
  def test_a_gate_that_is_itself_the_signal_has_no_rule(self, encoder, found):
    with self.assertRaisesRegex(UnsupportedOpError, found):
      _elrp(encoder)

  def test_unknown_rules_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'gates_constant'):
      methods.EpsilonLRP(products='both')
    with self.assertRaisesRegex(ValueError, 'Unknown rule'):
      products.plan({}, {}, {}, 'both')

  def test_two_rules_in_one_explainer_are_refused(self):
    class Other(methods.EpsilonLRP):
      name = 'other'

    chosen = [methods.EpsilonLRP(), Other(products='gradient')]
    with self.assertRaisesRegex(ValueError, 'need an explainer each'):
      methods.product_rule(chosen)

  def test_long_chains_do_not_exhaust_the_stack(self):
    def encoder(x):
      gate = tf.sigmoid(x)
      for _ in range(2500):
        gate = tf.negative(gate)
      return x * gate

    actual, *_ = _elrp(encoder)
    np.testing.assert_allclose(
      actual, _X * _sigmoid(_X) / _X[0].size, 1e-4, 1e-8
    )


if __name__ == '__main__':
  absltest.main()
