"""Tests of what is just legal: least numbers of inputs, and ends of ranges.

Each is named by the module that decides. What lies beyond is refused; see also
the tests of each package.
"""

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing
from transferability import (
  agreement,
  baselines,
  clustering,
  grouping,
  label_free,
  map_transforms,
  measures,
  oracle,
  permutations,
  random_units,
  resampling,
  scoring,
  similarity,
  sketches,
  source_data,
  source_selection,
  transfer_graph,
)
from transferability.measures import samples
from transferability.recommendation import calibration


def _of_label_free():
  inputs = measures_testing.task(40, 12)
  rng = np.random.default_rng(1)
  drawn = [rng.normal(size=(40, 12)) for _ in range(3)]
  return {
    'features': inputs['features'],
    'source_probs': inputs['source_probs'],
    'random_features': drawn,
  }


def _source_and_target():
  rng = np.random.default_rng(0)
  return tuple(
    (rng.normal(size=(size, 5)), np.arange(size) % 3) for size in (20, 18)
  )


class MeasuresTest(parameterized.TestCase):
  # Of 60 samples with 9 features.
  @parameterized.parameters(
    ('etran', 'etran', {'percent': 100}, {'percent': 100.5}),
    ('gbc', 'gbc', {'num_components': 1}, {'num_components': 0}),
    ('gbc', 'gbc', {'num_components': 9}, {'num_components': 10}),
    ('h_score', 'h_score', {'ridge': 0}, {'ridge': -1e-9}),
    ('h_score', 'h_score', {'ridge': 0, 'tolerance': 0}, {'tolerance': -1e-9}),
    ('knn', 'knn', {'num_neighbours': 1}, {'num_neighbours': 0}),
    ('knn', 'knn', {'num_neighbours': 59}, {'num_neighbours': 60}),
    ('leep', 'nce', {'smoothing': 0}, {'smoothing': -1e-9}),
    (
      *('leep', 'nleep'),
      {'components_per_class': 1},
      {'components_per_class': 0},
    ),
    ('leep', 'nleep', {'num_seeds': 1}, {'num_seeds': 0}),
    ('parc', 'parc', {'num_components': 2}, {'num_components': 1}),
    ('parc', 'parc', {'num_components': 9}, {'num_components': 10}),
    ('ridge_probe', 'ridge_probe', {'hidden': 0}, {'hidden': -1}),
    ('ridge_probe', 'ridge_probe', {'num_folds': 2}, {'num_folds': 1}),
  )
  def test_ends_of_options(self, module, name, legal, illegal):
    del module
    inputs = measures_testing.task()
    self.assertTrue(np.isfinite(measures.score(name, **inputs, **legal)))
    with self.assertRaises(ValueError):
      measures.score(name, **inputs, **illegal)

  def test_gbc_of_one_component_is_that_of_the_only_one_there_is(self):
    inputs = measures_testing.task(size=1)
    wide = inputs['features'] * [0.6, 0.0, 0.8]  # One axis, turned.
    self.assertAlmostEqual(
      measures_testing.score(
        'gbc', {**inputs, 'features': wide}, num_components=1
      ),
      measures_testing.score('gbc', inputs),
      places=10,
    )


class SamplesTest(absltest.TestCase):
  def test_labels_fill_their_classes(self):
    np.testing.assert_array_equal(samples.check_labels([1, 0], 2), [1, 0])
    for labels, said in (
      ([2, 0], 'cannot fill'),
      ([-1, 0], 'A label is -1'),
      ([1, 1], 'Class 0 has no sample'),
    ):
      with self.assertRaisesRegex(ValueError, said):
        samples.check_labels(labels, 2)

  def test_numbers_have_squares(self):
    for largest in (1e100, 1e-100, 0):
      samples.check_features([[0.0], [largest]])
    for largest in (1.1e100, 0.9e-100):
      with self.assertRaisesRegex(ValueError, 'out of the range'):
        samples.check_features([[0.0], [largest]])
    with self.assertRaisesRegex(ValueError, 'give 2 or more'):
      samples.check_features([[1.0]])

  def test_probabilities_add_up_to_a_thousandth(self):
    for rest in (0.5009, 0.4991):
      samples.check_source_probs([[0.5, rest], [1, 0]])
    for rest in (0.5011, 0.4989):
      with self.assertRaisesRegex(ValueError, 'Row 0 .* sums to'):
        samples.check_source_probs([[0.5, rest], [1, 0]])
    with self.assertRaisesRegex(ValueError, 'is negative'):
      samples.check_source_probs([[1, 0], [1.0001, -1e-4]])

  def test_classes_without_variance_have_a_least_one(self):
    x, y = [[0], [0], [0.01], [0.01]], [0, 0, 1, 1]
    # The variance of both is 1e-4: D = 1e-4 / (8 * 1e-4).
    found = measures.score('gbc', features=x, labels=y)
    self.assertAlmostEqual(found, -2 * np.exp(-0.125))


class LabelFreeTest(parameterized.TestCase):
  @parameterized.parameters(
    ('transac', {'taylor': 1}, {'taylor': 0}),
    ('random_alignment', {'batch': 4}, {'batch': 3}),
    ('random_alignment', {'batch': 40}, {'batch': 41}),
    ('alpha_req', {'first': 1, 'last': 12}, {'first': 1, 'last': 13}),
    ('alpha_req', {'first': 11, 'last': 12}, {'first': 12, 'last': 12}),
  )
  def test_ends_of_options(self, name, legal, illegal):
    inputs = _of_label_free()
    self.assertTrue(np.isfinite(label_free.score(name, **inputs, **legal)))
    with self.assertRaises(ValueError):
      label_free.score(name, **inputs, **illegal)

  def test_transac_of_first_order_is_the_sum_of_variances(self):
    inputs = _of_label_free()
    x, probs = inputs['features'], inputs['source_probs']
    n, d = x.shape
    variances = ((x - x.mean(axis=0)) ** 2).sum()
    entropy = -(probs * np.log(probs)).sum()
    self.assertAlmostEqual(
      label_free.score('transac', **inputs, epsilon=3.0, taylor=1),
      (n + d) / 2 * d / (n * 9) * variances - entropy / probs.shape[1],
      places=9,
    )


class SimilarityTest(parameterized.TestCase):
  @parameterized.parameters(
    ('registry', 'cka', 3, 5),
    ('cka', 'cka_debiased', 4, 5),
    ('rsa', 'rsa', 9, 2),
  )
  def test_least_numbers_of_images_and_features(self, module, name, n, size):
    del module
    x, y = np.random.default_rng(0).normal(size=(2, n, size))
    self.assertTrue(np.isfinite(similarity.score(name, x, y)))
    least = size == 2
    with self.assertRaises(ValueError):
      few = x[:, 1:] if least else x[1:]
      similarity.score(name, few, y if least else y[1:])

  def test_svcca_may_keep_all_of_the_variance(self):
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4))
    self.assertAlmostEqual(
      similarity.score('svcca', x, x @ y[:4], kept=1.0), 1, places=8
    )
    with self.assertRaises(ValueError):
      similarity.score('svcca', x, y, kept=1.001)


class SourceDataTest(parameterized.TestCase):
  @parameterized.parameters(
    ('jc_otce', 'jc_otce', {'gamma': 0}, {'gamma': -1e-9}),
    ('jc_otce', 'jc_otce', {'gamma': 1}, {'gamma': 1.001}),
    ('f_otce', 'f_otce', {'num_draws': 1}, {'num_draws': 0}),
    ('data', 'f_otce', {'num_samples': 2}, {'num_samples': 1}),
    ('transfer_measure', 'transfer_measure', {'delta': 0}, {'delta': -1e-9}),
    ('domain_similarity', 'domain_similarity', {'gamma': 9}, {'gamma': 0}),
  )
  def test_ends_of_options(self, module, name, legal, illegal):
    del module
    pair = _source_and_target()
    self.assertTrue(np.isfinite(source_data.score(name, *pair, **legal)))
    with self.assertRaises(ValueError):
      source_data.score(name, *pair, **illegal)


class OtherTest(absltest.TestCase):
  def test_drawn_orders_count_the_one_that_was_found(self):
    y = np.arange(8.0)  # Of 8 candidates, not all orders are tried.
    found = agreement.compare(y, y, num_draws=99)
    self.assertEqual(found.p_value, 1 / 100)

  def test_three_candidates_agree_and_two_do_not(self):
    agreement.compare(np.arange(3.0), np.arange(3.0), num_draws=2)
    with self.assertRaises(ValueError):
      agreement.compare(np.arange(2.0), np.arange(2.0), num_draws=2)

  def test_symmetric_optima_are_of_one_source_to_all_others(self):
    known = oracle.Oracle.from_affinity(np.eye(3)[:, ::-1], 'abc', 'abc')
    self.assertEqual(baselines.best_symmetric(known, 2, 2)[0], 6)
    baselines.best_symmetric(known, 1)
    for k in (0, 3):
      with self.assertRaises(ValueError):
        baselines.best_symmetric(known, k)
    with self.assertRaises(ValueError):
      baselines.best_symmetric(known, 1, num_relevant=0)

  def test_two_models_can_stand_together(self):
    pair = np.array([[1, 0.3], [0.3, 1]])
    found = grouping.permutation_test(pair, 'aa')
    self.assertEqual((found.value, found.p_value), (1, 1))
    with self.assertRaises(ValueError):
      grouping.permutation_test(pair[:1, :1], 'a')

  def test_two_other_sources_give_a_scale(self):
    found = transfer_graph.transfers_of_affinity([[1, 3, 7]], 'a', 'bca')
    self.assertEqual([t.performance for t in found][:2], [-1, 1])
    losses = {('a', ('b',)): 1.0, ('a', ('c',)): np.exp(2), ('a', ('a',)): 1.0}
    found = transfer_graph.transfers_of_losses(losses)
    np.testing.assert_allclose([t.performance for t in found], [1, -1, 1])
    with self.assertRaises(ValueError):
      transfer_graph.transfers_of_affinity([[1, 3]], 'a', 'ba')
    with self.assertRaises(ValueError):
      transfer_graph.transfers_of_losses(dict([*losses.items()][1:]))

  def test_sources_that_are_all_alike_are_no_span_to_divide_by(self):
    ways = [(('b',), 1.0), (('c',), 1.0), (('b', 'c'), 4.0)]
    judge = transfer_graph.Judge(
      [
        source_selection.Transfer(sources, 'a', value)
        for sources, value in ways
      ]
    )
    self.assertEqual(judge.quality_of('a', 'b'), 0)
    self.assertEqual(judge.quality_of('a', 'cb'), 3)

  def test_a_budget_may_be_nothing_where_labels_are_free(self):
    way = source_selection.Transfer(('b',), 'a', 1.0)
    free = source_selection.select_sources([way], 0, {'b': 0})
    self.assertEqual((free.sources, free.value, free.cost), (('b',), 1, 0))
    for budget, costs in ((-1e-9, {'b': 0}), (0, {'b': -1e-9}), (0, {'b': 1})):
      with self.assertRaises(ValueError):
        source_selection.select_sources([way], budget, costs)

  def test_oracles_have_a_target_two_sources_and_images(self):
    oracle.Oracle.from_affinity([[1, 2]], 'a', 'ab')
    for targets, sources in (('', 'ab'), ('a', 'a')):
      with self.assertRaises(ValueError):
        shape = len(targets), len(sources)
        oracle.Oracle.from_affinity(np.ones(shape), targets, sources)
    np.testing.assert_array_equal(oracle.win_rates([[3.0]]), [[0.5]])
    np.testing.assert_allclose(oracle.ahp_affinity([[0.5]]), [1])
    known = oracle.Oracle.from_affinity(np.eye(3), 'abc', 'abc')
    self.assertEqual(oracle.stability([known, known], 1), (1, 1))
    with self.assertRaises(ValueError):
      oracle.stability([known])

  def test_three_targets_make_a_calibration(self):
    scores = np.arange(4.0)
    case = calibration.MeasuredTarget('a', scores, None, None, 4 - scores)
    found = calibration.measure('logme', [case] * 3, 'bank')
    self.assertEqual((found.num_cases, found.right), (3, 3))
    with self.assertRaises(ValueError):
      calibration.measure('logme', [case] * 2, 'bank')
    for loss, right in ((1.049, 3), (1.051, 2)):  # Of the pick.
      losses = np.array([1.0, 2, 2, loss])
      near = calibration.MeasuredTarget('a', scores, None, None, losses)
      found = calibration.measure('logme', [case, case, near], 'bank')
      self.assertEqual(found.right, right)

  def test_a_tree_may_have_two_leaves_and_be_cut_into_both(self):
    affinity = np.array([[1, 0.3], [0.3, 1]])
    tree = clustering.task_similarity_tree(affinity, ['a', 'b'])
    self.assertEqual(tree.clusters(2).tolist(), [0, 1])
    self.assertEqual(tree.clusters(1).tolist(), [0, 0])
    for number in (0, 3):
      with self.assertRaises(ValueError):
        tree.clusters(number)
    with self.assertRaises(ValueError):
      clustering.task_similarity_tree(affinity[:1, :1], ['a'])

  def test_maps_have_one_bit_to_23(self):
    rows = np.array([[-0.5, 1.0, 0.25], [0.1, 0.2, 0.3]], np.float32)
    np.testing.assert_array_equal(
      map_transforms.quantise(rows, 1),
      np.array([[-1, 1, 1], [0, 0.3, 0.3]], np.float32),
    )
    np.testing.assert_allclose(map_transforms.quantise(rows, 23), rows, 1e-6)
    for bits in (0, 24):
      with self.assertRaises(ValueError):
        map_transforms.quantise(rows, bits)

  def test_two_models_have_something_in_common_and_one_has_not(self):
    cosines = np.array([[[1, 0.3], [0.3, 1]]])
    np.testing.assert_allclose(
      map_transforms.cosines_without_common_map(cosines), [[[1, -1], [-1, 1]]]
    )
    with self.assertRaises(ValueError):
      map_transforms.cosines_without_common_map(cosines[:, :1, :1])

  def test_one_image_can_be_drawn_and_all_can(self):
    np.testing.assert_array_equal(resampling.weights(1, 1), [[1]])
    np.testing.assert_array_equal(resampling.subsets(4, 4, 1), [[0.25] * 4])
    self.assertCountEqual(resampling.subsets(3, 1, 1)[0], [0, 0, 1])
    for count, size, draws in ((3, 0, 1), (3, 4, 1), (3, 3, 0)):
      with self.assertRaises(ValueError):
        resampling.subsets(count, size, draws)
    for count, draws in ((0, 1), (1, 0)):
      with self.assertRaises(ValueError):
        resampling.weights(count, draws)

  def test_intervals_leave_half_of_the_rest_at_each_end(self):
    values = np.arange(101.0)
    np.testing.assert_allclose(resampling.interval(values, 0.9), [5, 95])
    for level in (0, 1):
      with self.assertRaises(ValueError):
        resampling.interval(values, level)

  def test_sketches_have_eight_numbers_to_a_million(self):
    self.assertEqual(sketches.size_of('sketch:8'), 8)
    self.assertEqual(sketches.size_of(f'sketch:{2**20}'), 2**20)
    for size in (7, 2**20 + 1):
      with self.assertRaises(ValueError):
        sketches.size_of(f'sketch:{size}')

  def test_two_ranks_correlate_and_one_does_not(self):
    ranks = np.array([[0, 1], [1, 0]])
    np.testing.assert_allclose(oracle.rank_correlation(ranks), [1, -1])
    self.assertTrue(np.isnan(oracle.rank_correlation(np.array([0]))))

  def test_random_units_are_of_unit_variance_and_a_quarter(self):
    # E max(0, w x + b)^2 = var(w x + b) / 2.
    for x, expected in ((np.zeros([1, 7]), 0.125), (np.ones([1, 7]), 0.625)):
      found = random_units.hidden(x, 200_000)
      self.assertGreaterEqual(found.min(), 0)
      self.assertAlmostEqual((found**2).mean(), expected, delta=0.01)

  def test_a_measure_that_fails_has_no_scores_and_says_why(self):
    inputs = measures_testing.task()
    features = {'a': inputs['features'], 'b': np.zeros((60, 2))}
    found = scoring.score(['ncti', 'h_score'], features, inputs['labels'])
    self.assertEqual(list(found.problems), ['ncti'])
    self.assertEqual(list(found.values['ncti']), ['a', 'b'])
    self.assertTrue(np.isnan(list(found.values['ncti'].values())).all())

  def test_labellings_are_counted_within_strata(self):
    labels, strata = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1])
    self.assertEqual(permutations.count_labellings(labels, strata), 3 * 2)
    found = {
      tuple(each) for each in permutations.all_labellings(labels, strata)
    }
    self.assertLen(found, 6)

  def test_a_random_test_counts_the_labelling_that_was_observed(self):
    labels = np.repeat([0, 1], 12)  # More labellings than are all tried.

    def is_sorted(drawn):
      return (np.diff(drawn, axis=1) >= 0).all(axis=1).astype(float)

    found = permutations.test(is_sorted, labels, 0 * labels, 99, 0)
    self.assertFalse(found.is_exact)
    self.assertEqual((found.value, found.labellings), (1, 100))
    self.assertAlmostEqual(found.p_value, 0.01)
    self.assertAlmostEqual(found.expected, 0.01)


if __name__ == '__main__':
  absltest.main()
