"""Tests of the registry of methods and of their options."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods
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
    ('nan', lambda: methods.create('elrp', epsilon=np.nan), 'positive'),
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


if __name__ == '__main__':
  absltest.main()
