"""Tests of what is done to maps and affinities outside the paper's protocol."""

import csv
import pathlib

from absl.testing import absltest
import numpy as np

from experiments.studies import remedies
from tests import study_testing
from transferability import affinity, map_transforms, ranking


class RemediesTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'remedies')
    cls.study = study_testing.make(folder)
    cls.run_ = cls.study.run()
    out = cls.study.folder('remedies')
    cls.finding = remedies.conduct(cls.study, out)
    with open(out / 'remedies.csv', encoding='utf-8', newline='') as file:
      cls.rows = {
        (row['method'], row['maps'], row['removed']): row
        for row in csv.DictReader(file)
      }

  def _spearman(self, matrix: np.ndarray) -> float:
    oracle = self.study.require_oracle()
    ranked = ranking.rank_sources(matrix, self.run_.names, oracle.targets)
    return ranking.mean_spearman(ranked, oracle)

  def test_all_variants_of_all_methods_are_there(self):
    self.assertLen(
      self.rows,
      len(self.study.settings.methods)
      * len(remedies.TRANSFORMS)
      * len(remedies.REMOVALS),
    )

  def test_nothing_done_is_the_affinity_of_the_run(self):
    for method in self.study.settings.methods:
      found = self.rows[method, 'none', 'nothing']
      expected = self._spearman(self.run_.affinity(method))
      self.assertAlmostEqual(float(found['spearman']), expected)

  def test_maps_are_transformed_and_stripped_of_what_is_common(self):
    maps = [
      np.asarray(self.run_.spaces['elrp'].rows(name), np.float64).reshape(
        12, 16, 16, 3
      )
      for name in self.run_.names
    ]
    root = [np.sign(m) * np.sqrt(np.abs(m)) for m in maps]
    unit = np.stack([m.reshape(12, -1) for m in root], 1)
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    left = unit - unit.mean(axis=1, keepdims=True)
    left /= np.linalg.norm(left, axis=-1, keepdims=True)
    expected = np.mean(left @ left.transpose(0, 2, 1), axis=0)
    row = self.rows['elrp', 'root', 'common map']
    self.assertAlmostEqual(float(row['spearman']), self._spearman(expected))

  def test_hubs_are_removed_from_every_draw(self):
    cosines = self.run_.image_cosines('elrp')
    shares = np.eye(len(cosines))[:3]
    drawn = remedies.REMOVALS['hubs'](cosines, shares)
    for image, matrix in enumerate(drawn):
      np.testing.assert_allclose(
        matrix, affinity.without_hubs(cosines[image]), atol=1e-12
      )

  def test_common_map_is_removed_image_by_image(self):
    cosines = self.run_.image_cosines('elrp')
    without = map_transforms.cosines_without_common_map(cosines)
    np.testing.assert_array_equal(
      without[4], map_transforms.cosines_without_common_map(cosines[4:5])[0]
    )

  def test_intervals_hold_what_they_are_of(self):
    for row in self.rows.values():
      low, high = float(row['spearman_low']), float(row['spearman_high'])
      self.assertLessEqual(low, high)


if __name__ == '__main__':
  absltest.main()
