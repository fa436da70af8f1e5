"""Tests of the networks of Keras as encoders, with random weights."""

import os
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from taskonomy_models import bank as banks
from taskonomy_models import keras_networks
from tests import command_testing, testing

_SMALL = 'mobilenet_025'
_NETWORKS = keras_networks.NETWORKS
_RGB = ((0, 0, 0), (255, 255, 255), (10, 120, 250))


class KerasNetworksTest(parameterized.TestCase):
  @parameterized.parameters(*_NETWORKS)
  def test_preprocessing_is_that_of_keras(self, name):
    network = _NETWORKS[name]
    function = getattr(tf.keras.applications, network.function)
    module = sys.modules[function.__module__]
    size = network.size
    images = np.empty((3, size, size, 3), np.uint8)
    images[:] = np.array(_RGB, np.uint8)[:, None, None]
    expected = module.preprocess_input(images.astype(np.float32).copy())
    actual = Preprocessing.parse(network.preprocessing)(images)
    np.testing.assert_allclose(actual, expected, 1e-5, 1e-3)

  @pytest.mark.slow
  @parameterized.parameters(*_NETWORKS)
  def test_network_has_its_representation(self, name):
    network = _NETWORKS[name]
    with mock.patch.object(keras_networks, 'randomise'):
      model = keras_networks.build(name, 'random')
    layer = model.layers[-1]
    if network.representation:
      layer = model.get_layer(network.representation)
    side = layer.output.shape[1]
    self.assertBetween(side, 7, 10)
    self.assertEqual(model.input.shape, (None, network.size, network.size, 3))
    self.assertEqual(model.inputs[0].name, 'image')

  def test_random_weights_are_a_function_of_the_seed(self):
    weights = [
      keras_networks.build(_SMALL, 'random', seed).get_weights()
      for seed in (0, 0, 1)
    ]
    for first, second in zip(*weights[:2], strict=True):
      np.testing.assert_array_equal(first, second)
    self.assertFalse(np.array_equal(weights[0][0], weights[2][0]))

  def test_random_weights_keep_the_scale_of_the_features(self):
    model = keras_networks.build(_SMALL, 'random')
    t = Preprocessing.parse(_NETWORKS[_SMALL].preprocessing)
    features = model(t(testing.images(2, 224))).numpy()
    self.assertBetween(features.std(), 1e-2, 1e2)
    self.assertTrue(np.all(np.isfinite(features)))

  def test_unknown_networks_and_weights_are_refused(self):
    with self.assertRaisesRegex(ValueError, "No network 'x'; there are vgg16"):
      keras_networks.build('x', 'random')
    with self.assertRaisesRegex(ValueError, 'weights must be one of'):
      keras_networks.build(_SMALL, 'x')

  def test_weights_that_cannot_be_fetched_say_what_to_do(self):
    def unreachable(**_):
      raise Exception('URL fetch failure on https://x')

    with mock.patch.object(tf.keras.applications, 'MobileNet', unreachable):
      with self.assertRaisesRegex(OSError, r'fetch failure.*random weights'):
        keras_networks.build(_SMALL, 'imagenet')


class CommandTest(absltest.TestCase):
  def test_bank_is_made_and_gone_on_with(self):
    output = os.path.join(self.create_tempdir().full_path, 'keras')
    arguments = [
      f'--output={output}', f'--networks={_SMALL}', '--weights=random'
    ]  # fmt: skip
    first, again, other, anew, wrong = command_testing.run(
      'taskonomy_models.keras_applications',
      arguments,
      arguments,
      [f'--output={output}', f'--networks={_SMALL}', '--weights=imagenet'],
      [*arguments, '--overwrite', '--seed=1'],
      [f'--output={output}', '--networks=vgg16,x'],
    )
    self.assertEqual(first[0], 0, first[2])
    self.assertIn('1 networks were converted, 0 were there', first[1])
    self.assertIn('epsilon-LRP rules: Relu6 27', first[2])
    self.assertNotIn('ZERO', first[2])
    self.assertIn('0 networks were converted, 1 were there', again[1])
    self.assertIn('weights random, of seed 0, not published; choose', other[2])
    self.assertIn('1 networks were converted, 0 were there', anew[1])
    (encoder,) = banks.load(output).encoders
    self.assertEqual(encoder.label, 'MobileNet 0.25')
    self.assertEqual(encoder.group, 'imagenet')
    ((code, _, err),) = command_testing.run(
      'taskonomy_models.second_group', arguments
    )
    self.assertEqual(code, 1)
    self.assertIn('random, of seed 1, not random, of seed 0; choose', err)
    self.assertEqual(encoder.input_tensor, 'image:0')
    self.assertEqual(encoder.preprocessing, _NETWORKS[_SMALL].preprocessing)
    self.assertEqual(wrong[0], 1)
    self.assertRegex(
      wrong[2], r'^Error: .*networks=vgg16,x: choose from vgg16.*\n$'
    )


if __name__ == '__main__':
  absltest.main()
