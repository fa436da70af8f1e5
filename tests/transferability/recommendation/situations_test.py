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

  def test_what_a_network_predicts_tells_more_than_what_it_represents(self):
    found = situations.choose(False, True, True, prediction=True)
    self.assertEqual(found.name, 'prediction')
    nobody = situations.choose(False, False, True, prediction=True)
    self.assertEqual(nobody.name, 'history')


if __name__ == '__main__':
  absltest.main()
