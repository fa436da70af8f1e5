"""Tests that every baseline gives the reference rows of Taskonomy."""

import itertools
import math

from absl.testing import absltest, parameterized
import numpy as np

from tests import taskonomy_testing
from transferability import baselines, ranking
from transferability.oracle import Oracle

_PREFERENCE = {
  '2d': ('2d',),
  '3d': ('3d', 'geometric', 'semantic'),
  'geometric': ('geometric', '3d', 'semantic'),
  'semantic': ('semantic', '3d', 'geometric'),
}


def _reference(key):
  return taskonomy_testing.column('pk_rk_reference', key)


def _evaluate(affinity, oracle, **options):
  rankings = ranking.rank_sources(affinity, oracle.sources, oracle.targets)
  return ranking.precision_recall(rankings, oracle, **options)


def _at(result, *ks):
  return [round(float(result.precision[k - 1]), 4) for k in ks]


class KnowNothingTest(absltest.TestCase):
  def test_random_is_the_hypergeometric_expectation(self):
    oracle = Oracle.taskonomy()
    result = baselines.random_baseline(oracle)
    np.testing.assert_allclose(
      result.precision, _reference('P_random'), atol=5e-7
    )
    np.testing.assert_allclose(result.recall, _reference('R_random'), atol=5e-7)
    for k, hits in zip(result.k.tolist(), result.hits / 18, strict=True):
      ways = [
        math.comb(5, n) * math.comb(14, k - n) for n in range(min(k, 5) + 1)
      ]
      mean = sum(n * way for n, way in enumerate(ways)) / math.comb(19, k)
      self.assertAlmostEqual(hits, mean)

  def test_groups_only_with_preference_is_the_reference_row(self):
    result = baselines.group_baseline(
      taskonomy_testing.GROUPS, Oracle.taskonomy(), _PREFERENCE
    )
    np.testing.assert_allclose(
      result.precision, _reference('P_group_labels_only'), atol=5e-7
    )

  def test_own_group_first_is_the_reference_row(self):
    result = baselines.group_baseline(
      taskonomy_testing.GROUPS, Oracle.taskonomy()
    )
    self.assertEqual(
      _at(result, 1, 2, 3, 4, 5, 6, 10),
      [0.7989, 0.7557, 0.7059, 0.6810, 0.6661, 0.6561, 0.4484],
    )

  def test_groups_only_is_the_mean_over_all_orders_within_ties(self):
    oracle = Oracle.from_affinity(
      np.random.default_rng(0).random((2, 5)), 'ab', 'abcde'
    )
    groups = dict(zip('abcde', 'xyxyx', strict=True))
    curves = []
    for order in itertools.permutations('abcde'):
      rankings = {
        target: tuple(
          sorted(
            (name for name in order if name != target),
            key=lambda name: groups[name] != groups[target],
          )
        )
        for target in 'ab'
      }
      curves.append(ranking.precision_recall(rankings, oracle, 2).precision)
    np.testing.assert_allclose(
      baselines.group_baseline(groups, oracle, num_relevant=2).precision,
      np.mean(curves, axis=0),
    )

  def test_groups_in_a_tuple_are_preferred_alike(self):
    oracle = Oracle.taskonomy()
    groups = taskonomy_testing.GROUPS
    tied = {g: (g, ('2d', '3d', 'geometric', 'semantic')) for g in _PREFERENCE}
    for preference in (None, {g: (g,) for g in _PREFERENCE}):
      np.testing.assert_allclose(
        baselines.group_baseline(groups, oracle, preference).hits,
        baselines.group_baseline(
          groups, oracle, {g: (g, tuple(set(_PREFERENCE) - {g})) for g in tied}
        ).hits,
      )

  def test_unknown_groups_are_refused(self):
    oracle = Oracle.taskonomy()
    with self.assertRaisesRegex(ValueError, 'No group is known'):
      baselines.group_baseline({'edge3d': '3d'}, oracle)
    with self.assertRaisesRegex(ValueError, "group '2d'"):
      baselines.group_baseline(taskonomy_testing.GROUPS, oracle, {'3d': ()})


class KnowTheOracleTest(parameterized.TestCase):
  def test_standing_elsewhere_never_looks_at_the_target(self):
    oracle = Oracle.taskonomy()
    found = baselines.other_targets(oracle)
    self.assertEqual(
      _at(ranking.precision_recall(found, oracle), 1, 3, 5),
      [0.6111, 0.5556, 0.5444],
    )
    target = oracle.targets[3]
    affinity = oracle.affinity.copy()
    affinity[3] = affinity[3, ::-1]
    changed = Oracle.from_affinity(affinity, oracle.targets, oracle.sources)
    self.assertEqual(baselines.other_targets(changed)[target], found[target])
    self.assertNotEqual(changed.ranking[target], oracle.ranking[target])

  def test_one_order_for_all_targets_is_the_reference_row(self):
    oracle = Oracle.taskonomy()
    result = ranking.precision_recall(
      baselines.constant_ranking(oracle), oracle
    )
    self.assertEqual(
      _at(result, 1, 2, 3, 4, 5, 6, 10),
      [0.3889, 0.5278, 0.5556, 0.5556, 0.5444, 0.4907, 0.3444],
    )

  @parameterized.parameters(
    ('rank_mean', 'sym_rank_mean'),
    ('raw_mean', 'sym_raw_mean'),
    ('row_normalised_mean', 'sym_rownorm_mean'),
  )
  def test_a_symmetrised_oracle_is_the_reference_row(self, method, key):
    oracle = Oracle.taskonomy()
    affinity = baselines.symmetrised_oracle(oracle, method)
    np.testing.assert_array_equal(affinity, affinity.T)
    result = _evaluate(affinity, oracle)
    np.testing.assert_array_equal(result.hits, _reference(f'hits_{key}'))
    np.testing.assert_allclose(
      result.precision, _reference(f'P_{key}'), atol=5e-7
    )

  def test_the_transposed_oracle_is_the_reference_row(self):
    oracle = Oracle.taskonomy()
    result = _evaluate(baselines.transposed_oracle(oracle), oracle)
    self.assertEqual(
      _at(result, 1, 2, 3, 4, 5, 6, 10),
      [0.7778, 0.5833, 0.5370, 0.4861, 0.4111, 0.3704, 0.3056],
    )

  def test_a_ranking_alone_can_only_be_symmetrised_by_ranks(self):
    known = Oracle.taskonomy()
    oracle = Oracle(known.targets, known.sources, known.ranking)
    np.testing.assert_array_equal(
      baselines.symmetrised_oracle(oracle), baselines.symmetrised_oracle(known)
    )
    with self.assertRaisesRegex(ValueError, 'only a ranking'):
      baselines.symmetrised_oracle(oracle, 'raw_mean')
    with self.assertRaisesRegex(ValueError, 'only a ranking'):
      baselines.transposed_oracle(oracle)
    with self.assertRaisesRegex(ValueError, 'none of'):
      baselines.symmetrised_oracle(oracle, 'median')


class BestSymmetricTest(parameterized.TestCase):
  def test_the_optimum_of_taskonomy_is_proven_and_attained(self):
    oracle = Oracle.taskonomy()
    hits = _reference('hits_symmetric_max')
    for k in range(1, 20):
      best, affinity = baselines.best_symmetric(oracle, k)
      np.testing.assert_array_equal(affinity, affinity.T)
      self.assertEqual(best, hits[k - 1])
      self.assertEqual(_evaluate(affinity, oracle).hits[k - 1], best)

  @parameterized.parameters(*itertools.product(range(3), (3, 4)))
  def test_it_is_the_best_of_all_orders_of_the_pairs(self, seed, targets):
    values = np.random.default_rng(seed).random((targets, 4))
    # A cycle a -> b -> c -> a of first choices, which no symmetric one has.
    values[0, 1] = values[1, 2] = values[2, 0] = 2
    oracle = Oracle.from_affinity(values, 'abcd'[:targets], 'abcd')
    pairs = list(itertools.combinations(range(4), 2))
    best = np.zeros(3)
    for order in itertools.permutations(range(6)):
      affinity = np.full((4, 4), 9.0)
      for value, (i, j) in zip(order, pairs, strict=True):
        affinity[i, j] = affinity[j, i] = value
      hits = _evaluate(affinity, oracle, num_relevant=1).hits
      best = np.maximum(best, hits)
    self.assertLess(best[0], targets)
    ceiling = baselines.symmetric_ceiling(oracle, num_relevant=1)
    np.testing.assert_array_equal(ceiling.hits, best)

  def test_an_oracle_of_one_target_is_attained(self):
    oracle = Oracle(('a',), tuple('abc'), {'a': ('b', 'c')})
    ceiling = baselines.symmetric_ceiling(oracle, num_relevant=1)
    np.testing.assert_array_equal(ceiling.precision, [1, 0.5])

  @parameterized.parameters(0, 20)
  def test_impossible_lengths_are_refused(self, k):
    with self.assertRaisesRegex(ValueError, f'P@{k} of 20'):
      baselines.best_symmetric(Oracle.taskonomy(), k)


if __name__ == '__main__':
  absltest.main()
