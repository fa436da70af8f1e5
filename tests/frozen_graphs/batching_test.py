"""Tests of finding out whether the images of a batch influence each other."""

from absl.testing import absltest, parameterized
import numpy as np

from frozen_graphs import batching


def _run(function):
  return lambda inputs: [batching.GraphOutcome(function(inputs))]


_APART = (
  lambda x: np.tanh(x),
  lambda x: x.sum(axis=1),
  # As good as apart: another order of summation.
  lambda x: x * (1 + 1e-7 * len(x)),
)
_MIXED = (
  lambda x: x - x.mean(axis=0),
  lambda x: x.reshape(1, -1),
  lambda x: x[:1],
  lambda x: np.cumsum(x, axis=0),
  lambda x: np.cumsum(x[::-1], axis=0)[::-1],
  lambda x: x + 1e-2 * x[::-1],
)
_PAIR = np.random.default_rng(1).uniform(size=(2, 7))


class BatchingTest(parameterized.TestCase):
  @parameterized.parameters(*_APART)
  def test_images_that_stay_apart_are_found_so(self, function):
    self.assertTrue(batching.keeps_images_apart(_run(function), _PAIR))

  @parameterized.parameters(*_MIXED)
  def test_images_that_are_mixed_are_found_so(self, function):
    self.assertFalse(batching.keeps_images_apart(_run(function), _PAIR))

  @parameterized.parameters(
    (lambda x: x - x.mean(axis=0), True),
    (lambda x: x + 1e-2 * x[::-1], True),
    (lambda x: x * 2, False),
    (lambda x: x * (1 + 1e-7 * len(x)), False),
  )
  def test_first_image_shows_the_influence_of_others(self, function, expected):
    inputs = np.random.default_rng(2).uniform(size=(3, 5))
    self.assertEqual(batching.mixes_images(_run(function), inputs), expected)

  def test_one_image_cannot_be_mixed(self):
    self.assertFalse(
      batching.mixes_images(_run(lambda x: x - x.mean(axis=0)), _PAIR[:1])
    )

  def test_tolerance_is_of_the_largest_value(self):
    result = batching.GraphOutcome(np.array([1.0, 100.0]), 0.1)
    self.assertTrue(result.is_near(np.array([9.0, 100.0])))
    self.assertFalse(result.is_near(np.array([12.0, 100.0])))
    self.assertFalse(result.is_near(np.array([1.0])))

  def test_other_input_differs(self):
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    other = batching.other_than(image)
    self.assertEqual(other.dtype, image.dtype)
    self.assertEqual(other.shape, image.shape)
    self.assertGreater(np.abs(image - other).max(), 1)


if __name__ == '__main__':
  absltest.main()
