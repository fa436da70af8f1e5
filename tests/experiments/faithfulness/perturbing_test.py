"""Tests of deletion and insertion of representations."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from attribution import methods, perturbation
from experiments.faithfulness import looking, perturbing
from taskonomy_models.encoder import Encoder
from tests import testing

_HOW = looking.Explaining(methods.create_all(['gradient']), batch_size=4)


def _encoder(function) -> Encoder:
  graph = testing.freeze(function, size=8)
  return Encoder(
    'one', graph, 'input:0', 'representation:0', 'range(0, 1)', 'One'
  )


def _corner(x: tf.Tensor) -> tf.Tensor:
  """Sees the upper left quarter only."""
  return tf.nn.relu(x[:, :4, :4])


class CurvesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.images = testing.images(3, size=8)
    self.encoder = _encoder(_corner)
    self.network = self.encoder.load()
    self.addCleanup(self.network.close)

  def curves(self, maps, images=None, **options):
    return perturbing.curves(
      self.network,
      self.encoder,
      self.images if images is None else images,
      maps,
      perturbing.Perturbing(side=2, **options),
      _HOW,
    )

  def test_a_change_is_the_formula_written_out(self):
    rng = np.random.default_rng(0)
    maps = {'own': rng.normal(size=self.images.shape)}
    found = self.curves(maps, baselines=('mean',), shares=(0.25, 0.5))
    heat = np.abs(maps['own'].sum(axis=-1))
    for i, image in enumerate(self.images):
      x = image.astype(np.float64)
      mean = np.rint(x.mean(axis=(0, 1)))
      cells = {
        (r, c): heat[i, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean()
        for r in range(4)
        for c in range(4)
      }
      order = sorted(cells, key=lambda cell: -cells[cell])
      for end, own in (('most', order), ('least', order[::-1])):
        for column, number in enumerate((4, 8)):
          y = x.copy()
          for r, c in own[:number]:
            y[2 * r : 2 * r + 2, 2 * c : 2 * c + 2] = mean
          change, whole = (
            np.linalg.norm(v[:4, :4] - x[:4, :4])
            for v in (y, np.broadcast_to(mean, x.shape))
          )
          self.assertAlmostEqual(
            found[f'mean/own/{end}'][i, column], change / whole, places=5
          )

  def test_a_map_of_what_the_network_sees_beats_random_and_wrong_ones(self):
    right = np.zeros(self.images.shape)
    right[:, :4, :4] = 1
    found = self.curves({'right': right, 'wrong': 1 - right})
    for baseline in perturbation.baselines():
      areas = {
        name: perturbing.area(
          found[f'{baseline}/{name}'], perturbing.SHARES
        ).mean()
        for name in ('right/most', 'right/least', 'wrong/most', 'random')
      }
      self.assertGreater(areas['right/most'], areas['random'] + 0.1)
      self.assertLess(areas['right/least'], areas['random'] - 0.1)
      self.assertAlmostEqual(
        areas['wrong/most'], areas['right/least'], delta=0.1
      )

  def test_an_image_that_is_represented_as_its_baseline_has_no_curve(self):
    images = self.images.copy()
    images[1] = 7
    found = self.curves({'own': np.ones(images.shape)}, images)
    for values in found.values():
      self.assertTrue(np.isnan(values[1]).all())
      self.assertTrue(np.isfinite(values[[0, 2]]).all())

  def test_area_is_by_trapezoids_from_0_to_1(self):
    found = perturbing.area(np.array([[0.5, 1.0]]), (0.5, 0.75))
    np.testing.assert_allclose(found, [0.125 + 0.1875 + 0.25])


if __name__ == '__main__':
  absltest.main()
