"""Tests of sketches of maps, against their bounds."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability import sketches, subspaces

_NUMBERS = 600
_KNOWN = [-3, 0, 19, 0, 0, 4, 2, 0]  # Of 1 to 12, image 3.


def _maps(images, affinity, seed=0):
  """Returns two networks' unit maps of given cosines, [images, numbers]."""
  rng = np.random.default_rng(seed)
  first, other = rng.normal(size=(2, images, _NUMBERS))
  first /= np.linalg.norm(first, axis=1, keepdims=True)
  other -= (first * other).sum(1, keepdims=True) * first
  other /= np.linalg.norm(other, axis=1, keepdims=True)
  return first, affinity * first + np.sqrt(1 - affinity**2) * other


def _probes(networks):
  """Returns rows of probes, float32 [networks, 6, 90], of unequal energy."""
  rng = np.random.default_rng(0)
  energy = rng.uniform(size=(networks, 1, 90))
  return (rng.normal(size=(networks, 6, 90)) * energy).astype(np.float32)


def _affinity(first, second, size, seed=0):
  a, b = (sketches.sketched(m, 0, size, seed) for m in (first, second))
  norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
  return np.mean((a * b).sum(1) / norms)


class SketchesTest(parameterized.TestCase):
  def test_sums_are_those_of_a_matrix_with_one_sign_in_each_column(self):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3, 40))
    units = sketches.sketched_rows(np.eye(40), 5, 8)
    np.testing.assert_array_equal(np.abs(units).sum(1), np.ones(40))
    np.testing.assert_array_equal(np.unique(units), [-1, 0, 1])
    np.testing.assert_allclose(
      sketches.sketched_rows(rows, 5, 8), rows @ units, atol=1e-12
    )

  def test_products_are_those_of_the_maps_on_average_within_the_bound(self):
    first, second = _maps(1, 0.4)
    found = []
    for seed in range(400):
      a, b = (sketches.sketched(m, 0, 32, seed)[0] for m in (first, second))
      found.append(a @ b)
    bound = (1 + 0.4**2) / 32  # Of the variance.
    self.assertLess(abs(np.mean(found) - 0.4), 4 * np.sqrt(bound / 400))
    self.assertLess(np.var(found), 1.3 * bound)
    self.assertGreater(np.var(found), 0.7 * bound)

  @parameterized.parameters(16, 64, 256)
  def test_kernels_are_told_without_bias_and_within_the_bound(self, size):
    rows = _probes(2)
    expected = subspaces.kernel(subspaces.products(rows))[0, 1]
    found, lengths = [], []
    for seed in range(300):
      a, b = (sketches.of_kernel(each, 0, size, seed)[:-1] for each in rows)
      found.append(a @ b)
      lengths.append(np.sqrt((a @ a) * (b @ b)))
    bound = sketches.kernel_bound(size, 1, np.mean(lengths))
    self.assertBetween(expected, 0.2, 0.8)
    self.assertLess(abs(np.mean(found) - expected), 4 * bound / np.sqrt(300))
    self.assertBetween(np.std(found), bound / 5, bound)

  def test_errors_of_kernels_average_out_over_images(self):
    rows = _probes(2)
    expected = subspaces.kernel(subspaces.products(rows))[0, 1]
    errors = []
    for seed in range(30):
      points = [
        [sketches.of_kernel(r, image, 64, seed)[:-1] for image in range(16)]
        for r in rows
      ]
      errors.append(np.einsum('am,am->', *points) / 16 - expected)
    one = [sketches.of_kernel(r, 0, 4096) for r in rows]
    length = np.prod([np.linalg.norm(p[:-1]) for p in one])
    bound = sketches.kernel_bound(64, 16, length)
    self.assertBetween(np.std(errors), bound / 5, bound)

  def test_a_sketch_of_a_kernel_is_that_of_its_outer_products(self):
    rows = _probes(1)[0]
    parts = [
      sketches.of_kernel(np.stack([r, r]), 3, 32)[:-1] * np.sum(r**2)
      for r in rows.astype(np.float64)
    ]
    found = sketches.of_kernel(rows, 3, 32)[:-1]
    total = np.sum(parts, axis=0)
    np.testing.assert_allclose(
      found / np.linalg.norm(found), total / np.linalg.norm(total), atol=1e-6
    )

  def test_kernels_do_not_depend_on_how_long_rows_are_stored(self):
    rows = np.stack([sketches.of_kernel(r, 0, 4096) for r in _probes(3)])
    expected = rows[:, :-1] @ rows[:, :-1].T
    found = sketches.kernels(rows * [[0.1], [1], [3]])
    np.testing.assert_array_equal(found.diagonal(), 1)
    pairs = np.triu_indices(3, 1)
    np.testing.assert_allclose(found[pairs], expected[pairs], atol=1e-12)

  def test_probes_without_a_product_have_no_sketch(self):
    np.testing.assert_array_equal(
      sketches.of_kernel(np.zeros((4, 9)), 0, 8), np.zeros(9)
    )

  @parameterized.product(size=(16, 64), affinity=(0.0, 0.5, 0.9))
  def test_errors_of_images_are_independent_and_within_the_bound(
    self, size, affinity
  ):
    errors = [
      _affinity(*_maps(50, affinity), size, seed) - affinity
      for seed in range(60)
    ]
    expected = sketches.deviation(size, 50, affinity)
    self.assertBetween(np.std(errors) / expected, 0.7, 1.35)
    self.assertLess(abs(np.mean(errors)), 0.2 / size + 4 * expected / 60**0.5)

  def test_equal_maps_of_two_images_have_different_sketches(self):
    maps = np.ones((2, 50))
    a, b = sketches.sketched(maps, 0, 16)
    self.assertFalse(np.array_equal(a, b))

  def test_an_image_has_one_sketch_in_whatever_batch_it_comes(self):
    maps = np.random.default_rng(0).normal(size=(5, 4, 3, 2))
    np.testing.assert_array_equal(
      sketches.sketched(maps, 7, 16)[2:], sketches.sketched(maps[2:], 9, 16)
    )
    self.assertEqual(sketches.sketched(maps[:0], 0, 16).shape, (0, 16))

  def test_sketches_are_those_of_earlier_versions(self):
    found = sketches.sketched(np.arange(1, 13)[None], 3, 8)[0]
    np.testing.assert_array_equal(found, _KNOWN)

  def test_points_are_read(self):
    self.assertIsNone(sketches.size_of('full'))
    self.assertEqual(sketches.size_of('sketch:256'), 256)

  @parameterized.parameters(
    'sketch', 'sketch:', 'sketch:7', 'sketch:-8', 'sketch:9999999', 'Full', ''
  )
  def test_other_points_are_errors_that_say_what_there_is(self, point):
    with self.assertRaisesRegex(ValueError, 'choose full, or sketch:m'):
      sketches.size_of(point)


if __name__ == '__main__':
  absltest.main()
