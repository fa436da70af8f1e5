"""Tests of how far maps agree with the pixels of a task."""

from absl.testing import absltest
import numpy as np
from scipy import stats

from transferability import pixel_agreement


def _ranks(*rows):
  return pixel_agreement.unit_ranks(np.stack(rows))


class PixelAgreementTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(0)
    self.map, self.pixels, self.third = rng.normal(size=(3, 5, 80))
    self.pixels = np.round(self.pixels)  # Many are equal, as in a mask.

  def test_it_is_spearmans_correlation(self):
    found = pixel_agreement.correlation(_ranks(*self.map), _ranks(*self.pixels))
    for value, x, y in zip(found, self.map, self.pixels, strict=True):
      self.assertAlmostEqual(value, stats.spearmanr(x, y).statistic)

  def test_of_a_mask_it_follows_the_area_under_the_roc_curve(self):
    mask = self.pixels > 0
    found = pixel_agreement.correlation(_ranks(*self.map), _ranks(*mask))
    for value, x, y in zip(found, self.map, mask, strict=True):
      count = y.sum(), (~y).sum()
      area = stats.mannwhitneyu(x[y], x[~y]).statistic / np.prod(count)
      n = len(y)
      slope = np.sqrt(3 * np.prod(count) / (n**2 - 1))
      self.assertAlmostEqual(value, (2 * area - 1) * slope)

  def test_the_partial_one_is_that_of_residuals_of_ranks(self):
    ranks = [_ranks(*v) for v in (self.map, self.pixels, self.third)]
    found = pixel_agreement.partial_correlation(*ranks)
    for value, x, y, z in zip(found, *ranks, strict=True):
      left = [v - (v @ z) * z for v in (x, y)]
      self.assertAlmostEqual(value, np.corrcoef(*left)[0, 1])

  def test_what_a_third_explains_alone_is_gone(self):
    noise = np.random.default_rng(1).normal(size=(2, 1, 20000))
    third = np.random.default_rng(2).normal(size=(1, 20000))
    x, y = third + noise
    ranks = [pixel_agreement.unit_ranks(v) for v in (x, y, third)]
    self.assertGreater(pixel_agreement.correlation(*ranks[:2])[0], 0.4)
    partial = pixel_agreement.partial_correlation(*ranks)[0]
    self.assertLess(abs(partial), 0.05)

  def test_where_all_pixels_are_alike_nothing_is_said(self):
    same = pixel_agreement.unit_ranks(np.ones((1, 80)))
    self.assertTrue(np.isnan(pixel_agreement.correlation(same, same)).all())

  def test_own_columns_stand_out_only_if_they_are_larger(self):
    rng = np.random.default_rng(0)
    popular = rng.normal(size=(1, 12)) + rng.normal(size=(8, 1))
    own = np.array([3, 1, 0, 7, 5, 4, 10, 11])
    value, p_value = pixel_agreement.own_column_p_value(popular, own, 999)
    self.assertAlmostEqual(value, 0)
    self.assertEqual(p_value, 1)  # Every assignment does as well.
    table = popular.copy()
    table[np.arange(8), own] += 0.5
    value, p_value = pixel_agreement.own_column_p_value(table, own, 999)
    self.assertAlmostEqual(value, 0.5)
    self.assertEqual(p_value, 0.001)


if __name__ == '__main__':
  absltest.main()
