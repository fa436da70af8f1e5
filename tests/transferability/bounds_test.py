"""Tests of what is just legal: least numbers of inputs, and ends of ranges.

Each is named by the module that decides. What lies beyond is refused; see also
the tests of each package.
"""

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing
from transferability import (
  agreement,
  clustering,
  label_free,
  measures,
  similarity,
  source_data,
)


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


if __name__ == '__main__':
  absltest.main()
