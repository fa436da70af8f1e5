"""Tests of networks in 4 KB."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from transferability import descriptors
from transferability.descriptors import Descriptor, Sketcher


def _points(count, images=20, size=300, seed=0):
  """Returns rows [networks, images, size] of unit norm, and affinities."""
  rng = np.random.default_rng(seed)
  common = rng.normal(size=(images, size))
  share = np.linspace(0, 2, count)[:, None, None]
  rows = share * common + rng.normal(size=(count, images, size))
  rows /= np.linalg.norm(rows, axis=2, keepdims=True)
  return rows, np.einsum('ajd,bjd->ab', rows, rows) / images


class DescriptorTest(parameterized.TestCase):
  @parameterized.parameters(4096, 1024)
  def test_estimates_keep_to_the_bound(self, size):
    rows, expected = _points(12)
    sketcher = Sketcher(size)
    made = [sketcher.of(enumerate(each)) for each in rows]
    found = np.array([[a.affinity(b) for b in made] for a in made])
    pairs = np.triu_indices(len(rows), 1)
    error = np.abs(found - expected)[pairs]
    bound = descriptors.deviation(64 * sketcher.words)
    # The count sketch adds a little to the error of the signs.
    self.assertLess(np.sqrt(np.mean(error**2)), 1.2 * bound)
    self.assertLess(error.max(), 4 * bound)
    np.testing.assert_array_equal(np.diag(found), 1)

  def test_deviation_is_that_of_drawn_signs(self):
    rng = np.random.default_rng(0)
    for affinity in (0.0, 0.6):
      x, y = rng.normal(size=(2, 2000, 256))
      y = affinity * x + np.sqrt(1 - affinity**2) * y
      share = ((x > 0) != (y > 0)).mean(axis=1)
      self.assertAlmostEqual(
        np.cos(np.pi * share).std(),
        descriptors.deviation(256, affinity),
        delta=0.004,
      )

  def test_order_of_images_and_images_left_out_play_no_part(self):
    rows = list(enumerate(_points(1)[0][0]))
    sketcher = Sketcher()
    there = sketcher.of(rows)
    np.testing.assert_array_equal(there.code, sketcher.of(rows[::-1]).code)
    fewer = sketcher.of(rows[:3] + rows[4:])
    self.assertGreater(there.affinity(fewer), 0.9)

  def test_size_is_what_was_asked_for(self):
    made = Sketcher(512).of(enumerate(_points(1)[0][0]))
    self.assertEqual(made.code.nbytes + 8, 512)

  def test_same_seed_same_code_for_ever(self):
    made = Sketcher(64).of([(0, np.arange(1.0, 9))])
    self.assertEqual(
      [hex(word) for word in made.code.tolist()], _CODE_OF_ONE_TO_EIGHT
    )

  def test_another_seed_is_another_projection(self):
    rows, _ = _points(1)
    one, other = (Sketcher(seed=s).of(enumerate(rows[0])) for s in (0, 1))
    self.assertLess(abs(one.affinity(other)), 0.05)

  def test_bits_are_counted_by_old_versions_of_numpy_too(self):
    words = np.random.default_rng(0).integers(2**63, size=(3, 4), dtype='u8')
    expected = [sum(int(w).bit_count() for w in row) for row in words]
    for is_new in (True, False):
      with mock.patch.object(
        descriptors, 'hasattr', lambda *_, new=is_new: new, create=True
      ):
        found = descriptors._bits(words).sum(axis=1)
      np.testing.assert_array_equal(found, expected)

  def test_wrong_use_is_a_clear_error(self):
    for size in (0, 12, 4095, 2**20):
      with self.assertRaisesRegex(ValueError, 'multiple of 8'):
        Sketcher(size)
    for rows in ([], [(0, np.zeros(5))]):
      with self.assertRaisesRegex(ValueError, 'all zero'):
        Sketcher().of(rows)

  def test_norms_scale_estimates(self):
    code = np.zeros(4, np.uint64)
    one, other = Descriptor(2.0, code), Descriptor(0.5, ~code)
    self.assertEqual(one.affinity(one), 4)
    self.assertAlmostEqual(one.affinity(other), -1, places=6)


_CODE_OF_ONE_TO_EIGHT = [
  '0xa855545555554df0',
  '0xf115555555555aa',
  '0x55aa55f05555c80f',
  '0xf01355550755aa55',
  '0xaa55aaaaaaaa0f88',
  '0x2bf0aaaaa2aa51aa',
  '0x55aa0eaaaaaaf08c',
]


if __name__ == '__main__':
  absltest.main()
