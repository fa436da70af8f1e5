"""Tests of deviations as units."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability import deviations

# 0.1 + 0.1 + 0.1 is not 0.3: their mean is off by rounding.
_EQUAL = np.full(3, 0.1)


class DeviationsTest(parameterized.TestCase):
  def test_they_are_standard_deviations(self):
    values = np.random.default_rng(0).normal(size=(4, 5))
    for axis in (None, 0, 1):
      np.testing.assert_array_equal(
        deviations.of(values, axis), values.std(axis=axis, keepdims=True)
      )

  def test_equal_numbers_have_none_though_their_mean_is_off(self):
    self.assertGreater(_EQUAL.std(), 0)
    self.assertEqual(deviations.of(_EQUAL, None), 0)
    self.assertEqual(deviations.unit(_EQUAL, None), 1)
    self.assertEqual(deviations.of(np.zeros(3), None), 0)

  def test_nan_is_left_out(self):
    values = [[0.1, 0.1, 0.1, np.nan], [1.0, np.nan, 3.0, np.nan]]
    np.testing.assert_array_equal(deviations.of(values, 1), [[0], [1]])

  @parameterized.parameters(1e-100, 1e-6, 1e6)
  def test_small_differences_and_numbers_count(self, scale):
    values = np.array([1, 1 + 1e-9]) * scale
    found = deviations.unit(values, None)
    np.testing.assert_allclose(found, 0.5e-9 * scale, 1e-6)


if __name__ == '__main__':
  absltest.main()
