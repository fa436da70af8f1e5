"""Tests of unit rows, Eq. 1's distance, hubs and matrix files."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import affinity


class UnitRowsTest(parameterized.TestCase):
  def test_rows_are_divided_by_their_norms(self):
    rows = np.random.default_rng(0).normal(size=(4, 30))
    unit, bad = affinity.unit_rows(rows)
    norms = np.sqrt([row @ row for row in rows])
    np.testing.assert_allclose(unit, rows / norms[:, None], rtol=1e-14)
    self.assertEmpty(bad)

  @parameterized.parameters(1e-200, 1e-3, 1e200)
  def test_squares_neither_vanish_nor_overflow(self, scale):
    rows = np.random.default_rng(0).normal(size=(4, 30))
    np.testing.assert_allclose(
      affinity.unit_rows(rows * scale)[0],
      affinity.unit_rows(rows)[0],
      atol=1e-15,
    )

  def test_a_row_without_direction_is_zero_and_said_why(self):
    rows = np.ones((4, 5))
    rows[1] = 0
    rows[2, 3] = np.nan
    rows[3, 0] = -np.inf
    unit, bad = affinity.unit_rows(rows)
    reason = 'is not finite'
    self.assertEqual(bad, {1: 'is all zero', 2: reason, 3: reason})
    self.assertFalse(unit[1:].any())

  def test_a_unit_row_does_not_depend_on_the_other_rows(self):
    rows = np.random.default_rng(0).normal(size=(9, 1001)).astype(np.float32)
    together, _ = affinity.unit_rows(rows)
    for row, expected in zip(rows, together, strict=True):
      np.testing.assert_array_equal(
        affinity.unit_rows(row[None])[0][0], expected
      )


class MeanCosineTest(absltest.TestCase):
  def test_it_is_the_mean_over_images(self):
    cosines = np.random.default_rng(0).uniform(-1, 1, (5, 3, 4))
    np.testing.assert_allclose(
      affinity.mean_cosine(iter(cosines)), cosines.mean(axis=0), rtol=1e-15
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
    with self.assertRaisesRegex(ValueError, 'does not fit'):
      affinity.save_matrix(self.path, np.eye(2), ['a', 'b', 'c'])

  @parameterized.parameters(
    ('model,a,b\nb,1,2\na,3,4\n', 'same order'),
    ('model,b,a\na,1,2\nb,3,4\n', 'same order'),
    ('model,a,b\na,1,2,3\nb,1,2\n', "row of 'a' has 4 cells"),
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

  def test_nothing_is_left_of_what_rows_and_columns_say(self):
    rng = np.random.default_rng(0)
    rows, columns = rng.uniform(size=(2, 5))
    hubs = rows[:, None] + columns
    np.testing.assert_allclose(affinity.centred(hubs), np.eye(5), atol=1e-12)

  def test_what_is_left_has_no_means_and_keeps_its_symmetry(self):
    matrix = np.random.default_rng(1).uniform(size=(6, 6))
    left = affinity.centred(matrix)
    for axis in (0, 1):
      np.testing.assert_allclose((left - np.eye(6)).sum(axis), 0, atol=1e-12)
    both = affinity.centred((matrix + matrix.T) / 2)
    np.testing.assert_allclose(both, (left + left.T) / 2, atol=1e-12)

  def test_the_argument_is_left_as_it_is(self):
    matrix = np.eye(3)
    affinity.without_hubs(matrix)
    affinity.centred(matrix)
    np.testing.assert_array_equal(matrix, np.eye(3))


if __name__ == '__main__':
  absltest.main()
