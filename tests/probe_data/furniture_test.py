"""Tests of the furniture."""

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import furniture


class FurnitureTest(parameterized.TestCase):
  @parameterized.parameters(*furniture.CLASSES)
  def test_it_stands_on_the_floor_and_fits_a_room(self, label):
    for seed in range(20):
      parts = furniture.draw_parts(np.random.default_rng(seed), label)
      centers = np.array([center for _, center, _ in parts])
      halves = np.array([half for _, _, half in parts])
      self.assertTrue((halves > 0).all())
      bottom = (centers - halves)[:, 2].min()  # A bed's back may be sunk in.
      self.assertBetween(bottom, -0.25, 0.01)
      self.assertLess((centers + halves)[:, 2].max(), 2.3)
      reach = (np.abs(centers) + halves)[:, :2].max()
      self.assertLess(reach, 1.3)

  def test_no_two_classes_are_built_alike(self):
    built = {
      str(furniture.draw_parts(np.random.default_rng(0), label))
      for label in furniture.CLASSES
    }
    self.assertLen(built, len(furniture.CLASSES))


if __name__ == '__main__':
  absltest.main()
