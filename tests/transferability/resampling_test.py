"""Tests of the bootstrap over images."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability import ranking, resampling
from transferability.oracle import Oracle

_NAMES = tuple('abcdefgh')


def _cosines(images=30, seed=0):
  points = np.random.default_rng(seed).normal(size=(images, len(_NAMES), 6))
  points /= np.linalg.norm(points, axis=2, keepdims=True)
  return points @ points.transpose(0, 2, 1)


def _oracle(seed=1, targets='abcdef'):
  rng = np.random.default_rng(seed)
  return Oracle.from_affinity(
    rng.normal(size=(len(targets), len(_NAMES))), tuple(targets), _NAMES
  )


class DrawsTest(parameterized.TestCase):
  def test_drawn_affinity_is_the_mean_over_the_images_drawn(self):
    cosines = _cosines(5)
    shares = np.array([[0.4, 0, 0.6, 0, 0]])
    (drawn,) = resampling.affinities(cosines, shares)
    picked = [cosines[0]] * 2 + [cosines[2]] * 3
    np.testing.assert_allclose(drawn, np.mean(picked, axis=0), atol=1e-15)

  def test_shares_count_the_times_an_image_is_drawn(self):
    shares = resampling.weights(20, 500)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares * 20, np.rint(shares * 20), atol=1e-12)
    # The share of images that a draw misses tends to 1 / e.
    self.assertAlmostEqual(np.mean(shares == 0), (1 - 1 / 20) ** 20, delta=0.01)

  def test_subsets_hold_each_image_once_at_most(self):
    shares = resampling.subsets(20, 5, 50)
    self.assertEqual(set(np.unique(shares)), {0, 0.2})
    np.testing.assert_array_equal(np.sum(shares > 0, axis=1), 5)

  def test_the_whole_as_a_subset_is_the_affinity_itself(self):
    cosines = _cosines()
    drawn = resampling.affinities(cosines, resampling.subsets(30, 30, 2))
    np.testing.assert_allclose(drawn, [cosines.mean(axis=0)] * 2, atol=1e-14)

  def test_errors_are_summed_over_the_images_drawn(self):
    rng = np.random.default_rng(0)
    squares = rng.uniform(1, 2, (6, 3, 3))
    errors = squares * rng.uniform(0, 1.5, squares.shape)
    found = resampling.ImageErrors(errors, squares)
    shares = resampling.weights(6, 4, seed=2)
    expected = [
      1 - np.tensordot(s, errors, 1) / np.tensordot(s, squares, 1)
      for s in shares
    ]
    np.testing.assert_allclose(found.drawn(4, 2), np.clip(expected, 0, 1))
    (part,) = found.part([2, 0]).drawn(4, 2)[:1]
    np.testing.assert_allclose(part[0, 1], np.clip(expected, 0, 1)[0, 2, 0])

  def test_a_mean_of_several_draws_the_images_of_each(self):
    means = resampling.ImageMeans(_cosines(9))
    both = resampling.MeanOfResampled([means, means])
    expected = (means.drawn(5, 3) + means.drawn(5, 4)) / 2
    np.testing.assert_allclose(both.drawn(5, 3), expected)
    self.assertEqual(both.size, 2 * means.size)
    np.testing.assert_array_equal(
      both.part([1, 4]).drawn(5), both.drawn(5)[:, [[1], [4]], [1, 4]]
    )

  def test_the_same_seed_gives_the_same_draws(self):
    a, b, c = (resampling.weights(9, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    self.assertFalse(np.array_equal(a, c))

  @parameterized.parameters((0, 5, 1), (6, 5, 1), (2, 5, 0))
  def test_impossible_subsets_are_refused(self, size, images, draws):
    with self.assertRaisesRegex(ValueError, 'cannot be drawn'):
      resampling.subsets(images, size, draws)

  @parameterized.parameters((0, 1), (1, 0))
  def test_no_draw_or_no_image_is_refused(self, images, draws):
    with self.assertRaisesRegex(ValueError, '1 or more'):
      resampling.weights(images, draws)

  def test_draws_of_other_images_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'do not fit 30 images'):
      resampling.affinities(_cosines(30), resampling.weights(29, 1))


class ScoreTest(parameterized.TestCase):
  def test_each_draw_is_scored_as_ranking_scores_an_affinity(self):
    oracle = _oracle()
    drawn = resampling.affinities(_cosines(), resampling.weights(30, 7))
    scores = resampling.score(drawn, _NAMES, oracle)
    for i, affinity in enumerate(drawn):
      ranked = ranking.rank_sources(affinity, _NAMES, oracle.targets)
      curve = ranking.precision_recall(ranked, oracle)
      np.testing.assert_allclose(scores.precision[i], curve.precision)
      np.testing.assert_allclose(scores.recall[i], curve.recall)
      self.assertAlmostEqual(
        scores.spearman[i], ranking.mean_spearman(ranked, oracle)
      )

  def test_blocks_do_not_change_the_scores(self):
    drawn = resampling.affinities(_cosines(), resampling.weights(30, 9))
    whole = resampling.score(drawn, _NAMES, _oracle())
    with absltest.mock.patch.object(resampling, '_BLOCK_BYTES', 1):
      parts = resampling.score(drawn, _NAMES, _oracle())
    np.testing.assert_array_equal(whole.precision, parts.precision)
    np.testing.assert_array_equal(whole.spearman, parts.spearman)

  def test_ties_stand_in_the_order_of_names_as_in_rankings(self):
    oracle = _oracle()
    flat = np.ones((1, len(_NAMES), len(_NAMES)))
    ranked = ranking.rank_sources(flat[0], _NAMES, oracle.targets)
    np.testing.assert_allclose(
      resampling.score(flat, _NAMES, oracle).precision[0],
      ranking.precision_recall(ranked, oracle).precision,
    )

  def test_other_models_than_the_oracles_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'are not the sources'):
      resampling.score(np.ones((1, 3, 3)), 'abc', _oracle())


class IntervalTest(parameterized.TestCase):
  def test_bootstrap_interval_of_a_mean_is_that_of_the_normal_law(self):
    values = np.random.default_rng(0).normal(size=400)
    means = resampling.weights(400, 4000) @ values
    low, high = resampling.interval(means)
    error = 1.96 * values.std() / 20
    self.assertAlmostEqual(low, values.mean() - error, delta=0.01)
    self.assertAlmostEqual(high, values.mean() + error, delta=0.01)

  def test_interval_is_taken_over_draws_only(self):
    values = np.arange(101.0)[:, None] * [1, 2]
    np.testing.assert_allclose(
      resampling.interval(values, 0.8), [[10, 20], [90, 180]]
    )

  @parameterized.parameters(0, 1, 95)
  def test_a_level_that_is_no_share_is_refused(self, level):
    with self.assertRaisesRegex(ValueError, 'level'):
      resampling.interval(np.zeros(3), level)


if __name__ == '__main__':
  absltest.main()
