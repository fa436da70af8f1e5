"""Tests of two banks in one space."""

import csv
import dataclasses
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from attribution import explainer
from experiments import pipeline, study
from experiments.studies import merged_groups
from taskonomy_models import bank as banks
from tests import bank_testing, study_testing


def _rows(path: pathlib.Path) -> list[list[str]]:
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.reader(file))


class MergedGroupsTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'merged')
    cls.study = study_testing.make(cls.folder)
    cls.finding = merged_groups.conduct(
      cls.study, cls.study.folder('merged_groups')
    )
    cls.out = cls.study.output / 'merged_groups'
    header, *rows = _rows(cls.out / 'affinity.csv')
    cls.names = [row[0] for row in rows]
    cls.matrix = np.array([[float(x) for x in row[1:]] for row in rows])
    assert header[1:] == cls.names

  def test_all_networks_of_both_banks_are_there(self):
    second = [f'{name}_2' for name in bank_testing.NAMES[1:]]
    self.assertEqual(self.names, [*bank_testing.NAMES, *second])

  def test_a_network_and_its_copy_in_the_other_bank_are_one_point(self):
    for name in bank_testing.NAMES[1:]:
      pair = self.names.index(name), self.names.index(f'{name}_2')
      self.assertAlmostEqual(self.matrix[pair], 1, places=6)

  def test_the_nearest_of_the_other_bank_are_listed(self):
    header, *rows = _rows(self.out / 'nearest.csv')
    nearest = {
      row[0]: row[3] for row in rows if row[header.index('rank')] == '1'
    }
    for name in bank_testing.NAMES[1:]:
      self.assertEqual(nearest[name], f'{name}_2')
      self.assertEqual(nearest[f'{name}_2'], name)
    others = [f'{name}_2' for name in bank_testing.NAMES[1:]]
    self.assertIn(nearest['alpha'], others)

  def test_headline_has_the_means(self):
    between = self.matrix[:4, 4:].mean()
    self.assertIn(f'{between:.4f} between', self.finding.headline)

  def test_no_network_is_projected_twice(self):
    with mock.patch.object(
      pipeline, 'Explainer', wraps=explainer.Explainer
    ) as made:
      again = study_testing.make(self.folder)
      again.second.run()
      again.merged.run()
    made.assert_not_called()

  def test_networks_of_small_images_take_larger_ones(self):
    settings = dataclasses.replace(
      self.study.settings, image_size=24, num_images=4
    )
    larger = study.Study(self.folder / 'larger', settings)
    self.assertIn('resize(16', larger.merged.bank.encoders[0].preprocessing)
    maps = larger.merged.run('noise').spaces['elrp'].settings['image_shape']
    self.assertEqual(maps, [24, 24, 3])

  def test_without_a_second_bank_it_says_what_to_pass(self):
    settings = dataclasses.replace(self.study.settings, second_bank=None)
    alone = study.Study(self.folder / 'alone', settings)
    with self.assertRaisesRegex(ValueError, '--second_bank=FOLDER'):
      merged_groups.conduct(alone, self.folder)
    self.assertIs(alone.second, alone)

  def test_banks_with_a_name_in_common_are_not_merged(self):
    bank = banks.load(str(self.folder / 'bank'))
    with self.assertRaisesRegex(banks.BankError, "both have .*'alpha'"):
      banks.merge(bank, bank)


if __name__ == '__main__':
  absltest.main()
