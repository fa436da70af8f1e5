"""Tests of map transforms against plain loops and geometry."""

from absl.testing import absltest, parameterized
import numpy as np

from tests import space_testing
from transferability import map_transforms
from transferability.map_transforms import quantise


def _maps(n=3, side=96, channels=3, seed=0):
  return np.random.default_rng(seed).normal(size=(n, side, side, channels))


class StepsTest(parameterized.TestCase):
  @parameterized.parameters(*map_transforms.steps())
  def test_a_positive_factor_of_a_map_does_not_change_its_direction(self, name):
    maps = _maps()
    a = map_transforms.apply(name, maps).reshape(3, -1)
    b = map_transforms.apply(name, 7 * maps).reshape(3, -1)
    cosine = np.sum(a * b, axis=1) / np.sqrt(
      np.sum(a * a, axis=1) * np.sum(b * b, axis=1)
    )
    np.testing.assert_allclose(cosine, 1, atol=1e-12)

  @parameterized.parameters(*map_transforms.steps())
  def test_a_map_does_not_depend_on_its_neighbours(self, name):
    maps = _maps()
    np.testing.assert_allclose(
      map_transforms.apply(name, maps)[1:2],
      map_transforms.apply(name, maps[1:2]),
      atol=1e-12,
    )

  @parameterized.parameters(*map_transforms.steps())
  def test_maps_without_channels_are_those_of_one_channel(self, name):
    maps = _maps(channels=1)
    np.testing.assert_allclose(
      map_transforms.apply(name, maps[..., 0]),
      map_transforms.apply(name, maps)[..., 0],
    )

  def test_none_keeps_the_maps_and_their_type(self):
    maps = _maps().astype(np.float32)
    np.testing.assert_array_equal(map_transforms.apply('none', maps), maps)
    self.assertEqual(map_transforms.apply('none', maps).dtype, np.float32)

  def test_steps_are_taken_from_left_to_right(self):
    maps = _maps(side=64)
    pooled = maps.reshape(3, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(
      map_transforms.apply('pooled+absolute', maps), np.abs(pooled)
    )
    self.assertGreater(
      np.abs(map_transforms.apply('absolute+pooled', maps)).sum(),
      np.abs(pooled).sum(),
    )

  @parameterized.parameters(33, 50, 64, 100, 224)
  def test_pooled_cells_are_means_over_equal_areas(self, side):
    row = np.random.default_rng(0).normal(size=side)
    # Each pixel repeated 32 times, so that cells are whole numbers of samples.
    expected = np.repeat(row, 32).reshape(32, side).mean(axis=1)
    maps = np.broadcast_to(row[None, :, None], (1, side, side))
    pooled = map_transforms.apply('pooled', maps)
    self.assertEqual(pooled.shape, (1, 32, 32))
    np.testing.assert_allclose(pooled[0, :, 5], expected, atol=1e-12)
    turned = map_transforms.apply('pooled', maps.transpose(0, 2, 1))
    np.testing.assert_allclose(turned[0, 5], expected, atol=1e-12)

  def test_pooling_keeps_small_maps(self):
    maps = _maps(side=20)
    np.testing.assert_array_equal(map_transforms.apply('pooled', maps), maps)

  def test_pooling_takes_each_side_by_itself(self):
    maps = np.random.default_rng(0).normal(size=(2, 64, 16, 3))
    pooled = map_transforms.apply('pooled', maps)
    np.testing.assert_allclose(
      pooled, maps.reshape(2, 32, 2, 16, 3).mean(axis=2)
    )

  def test_cosines_of_centred_maps_are_correlations(self):
    maps = _maps(side=8)
    centred = map_transforms.apply('centred', maps)
    np.testing.assert_allclose(
      space_testing.mean_cosines(centred[:, None])[0, 1],
      np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1],
    )

  def test_root_keeps_signs(self):
    maps = np.array([[[[4.0, -9.0, 0.0]]]])
    np.testing.assert_array_equal(
      map_transforms.apply('root', maps), [[[[2, -3, 0]]]]
    )

  @parameterized.parameters('', 'absolute+', 'none+absolute', 'Absolute', 'x')
  def test_what_is_no_transform_is_refused_with_the_steps(self, text):
    with self.assertRaisesRegex(ValueError, 'absolute, root, grey'):
      map_transforms.apply(text, _maps())

  def test_maps_of_another_rank_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'shape'):
      map_transforms.apply('absolute', np.zeros((3, 4)))


class CommonMapTest(absltest.TestCase):
  def test_affinity_is_that_of_unit_maps_less_their_mean(self):
    maps = _maps(n=5 * 4, side=6).reshape(5, 4, -1)
    unit = maps / np.linalg.norm(maps, axis=2, keepdims=True)
    cosines = np.einsum('ijk,ljk->jil', unit, unit)
    np.testing.assert_allclose(
      map_transforms.affinity_without_common_map(cosines),
      space_testing.mean_cosines(unit - unit.mean(axis=0)),
      atol=1e-12,
    )

  def test_what_all_maps_share_is_gone(self):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(6, 1, 50)) + 20 * rng.normal(size=50)
    unit = maps / np.linalg.norm(maps, axis=2, keepdims=True)
    cosines = np.einsum('ijk,ljk->jil', unit, unit)
    self.assertGreater(cosines.min(), 0.9)
    found = map_transforms.affinity_without_common_map(cosines)
    self.assertLess(np.mean(found - np.eye(6)), 0)

  def test_a_model_that_is_the_mean_of_all_is_refused(self):
    cosines = np.ones((1, 3, 3))
    with self.assertRaisesRegex(ValueError, 'Image 0'):
      map_transforms.affinity_without_common_map(cosines)

  def test_one_model_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'two or more'):
      map_transforms.affinity_without_common_map(np.ones((2, 1, 1)))


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
