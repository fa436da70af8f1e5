"""Tests of probabilities about measured transfer."""

from absl.testing import absltest
import numpy as np

from transferability.recommendation import chances
from transferability.recommendation.chances import Noise


class SimulateTest(absltest.TestCase):
  def test_chances_sum_to_what_there_is_to_win(self):
    found = chances.simulate(np.arange(6.0), None, 2.0, Noise(1.0), 3)
    self.assertAlmostEqual(found.best.sum(), 1)
    self.assertAlmostEqual(found.among.sum(), 3)
    self.assertTrue((np.diff(found.best) >= -0.02).all())

  def test_equal_scores_have_equal_chances(self):
    found = chances.simulate(np.ones(4), None, 1.0, Noise(0.5), 2)
    np.testing.assert_allclose(found.best, 0.25, atol=0.03)
    np.testing.assert_allclose(found.among, 0.5, atol=0.03)

  def test_without_noise_the_draws_alone_decide(self):
    draws = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    centred = draws - draws.mean(axis=0)
    scores = np.array([1.5, 1.5])
    share = np.mean((scores + centred)[:, 0] > (scores + centred)[:, 1])
    found = chances.simulate(scores, draws, 1.0, Noise(1e-9), 1)
    self.assertAlmostEqual(found.best[0], share, delta=0.03)

  def test_those_without_a_score_take_no_part(self):
    found = chances.simulate([np.nan, 1.0], None, 1.0, Noise(1.0), 1)
    self.assertEqual(found.best.tolist(), [0, 1])
    none = chances.simulate([np.nan], None, 1.0, Noise(1.0), 1)
    self.assertEqual(none.best.tolist(), [0])

  def test_same_seed_gives_the_same(self):
    arguments = np.arange(3.0), None, 1.0, Noise(1.0), 1
    first, again = (chances.simulate(*arguments, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.best, again.best)


class DrawsTest(absltest.TestCase):
  def test_mean_of_halves_varies_as_that_of_the_bootstrap(self):
    values = np.random.default_rng(0).normal(size=200)
    drawn = chances.halves(200, 4000)
    self.assertEqual(drawn.shape, (4000, 100))
    self.assertLen(set(drawn[0].tolist()), 100)
    expected = values.std() / np.sqrt(200)
    self.assertAlmostEqual(
      values[drawn].mean(axis=1).std() / expected, 1, delta=0.06
    )

  def test_each_class_keeps_its_share(self):
    classes = np.repeat([0, 1, 2], [30, 8, 2])
    for rows in chances.halves(40, 50, 0, classes):
      counts = np.bincount(classes[rows], minlength=3)
      self.assertEqual(counts.tolist(), [15, 4, 1])

  def test_chances_are_equal_though_the_mean_of_scores_is_off(self):
    scores = [0.1, 0.1, 0.1]  # Their mean is not 0.1.
    unit = chances.spread(scores)
    self.assertEqual(chances.spread(scores, [np.mean(scores)] * 3), 1.0)
    found = chances.simulate(scores, None, unit, chances.Noise(0.3), 1)
    np.testing.assert_allclose(found.best, 1 / 3, atol=0.05)

  def test_unit_is_the_height_above_the_floor(self):
    self.assertAlmostEqual(chances.spread([3.0, 4.0], [0.0, 0.0]), 12.5**0.5)
    self.assertAlmostEqual(chances.spread([1.0, 3.0, np.nan]), 1.0)
    self.assertEqual(chances.spread([2.0, 2.0]), 1.0)
    self.assertEqual(chances.spread([np.nan]), 1.0)
    self.assertAlmostEqual(
      chances.spread([3.0, 5.0, np.nan], [1.0, np.nan, 2.0]),
      np.sqrt((2**2 + 1**2) / 2),  # The second one above the mean, 4.
    )

  def test_it_is_said_who_beats_the_first(self):
    scores = [0.0, 1.0, np.nan, 3.0]
    plain = chances.simulate(scores, None, 1.0, Noise(1.0), 1)
    self.assertEqual(plain.beats_first[3], 0)
    self.assertLess(plain.beats_first[0], plain.beats_first[1])
    named = chances.simulate(scores, None, 1.0, Noise(1.0), 1, first=1)
    self.assertEqual(named.beats_first[1], 0)
    # The difference of two draws of t(4) about -1 and 2.
    rng = np.random.default_rng(1)
    apart = rng.standard_t(4, 100_000) - rng.standard_t(4, 100_000)
    for place, distance in ((0, -1), (3, 2)):
      self.assertAlmostEqual(
        named.beats_first[place], np.mean(distance + apart > 0), delta=0.03
      )


if __name__ == '__main__':
  absltest.main()
