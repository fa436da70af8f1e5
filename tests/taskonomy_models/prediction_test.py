"""Tests of networks that keep their head."""

import pathlib

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import attribution_transfer as at
from taskonomy_models import bank as banks
from taskonomy_models import candidates, conversion
from tests import command_testing, testing

_T = 'range(-1, 1)'


def _graph():
  """From images to a representation, a head behind it, and a branch beside."""
  kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4))

  def network(x):
    weights = tf.constant(kernel, tf.float32)
    features = tf.nn.relu(tf.nn.conv2d(x, weights, 2, 'SAME'))
    features = tf.nn.bias_add(features, [0.1] * 4, name='features')
    tf.reduce_mean(x, axis=3, keepdims=True, name='aside')
    tf.reduce_mean(features, axis=[1, 2], name='answer')
    return features

  return testing.freeze(network)


class PredictionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / 'net.pb'
    self.path.write_bytes(_graph().SerializeToString())

  def _network(self, **options):
    return at.network(
      str(self.path), representation='features:0', preprocessing=_T, **options
    )

  def test_a_graph_goes_on_to_the_prediction_and_represents_the_same(self):
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 3))
    images = images.astype(np.float32)
    plain, whole = self._network(), self._network(prediction='answer:0')
    self.assertIsNone(plain.predictor)
    represented = whole.load().run(images)
    np.testing.assert_array_equal(represented, plain.load().run(images))
    predicted = whole.predictor.load().run(images)
    np.testing.assert_allclose(
      predicted, represented.mean(axis=(1, 2)), rtol=1e-5
    )

  def test_a_prediction_beside_the_representation_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'not computed from the represent'):
      self._network(prediction='aside:0')
    with self.assertRaisesRegex(ValueError, 'prediction: .*nowhere'):
      self._network(prediction='nowhere:0')

  def test_a_bank_keeps_what_is_predicted(self):
    conversion.convert(
      str(self.path),
      self.folder / 'bank',
      name='net',
      preprocessing=_T,
      representation='features:0',
      prediction='answer:0',
    )
    (encoder,) = banks.load(str(self.folder / 'bank')).encoders
    images = np.zeros((1, 16, 16, 3), np.float32)
    self.assertEqual(encoder.predictor.load().run(images).shape, (1, 4))

  def test_convert_and_recommend_have_a_flag_for_it(self):
    converted, lost = command_testing.run(
      'taskonomy_models.convert',
      *(
        [
          str(self.path),
          f'--output={self.folder / "bank"}',
          '--name=net',
          '--representation=features:0',
          f'--preprocessing={_T}',
          f'--prediction={tensor}',
          '--overwrite',
        ]
        for tensor in ('answer:0', 'nowhere:0')
      ),
    )
    self.assertEqual(converted[0], 0, converted[2])
    self.assertEqual(lost[0], 1)
    self.assertIn('nowhere', lost[2])
    ((code, out, err),) = command_testing.run(
      'experiments.recommend',
      ['--bank=mini', '--images=scenes', '--prediction=net=answer:0'],
    )
    self.assertEqual((code, out), (1, ''))
    self.assertIn('--prediction', err)

  def test_candidates_are_told_by_name(self):
    said = {'net': _T}, {'net': 'features:0'}, {'net': 'answer:0'}
    (encoder,) = candidates.shelf([str(self.path)], *said).bank.encoders
    self.assertIsNotNone(encoder.predictor)


if __name__ == '__main__':
  absltest.main()
