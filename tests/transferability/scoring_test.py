"""Tests of scores of candidates by measures of labels."""

import math

from absl.testing import absltest
import numpy as np

from tests import measures_testing
from transferability import measures, scoring


class ScoringTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    first, second = (measures_testing.task(spread=s) for s in (0.3, 3.0))
    self.labels = first['labels']
    self.features = {'tidy': first['features'], 'blurred': second['features']}

  def test_values_are_those_of_the_measure_alone_and_larger_is_better(self):
    chosen = ('logme', 'ridge_probe', 'transrate:experiments')
    found = scoring.score(chosen, self.features, self.labels)
    for name in chosen:
      plain, _, form = name.partition(':')
      options = {'form': form} if form else {}
      sign = 1 if measures.info(plain).higher_is_better else -1
      self.assertEqual(list(found.values[name]), ['tidy', 'blurred'])
      for candidate, value in found.values[name].items():
        expected = measures.score(
          plain,
          features=self.features[candidate],
          labels=self.labels,
          **options,
        )
        self.assertAlmostEqual(value, sign * expected)
      self.assertGreater(found.values[name]['tidy'], value)
      self.assertGreater(found.seconds[name], 0)
    self.assertEqual(found.problems, {})

  def test_what_is_not_defined_is_nan_and_says_why(self):
    found = scoring.score(
      ['parc', 'logme'], {'flat': np.ones((60, 3))}, self.labels
    )
    self.assertTrue(math.isnan(found.values['parc']['flat']))
    self.assertEqual(list(found.problems), ['parc'])
    self.assertNotIn('\n', found.problems['parc'])

  def test_measures_are_those_that_need_features_and_labels_only(self):
    self.assertContainsSubset(
      ('logme', 'ped', 'transrate', 'transrate:experiments'), scoring.names()
    )
    self.assertNoCommonElements(('leep', 'nce'), scoring.names())
    scoring.check(scoring.names())
    for wrong, said in (
      ([], 'one or more'),
      (['logme', 'logme'], 'each once'),
      (['leep'], "'leep'; choose from"),
      (['knn:paper'], 'knn has no forms'),
      (['logme:paper'], "logme:paper: form='paper' is none of"),
      (['pactran:gamma'], 'pactran:gamma: .* source_probs, which'),
    ):
      with self.assertRaisesRegex(ValueError, said):
        scoring.check(wrong)

  def test_the_sweep_goes_over_powers_of_ten(self):
    found = scoring.transrate_sweep(self.features, self.labels)
    self.assertEqual([*found], ['paper', 'experiments'])
    for form, of_epsilon in found.items():
      np.testing.assert_allclose([*of_epsilon], 10.0 ** np.arange(-5, 3))
      for epsilon, values in of_epsilon.items():
        expected = measures.score(
          'transrate',
          features=self.features['tidy'],
          labels=self.labels,
          form=form,
          epsilon=epsilon,
        )
        self.assertAlmostEqual(values['tidy'], expected)

  def test_the_sweep_leaves_out_a_form_that_is_not_defined(self):
    self.features['blurred'][3] = 0  # Has no direction.
    found = scoring.transrate_sweep(self.features, self.labels)
    self.assertEqual([*found], ['paper'])


if __name__ == '__main__':
  absltest.main()
