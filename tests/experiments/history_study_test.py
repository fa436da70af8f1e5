"""Tests of what a history predicts, target by target and as a command."""

import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments import history_study, run_history
from experiments.selection import source_samples
from tests import command_testing
from toolkit_basics import files
from transferability.history import History

_NAMES = ('n1', 'n2', 'n3', 'n4', 'n5')


def _history():
  """Targets a and b want the same networks, c and d the opposite ones."""
  rng = np.random.default_rng(0)
  order = np.arange(5.0)
  rows = [order, order, -order, -order]
  scores = np.stack(rows) + 0.1 * rng.normal(size=(4, 5))
  return History(('a', 'b', 'c', 'd'), _NAMES, scores)


def _between():
  same = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
  return 10.0 * same


class LeaveOneOutTest(absltest.TestCase):
  def test_similar_targets_help_where_standing_misleads(self):
    compared = history_study.leave_one_out(
      _history(), {}, {'like': _between()}, 20
    )
    self.assertEqual(list(compared), ['a', 'b', 'c', 'd'])
    for found in compared.values():
      self.assertLess(found['history'].values['weighted_tau'], 0)
      weighed = found['history:like']
      self.assertGreater(weighed.values['weighted_tau'], 0.9)
      self.assertEqual(weighed.regret, 0)

  def test_a_measure_stands_alone_and_with_the_history(self):
    known = _history()
    rng = np.random.default_rng(1)
    measures = {'like': known.scores + rng.normal(size=known.scores.shape)}
    compared = history_study.leave_one_out(
      known, measures, {'like': _between()}, 20
    )
    expected = ['history', 'history:like', 'like', 'history+like']
    for target, found in compared.items():
      self.assertEqual(list(found), [*expected, 'history:like+like'])
      both = found['history:like+like'].values['weighted_tau']
      alone = found['like'].values['weighted_tau']
      self.assertGreaterEqual(both, alone, target)

  def test_what_was_not_measured_has_no_part(self):
    known = _history()
    known.scores[0, :3] = np.nan  # Two networks are left: no order.
    known.scores[1, 4] = np.nan
    compared = history_study.leave_one_out(known, {}, {}, 20)
    self.assertEqual(list(compared), ['b', 'c', 'd'])

  def test_too_little_is_refused(self):
    one = History(('a',), _NAMES, np.ones((1, 5)))
    with self.assertRaisesRegex(ValueError, 'one target .* two are needed'):
      history_study.leave_one_out(one, {}, {}, 20)
    few = History(('a', 'b'), ('n', 'm'), np.ones((2, 2)))
    with self.assertRaisesRegex(ValueError, 'three networks'):
      history_study.leave_one_out(few, {}, {}, 20)


class RunHistoryTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / 'history.csv'
    _history().save(self.path)

  def run_all(self, *commands):
    return command_testing.run(
      'experiments.run_history',
      *(
        ['--num_draws=20', f'--output={self.folder / name}', *arguments]
        for name, *arguments in commands
      ),
    )

  def test_a_file_of_ones_own_needs_no_networks(self):
    mine = f'--history={self.path}'
    first, again, wrong, unknown = self.run_all(
      ('own', mine),
      ('own', mine, '--resume'),
      ('wrong', mine, '--measures=cka'),
      ('unknown', mine, '--measures=luck'),
    )
    self.assertEqual(first[0], 0, first[2])
    header, *rows = files.read_csv(self.folder / 'own' / 'summary.csv')
    self.assertEqual(header[-1], 'regret')
    self.assertEqual([row[:3] for row in rows], [['history', 'baseline', '4']])
    self.assertEqual(again[0], 0, again[2])
    self.assertIn('nothing was computed again', again[1])
    for result, message in (
      (wrong, "has no network 'a', which the history names"),
      (unknown, "No affinity is named 'luck'"),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)

  def test_a_banks_transfers_are_a_history(self):
    def _scenes(bank, *unused, **options):
      rng = np.random.default_rng(0)
      images = rng.integers(256, size=(12, 64, 64, 3)).astype(np.uint8)
      labels = {name: rng.integers(3, size=12) for name in bank.names}
      return source_samples.SourceSamples(images, labels)

    measures = '--measures=cka,domain_similarity'
    with mock.patch.object(run_history.source_samples, 'load', _scenes):
      (found,) = self.run_all(('mini', measures, '--num_images=4'))
    self.assertEqual(found[0], 0, found[2])
    _, *rows = files.read_csv(self.folder / 'mini' / 'summary.csv')
    expected = {
      'history': 'baseline',
      'history:cka': 'baseline',
      'history:domain_similarity': 'baseline',
      'cka': 'no labels',
      'history+cka': 'baseline',
      'history:cka+cka': 'baseline',
    }
    self.assertEqual({row[0]: row[1] for row in rows}, expected)
    self.assertEqual({row[2] for row in rows}, {'18'})


if __name__ == '__main__':
  absltest.main()
