"""Tests of the registry of methods and of their options."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods, products
from tests import testing


class MethodsTest(parameterized.TestCase):
  def test_names_are_the_flag_values(self):
    self.assertEqual(
      methods.names(),
      (
        *('saliency', 'gradient', 'gradient_times_input', 'elrp'),
        *('integrated_gradients', 'grad_cam', 'gamma_lrp', 'lrp_by_kind'),
      ),
    )
    for name in methods.names():
      self.assertEqual(methods.create(name).name, name)

  def test_each_method_is_given_its_own_options(self):
    created = methods.create_all(methods.names(), epsilon=1e-3, steps=9)
    self.assertEqual(created[3].epsilon, 1e-3)
    self.assertEqual(created[4].steps, 9)
    self.assertEqual(created[0], methods.Saliency())

  def test_option_of_a_method_not_asked_for_is_left_out(self):
    (method,) = methods.create_all(['saliency'], epsilon=1e-3)
    self.assertEqual(method, methods.Saliency())

  @parameterized.named_parameters(
    ('unknown_method', lambda: methods.create('lime'), 'elrp'),
    ('unknown_among', lambda: methods.create_all(['elrp', 'lime']), 'lime'),
    ('unknown_option', lambda: methods.create('elrp', steps=3), 'epsilon'),
    ('no_ones_option', lambda: methods.create_all(['elrp'], delta=1), 'delta'),
    ('epsilon', lambda: methods.create('elrp', epsilon=0.0), 'positive'),
    ('nan', lambda: methods.create('elrp', epsilon=np.nan), 'epsilon is nan'),
    ('tiny', lambda: methods.create('elrp', epsilon=1e-50), 'float32'),
    ('huge', lambda: methods.create('gamma_lrp', epsilon=1e39), 'float32'),
    (
      'half_a_step',
      lambda: methods.create('integrated_gradients', steps=2.5),
      'whole number',
    ),
    (
      'steps',
      lambda: methods.create('integrated_gradients', steps=0),
      'at least 1',
    ),
    (
      'baseline',
      lambda: methods.create('integrated_gradients', baseline=np.inf),
      'finite',
    ),
    (
      'registered_twice',
      lambda: methods.register_method('elrp')(methods.EpsilonLRP),
      'already',
    ),
  )
  def test_wrong_use_is_a_clear_error(self, use, message):
    with self.assertRaisesRegex(ValueError, message):
      use()

  def test_stabilizer_moves_away_from_zero(self):
    z = tf.constant([-1.0, -0.0, 0.0, 2.0])
    np.testing.assert_allclose(methods.stabilize(z, 0.5), [-1.5, 0.5, 0.5, 2.5])

  @parameterized.parameters(
    'relu', 'relu6', 'elu', 'selu', 'softsign', 'tanh', 'sigmoid'
  )
  def test_shorter_ratios_are_the_rule_to_the_bit(self, activation):
    rng = np.random.default_rng(0)
    values = rng.normal(size=999).astype(np.float32)
    values *= 10.0 ** rng.integers(-9, 3, 999)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      z = tf.constant([*values, 0.0, -0.0, 6.0])
      f_z = testing.activation_layer(activation)(z)
      shorter = methods.epsilon_ratio(z, f_z, 1e-4)
      plain = f_z / methods.stabilize(z, 1e-4)
      np.testing.assert_array_equal(*session.run([shorter, plain]))

  def test_equal_rules_share_a_backward_pass(self):
    one, other = (methods.create('elrp', epsilon=1e-3) for _ in range(2))
    self.assertEqual(one.rule, other.rule)
    self.assertNotEqual(one.rule, methods.create('elrp').rule)
    self.assertIsNone(methods.create('saliency').rule)

  def test_points_go_from_next_to_the_baseline_to_the_input(self):
    method = methods.create(
      'integrated_gradients', steps=4, baseline=np.array([1.0, 0.0])
    )
    inputs = np.array([[5.0, 8.0]], np.float32)
    points = np.concatenate(list(method.points(inputs)))
    np.testing.assert_allclose(points, [[2, 2], [3, 4], [4, 6], [5, 8]])
    np.testing.assert_allclose(
      method.attribute(inputs, np.ones_like(inputs)), [[4, 8]]
    )


class MethodFormulaTest(parameterized.TestCase):
  """What methods make of inputs and gradients, without a network."""

  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(3)
    self.x = rng.normal(size=(2, 3, 4, 2)).astype(np.float32)
    self.gradients = rng.normal(size=self.x.shape).astype(np.float32)

  def _maps(self, name, **options):
    method = methods.create(name, **options)
    return method.attribute(self.x, self.gradients)

  def test_maps_at_the_input(self):
    product = self.x * self.gradients
    for name, expected in (
      ('saliency', np.abs(self.gradients)),
      ('gradient', self.gradients),
      ('gradient_times_input', product),
      ('elrp', product),
      ('integrated_gradients', product),
    ):
      np.testing.assert_array_equal(self._maps(name), expected, name)

  def test_integrated_gradients_follow_a_line_from_the_baseline(self):
    found = self._maps('integrated_gradients', baseline=0.5)
    expected = (self.x - np.float32(0.5)) * self.gradients
    np.testing.assert_array_equal(found, expected)
    method = methods.create('integrated_gradients', steps=4, baseline=0.5)
    points = list(method.points(self.x))
    self.assertLen(points, 4)
    for share, point in zip((0.25, 0.5, 0.75, 1.0), points, strict=True):
      line = 0.5 + share * (self.x - 0.5)
      np.testing.assert_allclose(point, line, rtol=1e-6)
    one = methods.create('integrated_gradients', steps=1)
    np.testing.assert_array_equal(list(one.points(self.x)), [self.x])

  def test_grad_cam_weighs_channels_by_their_mean_gradient(self):
    weights = self.gradients.mean(axis=(1, 2))
    expected = np.einsum('nhwc,nc->nhw', self.x, weights)[..., None]
    found = self._maps('grad_cam')
    self.assertEqual(found.shape, (2, 3, 4, 1))
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-5)
    self.assertGreater(np.count_nonzero(found == 0), 0)

  def test_what_methods_say_of_themselves(self):
    for name, is_linear, at_features in (
      ('saliency', False, False),
      ('gradient', True, False),
      ('gradient_times_input', True, False),
      ('elrp', True, False),
      ('integrated_gradients', False, False),
      ('grad_cam', False, True),
    ):
      method = methods.create(name)
      self.assertEqual(method.is_linear, is_linear, name)
      self.assertEqual(method.at_features, at_features, name)
      self.assertFalse(method.per_unit, name)
      self.assertEqual(method.rule is not None, name == 'elrp')
      self.assertEqual(
        method.for_each_unit().per_unit, name == 'saliency', name
      )

  def test_options_have_the_published_defaults(self):
    self.assertEqual(methods.create('elrp').epsilon, 1e-4)
    self.assertEqual(methods.create('elrp').products, products.RULES[0])
    self.assertEqual(methods.create('integrated_gradients').steps, 100)
    self.assertEqual(methods.create('integrated_gradients').baseline, 0.0)
    self.assertIsNone(methods.create('grad_cam').layer)

  def test_methods_with_rules_must_agree_on_products(self):
    first, second = products.RULES[:2]
    rules = [methods.create('elrp', products=name) for name in (first, second)]
    self.assertEqual(methods.product_rule([]), first)
    saliency = methods.create('saliency')
    self.assertEqual(methods.product_rule([saliency, rules[1]]), second)
    self.assertEqual(methods.product_rule(rules[:1]), first)
    with self.assertRaisesRegex(ValueError, 'an explainer each'):
      methods.product_rule(rules)

  def test_a_ratio_is_shortened_only_for_what_the_activation_was_given(self):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      z, other = tf.constant([-1.0, 2.0]), tf.constant([1.0, -4.0])
      f_z = tf.nn.tanh(other)
      found = session.run(methods.epsilon_ratio(z, f_z, 0.5))
    expected = np.tanh([1.0, -4.0]) / np.array([-1.5, 2.5])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


if __name__ == '__main__':
  absltest.main()
