"""Tests of what the paper's experiments share."""

import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments import study
from tests import bank_testing, study_testing
from transferability.model_space import ModelSpace


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.study = study_testing.make(self.folder)
    self.conducted = 0

  def _function(self, shared, folder):
    self.conducted += 1
    (folder / 'table.csv').write_text(f'{shared.settings.seed}')
    return study.Finding('It is so.', ('A note.',), ('table.csv',))

  def test_a_bank_is_projected_once_for_each_probe_set(self):
    run = self.study.run()
    self.assertIs(self.study.run(), run)
    self.assertEqual(run.names, bank_testing.NAMES)
    self.assertLen(run.probe, 12)

  def test_later_processes_find_the_model_space(self):
    first = self.study.run().affinity('elrp')
    again = study_testing.make(self.folder)
    with mock.patch.object(
      study.pipeline, 'Explainer', side_effect=AssertionError
    ):
      second = again.run().affinity('elrp')
    np.testing.assert_array_equal(first, second)

  def test_affinity_is_that_of_the_model_space(self):
    run = self.study.run()
    space = ModelSpace(
      self.study.output / 'runs' / 'noise' / 'model_space' / 'saliency'
    )
    np.testing.assert_array_equal(
      run.affinity('saliency'), space.affinity(bank_testing.NAMES)
    )

  def test_what_was_found_is_not_sought_again(self):
    found = self.study.conduct('it', self._function)
    again = study_testing.make(self.folder)
    self.assertEqual(again.conduct('it', self._function), found)
    self.assertEqual(self.conducted, 1)
    self.assertEqual(again.conduct('it', self._function, again=True), found)
    self.assertEqual(self.conducted, 2)

  def test_other_settings_or_lost_files_are_sought_again(self):
    self.study.conduct('it', self._function)
    other = study_testing.make(self.folder, seed=1)
    other.conduct('it', self._function)
    self.assertEqual(self.conducted, 2)
    (other.output / 'it' / 'table.csv').unlink()
    other.conduct('it', self._function)
    self.assertEqual(self.conducted, 3)

  def test_a_damaged_finding_is_sought_again(self):
    self.study.conduct('it', self._function)
    (self.study.output / 'it' / 'finding.json').write_text('{"digest"')
    self.study.conduct('it', self._function)
    self.assertEqual(self.conducted, 2)

  def test_other_networks_are_sought_again(self):
    self.study.conduct('it', self._function)
    (self.folder / 'bank' / 'oracle.csv').write_text(
      'target,rank_1,rank_2,rank_3\nalpha,beta,gamma,delta\n'
    )
    study_testing.make(self.folder).conduct('it', self._function)
    self.assertEqual(self.conducted, 2)

  def test_a_bank_without_oracle_is_named_where_one_is_needed(self):
    bank_testing.write(self.folder / 'bank', oracle=False)
    without = study_testing.make(self.folder)
    self.assertIsNone(without.oracle)
    with self.assertRaisesRegex(ValueError, "'small' has no oracle"):
      without.require_oracle()

  def test_repeated_or_missing_names_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'methods must be one or more'):
      study.Settings(methods=('elrp', 'elrp'))
    with self.assertRaisesRegex(ValueError, 'probes must be one or more'):
      study.Settings(probes=())


if __name__ == '__main__':
  absltest.main()
