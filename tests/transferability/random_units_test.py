"""Tests of random hidden units."""

from absl.testing import absltest
import numpy as np

from transferability import random_units


class RandomUnitsTest(absltest.TestCase):
  def test_units_are_the_same_wherever_a_row_stands(self):
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    found = random_units.hidden(x, 7)
    self.assertEqual(found.shape, (2, 3, 7))
    for place in np.ndindex(2, 3):
      np.testing.assert_allclose(found[place], random_units.hidden(x[place], 7))

  def test_inputs_have_variance_1_and_offsets_a_quarter(self):
    x = np.random.default_rng(0).normal(size=(400, 30))
    units, offsets = random_units.hidden(x, 900), np.zeros((1, 30))
    self.assertGreaterEqual(units.min(), 0)
    # Half of a normal variable's mean square lies above 0.
    self.assertAlmostEqual(2 * np.square(units).mean(), 1.25, delta=0.1)
    drawn = random_units.hidden(offsets, 900)
    self.assertAlmostEqual(2 * np.square(drawn).mean(), 0.25, delta=0.03)


if __name__ == '__main__':
  absltest.main()
