"""Tests of how scores are compared with measured performance."""

import itertools

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from transferability import agreement


def _pairs(n, ties, seed):
  rng = np.random.default_rng(seed)
  x, y = rng.normal(size=(2, n))
  return (np.round(x), np.round(y, 1)) if ties else (x, y)


class StatisticsTest(parameterized.TestCase):
  @parameterized.product(n=(3, 4, 11, 20), ties=(False, True), seed=(0, 1, 2))
  def test_they_are_those_of_scipy(self, n, ties, seed):
    x, y = _pairs(n, ties, seed)
    found = agreement.compare(x, y, num_draws=2).values
    expected = {
      'pearson': stats.pearsonr(x, y).statistic,
      'kendall': stats.kendalltau(x, y).statistic,
      'weighted_tau': stats.weightedtau(x, y).statistic,
    }
    for name, value in expected.items():
      self.assertAlmostEqual(found[name], value, places=12, msg=name)

  def test_rows_do_not_disturb_each_other(self):
    x, y = np.random.default_rng(0).normal(size=(2, 5, 8))
    for function in (agreement.pearson, agreement.kendall):
      together = function(x, y)
      for i in range(5):
        self.assertAlmostEqual(together[i], function(x[[i]], y[[i]])[0])

  def test_weighted_tau_cares_most_about_the_best(self):
    truth = np.arange(8.0)
    top, bottom = truth.copy(), truth.copy()
    top[[6, 7]] = top[[7, 6]]
    bottom[[0, 1]] = bottom[[1, 0]]
    kept, lost = agreement.compare(bottom, truth), agreement.compare(top, truth)
    self.assertAlmostEqual(kept.values['kendall'], lost.values['kendall'])
    self.assertGreater(
      kept.values['weighted_tau'], lost.values['weighted_tau'] + 0.1
    )


class CompareTest(absltest.TestCase):
  def test_the_p_value_of_few_candidates_counts_all_orders(self):
    x, y = np.array([1.0, 3.0, 2.0, 5.0]), np.array([0.1, 0.2, 0.3, 0.4])
    found = stats.weightedtau(x, y).statistic
    as_large = [
      stats.weightedtau(x[list(order)], y).statistic >= found - 1e-12
      for order in itertools.permutations(range(4))
    ]
    result = agreement.compare(x, y)
    self.assertAlmostEqual(result.p_value, np.mean(as_large))
    self.assertGreaterEqual(result.p_value, 1 / 24)

  def test_p_values_of_noise_are_uniform(self):
    rng = np.random.default_rng(0)
    values = [
      agreement.compare(*rng.normal(size=(2, 9)), num_draws=99).p_value
      for _ in range(150)
    ]
    self.assertGreater(stats.kstest(values, 'uniform').pvalue, 0.01)

  def test_intervals_hold_the_value_and_shrink_with_candidates(self):
    rng = np.random.default_rng(1)
    widths = []
    for n in (8, 80):
      truth = rng.normal(size=n)
      found = agreement.compare(truth + rng.normal(size=n), truth)
      for name in agreement.STATISTICS:
        self.assertBetween(
          found.values[name], found.low[name], found.high[name]
        )
      widths.append(found.high['kendall'] - found.low['kendall'])
    self.assertLess(widths[1], widths[0] / 2)

  def test_the_best_score_is_judged_by_what_its_candidate_gives(self):
    truth = np.array([0.2, 0.6, 1.0])
    self.assertEqual(agreement.compare([1, 2, 9], truth).best_found, 1.0)
    self.assertAlmostEqual(agreement.compare([1, 9, 2], truth).best_found, 0.5)
    tied = agreement.compare([9, 9, 1], truth)
    self.assertAlmostEqual(tied.best_found, 0.25)

  def test_regret_is_what_the_picked_candidate_lacks(self):
    truth = np.array([0.2, 0.6, 0.9])
    for scores, expected in (
      ([1, 2, 9], 0.0),
      ([1, 9, 2], 0.3),
      ([9, 1, 2], 0.7),
      ([9, 9, 1], 0.5),
    ):
      found = agreement.compare(scores, truth).regret
      self.assertAlmostEqual(found, expected)

  def test_constant_scores_have_no_agreement_but_do_not_fail(self):
    for score in (1.0, 0.1):  # The mean of three times 0.1 is not 0.1.
      found = agreement.compare([score] * 3, [0.1, 0.2, 0.4])
      self.assertTrue(np.isnan(list(found.values.values())).all())
      self.assertTrue(np.isnan(found.p_value))

  def test_what_cannot_be_compared_is_refused(self):
    for x, y, message in (
      ([1, 2], [1, 2], 'three candidates'),
      ([1, 2, 3], [1, 2], 'three candidates'),
      ([1, 2, np.nan], [1, 2, 3], 'not finite'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        agreement.compare(x, y)

  def test_rows_fit_their_header(self):
    found = agreement.compare([1, 2, 4], [1, 3, 2])
    header = agreement.header(['case'])
    row = agreement.rows_of_table(['c'], found)
    cells = dict(zip(header, row, strict=True))
    self.assertEqual(cells['kendall_high'], found.high['kendall'])
    self.assertEqual(cells['p_value'], found.p_value)


if __name__ == '__main__':
  absltest.main()
