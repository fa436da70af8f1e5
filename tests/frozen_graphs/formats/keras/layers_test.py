"""Tests of the registry of Keras layers."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import layers as keras_layers
from frozen_graphs.formats.keras.layers import Layer


class KerasLayersTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    for name in ('_LAYERS', '_MERGING'):
      patched = type(getattr(keras_layers, name))()
      self.enter_context(mock.patch.object(keras_layers, name, patched))

  def apply(self, layer: Layer, count: int = 1) -> np.ndarray:
    with tf.Graph().as_default():
      ones = [tf.ones([2, 3]) for _ in range(count)]
      result = keras_layers.apply(layer, ones)
      with tf.compat.v1.Session() as session:
        return session.run(result)

  def refuses(self, layer: Layer, *fragments: str, count: int = 1) -> None:
    with self.assertRaises(GraphError) as context:
      self.apply(layer, count)
    for fragment in (repr(layer.name), layer.kind, *fragments):
      self.assertIn(fragment, str(context.exception))

  def test_a_registered_layer_is_applied_to_its_input(self):
    @keras_layers.register_layer('Scaled', 'AlsoScaled')
    def scaled(layer: Layer, x: tf.Tensor) -> tf.Tensor:
      return x * layer.weight('factor') + layer.config['offset']

    self.assertEqual(keras_layers.kinds(), ('AlsoScaled', 'Scaled'))
    weights = {'factor': np.float32(3)}
    for kind in keras_layers.kinds():
      layer = Layer('mine', kind, {'offset': 2}, weights)
      np.testing.assert_array_equal(self.apply(layer), np.full((2, 3), 5))
    self.assertEqual(scaled.__name__, 'scaled')

  def test_a_merging_layer_is_given_all_its_inputs(self):
    keras_layers.register_layer('Sum', merges=True)(lambda layer, x: sum(x))
    for count in (1, 4):
      actual = self.apply(Layer('mine', 'Sum', {}), count)
      np.testing.assert_array_equal(actual, np.full((2, 3), count))

  def test_unknown_layer_is_refused_with_the_known_ones(self):
    keras_layers.register_layer('Known')(lambda layer, x: x)
    self.refuses(Layer('mine', 'Lambda', {}), 'Known', 'register_layer')

  def test_registering_a_layer_twice(self):
    keras_layers.register_layer('Known')(lambda layer, x: x)
    with self.assertRaisesRegex(ValueError, "'Known'"):
      keras_layers.register_layer('Known')(lambda layer, x: x)

  @parameterized.parameters(0, 2)
  def test_number_of_inputs(self, count):
    keras_layers.register_layer('Known')(lambda layer, x: x)
    self.refuses(Layer('mine', 'Known', {}), f'given {count}', count=count)

  def test_channels_first_is_refused(self):
    keras_layers.register_layer('Known')(lambda layer, x: x)
    layer = Layer('mine', 'Known', {'data_format': 'channels_first'})
    self.refuses(layer, "'channels_first'")

  def test_weight_that_is_missing_or_that_nobody_asks_for(self):
    @keras_layers.register_layer('Biased')
    def biased(layer: Layer, x: tf.Tensor) -> tf.Tensor:
      return x + layer.weight('bias') if layer.has('use_bias') else x

    self.refuses(Layer('mine', 'Biased', {}), "'bias'", 'needs')
    weights = {'bias': np.float32(1)}
    layer = Layer('mine', 'Biased', {'use_bias': False}, weights)
    self.refuses(layer, "['bias']", 'do not belong together')
    np.testing.assert_array_equal(
      self.apply(Layer('mine', 'Biased', {}, weights)), np.full((2, 3), 2)
    )

  @parameterized.parameters(
    ZeroDivisionError, AttributeError, KeyError, TypeError, ValueError
  )
  def test_what_fails_in_a_layer_is_told_with_its_name(self, error):
    def fail(layer: Layer, x: tf.Tensor) -> tf.Tensor:
      raise error('the\nreason')

    keras_layers.register_layer('Failing')(fail)
    self.refuses(Layer('mine', 'Failing', {}), '(2, 3)', 'reason')


class OptionsTest(parameterized.TestCase):
  @parameterized.parameters((3, (3, 3)), ([1, 2], (1, 2)), (None, (1, 1)))
  def test_a_number_for_each_side(self, value, expected):
    config = {} if value is None else {'size': value}
    self.assertEqual(Layer('mine', 'K', config).pair('size'), expected)

  @parameterized.parameters(
    ([1, 2, 3],), ([1],), (1.5,), (True,), (-1,), ('2',)
  )
  def test_what_is_no_number_for_each_side(self, value):
    with self.assertRaisesRegex(GraphError, "'mine'.*size="):
      Layer('mine', 'K', {'size': value}).pair('size')

  def test_choices(self):
    layer = Layer('mine', 'K', {'padding': 'same'})
    self.assertEqual(layer.require('padding', 'valid', 'same'), 'same')
    self.assertEqual(layer.require('absent', 'valid', 'same'), 'valid')
    with self.assertRaisesRegex(GraphError, "'mine'.*padding='same'"):
      layer.require('padding', 'valid')


if __name__ == '__main__':
  absltest.main()
