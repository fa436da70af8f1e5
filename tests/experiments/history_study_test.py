"""Tests of what a history predicts, target by target and as a command."""

import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments import history_study, run_history
from experiments.selection import between, source_samples
from tests import command_testing
from toolkit_basics import files
from transferability import affinity as affinity_lib
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

  def test_image_classifiers_are_ranked_by_published_accuracy_too(self):
    known = _history()
    names = 'efficientnet_lite0', 'efficientnet_lite1', *_NAMES[2:]
    renamed = History(known.targets, names, known.scores)
    compared = history_study.leave_one_out(renamed, {}, {}, 20)
    for i, found in enumerate(compared.values()):
      expected = known.scores[i].max() - known.scores[i, 1]  # The best known.
      self.assertAlmostEqual(found['imagenet_accuracy'].regret, expected)
    self.assertNotIn(
      'imagenet_accuracy',
      history_study.leave_one_out(known, {}, {}, 20)['a'],
    )

  def test_what_was_not_measured_has_no_part(self):
    known = _history()
    known.scores[0, :3] = np.nan  # Two networks are left: no order.
    known.scores[1, 4] = np.nan
    compared = history_study.leave_one_out(known, {}, {}, 20)
    self.assertEqual(list(compared), ['b', 'c', 'd'])

  def test_a_network_that_is_new_is_taken_as_an_average_one(self):
    known = _history()
    known.scores[1:, 4] = np.nan  # For a, it was measured only there.
    found = history_study.predictions(
      known, 'a', _NAMES, {}, {'like': dict.fromkeys('bcd', 1.0)}
    )
    for values in found.values():
      self.assertEqual(values[4], 0)
    compared = history_study.leave_one_out(known, {}, {}, 20)
    self.assertIsNotNone(compared['a']['history'])

  def test_too_little_is_refused(self):
    one = History(('a',), _NAMES, np.ones((1, 5)))
    with self.assertRaisesRegex(ValueError, 'one target .* two are needed'):
      history_study.leave_one_out(one, {}, {}, 20)
    few = History(('a', 'b'), ('n', 'm'), np.ones((2, 2)))
    with self.assertRaisesRegex(ValueError, 'three networks'):
      history_study.leave_one_out(few, {}, {}, 20)
    alike = History(('a', 'b'), _NAMES, np.ones((2, 5)))
    with self.assertRaisesRegex(ValueError, 'not all equally good'):
      history_study.leave_one_out(alike, {}, {}, 20)


def _write_selection(folder):
  """Writes what a selection leaves; its measure knows a and b, not c and d."""
  known = _history()
  folder.mkdir()
  known.save(folder / 'history.csv')
  logme = known.scores.copy()
  logme[2:] = np.arange(5.0)
  logme[0, 4] = np.nan
  rows = [['case', 'candidate', 'performance', 'logme']]
  for i, target in enumerate(known.targets):
    for j, network in enumerate(known.networks):
      scores = float(known.scores[i, j]), float(logme[i, j])
      rows.append([target, network, *scores])
  files.write_csv(folder / 'scores.csv', rows)
  turned = tuple(reversed(known.targets))
  affinity_lib.save_matrix(
    folder / 'between_targets.csv', _between()[::-1, ::-1], turned
  )
  return known, logme


class OfSelectionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / 'selection'
    self.known, self.logme = _write_selection(self.folder)

  def test_its_transfers_are_the_history_and_its_scores_stand_beside(self):
    known, measures, alike = history_study.of_selection(
      self.folder, ['logme', 'domain_similarity']
    )
    self.assertEqual(known.targets, self.known.targets)
    np.testing.assert_allclose(known.scores, self.known.scores)
    np.testing.assert_allclose(measures['logme'], self.logme)
    np.testing.assert_array_equal(alike['domain_similarity'], _between())
    self.assertEqual(list(measures), ['logme'])
    for one, other in ((0, 1), (0, 3)):  # Of the four that target a has.
      expected = np.corrcoef(self.logme[[one, other], :4])[0, 1]
      self.assertAlmostEqual(alike['logme'][one, other], expected)
    self.assertAlmostEqual(alike['logme'][2, 3], 1)

  def test_what_it_lacks_is_named(self):
    for names, message in (
      (['luck'], "no scores of 'luck'; it has logme"),
      (['logme'], "in which networks .* candidate 'n6'"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        history_study.of_selection(self.folder, names)
      with open(self.folder / 'scores.csv', 'a', encoding='utf-8') as file:
        file.write('a,n6,0.5,0.5\n')

  def test_a_folder_of_no_selection_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'no finished model selection'):
      history_study.of_selection(self.create_tempdir().full_path, ['logme'])

  def test_equal_and_few_scores_are_like_nothing(self):
    scores = np.array([[1.0, 2, 3], [5, 5, 5], [np.nan, 1, 2]])
    found = between.by_scores(scores)
    self.assertAlmostEqual(found[0, 0], 1)
    self.assertTrue(np.isnan(found[0, 1:]).all())


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
    first, again, wrong, unknown, oracle, twice = self.run_all(
      ('own', mine),
      ('own', mine, '--resume'),
      ('wrong', mine, '--measures=cka'),
      ('unknown', mine, '--measures=luck'),
      ('oracle', mine, '--measures=oracle'),
      ('twice', mine, '--measures=cka,cka'),
    )
    self.assertEqual(first[0], 0, first[2])
    header, *rows = files.read_csv(self.folder / 'own' / 'summary.csv')
    self.assertEqual(header[-1], 'regret')
    self.assertEqual([row[:3] for row in rows], [['history', 'baseline', '4']])
    self.assertEqual(again[0], 0, again[2])
    self.assertIn('nothing was computed again', again[1])
    for result, message in (
      (wrong, "has no network 'a', which the history names"),
      (unknown, "No measure of networks is named 'luck'; choose from saliency"),
      (oracle, "No measure of networks is named 'oracle'"),
      (twice, "Give each of the --measures once, not ['cka']"),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)

  def test_a_history_that_has_changed_is_no_run_to_go_on_with(self):
    mine = f'--history={self.path}'
    (first,) = self.run_all(('own', mine))
    self.assertEqual(first[0], 0, first[2])
    with open(self.path, 'a', encoding='utf-8') as file:
      file.write('e,n1,0.5\n')
    (again,) = self.run_all(('own', mine, '--resume'))
    self.assertEqual(again[0], 1)
    self.assertIn('files that have changed since', again[2])

  def test_a_selection_is_a_history_with_measures(self):
    _write_selection(self.folder / 'selection')
    mine = f'--selection={self.folder / "selection"}'
    found, again, both = self.run_all(
      ('found', mine, '--measures=logme,domain_similarity'),
      ('found', mine, '--measures=logme,domain_similarity', '--resume'),
      ('both', mine, f'--history={self.path}'),
    )
    self.assertEqual(found[0], 0, found[2])
    _, *rows = files.read_csv(self.folder / 'found' / 'summary.csv')
    self.assertEqual(
      {row[0]: row[1:3] for row in rows},
      {
        'history': ['baseline', '4'],
        'history:logme': ['baseline', '4'],
        'history:domain_similarity': ['baseline', '4'],
        'logme': ['labels', '3'],
        'history+logme': ['baseline', '4'],
        'history:logme+logme': ['baseline', '4'],
      },
    )
    self.assertIn('nothing was computed again', again[1])
    self.assertEqual(both[0], 1)
    self.assertIn('not both', both[2])

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
