from absl.testing import absltest, parameterized
import numpy as np

from toolkit_basics import grids


class GridsTest(parameterized.TestCase):
  @parameterized.parameters((4, 6, 2, 3), (5, 7, 2, 3), (5, 7, 5, 1))
  def test_cells_hold_the_means_of_their_pixels(self, h, w, rows, columns):
    values = np.random.default_rng(0).normal(size=(2, h, w, 3))
    found = grids.cell_means(values, rows, columns)
    self.assertEqual(found.shape, (2, rows, columns, 3))
    for i in range(rows):
      for j in range(columns):
        cell = values[
          :,
          i * h // rows : (i + 1) * h // rows,
          j * w // columns : (j + 1) * w // columns,
        ]
        np.testing.assert_allclose(found[:, i, j], cell.mean(axis=(1, 2)))

  def test_an_axis_with_fewer_pixels_than_cells_stays(self):
    values = np.random.default_rng(0).normal(size=(2, 3, 8, 1))
    found = grids.cell_means(values, 5, 4)
    self.assertEqual(found.shape, (2, 3, 4, 1))

  def test_axes_in_front_and_the_type_of_numbers_are_kept(self):
    values = np.ones((2, 3, 5, 5, 1), np.float32)
    found = grids.cell_means(values, 2, 2, first=2)
    np.testing.assert_array_equal(found, np.ones((2, 3, 2, 2, 1)))
    self.assertEqual(found.dtype, np.float32)

  def test_cells_may_begin_anywhere(self):
    found = grids.means_from(np.arange(5.0), [0, 4], 0)
    np.testing.assert_allclose(found, [1.5, 4.0])


if __name__ == '__main__':
  absltest.main()
