"""Tests that untrained networks are told from trained ones."""

from absl.testing import absltest
import numpy as np
from scipy import stats

from transferability.recommendation import floor


class FloorTest(absltest.TestCase):
  def test_one_more_draw_of_the_twins_is_below_in_95_of_100_trials(self):
    rng = np.random.default_rng(0)
    flagged = passed = 0
    for _ in range(400):
      scales = rng.uniform(0.5, 2, (10, 1))
      twins = rng.normal(0, scales, (10, 5))
      own = np.concatenate([rng.normal(12, 1, 7), rng.normal(0, scales[7:, 0])])
      below = floor.find(own, twins).is_below
      flagged += below[7:].all()
      passed += (~below[:7]).sum()
    self.assertGreater(flagged / 400, 0.95)
    self.assertGreater(passed / 2800, 0.95)

  def test_threshold_is_a_prediction_interval_of_student(self):
    twins = [[1.0, 2.0, 4.0, 5.0], [3.0, 3.5, np.nan, np.nan], [0.0, 8.0, 1, 2]]
    own = [[row for row in each if row == row] for each in twins]
    variances = [np.var(each, ddof=1) for each in own]
    expected = []
    for each, variance in zip(own, variances, strict=True):
      pooled = (variance + sorted(variances)[1]) / 2
      # Student's t of the variance's degrees of freedom and as many again; the
      # variance of one more draw about the mean of k is that of 1 + 1 / k.
      quantile = stats.t(2 * (len(each) - 1)).isf(0.005)
      reach = quantile * np.sqrt(pooled + pooled / len(each))
      expected.append(np.mean(each) + reach)
    found = floor.find([1e-9 + e for e in expected], twins)
    np.testing.assert_allclose(found.threshold, expected)
    self.assertFalse(found.is_below.any())
    self.assertTrue(floor.find(found.threshold, twins).is_below.all())

  def test_level_is_the_mean_of_the_twins_that_have_a_score(self):
    twins = [[1.0, 2.0, np.nan], [np.nan, np.nan, 3.0]]
    found = floor.find([50.0, 5.0], twins)
    np.testing.assert_allclose(found.level, [1.5, np.nan])
    self.assertEqual(found.is_below.tolist(), [False, False])
    self.assertBetween(found.threshold[0], 1.5, 50)

  def test_by_several_measures_one_that_is_exceeded_is_enough(self):
    twins = [[0.0, 1.0, 2.0]] * 4
    first, second = [0.5, 0.5, 99.0, 99.0], [0.5, 99.0, 0.5, 99.0]
    found = floor.find_by_all([first, second], [twins, twins])
    self.assertEqual(found.is_below.tolist(), [True, False, False, False])
    np.testing.assert_allclose(found.level, 1)

  def test_several_measures_share_the_chance_of_an_untrained_network(self):
    twins, quantile = [[0.0, 1.0, 2.0]] * 2, stats.t(4).isf
    alone = floor.find_by_all([[5.0, 5.0]], [twins])
    shared = floor.find_by_all([[5.0, 5.0]] * 4, [twins] * 4)
    np.testing.assert_allclose(
      (shared.threshold - 1) / (alone.threshold - 1),
      quantile(0.005 / 4) / quantile(0.005),
    )

  def test_without_twins_nothing_is_below(self):
    found = floor.find([1.0, np.nan], np.zeros((2, 0)))
    self.assertEqual(found.is_below.tolist(), [False, False])
    self.assertTrue(np.isnan(found.level).all())


if __name__ == '__main__':
  absltest.main()
