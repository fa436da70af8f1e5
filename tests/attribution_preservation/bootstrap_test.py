"""Tests of paired intervals."""

from absl.testing import absltest
import numpy as np

from attribution_preservation import bootstrap, scores


class BootstrapTest(absltest.TestCase):
  def test_weighted_statistics_are_those_of_repeated_images(self):
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(30, 3)) < 0.4).astype(float)
    logits = rng.normal(size=(30, 3))
    counts = rng.multinomial(30, np.full(30, 1 / 30), 4)
    statistic = bootstrap.weighted_map(labels, logits)
    images = rng.integers(30, size=50)
    values = rng.normal(size=50)
    values[3] = np.nan
    mean = bootstrap.weighted_mean(values, images)(counts)
    for row, found, average in zip(
      counts, statistic(counts), mean, strict=True
    ):
      chosen = np.repeat(np.arange(30), row)
      expected = scores.mean_average_precision(labels[chosen], logits[chosen])
      self.assertAlmostEqual(found, expected)
      repeated = np.repeat(values, row[images])
      self.assertAlmostEqual(average, np.nanmean(repeated))

  def test_once_each_the_weighted_map_is_the_map(self):
    rng = np.random.default_rng(1)
    labels = (rng.uniform(size=(40, 4)) < 0.3).astype(float)
    logits = rng.normal(size=(40, 4))
    (found,) = bootstrap.weighted_map(labels, logits)(np.ones((1, 40), int))
    self.assertAlmostEqual(found, scores.mean_average_precision(labels, logits))

  def test_equal_scores_share_a_threshold(self):
    labels = np.array([[1.0], [0], [0], [1]])
    for scores_of in ([0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]):
      ties = np.array(scores_of, float)[:, None]
      (found,) = bootstrap.weighted_map(labels, ties)(np.ones((1, 4), int))
      self.assertAlmostEqual(found, scores.mean_average_precision(labels, ties))

  def test_pairs_leave_what_is_common_out(self):
    rng = np.random.default_rng(2)
    images = np.arange(100)
    common = [rng.normal(size=100) + 5 * seed for seed in range(5)]
    better = [values + rng.normal(0.3, 0.1, 100) for values in common]
    runs = [
      [bootstrap.weighted_mean(values, images) for values in each]
      for each in (better, common)
    ]
    mean, low, high = bootstrap.paired_interval(*runs, 100)
    self.assertBetween(mean, low, high)
    self.assertBetween(low, 0.25, 0.3)
    self.assertBetween(high, 0.3, 0.35)
    same = bootstrap.paired_interval(runs[0], runs[0], 100)
    self.assertEqual(same, (0, 0, 0))

  def test_runs_that_are_no_pairs_are_refused(self):
    one = bootstrap.weighted_mean(np.ones(2), np.arange(2))
    with self.assertRaisesRegex(ValueError, 'no pairs'):
      bootstrap.paired_interval([one], [one, one], 2)


if __name__ == '__main__':
  absltest.main()
