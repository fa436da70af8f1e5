"""Tests of pictures of shapes with masks."""

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import shapes


class ShapesTest(parameterized.TestCase):
  def test_masks_show_what_is_labelled_and_the_seed_decides(self):
    found = shapes.draw(40, 3)
    again, other = shapes.draw(40, 3), shapes.draw(40, 4)
    np.testing.assert_array_equal(found.images, again.images)
    self.assertTrue((found.images != other.images).any())
    for labels, mask in zip(found.labels, found.masks, strict=True):
      self.assertBetween(labels.sum(), 1, 2)
      shown = {int(value) - 1 for value in np.unique(mask) if value}
      self.assertContainsSubset(shown, set(np.flatnonzero(labels)))

  def test_samples_are_the_classes_of_masks(self):
    found = shapes.draw(30, 0)
    images, classes = found.samples()
    for image, k in zip(images, classes, strict=True):
      self.assertEqual(found.labels[image, k], 1)
      self.assertTrue((found.masks[image] == k + 1).any())
    self.assertEqual(len(images), len(set(zip(images, classes, strict=True))))
    self.assertGreaterEqual(len(images), 30)
    few = found.chosen(slice(3))
    self.assertLen(few, 3)
    np.testing.assert_array_equal(few.samples()[1], classes[images < 3])

  @parameterized.parameters(*shapes.CLASSES)
  def test_outlines_differ_and_fit_their_square(self, name):
    own = shapes.outline(name, 11)
    np.testing.assert_array_equal(own, own[:, ::-1])
    self.assertBetween(own.mean(), 0.2, 0.85)
    for other in set(shapes.CLASSES) - {name}:
      self.assertGreater((own != shapes.outline(other, 11)).mean(), 0.03)


if __name__ == '__main__':
  absltest.main()
