"""Tests of where maps look, and of scenes with more and less texture."""

import csv
import pathlib

from absl.testing import absltest
import numpy as np
from scipy import stats

from attribution.explainer import Explainer
from experiments.studies import pixels, registry, textures
from probe_data import scene_pixels, scenes
from tests import bank_testing, study_testing

_COUNT = 4


def _rows(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


class PixelsTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'pixels')
    cls.study = study_testing.make(
      folder,
      num_images=_COUNT,
      methods=('gradient_times_input',),
      probes=('scenes',),
    )

  def test_cells_hold_the_magnitude_of_their_pixels(self):
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 3))
    found = pixels.cells(maps).reshape(2, 2, 3)
    np.testing.assert_allclose(found[1, 1, 2], np.abs(maps[1, 2:, 4:]).sum())

  def test_agreement_is_the_mean_of_the_images_correlations(self):
    self.study.conduct('pixels', registry.get('pixels').function)
    rows = _rows(self.study.output / 'pixels' / 'agreement.csv')
    # Of two methods, stages and kinds, each network beside its twin.
    self.assertEqual(len(rows), 2 * 2 * 2 * 2 * len(bank_testing.NAMES))
    seeds = [scenes.scene_seed('test', i) for i in range(_COUNT)]
    images, truth = scene_pixels.of_scenes(seeds, bank_testing.SIZE)
    encoder = self.study.bank.encoders[0]
    with Explainer(
      encoder.load(),
      preprocessing=encoder.preprocessing,
      methods=('gradient_times_input',),
      batch_size=4,
    ) as explainer:
      maps = explainer.explain(images).maps['gradient_times_input']
    known = {
      (row['weights'], row['kind']): row
      for row in rows
      if (row['network'], row['stage']) == (encoder.name, '2')
      and row['method'] == 'gradient_times_input'
    }
    for task in ('edge2d', 'rgb2sfnorm'):
      expected = np.mean(
        [
          stats.spearmanr(x, y.ravel()).statistic
          for x, y in zip(pixels.cells(maps), truth[task], strict=True)
        ]
      )
      row = known['trained', 'plain']
      self.assertAlmostEqual(float(row[task]), expected, places=5)
      self.assertNotAlmostEqual(
        float(known['shuffled', 'plain'][task]), expected, places=3
      )
    self.assertEqual(known['trained', 'partial']['edge2d'], 'nan')

  def test_scenes_as_drawn_give_the_run_of_the_probe_set(self):
    self.study.conduct('textures', registry.get('textures').function)
    rows = [
      row
      for row in _rows(self.study.output / 'textures' / 'textures.csv')
      if row['measure'] == 'gradient_times_input'
    ]
    self.assertLen(rows, len(textures.DENSITIES))
    matrix = self.study.run('scenes').affinity('gradient_times_input')
    spread = matrix[np.triu_indices(len(matrix), 1)].std()
    (as_drawn,) = [row for row in rows if float(row['density']) == 1]
    self.assertAlmostEqual(float(as_drawn['spread']), spread)
    (bare,) = [row for row in rows if float(row['density']) == 0]
    self.assertNotAlmostEqual(float(bare['spread']), spread, places=6)
    for row in rows:
      self.assertLessEqual(float(row['spread_low']), float(row['spread_high']))


if __name__ == '__main__':
  absltest.main()
