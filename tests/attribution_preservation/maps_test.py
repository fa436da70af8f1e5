"""Tests of maps of single classes."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution_preservation import compression, maps, networks
from tests import testing

_T = 'range(-1, 1)'


class ClassMapsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.network = networks.build((3, 4, 4, 4, 4, 5), 3, seed=1)
    self.images = testing.images(3, 32)
    self.classes = np.array([2, 0, 1])

  def test_occlusion_is_what_a_logit_loses_with_a_patch(self):
    with maps.ClassMaps(
      self.network.model, _T, ['occlusion'], patch=16
    ) as explain:
      found = explain.maps(self.images, self.classes)['occlusion']
    inputs = self.images / 127.5 - 1
    whole = self.network.model(inputs).numpy()
    without = inputs.copy()
    without[:, 16:, :16] = 0
    rest = self.network.model(without).numpy()
    rows = np.arange(3)
    lost = (whole - rest)[rows, self.classes]
    self.assertEqual(found.shape, self.images.shape)
    found = found.sum(axis=-1)
    np.testing.assert_allclose(found[:, 20, 3], lost, rtol=1e-2, atol=1e-4)
    self.assertEqual(np.unique(found[0]).size, 4)

  def test_occlusion_lies_as_in_the_images(self):
    images = np.repeat(np.repeat(self.images, 2, axis=1), 2, axis=2)
    found = []
    for t, pictures in ((_T, self.images), (f'resize(32) | {_T}', images)):
      with maps.ClassMaps(
        self.network.model, t, ['occlusion'], patch=16
      ) as explain:
        found.append(explain.maps(pictures, self.classes)['occlusion'])
    self.assertEqual(found[1].shape, images.shape)
    np.testing.assert_allclose(
      found[1][:, 8::32, 8::32], found[0][:, 4::16, 4::16], rtol=1e-2, atol=1e-5
    )

  @parameterized.parameters('gradient_times_input', 'occlusion')
  def test_a_centred_logit_is_less_the_mean_of_all(self, name):
    with maps.ClassMaps(self.network.model, _T, [name], patch=16) as explain:
      by = [
        [
          explain.maps(self.images, np.full(3, k), is_centred=is_centred)[name]
          for k in range(3)
        ]
        for is_centred in (False, True)
      ]
    plain, centred = map(np.stack, by)
    np.testing.assert_allclose(
      centred, plain - plain.mean(axis=0), atol=1e-4 * np.abs(plain).max()
    )

  def test_heat_keeps_signs_but_of_saliency(self):
    values = np.array([[[[1.0, -3.0]]]])
    self.assertEqual(maps.heat('elrp', values).item(), -2)
    self.assertEqual(maps.heat('saliency', values).item(), 4)


class SoftmaxTest(absltest.TestCase):
  def test_it_is_taken_off_and_put_back(self):
    model = networks.build((3, 4, 4, 4, 4, 5), 3, seed=1).model
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    whole = compression.with_softmax(model)
    logits, had = compression.with_logits(whole)
    self.assertTrue(had)
    np.testing.assert_allclose(logits(images), model(images), rtol=1e-5)
    self.assertFalse(compression.with_logits(model)[1])
    total, kept = compression.size(model)
    self.assertLessEqual(kept, total)

  def test_it_is_taken_off_a_convolution_that_stays(self):
    layers = tf.keras.layers
    images = tf.keras.Input((8, 8, 3))
    features = layers.Conv2D(5, 3, activation='relu')(images)
    whole = tf.keras.Model(
      images, layers.Conv2D(4, 1, activation='softmax')(features)
    )
    logits, had = compression.with_logits(whole)
    self.assertTrue(had)
    pictures = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(
      compression.with_softmax(logits)(pictures), whole(pictures), rtol=1e-5
    )

  def test_scores_of_a_grid_are_its_means(self):
    body = networks.build((3, 4, 4, 4, 4, 5), 3, seed=1).body
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    np.testing.assert_allclose(
      compression.scored(body)(images),
      np.mean(body(images), axis=(1, 2)),
      rtol=1e-4,
    )


if __name__ == '__main__':
  absltest.main()
