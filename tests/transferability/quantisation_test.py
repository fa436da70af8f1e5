"""Tests of maps of few bits."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability.quantisation import quantise


class QuantiseTest(parameterized.TestCase):
  def test_signed_maps_of_one_bit_are_their_signs(self):
    rows = np.array([[0.1, -4.0, 3.9, -0.01]])
    np.testing.assert_array_equal(quantise(rows, 1), [[4, -4, 4, -4]])

  def test_unsigned_maps_of_one_bit_mark_the_larger_half_of_the_range(self):
    rows = np.array([[0.1, 4.0, 2.1, 1.9]])
    np.testing.assert_array_equal(quantise(rows, 1), [[0, 4, 4, 0]])

  @parameterized.product(bits=(1, 2, 3, 8), signed=(True, False))
  def test_levels_are_evenly_spaced_and_the_nearest_is_taken(
    self, bits, signed
  ):
    rows = np.random.default_rng(0).normal(size=(3, 500)).astype(np.float32)
    rows = rows if signed else np.abs(rows)
    found = quantise(rows, bits)
    for row, values in zip(rows, found, strict=True):
      top = np.abs(row).max()
      levels = np.linspace(-top if signed else 0, top, 2**bits)
      distance = np.abs(levels - row[:, None])
      np.testing.assert_allclose(
        np.abs(values - row), distance.min(axis=1), atol=1e-6
      )
      near = np.abs(levels - values[:, None]).min(axis=1)
      np.testing.assert_allclose(near, 0, atol=1e-6)

  def test_many_bits_change_nearly_nothing(self):
    rows = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    np.testing.assert_allclose(quantise(rows, 20), rows, atol=1e-5)

  def test_each_map_has_its_own_levels(self):
    rows = np.array([[1.0, -1.0], [100.0, -100.0]])
    np.testing.assert_array_equal(quantise(rows, 1), rows)

  def test_an_all_zero_map_stays_zero(self):
    np.testing.assert_array_equal(quantise(np.zeros((1, 4)), 3), 0)

  @parameterized.parameters(0, 24, -1)
  def test_impossible_numbers_of_bits_are_refused(self, bits):
    with self.assertRaisesRegex(ValueError, 'bits'):
      quantise(np.ones((1, 2)), bits)


if __name__ == '__main__':
  absltest.main()
