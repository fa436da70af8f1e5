"""Tests of which situation is the best that is there."""

from absl.testing import absltest, parameterized

from transferability.recommendation import situations


class SituationsTest(parameterized.TestCase):
  @parameterized.parameters(
    (True, True, True, 'labels'),
    (False, True, True, 'target'),
    (False, False, True, 'history'),
    (False, False, False, 'nothing'),
  )
  def test_the_best_that_is_there_is_chosen(
    self, labels, target, history, expected
  ):
    found = situations.choose(labels, target, history)
    self.assertEqual(found.name, expected)

  def test_labels_are_of_images_or_of_pixels(self):
    self.assertEqual(situations.of_labels(are_dense=True).name, 'pixel_labels')
    self.assertEqual(situations.of_labels(are_dense=False).name, 'labels')


if __name__ == '__main__':
  absltest.main()
