"""Tests of the count of hubs."""

from absl.testing import absltest
from scipy import stats

from transferability import hubs

_RANKINGS = {
  'a': ('b', 'c', 'd'),
  'b': ('c', 'a', 'd'),
  'c': ('b', 'a', 'd'),
  'd': ('c', 'b', 'a'),
}


class HubsTest(absltest.TestCase):
  def test_first_places_are_counted(self):
    counts = hubs.occurrences(_RANKINGS, 2)
    self.assertEqual(counts, {'a': 2, 'b': 3, 'c': 3, 'd': 0})
    self.assertEqual(sum(counts.values()), 2 * len(_RANKINGS))

  def test_skewness_is_that_of_the_counts(self):
    counts = {'a': 1, 'b': 9, 'c': 0, 'd': 2}
    self.assertAlmostEqual(
      hubs.skewness(counts), stats.skew(list(counts.values()))
    )
    self.assertGreater(hubs.skewness(counts), 1)

  def test_without_hubs_it_is_zero(self):
    self.assertEqual(hubs.skewness({'a': 2, 'b': 2}), 0)


if __name__ == '__main__':
  absltest.main()
