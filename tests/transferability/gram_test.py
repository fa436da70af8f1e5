"""Tests that cosines of stored points are exact sums."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import gram, model_space


def _space(folder, dtype='float32', models=5, images=7, shape=(9, 11)):
  space = model_space.ModelSpace.create(
    folder,
    settings={},
    image_ids=[str(i) for i in range(images)],
    image_digests=['0'] * images,
    map_shape=shape,
    dtype=dtype,
  )
  rng = np.random.default_rng(0)
  for i in range(models):
    writer = space.writer(f'm{i}', {})
    writer.write(0, rng.normal(size=(images, *shape)) + 0.5)
    writer.finish()
  return space


class CosinesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  @parameterized.parameters('float32', 'float16')
  def test_they_are_the_integer_sums_written_out(self, dtype):
    space = _space(self.folder / dtype, dtype)
    cosines = space.image_cosines()
    rows = [
      np.rint(space.rows(name).astype(np.float64) * 2**26).astype(int).tolist()
      for name in space.models
    ]

    def product(i, j, image):  # Python's integers: no rounding anywhere.
      pairs = zip(rows[i][image], rows[j][image], strict=True)
      return sum(a * b for a, b in pairs)

    for image, i, j in np.ndindex(7, 5, 5):
      norms = float(product(i, i, image)) * float(product(j, j, image))
      self.assertEqual(
        cosines[image, i, j], product(i, j, image) / np.sqrt(norms)
      )

  def test_rounding_moves_cosines_by_about_four_in_a_billion(self):
    space = _space(self.folder, images=50, shape=(64, 64, 3))
    rows = np.stack([space.rows(name) for name in space.models])
    rows = rows.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    error = space.image_cosines() - np.einsum('and,bnd->nab', rows, rows)
    self.assertLess(np.sqrt(np.mean(error**2)), 6e-9)
    self.assertLess(np.abs(error).max(), 3e-8)

  @parameterized.parameters(1, 2_000, 10_000, 1 << 30)
  def test_blocks_fit_the_memory_and_do_not_change_a_bit(self, memory_bytes):
    space = _space(self.folder)
    np.testing.assert_array_equal(
      space.affinity(memory_bytes=memory_bytes), space.affinity()
    )

  def test_block_sizes(self):
    self.assertEqual(gram.block_size(100, 10, 1600), 10)
    self.assertEqual(gram.block_size(5, 10, 1600), 5)
    self.assertEqual(gram.block_size(5, 10, 1), 1)


if __name__ == '__main__':
  absltest.main()
