"""Tests of decompositions of tall and of wide matrices."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability.measures import linear_algebra


class GramSvdTest(parameterized.TestCase):
  @parameterized.product(shape=((9, 4), (4, 9), (5, 5)), scale=(1.0, 1e-9, 1e9))
  def test_it_is_numpys_whatever_the_scale(self, shape, scale):
    values = scale * np.random.default_rng(0).normal(size=shape)
    squares, vectors = linear_algebra.gram_svd(values)
    _, expected, rows = np.linalg.svd(values, full_matrices=False)
    np.testing.assert_allclose(squares, expected**2, 1e-9)
    np.testing.assert_allclose(np.abs(vectors), np.abs(rows.T), 1e-6, 1e-9)

  @parameterized.parameters(1.0, 1e-9, 1e9)
  def test_zeros_are_left_out_whatever_the_scale(self, scale):
    rng = np.random.default_rng(0)
    values = scale * rng.normal(size=(9, 2)) @ rng.normal(size=(2, 5))
    squares, vectors = linear_algebra.gram_svd(values)
    self.assertEqual((squares.shape, vectors.shape), ((2,), (5, 2)))
    squares, _ = linear_algebra.gram_svd(values, tolerance=0.999)
    self.assertLen(squares, 1)

  def test_zeros_have_no_directions(self):
    squares, vectors = linear_algebra.gram_svd(np.zeros((4, 3)))
    self.assertEqual((squares.shape, vectors.shape), ((0,), (3, 0)))


class GramEigenvaluesTest(parameterized.TestCase):
  @parameterized.parameters(1.0, 1e-9, 1e9)
  def test_what_is_rounding_is_zero_whatever_the_scale(self, scale):
    rng = np.random.default_rng(0)
    values = scale * rng.normal(size=(9, 2)) @ rng.normal(size=(2, 5))
    found = linear_algebra.gram_eigenvalues(values)
    np.testing.assert_array_equal(found[:3], 0)
    expected = np.linalg.svd(values)[1][:2] ** 2
    np.testing.assert_allclose(found[:2:-1], expected)


class PrincipalComponentsTest(parameterized.TestCase):
  @parameterized.parameters((9, 4), (4, 9))
  def test_they_are_those_of_the_covariance(self, *shape):
    values = np.random.default_rng(0).normal(size=shape)
    centred = values - values.mean(axis=0)
    scores, variances = linear_algebra.principal_components(centred, 2)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(variances, singular[:2] ** 2 / (shape[0] - 1))
    expected = left[:, :2] * singular[:2]
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), 1e-6, 1e-9)


if __name__ == '__main__':
  absltest.main()
