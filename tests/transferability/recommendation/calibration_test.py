"""Tests that stated chances come true where the truth is known."""

import pathlib

from absl.testing import absltest
import numpy as np

from transferability.recommendation import calibration, situations
from transferability.recommendation.calibration import MeasuredTarget
from transferability.recommendation.chances import Noise


def _cases(noise, number=40, seed=0):
  """Returns cases whose truth is the score with noise of a known size."""
  rng = np.random.default_rng(seed)
  found = []
  for i in range(number):
    scores = rng.normal(size=12)
    truth = scores / scores.std() + noise * rng.standard_t(4, 12)
    found.append(
      MeasuredTarget(f'target {i}', scores, None, None, np.exp(-truth))
    )
  return found


class CalibrationTest(absltest.TestCase):
  def test_noise_is_found_again(self):
    for size in (0.2, 0.5):
      found = calibration.fit(_cases(size)).scale
      self.assertBetween(found / size, 0.6, 1.7)

  def test_scores_that_are_always_right_have_the_least_noise(self):
    order = np.array([3.0, 2.0, 1.0])
    right = [MeasuredTarget('t', order, None, None, np.exp(-order))] * 3
    wrong = [MeasuredTarget('t', order, None, None, np.exp(order))] * 3
    self.assertLess(calibration.fit(right).scale, 0.03)
    self.assertGreater(calibration.fit(wrong).scale, 2)

  def test_statements_of_90_percent_are_true_in_about_90(self):
    found = calibration.measure('m', _cases(0.4), 'made')
    rows = {row[:2]: row for row in found.reliability}
    _, _, stated, true, number = rows[0.85, 0.95]
    self.assertGreater(number, 50)
    self.assertBetween(stated, 0.85, 0.95)
    self.assertBetween(true, 0.8, 0.97)
    self.assertEqual(found.num_cases, 40)

  def test_each_chance_is_counted_in_its_bin(self):
    stated = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.85, 0.95, 1.0])
    true = np.array([0, 1, 0, 1, 0, 1, 1, 0, 1, 0], float)
    rows = calibration.reliability(
      [(stated[:4], true[:4]), (stated[4:], true[4:])]
    )
    expected = (
      (0.0, 0.1, 0.0, 0.0, 1),
      (0.1, 0.3, 0.15, 0.5, 2),
      (0.3, 0.5, 0.3, 1.0, 1),
      (0.5, 0.7, 0.55, 0.5, 2),
      (0.7, 0.85, 0.7, 1.0, 1),
      (0.85, 0.95, 0.85, 0.0, 1),
      (0.95, 1.0, 0.975, 0.5, 2),
    )
    np.testing.assert_allclose(rows, expected, rtol=1e-12)

  def test_excess_is_the_share_above_the_least_loss(self):
    case = MeasuredTarget(
      't', np.array([2.0, 1.0]), None, None, np.array([1.2, 1.0])
    )
    self.assertAlmostEqual(case.excess, 0.2)
    self.assertEqual(case.ranks.tolist(), [1, 0])

  def test_excess_is_of_the_best_score_above_the_floor(self):
    scores, losses = np.array([3.0, np.nan, 2, 1]), np.array([4, 0.5, 2.5, 2])
    for is_below, expected in (
      ([False, False, False, False], 7.0),
      ([True, False, False, False], 4.0),
      ([True, False, True, False], 3.0),
    ):
      below = np.array(is_below)
      case = MeasuredTarget('t', scores, None, None, losses, below)
      self.assertAlmostEqual(case.excess, expected)
    case = MeasuredTarget('t', scores, None, None, losses, np.ones(4, bool))
    self.assertTrue(np.isnan(case.excess))

  def test_what_is_written_is_read(self):
    path = pathlib.Path(self.create_tempdir().full_path) / 'c.json'
    found = {'labels': calibration.measure('m', _cases(0.4, 5), 'made')}
    calibration.save(path, found)
    self.assertEqual(calibration.read(path), found)
    for other in ('[]', '{"labels": 1}', '{"labels": {}}'):
      path.write_text(other)
      with self.assertRaisesRegex(ValueError, 'c.json holds no calibrations'):
        calibration.read(path)

  def test_too_few_targets_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'b has 2 targets; .* 3 or more'):
      calibration.measure('m', _cases(0.4, 2), 'b')

  def test_candidates_of_several_architectures_have_their_own(self):
    found = calibration.stored()
    for name in ('labels', 'target'):
      mixed = calibration.of(name, are_mixed=True)
      self.assertIs(mixed, found[calibration.key_of(name, True)])
      self.assertIs(calibration.of(name), found[name])
      self.assertNotEqual(mixed.bank, found[name].bank)
      self.assertGreater(mixed.noise.scale, found[name].noise.scale)

  def test_stored_calibrations_are_of_the_measures_that_are_used(self):
    found = calibration.stored()
    for situation in situations.SITUATIONS.values():
      if situation.measures:
        with self.subTest(situation=situation.name):
          known = found[situation.name]
          self.assertEqual(known.measure, situation.measures[0])
          self.assertIsInstance(known.noise, Noise)
          self.assertNotEmpty(known.reliability)


if __name__ == '__main__':
  absltest.main()
