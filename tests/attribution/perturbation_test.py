"""Tests of images without the parts that maps find relevant."""

from absl.testing import absltest, parameterized
import numpy as np

from attribution import perturbation
from tests import testing


class PerturbationTest(parameterized.TestCase):
  def test_orders_begin_at_either_end_and_ties_are_shuffled(self):
    heat = np.array([[0.0, 0.0], [5.0, 1.0]])
    firsts = set()
    for seed in range(20):
      rng = np.random.default_rng(seed)
      orders = perturbation.orders(heat, rng)
      self.assertEqual(orders['most'][:2].tolist(), [2, 3])
      self.assertCountEqual(orders['random'], range(4))
      firsts.add(int(orders['least'][0]))
    self.assertEqual(firsts, {0, 1})

  def test_so_many_pixels_are_filled_in_the_order(self):
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    changed = perturbation.perturbed(
      image, np.array([3, 0, 1, 2]), 0.5, np.full(3, 9)
    )
    np.testing.assert_array_equal(changed[1, 1], [9, 9, 9])
    np.testing.assert_array_equal(changed[0, 0], [9, 9, 9])
    np.testing.assert_array_equal(changed[0, 1], image[0, 1])
    self.assertEqual(image[0, 0, 0], 0)

  def test_cells_go_together_and_the_last_may_be_smaller(self):
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    fill = 200 + image // 2
    changed = perturbation.perturbed(
      image, np.array([8, 1, 0, 2, 3, 4, 5, 6, 7]), 2 / 9, fill, side=2
    )
    gone = np.zeros((5, 5), bool)
    gone[4, 4] = gone[:2, 2:4] = True
    np.testing.assert_array_equal(changed[gone], fill[gone])
    np.testing.assert_array_equal(changed[~gone], image[~gone])

  def test_a_colour_is_rounded_and_a_share_is_one(self):
    image, order = np.full((2, 2, 3), 9, np.uint8), np.arange(4)
    fill = np.array([1.7, 300, -3])
    changed = perturbation.perturbed(image, order, 1, fill)
    np.testing.assert_array_equal(changed[0, 0], [2, 255, 0])
    for share in (-0.5, 1.5, np.nan):
      with self.assertRaisesRegex(ValueError, 'share is'):
        perturbation.perturbed(image, order, share, fill)

  def test_means_of_cells_are_those_written_out(self):
    heat = np.random.default_rng(0).uniform(size=(2, 5, 7))
    found = perturbation.cell_means(heat, 3)
    self.assertEqual(found.shape, (2, 2, 3))
    for i in range(2):
      for j in range(3):
        cell = heat[:, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
        np.testing.assert_allclose(found[:, i, j], cell.mean(axis=(1, 2)))

  def test_magnitude_is_of_the_sum_over_channels(self):
    maps = np.array([[[[1.0, -3.0, 1.0], [0.5, 0.5, 1.0]]]])
    np.testing.assert_allclose(perturbation.magnitude(maps), [[[1, 2]]])

  @parameterized.parameters(*perturbation.baselines())
  def test_a_baseline_is_an_image_of_the_same_mean_and_less_detail(self, name):
    images = testing.images(3, size=32)
    for shown in (images, images[..., :1]):
      found = perturbation.baseline(name)(shown)
      self.assertEqual((found.dtype, found.shape), (shown.dtype, shown.shape))
      means = [x.mean(axis=(1, 2)) for x in (found, shown)]
      np.testing.assert_allclose(*means, atol=8)
      for own, before in zip(found, shown, strict=True):
        self.assertLess(own.std(), 0.7 * before.std())


if __name__ == '__main__':
  absltest.main()
