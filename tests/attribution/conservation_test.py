"""Tests of where relevance is lost, against what is written out."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import conservation, finite_differences, methods
from attribution.explainer import Explainer
import frozen_graphs
from tests import testing

_X = testing.images(3, 6).astype(np.float32) / 255 * 2 - 1
_RNG = np.random.default_rng(0)
_KERNEL = _RNG.normal(0, 0.5, (3, 3, 3, 3)).astype(np.float32)
_MIX = _RNG.normal(size=(3, 3)).astype(np.float32)
_BIAS = np.array([0.5, -0.25, 1.0], np.float32)


def _network(function, batch: int | None = None) -> frozen_graphs.Network:
  return frozen_graphs.load(
    testing.freeze(function, 6, batch=batch),
    input='input:0',
    representation='representation:0',
  )


def _convolved(x):
  return tf.nn.conv2d(x, _KERNEL, 1, 'SAME')


def _residual(x):
  x = tf.nn.relu(tf.nn.bias_add(_convolved(x), _BIAS, name='bias0'), 'early')
  x += tf.nn.elu(tf.nn.bias_add(_convolved(x), _BIAS, name='bias1'))
  return tf.nn.relu(_convolved(x))


def _attention(x):
  tokens = tf.reshape(x, [-1, 36, 3])
  mean, variance = tf.nn.moments(tokens, [2], keepdims=True)
  tokens = (tokens - mean) * tf.math.rsqrt(variance + 1e-3)
  weights = tf.nn.softmax(tf.matmul(tokens, tokens, transpose_b=True))
  tokens = tf.matmul(weights, tf.tensordot(tokens, _MIX, 1), name='values')
  return tf.nn.silu(tokens) * tf.tensordot(tokens, _MIX, 1)


class ConservationTest(parameterized.TestCase):
  @parameterized.parameters(1, 2)
  def test_a_network_made_for_few_images_gives_what_an_open_one_does(self, few):
    accounts = [
      conservation.account(
        _network(_residual, batch), _X, methods.create('elrp')
      )
      for batch in (None, few)
    ]
    found, expected = (
      tf.nest.flatten([
        each.total, each.arrived, *each.stages.values(),
        *(step.lost for step in each.steps),
      ])
      for each in accounts
    )  # fmt: skip
    for values, others in zip(found, expected, strict=True):
      np.testing.assert_allclose(values, others, atol=1e-6)

  @parameterized.product(
    function=[_residual, _attention],
    method=['elrp', 'gamma_lrp', 'lrp_by_kind'],
  )
  def test_all_relevance_is_accounted_for(self, function, method):
    network, method = _network(function), methods.create(method)
    found = conservation.account(network, _X, method)
    lost = sum(step.lost for step in found.steps)
    scale = found.magnitude.max()
    np.testing.assert_allclose(
      found.total - found.arrived, lost, atol=1e-5 * scale
    )
    with Explainer(
      network, preprocessing='range(-1, 1)', methods=[method]
    ) as explainer:
      maps = explainer.explain(testing.images(3, 6)).maps[method.name]
    np.testing.assert_allclose(
      found.arrived, maps.sum(axis=(1, 2, 3)), atol=1e-5 * scale
    )
    self.assertAlmostEqual(
      sum(found.lost_by_rule().values()),
      1 - found.share(found.arrived),
      places=4,
    )

  def test_a_bias_keeps_its_own_part_and_epsilon_a_little(self):
    def function(x):
      return tf.nn.relu(tf.nn.bias_add(_convolved(x), _BIAS))

    found = conservation.account(
      _network(function), _X, methods.EpsilonLRP(1e-3)
    )
    z = tf.nn.conv2d(_X, _KERNEL, 1, 'SAME').numpy() + _BIAS
    units = z[0].size
    kept = np.where(z > 0, z / (z + 1e-3), 0) / units
    lost = {step.rule: step.lost for step in found.steps}
    np.testing.assert_allclose(
      lost['bias'], (kept * _BIAS).sum(axis=(1, 2, 3)), 1e-4, 1e-6
    )
    np.testing.assert_allclose(
      lost['activation Relu'],
      (np.maximum(z, 0) / units - kept * z).sum(axis=(1, 2, 3)),
      *(1e-3, 1e-6),
    )
    np.testing.assert_allclose(
      found.total, np.maximum(z, 0).mean(axis=(1, 2, 3)), 1e-5
    )

  def test_a_constant_that_is_joined_keeps_its_part(self):
    found = conservation.account(
      _network(
        lambda x: _convolved(
          tf.nn.relu(tf.concat([x, tf.constant(_X[:1, :1])], 1))
        )
      ),
      _X[:1],
      methods.EpsilonLRP(1e-6),
    )
    lost = found.lost_by_rule()
    self.assertGreater(abs(lost['bias']), 1e-3)
    self.assertAlmostEqual(lost['other operations'], 0, delta=1e-5)

  def test_stages_are_what_all_relevance_passes(self):
    found = conservation.account(
      _network(_residual), _X, methods.create('elrp')
    )
    names = list(found.stages)
    self.assertIn('early/activation:0', names)
    self.assertNotIn('bias1:0', names)  # One branch of two.
    self.assertEqual(names[-1], 'input:0')
    np.testing.assert_allclose(found.stages[names[0]], found.total, 1e-5)
    np.testing.assert_allclose(found.stages['input:0'], found.arrived, 1e-5)

  def test_gates_and_products_of_signals_lose_nothing(self):
    found = conservation.account(
      _network(_attention), _X, methods.EpsilonLRP(1e-6)
    )
    lost = found.lost_by_rule()
    self.assertIn(conservation.PRODUCTS, lost)
    self.assertIn('activation Mul+Sigmoid', lost)
    for rule, share in lost.items():
      self.assertAlmostEqual(share, 0, delta=1e-3, msg=rule)
    self.assertIn('values', [step.name for step in found.steps])
    self.assertFalse([s for s in found.steps if '/operand_' in s.name])

  def test_plain_products_count_twice(self):
    method = methods.EpsilonLRP(1e-6, 'gradient')
    found = conservation.account(
      _network(lambda x: tf.nn.relu(x) * tf.tensordot(x, _MIX, 1)), _X, method
    )
    self.assertAlmostEqual(found.share(found.arrived), 2, places=3)

  def test_no_inputs_at_all_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'there are no inputs'):
      conservation.account(_network(_residual), _X[:0], methods.create('elrp'))
    with self.assertRaisesRegex(ValueError, 'There are no inputs'):
      finite_differences.disagreement(_network(_residual), _X[:0])

  def test_a_method_without_a_rule_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'saliency has no rule'):
      conservation.account(_network(_residual), _X, methods.create('saliency'))


class FiniteDifferencesTest(absltest.TestCase):
  def test_gradients_agree_where_they_are_right(self):
    for function in (_residual, _attention):
      with _network(function) as network:
        errors = finite_differences.disagreement(network, _X)
      self.assertEqual(errors.shape, (3, 4))
      self.assertLess(np.median(errors), 3e-3)

  def test_a_wrong_gradient_is_found(self):
    def function(x):
      return _convolved(x) + tf.stop_gradient(2 * _convolved(x))

    with _network(function) as network:
      errors = finite_differences.disagreement(network, _X)
    np.testing.assert_allclose(errors[:, 0], 2, atol=0.05)


if __name__ == '__main__':
  absltest.main()
