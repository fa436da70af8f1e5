"""Tests of the in-memory affinity, Eq. 1's distance and matrix files."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import affinity


def _maps(seed=0, models=4, images=6, shape=(5, 3, 2)):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(models, images, *shape)) + 0.3


class CosineAffinityTest(parameterized.TestCase):
  def test_it_is_equation_1_written_out(self):
    maps = _maps()
    for i in range(4):
      for j in range(4):
        cosines = [
          np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
          for a, b in zip(maps[i], maps[j], strict=True)
        ]
        np.testing.assert_allclose(
          affinity.cosine_affinity(maps)[i, j], np.mean(cosines), rtol=1e-13
        )

  def test_it_is_symmetric_with_unit_diagonal_and_bounded(self):
    maps = np.repeat(_maps(models=2), 2, axis=0)
    maps[3] *= -1
    result = affinity.cosine_affinity(maps)
    np.testing.assert_array_equal(result, result.T)
    np.testing.assert_array_equal(np.diag(result), 1)
    self.assertLessEqual(np.abs(result).max(), 1)
    self.assertAlmostEqual(result[2, 3], -1, places=14)

  def test_positive_scales_of_single_maps_do_not_matter(self):
    maps = _maps()
    scales = np.exp(np.random.default_rng(1).normal(size=(4, 6, 1, 1, 1)) * 9)
    np.testing.assert_allclose(
      affinity.cosine_affinity(maps * scales),
      affinity.cosine_affinity(maps),
      atol=1e-14,
    )

  @parameterized.parameters(1e-200, 1e200)
  def test_squares_neither_vanish_nor_overflow(self, scale):
    maps = _maps()
    np.testing.assert_allclose(
      affinity.cosine_affinity(maps * scale),
      affinity.cosine_affinity(maps),
      atol=1e-14,
    )

  @parameterized.parameters(
    (0.0, 'all zero'), (np.nan, 'not finite'), (np.inf, 'not finite')
  )
  def test_a_map_without_direction_is_refused_by_name(self, value, reason):
    maps = _maps()
    maps[2, 3] = value
    with self.assertRaisesRegex(ValueError, f"'c', image 3.*{reason}"):
      affinity.cosine_affinity(maps, 'abcd')

  @parameterized.parameters((3, 4), (0, 2, 3), (2, 0, 3))
  def test_other_shapes_are_refused(self, *shape):
    with self.assertRaisesRegex(ValueError, 'shape'):
      affinity.cosine_affinity(np.ones(shape))

  def test_a_unit_row_does_not_depend_on_the_other_rows(self):
    rows = np.random.default_rng(0).normal(size=(9, 1001)).astype(np.float32)
    together, _ = affinity.unit_rows(rows)
    for row, expected in zip(rows, together, strict=True):
      np.testing.assert_array_equal(
        affinity.unit_rows(row[None])[0][0], expected
      )


class DistanceTest(absltest.TestCase):
  def test_it_is_the_inverse_affinity_and_infinite_where_meaningless(self):
    np.testing.assert_array_equal(
      affinity.distance(np.array([[1.0, 0.25], [-0.5, 0.0]])),
      [[1.0, 4.0], [np.inf, np.inf]],
    )

  def test_nan_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'NaN'):
      affinity.distance(np.array([1.0, np.nan]))


class MatrixFileTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path) / 'm.csv'

  def test_a_matrix_comes_back_bit_for_bit(self):
    matrix = np.random.default_rng(0).normal(size=(3, 3)) * 1e-7
    matrix[0] = np.inf, -0.0, np.nan
    affinity.save_matrix(self.path, matrix, ['a', 'b,"c"', 'd e'])
    loaded, names = affinity.load_matrix(self.path)
    np.testing.assert_array_equal(loaded, matrix)
    self.assertEqual(np.signbit(loaded[0, 1]), True)
    self.assertEqual(names, ('a', 'b,"c"', 'd e'))

  def test_there_is_a_header_row_and_a_first_column_of_names(self):
    affinity.save_matrix(self.path, np.eye(2), ['a', 'b'])
    self.assertEqual(self.path.read_text(), 'model,a,b\na,1.0,0.0\nb,0.0,1.0\n')

  def test_a_rectangular_table_comes_back(self):
    matrix = np.arange(6.0).reshape(2, 3)
    affinity.save_matrix(self.path, matrix, 'abc', 'xy', corner='target')
    loaded, rows, columns = affinity.load_table(self.path)
    np.testing.assert_array_equal(loaded, matrix)
    self.assertEqual((rows, columns), (('x', 'y'), ('a', 'b', 'c')))

  def test_names_that_do_not_fit_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'does not fit'):
      affinity.save_matrix(self.path, np.eye(2), ['a'])

  @parameterized.parameters(
    ('model,a,b\nb,1,2\na,3,4\n', 'same order'),
    ('model,a,a\na,1,2\n', 'more than once'),
    ('model,a,b\na,1\nb,1,2\n', "row of 'a' has 2 cells"),
    ('model,a\na,x\n', "'x' in row 'a', column 'a'"),
  )
  def test_a_malformed_file_is_refused(self, text, message):
    self.path.write_text(text)
    with self.assertRaisesRegex(ValueError, message):
      affinity.load_matrix(self.path)


class HubsTest(absltest.TestCase):
  def test_a_hub_no_longer_comes_first_for_everybody(self):
    matrix = np.array(
      [
        [1.0, 0.8, 0.7, 0.7],
        [0.8, 1.0, 0.6, 0.1],
        [0.7, 0.6, 1.0, 0.2],
        [0.7, 0.1, 0.2, 1.0],
      ]
    )
    corrected = affinity.without_hubs(matrix)
    for j in range(4):
      column = [matrix[i, j] for i in range(4) if i != j]
      for i in range(4):
        if i != j:
          self.assertAlmostEqual(
            corrected[i, j], matrix[i, j] - np.mean(column)
          )
    self.assertEqual(np.nanargmax(matrix[2, :2]), 0)
    self.assertEqual(np.nanargmax(corrected[2, :2]), 1)

  def test_the_argument_is_left_as_it_is(self):
    matrix = np.eye(3)
    affinity.without_hubs(matrix)
    np.testing.assert_array_equal(matrix, np.eye(3))


if __name__ == '__main__':
  absltest.main()
