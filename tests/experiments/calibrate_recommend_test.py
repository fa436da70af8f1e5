"""Tests of the command that checks answers where the truth is known."""

import dataclasses
import json
import pathlib
import re
import shutil

from absl.testing import absltest
import numpy as np
import pytest

from experiments.recommending import measured
from taskonomy_models import bank as banks
from tests import bank_testing, command_testing
from transferability.recommendation import situations
from transferability.recommendation.decision import CandidateEvidence

_NAME = 'experiments.calibrate_recommend'


class MeasuredTest(absltest.TestCase):
  def test_losses_are_those_of_other_networks(self):
    bank = banks.load('mini')
    losses = measured.losses_of(bank)
    self.assertLen(losses, 18)
    for target, row in losses.items():
      self.assertSetEqual(set(row), set(bank.names) - {target})
    cases = measured.history_cases(losses)
    self.assertEqual([case.target for case in cases], list(losses))
    self.assertTrue(all(np.isfinite(case.scores).all() for case in cases))

  def test_tables_of_losses_that_cannot_be_read_are_named(self):
    path = pathlib.Path(self.create_tempdir(), 'losses.csv')
    bank = dataclasses.replace(banks.load('mini'), oracle_losses=str(path))
    for row, said in (
      ('edge2d,1', 'has 2 cells, the header 3'),
      ('edge2d,1,x', "'x' in row 'edge2d'"),
      ('edge2d,1,nan', "'edge3d' for 'edge2d' is nan"),
      ('edge2d,1,0', "'edge3d' for 'edge2d' is 0"),
      ('edge2d,1,2\nedge2d,1,2', 'more than once'),
    ):
      path.write_text(f'target,edge2d,edge3d\n{row}\n')
      with self.assertRaisesRegex(ValueError, f'losses.csv: .*{said}'):
        measured.losses_of(bank)

  def test_what_cannot_be_written_or_drawn_is_said_before_any_work(self):
    path = self.create_tempfile(content='[]').full_path
    whole = ['--situations=target', f'--data_dir={path}']
    twice, written, drawn, less = command_testing.run(
      _NAME,
      ['--situations=history', '--bank=mini,mini'],
      [*whole, f'--write={path}'],
      [*whole, '--num_scenes=30', '--num_images=40'],
      [*whole, '--untrained=-1'],
    )
    self.assertIn('--bank must name banks of different names', twice[2])
    self.assertIn(f'{path} holds no calibrations', written[2])
    self.assertIn('--num_images=40 are more than --num_scenes=30', drawn[2])
    self.assertIn('--untrained=-1', less[2])

  def test_three_untrained_networks_among_seven_are_counted(self):
    names = (*(f'real{i}' for i in range(7)), 'u0', 'u1', 'u2')
    twins = np.tile([-0.1, 0.0, 0.1, 0.05], (10, 1))
    own = np.array([5.0] * 7 + [0.02, -0.03, 9.0])
    evidence = CandidateEvidence(
      situations.SITUATIONS['labels'],
      *(
        names,
        {'ridge_probe': own},
        None,
        own[None],
        twins[None],
        {},
        {},
        {},
        100,
      ),
    )
    found = measured.flagged(evidence, names[:7], 5, 0)
    self.assertEqual(found, (0, 5, 0))
    own[-1] = 0.04
    self.assertEqual(measured.flagged(evidence, names[:7], 5, 0), (5, 0, 0))


class CalibrateCommandTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_bank_without_measured_losses_is_refused(self):
    bank_testing.write(self.folder / 'bank')
    ((code, out, err),) = command_testing.run(
      _NAME,
      [
        f'--bank={self.folder / "bank"}',
        f'--data_dir={self.folder}',
        '--num_scenes=20',
        '--num_images=20',
        '--workers=1',
      ],
    )
    self.assertEqual((code, out), (1, ''))
    self.assertIn('no measured losses', err)

  def _part_of_mini(self, present):
    """Writes a bank of five networks, of which some files are there."""
    mini = banks.load('mini')
    names = ['autoencoder', 'curvature', 'edge2d', 'extra', 'denoise']
    folder = self.folder / 'bank'
    folder.mkdir()
    content = json.loads((pathlib.Path(mini.folder) / 'bank.json').read_text())
    entries = {each['name']: each for each in content['encoders']}
    entries['extra'] = {
      **entries['edge2d'],
      'name': 'extra',
      'graph': 'extra.pb',
    }
    content['encoders'] = [entries[name] for name in names]
    (folder / 'bank.json').write_text(json.dumps(content))
    tables = [content[key] for key in content if key.startswith('oracle')]
    for name in tables + [entries[name]['graph'] for name in present]:
      shutil.copy(pathlib.Path(mini.folder) / name, folder)
    return folder

  def test_history_needs_no_file_of_a_network(self):
    folder = self._part_of_mini([])
    ((code, out, err),) = command_testing.run(
      _NAME, [f'--bank={folder}', '--situations=history']
    )
    self.assertEqual(code, 0, err)
    self.assertRegex(out, r'history +standing +18 ')

  def test_networks_that_fail_can_be_left_out(self):
    folder = self._part_of_mini(['autoencoder', 'edge2d', 'denoise'])
    common = [*self._common(), f'--bank={folder}', '--situations=target']
    refused, skipped = command_testing.run(
      _NAME, common, [*common, '--untrained=0', '--on_bad_model=skip']
    )
    self.assertEqual(refused[0], 1)
    self.assertIn('curvature: there is no file', refused[2])
    self.assertEqual(skipped[0], 3, skipped[2])
    self.assertRegex(skipped[1], r'target +\w+ +3 ')
    self.assertRegex(skipped[1], r'Left out: curvature .*curvature')
    self.assertNotIn('extra', skipped[1])

  def _common(self):
    common = ['--num_scenes=40', '--num_images=40', '--num_draws=2']
    return [*common, '--trials=3', f'--data_dir={self.folder}']

  @pytest.mark.slow
  def test_rivals_are_compared_and_one_situation_is_calibrated(self):
    path = self.folder / 'calibration.json'
    options = ['--situations=target', '--untrained=0', '--rivals=rsa,cka']
    ((code, out, err),) = command_testing.run(
      _NAME, [*self._common(), *options, f'--write={path}']
    )
    self.assertEqual(code, 0, err)
    content = json.loads(path.read_text())
    self.assertSetEqual(set(content), {'target'})
    self.assertEqual(content['target']['num_cases'], 18)
    self.assertGreaterEqual(content['target']['right'], 12)
    rivals = re.findall(r'^mini +target +(rsa|cka) +18 +(\d+)', out, re.M)
    self.assertEqual([name for name, _ in rivals], ['rsa', 'cka'])
    self.assertTrue(all(int(right) >= 10 for _, right in rivals), rivals)
    static = re.findall(r'^mini +history +standing +18 +(\d+) ', out, re.M)
    self.assertEqual(static[-1:], ['3'])  # As docs/recommend.md says.

  @pytest.mark.long
  def test_mini_bank_is_calibrated_and_checked(self):
    common = [*self._common(), '--untrained=3']
    path = self.folder / 'calibration.json'
    written, checked = command_testing.run(
      _NAME, [*common, f'--write={path}'], common
    )
    self.assertEqual((written[0], checked[0]), (0, 0), written[2] + checked[2])
    content = json.loads(path.read_text())
    self.assertSetEqual(set(content), {'labels', 'target', 'history'})
    for name in ('labels', 'target'):
      self.assertEqual(content[name]['num_cases'], 18)
      self.assertGreaterEqual(content[name]['right'], 12)
    self.assertIn('untrained flagged', checked[1])


if __name__ == '__main__':
  absltest.main()
