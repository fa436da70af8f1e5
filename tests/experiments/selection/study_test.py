"""Tests of scores beside the truth, and of the tables made of them."""

import dataclasses
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from experiments.selection import label_free, report, study, targets, truth
from experiments.selection.features import Features
from experiments.selection.study import Case
from taskonomy_models.mini import readouts
from toolkit_basics import files
from transferability import measures, scoring, similarity


def _data(n=140, num_train=80):
  rng = np.random.default_rng(0)
  values = rng.normal(size=n)
  labels = (values > 0).astype(int) + (values > 1)
  images = rng.integers(256, size=(n, 4, 4, 3)).astype(np.uint8)
  found = {
    'classes': targets.classification('classes', labels, num_train, 'n0'),
    'number': targets.regression('number', values, num_train, 4),
  }
  signal = rng.normal(size=(n, 1, 1, 6)).astype(np.float32)
  features = {}
  for i in range(5):  # The later, the more of the target.
    values_in = signal.copy()
    values_in[..., 0] += i * values[:, None, None]
    features[f'n{i}'] = Features(values_in, 0.5)
  return targets.LabelledImages(images, num_train, found), features


def _track(items, **unused):
  return items


_SETTINGS = study.CaseSettings(
  ('logme', 'pactran', 'ncti', 'transrate:experiments'),
  recipe=readouts.ReadoutRecipe(steps=40),
)


class StudyTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data, cls.features = _data()
    cls.output = pathlib.Path(absltest.TEST_TMPDIR.value, 'selection_study')
    names = tuple(cls.features)
    cls.cases = [
      Case('classes', 'classes', names[1:]),
      Case('number', 'number', names),
    ]
    matrix = np.arange(25.0).reshape(5, 5)
    cls.near = label_free.of_matrices(
      names,
      {'elrp': matrix},
      {'elrp': 3.0},
      {'classes': ('n0', names[1:])},
    )
    cls.outcomes = cls.conduct()

  @classmethod
  def conduct(cls):
    return study.conduct(
      cls.cases,
      cls.data,
      cls.features,
      _SETTINGS,
      cls.output,
      _track,
      [cls.near],
    )

  def test_other_features_are_scored_anew(self):
    changed = dataclasses.replace(
      self.features['n1'], values=-self.features['n1'].values
    )
    with mock.patch.object(study, '_conduct', side_effect=KeyError('anew')):
      with self.assertRaisesRegex(KeyError, 'anew'):
        study.conduct(
          self.cases,
          self.data,
          {**self.features, 'n1': changed},
          _SETTINGS,
          self.output,
          _track,
        )

  def test_scores_are_those_of_the_measures_and_larger_is_better(self):
    outcome = self.outcomes[0]
    target = self.data.targets['classes']
    rows = target.rows[target.rows < 80]
    labels = target.labels[target.rows < 80]
    models = [
      {'features': self.features[name].flat[rows], 'labels': labels}
      for name in outcome.candidates
    ]
    for name, sign in (('logme', 1), ('pactran', -1), ('ncti', 1)):
      expected = sign * measures.score_pool(name, models)
      found = outcome.vector(outcome.scores[name])
      np.testing.assert_allclose(found, expected, rtol=1e-6)
    for name in ('logme', 'pactran'):
      found = outcome.vector(outcome.scores[name])
      self.assertGreater(found[-1], found[0], name)

  def test_training_that_diverged_stands_last_and_is_said_in_a_line(self):
    settled = truth.settle(
      self.data.targets['number'],
      {name: [0.1 * i, 0.1 * i] for i, name in enumerate(self.features)}
      | {'n2': [0.3, -8000.0]},
      1.0,
    )
    folder = self.create_tempdir().full_path
    with mock.patch.object(truth, 'train_readouts', return_value=settled):
      (outcome,) = study.conduct(
        self.cases[1:], self.data, self.features, _SETTINGS, folder, _track
      )
    self.assertEqual(outcome.truth.argmin(), 2)
    self.assertAlmostEqual(outcome.truth.min(), -0.35)
    line = report.diverged_text({'number': outcome.diverged})
    self.assertRegex(line, r'n2 for number \(R\^2 -8e\+03\)\.\n$')
    self.assertEqual(line.count('\n'), 1)
    self.assertEqual(report.diverged_text({}), '')
    standing = study.measured([outcome]).standing()[0]
    self.assertGreater(standing[4] - standing[3], 0.1)

  def test_the_sweep_holds_the_default_epsilon(self):
    outcome = self.outcomes[1]
    self.assertEqual(
      outcome.sweep['experiments'][1e-4],
      outcome.scores['transrate:experiments'],
    )
    self.assertEqual(tuple(outcome.sweep['paper']), scoring.EPSILONS)

  def test_label_free_scores_are_the_row_of_the_targets_network(self):
    self.assertEqual(
      self.outcomes[0].scores['elrp'], {'n1': 1, 'n2': 2, 'n3': 3, 'n4': 4}
    )
    self.assertNotIn('elrp', self.outcomes[1].scores)

  def test_other_targets_stand_for_what_is_good_for_everybody(self):
    first, second = self.outcomes
    truth = second.truth
    standing = (truth - truth.mean()) / truth.std()
    found = first.vector(first.scores[study.OTHER_TARGETS])
    np.testing.assert_allclose(found, standing[1:])

  def test_a_network_that_served_no_other_target_is_an_average_one(self):
    second = self.outcomes[1]
    self.assertNotIn('n0', self.outcomes[0].candidates)
    self.assertEqual(second.scores[study.OTHER_TARGETS]['n0'], 0)
    self.assertIsNotNone(study.compare(second, 20)[study.OTHER_TARGETS])

  def test_a_resumed_run_computes_nothing_and_finds_the_same(self):
    with mock.patch.object(study, '_conduct', side_effect=AssertionError):
      again = self.conduct()
    self.assertEqual(again, self.outcomes)

  def test_a_measure_that_fails_is_left_out_and_named(self):
    few = {'a': np.ones((4, 2)), 'b': np.eye(4)}
    found = scoring.score(('logme', 'gbc'), few, np.array([0, 1, 1, 3]))
    self.assertIn('Class 2 has no sample', found.problems['logme'])
    self.assertTrue(np.isnan(found.values['gbc']['a']))

  def test_unknown_measures_and_forms_are_refused(self):
    for chosen, message in (
      (('logme', 'logme'), 'each once'),
      (('leep',), "named 'leep'"),
      (('knn:paper',), 'knn has no forms'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        scoring.check(chosen)

  def test_tables_say_what_was_found(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    report.write(self.outcomes, self.features, folder, 20, [self.near])
    for name in ('classes', 'number', 'summary', 'epsilon_paper'):
      self.assertTrue((folder / 'figures' / f'{name}.png').exists(), name)
    header, *rows = files.read_csv(folder / 'summary.csv')
    summary = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    self.assertEqual(summary['elrp']['family'], 'no labels')
    self.assertEqual(summary['elrp']['cases'], '1')
    self.assertEqual(summary['logme']['cases'], '2')
    header, *rows = files.read_csv(folder / 'agreement.csv')
    taus = [float(row[9]) for row in rows if row[1] == 'logme']
    self.assertEqual(header[9], 'weighted_tau')
    self.assertAlmostEqual(
      float(summary['logme']['weighted_tau']), np.mean(taus)
    )
    header, *rows = files.read_csv(folder / 'epsilon.csv')
    self.assertEqual(header[-1], 'regret')
    self.assertTrue(all(float(row[-1]) >= 0 for row in rows))
    with self.subTest('measures of different cases compare on common ones'):
      self.assertAlmostEqual(float(summary['logme']['tau_common']), taus[0])
    seconds = dict(
      (row[0], float(row[2]))
      for row in files.read_csv(folder / 'seconds.csv')[1:]
    )
    self.assertEqual(seconds['feature extraction'], 2.5)
    self.assertEqual(seconds['elrp'], 3.0)
    self.assertGreater(seconds['training'], seconds['logme'])
    self.assertIn('logme', report.text(folder))


class OfFeaturesTest(parameterized.TestCase):
  def test_layers_are_compared_with_the_targets_network(self):
    rng = np.random.default_rng(0)
    own = rng.normal(size=(30, 2, 2, 3))
    features = {
      'own': own,
      'near': own + 0.1 * rng.normal(size=own.shape),
      'far': rng.normal(size=(30, 2, 2, 5)),
    }
    near = label_free.of_features({'c': ('own', ('near', 'far'))}, features)
    known = similarity.names('representations')
    self.assertEqual(near.measures, known)
    for name, scores in near.scores['c'].items():
      self.assertGreater(scores['near'], scores['far'], name)
      self.assertAlmostEqual(
        scores['far'], similarity.score(name, own, features['far'])
      )

  def test_a_network_of_one_feature_costs_no_more_than_rsa(self):
    values = np.random.default_rng(0).normal(size=(3, 30, 1, 1, 4))
    features = dict(zip(('own', 'near', 'far'), values, strict=True))
    features['far'] = features['far'][..., :1]
    with self.assertLogs(level='WARNING') as said:
      near = label_free.of_features({'c': ('own', ('near', 'far'))}, features)
    self.assertIn('rsa for c is left out', *said.output)
    self.assertEqual({*near.measures} - {*near.scores['c']}, {'rsa'})

  @parameterized.parameters(1, 2)
  def test_what_the_targets_network_predicts_is_probed(self, grid):
    rng = np.random.default_rng(0)
    near, own, far = rng.normal(size=(3, 60, grid, grid, 3))
    features = {
      'own': own,
      'near': near,
      'far': far,
      'own.prediction': near[..., :2] + 0.3 * near[..., 1:] + 5,
    }
    pairs = {'c': ('own', ('near', 'far'))}
    found = label_free.of_features(pairs, features)
    self.assertIn('prediction', found.measures)
    self.assertIn('prediction', found.seconds)
    scores = found.scores['c']['prediction']
    self.assertGreater(scores['near'], 0.9)
    self.assertLess(scores['far'], 0.3)
    # Measures are of all targets, or of none.
    both = {**pairs, 'd': ('near', ('own', 'far'))}
    self.assertNotIn(
      'prediction', label_free.of_features(both, features).measures
    )


if __name__ == '__main__':
  absltest.main()
