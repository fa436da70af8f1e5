"""Tests of the ranking of sources, P@K and R@K, priority and CPC."""

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from tests import taskonomy_testing
from transferability import ranking
from transferability.oracle import Oracle


def _affinity(size, seed=0):
  values = np.random.default_rng(seed).normal(size=(size, 12))
  values /= np.linalg.norm(values, axis=1, keepdims=True)
  values = values @ values.T
  np.fill_diagonal(values, 1)
  return (values + values.T) / 2


def _slow_hits(affinity, names, oracle):
  """The protocol as the authors wrote it: rows sorted, position 0 dropped."""
  hits = np.zeros(len(names) - 1)
  for target in oracle.targets:
    row = affinity[list(names).index(target)]
    order = sorted(range(len(names)), key=lambda i: -row[i])[1:]
    for k in range(1, len(names)):
      predicted = {names[i] for i in order[:k]}
      hits[k - 1] += len(predicted & set(oracle.ranking[target][:5]))
  return hits


class RankSourcesTest(absltest.TestCase):
  def test_all_other_models_are_ranked_most_similar_first(self):
    affinity = np.array([[1, 0.2, 0.9], [0.2, 1, 0.5], [0.9, 0.5, 1]])
    self.assertEqual(
      ranking.rank_sources(affinity, 'abc', 'ab'),
      {'a': ('c', 'b'), 'b': ('c', 'a')},
    )

  def test_the_target_is_excluded_even_if_it_is_not_its_own_nearest(self):
    affinity = np.array([[0.1, 0.2, 0.9], [0.2, 0.1, 0.5], [0.9, 0.5, 0.1]])
    self.assertEqual(
      ranking.rank_sources(affinity, 'abc', 'a'), {'a': ('c', 'b')}
    )

  def test_negative_affinities_rank_last(self):
    affinity = np.array([[1, -0.9, 0.1], [-0.9, 1, 0], [0.1, 0, 1]])
    self.assertEqual(
      ranking.rank_sources(affinity, 'abc', 'a'), {'a': ('c', 'b')}
    )

  def test_ties_stand_in_the_order_of_names(self):
    affinity = np.ones((4, 4))
    affinity[0, 2] = affinity[2, 0] = 0.5
    self.assertEqual(
      ranking.rank_sources(affinity, 'abcd', 'ab'),
      {'a': ('b', 'd', 'c'), 'b': ('a', 'c', 'd')},
    )

  def test_what_does_not_fit_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'does not fit 2 models'):
      ranking.rank_sources(np.eye(3), 'ab', 'a')
    with self.assertRaisesRegex(ValueError, r"no models: \['z'\]"):
      ranking.rank_sources(np.eye(2), 'ab', 'az')
    with self.assertRaisesRegex(ValueError, "source 'c' to target 'a' is nan"):
      ranking.rank_sources(np.array([[1, 0, np.nan]] * 3), 'abc', 'a')


class PrecisionRecallTest(parameterized.TestCase):
  def test_the_oracle_itself_gives_the_reference_row(self):
    oracle = Oracle.taskonomy()
    result = ranking.precision_recall(oracle.ranking, oracle)
    for name, values in (('P', result.precision), ('R', result.recall)):
      np.testing.assert_allclose(
        values,
        taskonomy_testing.column('pk_rk_reference', f'{name}_oracle'),
        atol=5e-7,
      )
    np.testing.assert_array_equal(result.k, np.arange(1, 20))

  def test_every_curve_of_the_authors_figure_follows_from_its_hits(self):
    rows = taskonomy_testing.reference('authors_curves')
    curves = {(row['probe'], row['method']) for row in rows}
    self.assertLen(curves, 9)
    for curve in curves:
      own = [row for row in rows if (row['probe'], row['method']) == curve]
      result = ranking.PrecisionRecall.from_hits(
        [float(row['hits']) for row in own], num_targets=18
      )
      for key, values in (('P', result.precision), ('R', result.recall)):
        expected = [float(row[key]) for row in own]
        np.testing.assert_allclose(values, expected, atol=5e-7)

  @parameterized.parameters(0, 1, 2)
  def test_it_is_the_protocol_of_the_authors(self, seed):
    oracle, affinity = Oracle.taskonomy(), _affinity(20, seed)
    rankings = ranking.rank_sources(affinity, oracle.sources, oracle.targets)
    result = ranking.precision_recall(rankings, oracle)
    hits = _slow_hits(affinity, oracle.sources, oracle)
    np.testing.assert_array_equal(result.hits, hits)
    np.testing.assert_array_equal(result.precision, hits / (18 * result.k))
    np.testing.assert_array_equal(result.recall, hits / 90)

  def test_the_order_of_models_does_not_matter(self):
    oracle, affinity = Oracle.taskonomy(), _affinity(20)
    names = np.array(oracle.sources)
    order = np.random.default_rng(0).permutation(20)
    expected = ranking.rank_sources(affinity, names, oracle.targets)
    actual = ranking.rank_sources(
      affinity[np.ix_(order, order)], names[order], oracle.targets
    )
    self.assertEqual(actual, expected)

  def test_a_small_bank_has_as_many_relevant_sources_as_it_can(self):
    oracle = Oracle(('a',), tuple('abc'), {'a': ('b', 'c')})
    result = ranking.precision_recall({'a': ('c', 'b')}, oracle)
    np.testing.assert_array_equal(result.precision, [1, 1])
    np.testing.assert_array_equal(result.recall, [0.5, 1])
    one = ranking.precision_recall({'a': ('c', 'b')}, oracle, num_relevant=1)
    np.testing.assert_array_equal(one.precision, [0, 0.5])
    np.testing.assert_array_equal(one.recall, [0, 1])

  def test_targets_without_ground_truth_are_ignored(self):
    oracle = Oracle(('a',), tuple('abc'), {'a': ('b', 'c')})
    rankings = {'a': ('b', 'c'), 'b': ('c', 'a')}
    self.assertEqual(ranking.precision_recall(rankings, oracle).hits[0], 1)

  def test_rankings_that_do_not_cover_the_oracle_are_refused(self):
    oracle = Oracle(('a',), tuple('abc'), {'a': ('b', 'c')})
    with self.assertRaisesRegex(ValueError, "target 'a'"):
      ranking.precision_recall({'b': ('a', 'c')}, oracle)
    with self.assertRaisesRegex(ValueError, 'restrict'):
      ranking.precision_recall({'a': ('b',)}, oracle)
    with self.assertRaisesRegex(ValueError, 'at least 1'):
      ranking.precision_recall({'a': ('b', 'c')}, oracle, num_relevant=0)


class SpearmanTest(absltest.TestCase):
  def test_it_is_the_mean_of_scipys_row_correlations(self):
    oracle, affinity = Oracle.taskonomy(), _affinity(20)
    rankings = ranking.rank_sources(affinity, oracle.sources, oracle.targets)
    expected = []
    for i, target in enumerate(oracle.targets):
      others = [j for j, name in enumerate(oracle.sources) if name != target]
      row = affinity[oracle.sources.index(target)]
      expected.append(
        stats.spearmanr(row[others], oracle.affinity[i, others]).statistic
      )
    self.assertAlmostEqual(
      ranking.mean_spearman(rankings, oracle), np.mean(expected)
    )
    self.assertAlmostEqual(ranking.mean_spearman(oracle.ranking, oracle), 1)

  def test_one_source_has_no_correlation(self):
    oracle = Oracle(('a',), ('a', 'b'), {'a': ('b',)})
    self.assertTrue(np.isnan(ranking.mean_spearman({'a': ('b',)}, oracle)))


class PriorityTest(absltest.TestCase):
  def test_the_three_printed_numbers_of_the_paper(self):
    # The paper calls the first two edge3d and colorization by mistake.
    priority = ranking.priority(Oracle.taskonomy())
    for name, expected in (
      ('curvature', 5.39),
      ('edge3d', 5.83),
      ('vanishing_point', 14.17),
    ):
      self.assertAlmostEqual(priority[name], expected, delta=0.005)
    self.assertAlmostEqual(priority['colorization'], 11.72, delta=0.005)


class CorrelationPriorityCurveTest(absltest.TestCase):
  def test_it_is_the_definition_written_out(self):
    oracle, affinity = Oracle.taskonomy(), _affinity(20)
    curve = ranking.correlation_priority_curve(affinity, oracle.sources, oracle)
    index = oracle.sources.index
    for p in (1, 7, 19):
      values = [
        affinity[index(target), index(oracle.ranking[target][p - 1])]
        for target in oracle.targets
      ]
      self.assertAlmostEqual(curve[p - 1], np.mean(values))
    self.assertLen(curve, 19)

  def test_a_source_that_is_no_model_is_refused(self):
    oracle = Oracle(('a',), tuple('abc'), {'a': ('b', 'c')})
    with self.assertRaisesRegex(ValueError, r"\['c'\]"):
      ranking.correlation_priority_curve(np.eye(2), 'ab', oracle)


class PermutationTest(parameterized.TestCase):
  def _oracle(self, affinity, names):
    return Oracle.from_affinity(affinity, names, names)

  def test_it_is_the_share_of_all_relabellings(self):
    names = 'abcde'
    affinity = _affinity(5)
    oracle = self._oracle(_affinity(5, seed=3), names)

    def statistic(names):
      rankings = ranking.rank_sources(affinity, names, oracle.targets)
      return ranking.precision_recall(rankings, oracle, 2).precision

    observed = statistic(list(names))
    rng = np.random.default_rng(0)
    samples = [
      statistic(list(rng.permutation(list(names)))) for _ in range(2000)
    ]
    expected = np.mean(np.array(samples) >= observed - 1e-9, axis=0)
    actual = ranking.precision_p_values(
      affinity, names, oracle, num_relevant=2, num_permutations=20_000
    )
    np.testing.assert_allclose(actual, expected, atol=0.04)
    self.assertEqual(actual[-1], 1)  # All sources: every order has all.

  def test_a_perfect_affinity_has_the_smallest_p_value(self):
    names = tuple(f'n{i}' for i in range(15))
    affinity = _affinity(15)
    oracle = self._oracle(affinity, names)
    p = ranking.precision_p_values(
      affinity, names, oracle, num_permutations=999
    )
    self.assertEqual(p[4], 0.001)

  def test_relabelling_within_groups_keeps_what_groups_explain(self):
    # The affinity knows the groups, and within them nothing but noise.
    groups = {f'n{i}': 'xy'[i // 6] for i in range(12)}
    names = tuple(groups)
    same = np.equal.outer(list(groups.values()), list(groups.values()))
    noise = [_affinity(12, seed) / 10 for seed in (1, 2)]
    oracle = self._oracle(same + noise[0], names)
    p = [
      ranking.precision_p_values(
        same + noise[1], names, oracle, num_permutations=500, groups=labels
      )[4]
      for labels in (None, groups)
    ]
    self.assertLess(p[0], 0.02)
    self.assertEqual(p[1], 1)

  def test_the_seed_decides(self):
    names = tuple(f'n{i}' for i in range(9))
    oracle = self._oracle(_affinity(9, 1), names)
    p = [
      ranking.precision_p_values(
        _affinity(9), names, oracle, num_permutations=300, seed=seed
      )[2]
      for seed in (4, 4, 5)
    ]
    self.assertEqual(p[0], p[1])
    self.assertNotEqual(p[0], p[2])

  def test_other_models_than_the_oracles_are_refused(self):
    oracle = self._oracle(_affinity(3), 'abc')
    with self.assertRaisesRegex(ValueError, 'not the sources'):
      ranking.precision_p_values(np.eye(2), 'ab', oracle)


if __name__ == '__main__':
  absltest.main()
