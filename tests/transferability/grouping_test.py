"""Tests of the grouping statistics against loops over all permutations."""

import itertools
import math

from absl.testing import absltest, parameterized
import numpy as np

from transferability import grouping, permutations


def _affinity(n, seed=0):
  values = np.random.default_rng(seed).normal(size=(n, n))
  return (values + values.T) / 2


def _all_pairs(n):
  return ~np.eye(n, dtype=bool)


def _nearest_neighbour_rate(affinity, labels, pairs):
  hits = []
  for i, label in enumerate(labels):
    others = [j for j in range(len(labels)) if pairs[i, j]]
    if any(labels[j] == label for j in others):
      nearest = max(others, key=lambda j: affinity[i, j])
      hits.append(labels[nearest] == label)
  return sum(hits) / len(hits) if hits else math.nan


def _mean_average_precision(affinity, labels, pairs):
  averages = []
  for i, label in enumerate(labels):
    others = [j for j in range(len(labels)) if pairs[i, j]]
    ranking = sorted(others, key=lambda j: -affinity[i, j])
    found, precisions = 0, []
    for place, j in enumerate(ranking, start=1):
      if labels[j] == label:
        found += 1
        precisions.append(found / place)
    if precisions:
      averages.append(sum(precisions) / len(precisions))
  return sum(averages) / len(averages) if averages else math.nan


def _within_minus_between(affinity, labels, pairs):
  within, between = [], []
  for i, j in itertools.combinations(range(len(labels)), 2):
    if pairs[i, j]:
      (within if labels[i] == labels[j] else between).append(affinity[i, j])
  if not within or not between:
    return math.nan
  return sum(within) / len(within) - sum(between) / len(between)


_ORACLES = {
  'nearest_neighbour_rate': _nearest_neighbour_rate,
  'mean_average_precision': _mean_average_precision,
  'within_minus_between': _within_minus_between,
}


def _brute_force(name, affinity, labels, strata, pairs):
  """Returns value, mean and p-value over all n! permutations."""
  observed = _ORACLES[name](affinity, labels, pairs)
  values = []
  for order in itertools.permutations(range(len(labels))):
    if all(strata[i] == strata[j] for i, j in enumerate(order)):
      values.append(_ORACLES[name](affinity, [labels[j] for j in order], pairs))
  reached = [not value < observed - 1e-12 for value in values]
  return observed, np.nanmean(values), np.mean(reached)


class GroupingTest(parameterized.TestCase):
  def test_every_statistic_has_an_oracle(self):
    self.assertCountEqual(grouping.statistics(), _ORACLES)

  @parameterized.product(name=list(_ORACLES), seed=[0, 1, 2])
  def test_few_labellings_give_the_p_value_of_all_permutations(
    self, name, seed
  ):
    affinity, labels = _affinity(6, seed), 'aabbbc'
    outcome = grouping.permutation_test(affinity, labels, name)
    expected = _brute_force(name, affinity, labels, '000000', _all_pairs(6))
    np.testing.assert_allclose(
      (outcome.value, outcome.expected, outcome.p_value), expected, atol=1e-12
    )
    self.assertTrue(outcome.is_exact)
    self.assertEqual(outcome.labellings, 60)  # 6! / (2! 3! 1!)

  @parameterized.product(name=list(_ORACLES), seed=[0, 1])
  def test_labels_are_exchanged_within_strata_only(self, name, seed):
    affinity, labels, strata = _affinity(7, seed), 'abababc', '0001112'
    outcome = grouping.permutation_test(affinity, labels, name, strata=strata)
    expected = _brute_force(name, affinity, labels, strata, _all_pairs(7))
    np.testing.assert_allclose(
      (outcome.value, outcome.expected, outcome.p_value), expected, atol=1e-12
    )
    self.assertEqual(outcome.labellings, 9)

  @parameterized.product(name=list(_ORACLES), seed=[0, 1])
  def test_only_the_pairs_asked_for_are_compared(self, name, seed):
    affinity, labels = _affinity(6, seed), 'aabbcc'
    pairs = _all_pairs(6)
    for i, j in ((0, 1), (2, 4), (3, 5)):
      pairs[i, j] = pairs[j, i] = False
      affinity[i, j] = affinity[j, i] = np.nan
    outcome = grouping.permutation_test(affinity, labels, name, pairs=pairs)
    expected = _brute_force(name, affinity, labels, '000000', pairs)
    np.testing.assert_allclose(
      (outcome.value, outcome.expected, outcome.p_value), expected, atol=1e-12
    )

  def test_random_labellings_come_close_to_all_of_them(self):
    affinity, labels = _affinity(10, 3), 'aaaaabbbbb'
    exact = grouping.permutation_test(affinity, labels, 'within_minus_between')
    self.assertTrue(exact.is_exact)
    codes = np.array([0] * 5 + [1] * 5)
    statistic = grouping._STATISTICS.get('within_minus_between')(
      affinity, _all_pairs(10)
    )
    with absltest.mock.patch.object(permutations, '_MAX_EXACT', 0):
      drawn = permutations.test(statistic, codes, 0 * codes, 4999, seed=0)
    self.assertFalse(drawn.is_exact)
    self.assertEqual(drawn.labellings, 5000)
    self.assertAlmostEqual(drawn.p_value, exact.p_value, delta=0.03)
    self.assertAlmostEqual(drawn.expected, exact.expected, delta=0.01)

  def test_the_smallest_random_p_value_counts_the_observed_labelling(self):
    labels = np.repeat(np.arange(8), 3)
    affinity = (labels[:, None] == labels).astype(float)
    outcome = grouping.permutation_test(affinity, labels, num_permutations=99)
    self.assertEqual(outcome.value, 1)
    self.assertEqual(outcome.p_value, 1 / 100)

  def test_p_values_of_meaningless_labels_are_uniform(self):
    p_values = [
      grouping.permutation_test(
        _affinity(9, seed), 'aaabbbccc', 'within_minus_between'
      ).p_value
      for seed in range(200)
    ]
    self.assertAlmostEqual(np.mean(p_values), 0.5, delta=0.06)
    self.assertAlmostEqual(np.mean(np.less(p_values, 0.1)), 0.1, delta=0.06)

  def test_the_same_seed_gives_the_same_p_value(self):
    arguments = _affinity(24, 1), 'abcd' * 6, 'mean_average_precision'
    outcomes = [
      grouping.permutation_test(*arguments, num_permutations=200, seed=seed)
      for seed in (0, 0, 1)
    ]
    self.assertEqual(outcomes[0], outcomes[1])
    self.assertNotEqual(outcomes[0].expected, outcomes[2].expected)

  def test_where_nothing_is_comparable_there_is_no_p_value(self):
    outcome = grouping.permutation_test(_affinity(3), 'abc')
    self.assertTrue(math.isnan(outcome.value))
    self.assertTrue(math.isnan(outcome.p_value))

  def test_rate_is_the_share_of_models_whose_nearest_other_is_of_their_label(
    self,
  ):
    affinity, labels = _affinity(12, 5), 'abcabcabcabc'
    others = affinity - 9 * np.eye(12)
    same = [labels[i] == labels[j] for i, j in enumerate(others.argmax(axis=1))]
    self.assertAlmostEqual(
      grouping.permutation_test(affinity, labels).value, np.mean(same)
    )

  def test_arrangements_are_all_different_and_as_many_as_counted(self):
    labels, strata = np.array([0, 0, 1, 1, 2, 0]), np.array([0, 0, 0, 1, 1, 1])
    found = {tuple(x) for x in permutations.all_labellings(labels, strata)}
    expected = {
      (*a, *b)
      for a in itertools.permutations(labels[:3].tolist())
      for b in itertools.permutations(labels[3:].tolist())
    }
    self.assertSetEqual(found, expected)
    self.assertLen(found, permutations.count_labellings(labels, strata))
    self.assertLen(
      list(permutations.all_labellings(labels, strata)), len(found)
    )


class GroupsTest(absltest.TestCase):
  def test_a_group_is_compared_with_every_choice_of_as_many_models(self):
    affinity, labels = _affinity(7, 2), 'aaabbcd'
    for group in grouping.groups(affinity, labels):
      inside = [i for i, label in enumerate(labels) if label == group.label]
      self.assertEqual(group.size, len(inside))

      def difference(chosen):
        own = [affinity[i, j] for i in chosen for j in chosen if i != j]
        rest = [affinity[i, j] for i in chosen for j in set(range(7)) - chosen]
        return np.mean(own), np.mean(rest)

      if len(inside) == 1:
        self.assertTrue(math.isnan(group.within))
        self.assertTrue(math.isnan(group.p_value))
        self.assertTrue(math.isnan(group.nearest_neighbour_rate))
        continue
      within, between = difference(set(inside))
      self.assertAlmostEqual(group.within, within)
      self.assertAlmostEqual(group.between, between)
      choices = [
        np.subtract(*difference(set(chosen)))
        for chosen in itertools.combinations(range(7), len(inside))
      ]
      self.assertAlmostEqual(
        group.p_value, np.mean(np.array(choices) >= within - between - 1e-12)
      )
      rates = [
        labels[max(set(range(7)) - {i}, key=lambda j: affinity[i, j])]  # noqa: B023
        == group.label
        for i in inside
      ]
      self.assertAlmostEqual(group.nearest_neighbour_rate, np.mean(rates))


class ErrorsTest(parameterized.TestCase):
  def test_an_unknown_statistic_is_refused_by_name(self):
    with self.assertRaisesRegex(ValueError, 'nearest_neighbour_rate'):
      grouping.permutation_test(_affinity(4), 'aabb', 'rate')

  def test_an_affinity_of_another_size_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'does not fit 3'):
      grouping.permutation_test(_affinity(4), 'aab')

  def test_strata_of_another_length_are_refused(self):
    with self.assertRaisesRegex(ValueError, '3 strata'):
      grouping.permutation_test(_affinity(4), 'aabb', strata='001')

  def test_pairs_that_are_not_symmetric_are_refused(self):
    pairs = np.triu(np.ones((4, 4), bool))
    with self.assertRaisesRegex(ValueError, 'not symmetric'):
      grouping.permutation_test(_affinity(4), 'aabb', pairs=pairs)

  def test_a_pair_without_an_affinity_is_refused(self):
    affinity = _affinity(4)
    affinity[0, 1] = affinity[1, 0] = np.nan
    with self.assertRaisesRegex(ValueError, 'not finite'):
      grouping.permutation_test(affinity, 'aabb')


if __name__ == '__main__':
  absltest.main()
