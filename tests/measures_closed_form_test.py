"""Tests of the measures where the answer is known without a reference."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from tests import measures_testing
from transferability import measures
from transferability.measures import logme

_score = measures_testing.score


def _entropy(labels):
  shares = np.bincount(labels) / len(labels)
  return -(shares * np.log(shares)).sum()


def _with_features(inputs, features):
  return {**inputs, 'features': features}


class TransRateTest(parameterized.TestCase):
  @parameterized.parameters('paper', 'listing', 'experiments')
  def test_one_class_scores_zero(self, form):
    inputs = measures_testing.task(num_classes=1)
    self.assertAlmostEqual(_score('transrate', inputs, form=form), 0, places=12)

  def test_singletons_are_coded_one_by_one(self):
    features = np.random.default_rng(0).normal(size=(7, 5))
    centred = features - features.mean(axis=0)
    identity, epsilon = np.eye(5), 1e-2
    whole = np.linalg.slogdet(identity + centred.T @ centred / (7 * epsilon))[1]
    norms = (centred**2).sum(axis=1)
    expected = whole / 2 - np.mean(np.log1p(norms / epsilon) / 2)
    inputs = {'features': features, 'labels': np.arange(7)}
    actual = _score('transrate', inputs, epsilon=epsilon)
    self.assertAlmostEqual(actual, expected, places=11)

  def test_shrinking_classes_raises_it_to_its_value_when_collapsed(self):
    inputs = measures_testing.task()
    labels = inputs['labels']
    means = np.stack(
      [inputs['features'][labels == c].mean(axis=0) for c in range(4)]
    )[labels]
    scores = [
      _score(
        'transrate',
        _with_features(inputs, means + t * (inputs['features'] - means)),
        epsilon=1e-2,
      )
      for t in (1, 0.5, 0.1, 0.01, 0)
    ]
    self.assertEqual(scores, sorted(scores))
    self.assertAlmostEqual(scores[-2], scores[-1], delta=0.05)

  def test_listing_is_the_formula_for_classes_of_one_size(self):
    inputs = measures_testing.task()
    inputs['labels'] = np.arange(60) % 4
    self.assertAlmostEqual(
      _score('transrate', inputs, form='listing'),
      _score('transrate', inputs),
      places=10,
    )

  def test_projected_form_is_that_of_full_matrices(self):
    inputs = measures_testing.task(num_classes=5)
    features, labels = inputs['features'], inputs['labels']
    covariance = np.cov(features.T, bias=True)
    between, within = np.zeros_like(covariance), []
    for c in range(5):
      x = features[labels == c]
      apart = x.mean(axis=0) - features.mean(axis=0)
      between += np.outer(apart, apart) * len(x) / len(labels)
      within.append(np.cov(x.T, bias=True))
    projection = np.linalg.pinv(covariance) @ between

    def rate(matrix, scale):
      values = np.linalg.svd(matrix @ projection, compute_uv=False)
      return np.log1p(values / scale / 0.1).sum() / 2

    trace = np.linalg.svd(covariance @ projection, compute_uv=False).sum()
    shares = np.bincount(labels) / len(labels)
    conditional = sum(
      share * rate(matrix, trace)
      for share, matrix in zip(shares, within, strict=True)
    )
    expected = rate(covariance, trace) - conditional
    actual = _score(
      'transrate', inputs, form='projected', epsilon=0.1, per_rank=False
    )
    self.assertAlmostEqual(actual, expected, places=11)
    self.assertAlmostEqual(
      _score('transrate', inputs, form='projected', epsilon=0.1),
      expected / 4,  # Five means span four dimensions.
      places=11,
    )

  def test_a_class_of_one_sample_can_be_projected(self):
    inputs = measures_testing.task()
    inputs['labels'][0] = 4
    self.assertGreater(_score('transrate', inputs, form='projected'), 0)

  def test_a_row_without_direction_is_refused(self):
    inputs = measures_testing.task()
    inputs['features'][7] = 0
    with self.assertRaisesRegex(ValueError, 'Row 7 .* zero'):
      _score('transrate', inputs, form='experiments')


class LogMETest(parameterized.TestCase):
  @parameterized.parameters((40, 7), (20, 31))
  def test_it_is_the_log_density_of_targets_at_its_precisions(self, n, d):
    inputs = measures_testing.task(num_samples=n, size=d)
    features, labels = inputs['features'], inputs['labels']
    fits = logme.fit(features, labels, form='marginal')
    for c, fit in enumerate(fits):
      covariance = np.eye(n) / fit.beta + features @ features.T / fit.alpha
      density = stats.multivariate_normal(np.zeros(n), covariance)
      expected = density.logpdf((labels == c).astype(float)) / n
      self.assertAlmostEqual(fit.value, expected, places=10)

  def test_it_is_the_marginal_for_more_features_than_samples(self):
    inputs = measures_testing.task(num_samples=20, size=31)
    self.assertEqual(
      _score('logme', inputs), _score('logme', inputs, form='marginal')
    )
    self.assertGreater(
      _score('logme', inputs, form='released'), _score('logme', inputs) + 0.1
    )

  def test_it_is_the_released_one_for_fewer_features_than_samples(self):
    inputs = measures_testing.task()
    self.assertEqual(
      _score('logme', inputs), _score('logme', inputs, form='released')
    )

  @parameterized.product(
    shape=[(40, 7), (20, 31)], form=['corrected', 'marginal', 'icml']
  )
  def test_a_feature_that_is_zero_does_not_count(self, shape, form):
    inputs = measures_testing.task(*shape)
    padded = np.column_stack([inputs['features'], np.zeros(shape[0])])
    self.assertAlmostEqual(
      _score('logme', _with_features(inputs, padded), form=form),
      _score('logme', inputs, form=form),
      places=9,
    )

  def test_a_feature_that_is_zero_counts_in_the_released_form(self):
    inputs = measures_testing.task(20, 31)
    padded = np.column_stack([inputs['features'], np.zeros(20)])
    self.assertNotAlmostEqual(
      _score('logme', _with_features(inputs, padded), form='released'),
      _score('logme', inputs, form='released'),
      places=3,
    )

  def test_repeated_features_do_not_count_as_dimensions(self):
    inputs = measures_testing.task(40, 7)
    twice = np.tile(inputs['features'], 2) / np.sqrt(2)
    self.assertAlmostEqual(
      _score('logme', _with_features(inputs, twice)),
      _score('logme', inputs),
      places=9,
    )

  @parameterized.parameters((100, 60), (60, 100))
  def test_it_is_the_same_from_the_gram_matrix(self, n, d):
    inputs = measures_testing.task(n, d)
    exact = _score('logme', inputs)
    with mock.patch.object(logme, '_MAX_EXACT', 50):
      self.assertNotEqual(_score('logme', inputs), exact)
      self.assertAlmostEqual(_score('logme', inputs), exact, places=10)

  def test_features_that_are_all_zero_are_refused(self):
    inputs = measures_testing.task()
    with self.assertRaisesRegex(ValueError, 'zero'):
      _score('logme', _with_features(inputs, np.zeros((60, 3))))


class SourceLabelTest(parameterized.TestCase):
  """LEEP and NCE."""

  @parameterized.parameters('leep', 'nce')
  def test_source_labels_that_determine_the_target_score_zero(self, name):
    labels = measures_testing.task()['labels']
    probs = np.eye(9)[2 * labels + np.arange(60) % 2]
    inputs = {'labels': labels, 'source_probs': probs}
    self.assertAlmostEqual(_score(name, inputs), 0, places=14)

  @parameterized.parameters(*range(5))
  def test_leep_is_zero_at_most(self, seed):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(7), size=60)
    inputs = {'labels': np.zeros(60, int), 'source_probs': probs}
    self.assertLessEqual(_score('leep', inputs), 0)
    self.assertAlmostEqual(_score('leep', inputs), 0, places=14)

  @parameterized.parameters('leep', 'nce')
  def test_source_labels_that_tell_nothing_score_minus_the_entropy(self, name):
    labels = measures_testing.task()['labels']
    probs = np.tile([0.1, 0.6, 0.3], (60, 1))
    inputs = {'labels': labels, 'source_probs': probs}
    self.assertAlmostEqual(_score(name, inputs), -_entropy(labels), places=13)

  @parameterized.parameters(*range(5))
  def test_leep_is_above_its_bound_by_nce(self, seed):
    inputs = measures_testing.task(seed=seed)
    confidence = np.log(inputs['source_probs'].max(axis=1)).mean()
    self.assertGreaterEqual(
      _score('leep', inputs), _score('nce', inputs) + confidence
    )

  def test_equally_probable_source_classes_are_the_first_one(self):
    inputs = {
      'labels': np.array([0, 1, 0, 1]),
      'source_probs': np.array([[0.5, 0.5], [0.1, 0.9], [1, 0], [0, 1]]),
    }
    self.assertEqual(_score('nce', inputs), 0)


class HScoreTest(parameterized.TestCase):
  @parameterized.parameters((10, 9), (10, 30))
  def test_it_saturates_with_as_many_features_as_samples(self, n, d):
    inputs = measures_testing.task(n, d, num_classes=3)
    self.assertAlmostEqual(_score('h_score', inputs), 2, places=10)

  @parameterized.parameters('h_score', 'h_score_shrinkage')
  def test_equal_class_means_score_zero(self, name):
    inputs = measures_testing.task()
    features, labels = inputs['features'], inputs['labels']
    for c in range(4):
      features[labels == c] -= features[labels == c].mean(axis=0)
    self.assertAlmostEqual(_score(name, inputs), 0, places=14)

  @parameterized.parameters('h_score', 'h_score_shrinkage')
  def test_constant_features_score_zero(self, name):
    inputs = measures_testing.task()
    self.assertEqual(
      _score(name, _with_features(inputs, np.full((60, 3), 0.1))), 0
    )

  @parameterized.parameters((60, 9), (20, 50))
  def test_shrinkage_form_is_that_of_full_matrices(self, n, d):
    from sklearn import covariance

    inputs = measures_testing.task(n, d)
    features, labels = inputs['features'], inputs['labels']
    fit = covariance.LedoitWolf().fit(features)
    means = np.stack([features[labels == c].mean(axis=0) for c in range(4)])
    between = np.cov(means[labels].T)
    expected = np.trace(np.linalg.solve(fit.covariance_, between))
    self.assertAlmostEqual(
      _score('h_score_shrinkage', inputs),
      (1 - fit.shrinkage_) * expected,
      places=10,
    )


class PairwiseTest(parameterized.TestCase):
  """LFC, PARC and kNN."""

  @parameterized.parameters('frobenius', 'spectral')
  def test_lfc_is_that_of_full_matrices(self, norm):
    for shape in ((30, 5), (12, 40)):
      inputs = measures_testing.task(*shape)
      features, labels = inputs['features'], inputs['labels']
      similar = features @ features.T
      same = np.where(labels[:, None] == labels, 1.0, -1.0)
      similar -= similar.mean()
      same -= same.mean()
      kind = 'fro' if norm == 'frobenius' else 2
      norms = np.linalg.norm(similar, kind) * np.linalg.norm(same, kind)
      self.assertAlmostEqual(
        _score('lfc', inputs, norm=norm),
        (similar * same).sum() / norms,
        places=12,
      )

  def test_lfc_is_one_where_inner_products_are_the_labels(self):
    labels = np.arange(12) % 2
    inputs = {'features': 2.0 * labels[:, None] - 1, 'labels': labels}
    self.assertAlmostEqual(_score('lfc', inputs), 1, places=14)

  def test_lfc_keeps_its_digits_far_from_the_origin(self):
    inputs = measures_testing.task()
    inputs['features'] = np.round(inputs['features'] * 2**10) / 2**10
    far = _with_features(inputs, inputs['features'] + 2.0**20)
    centred = inputs['features'] - inputs['features'].mean(axis=0)
    a = centred.sum(axis=1) * 2.0**20 + centred @ inputs['features'].mean(0)
    similar = centred @ centred.T + a[:, None] + a
    same = np.where(inputs['labels'][:, None] == inputs['labels'], 1.0, -1.0)
    same -= same.mean()
    expected = (similar * same).sum()
    expected /= np.linalg.norm(similar) * np.linalg.norm(same)
    self.assertAlmostEqual(_score('lfc', far), expected, places=9)

  @parameterized.product(
    num_classes=(2, 3, 5, 8), label_distances=('exact', 'rounded')
  )
  def test_parc_is_the_rank_correlation_of_all_pairs(
    self, num_classes, label_distances
  ):
    inputs = measures_testing.task(40, num_classes=num_classes)
    features, labels = inputs['features'], inputs['labels']
    features[7] = features[8]  # Makes ties.
    rows = (features - features.mean(axis=0)) / features.std(axis=0)
    upper = np.triu_indices(40, 1)
    apart = (labels[:, None] != labels).astype(float)
    if label_distances == 'rounded':
      apart = 1 - np.corrcoef(np.eye(num_classes)[labels])
    distances = (1 - np.corrcoef(rows)).round(12)
    expected = stats.spearmanr(distances[upper], apart[upper])[0]
    self.assertAlmostEqual(
      _score('parc', inputs, label_distances=label_distances),
      100 * expected,
      places=6,
    )

  def test_parc_needs_two_samples_of_a_class(self):
    inputs = {'features': np.eye(4), 'labels': np.arange(4)}
    with self.assertRaisesRegex(ValueError, 'own class'):
      _score('parc', inputs)

  def test_parc_of_one_feature_is_refused(self):
    inputs = measures_testing.task(size=1)
    with self.assertRaisesRegex(ValueError, 'sample .* all equal'):
      _score('parc', inputs)

  @parameterized.parameters(1, 2, 5)
  def test_knn_is_that_of_all_distances(self, count):
    inputs = measures_testing.task(30)
    features, labels = inputs['features'], inputs['labels']
    correct = 0
    for i in range(30):
      order = sorted(
        (np.linalg.norm(features[i] - features[j]), j)
        for j in range(30)
        if j != i
      )
      votes = np.bincount([labels[j] for _, j in order[:count]])
      correct += int(votes.argmax() == labels[i])
    self.assertEqual(_score('knn', inputs, num_neighbours=count), correct / 30)

  def test_knn_does_not_depend_on_the_block(self):
    inputs = measures_testing.task(30)
    whole = _score('knn', inputs)
    with mock.patch.object(measures.knn, '_BLOCK', 70):
      self.assertEqual(_score('knn', inputs), whole)


class ClassOverlapTest(parameterized.TestCase):
  """GBC, SFDA, ETran, NCTI, PED and PACTran."""

  @parameterized.parameters('spherical', 'diagonal')
  def test_gbc_attains_both_of_its_bounds(self, covariance):
    half = np.random.default_rng(0).normal(size=(10, 4))
    labels = np.repeat([0, 1, 2], 10)
    same = {'features': np.tile(half, (3, 1)), 'labels': labels}
    self.assertAlmostEqual(
      _score('gbc', same, covariance=covariance), -6, places=12
    )
    far = same['features'] + 1e3 * labels[:, None]
    self.assertEqual(
      _score('gbc', _with_features(same, far), covariance=covariance), 0
    )

  def test_gbc_of_one_class_has_nothing_to_overlap(self):
    self.assertEqual(_score('gbc', measures_testing.task(num_classes=1)), 0)

  def test_gbc_of_all_principal_components_is_that_of_features(self):
    inputs = measures_testing.task()
    self.assertAlmostEqual(
      _score('gbc', inputs, num_components=9), _score('gbc', inputs), places=12
    )

  @parameterized.parameters('sfda', 'etran', 'ncti', 'knn')
  def test_far_apart_classes_score_one(self, name):
    inputs = measures_testing.task(200, num_classes=3)
    corners = 100 * np.eye(9)[inputs['labels']]
    near_one = _score(
      name, _with_features(inputs, inputs['features'] + corners)
    )
    self.assertAlmostEqual(near_one, 1, places=6)

  def test_sfda_of_collapsed_classes_is_refused(self):
    labels = np.arange(12) % 3
    inputs = {'features': np.eye(3)[labels], 'labels': labels}
    with self.assertRaisesRegex(ValueError, 'scatter'):
      _score('sfda', inputs)

  def test_ped_of_classes_that_do_not_overlap_moves_nothing(self):
    inputs = measures_testing.task(200, num_classes=3)
    inputs['features'] += 100 * np.eye(9)[inputs['labels']]
    self.assertEqual(_score('ped', inputs), _score('sfda', inputs))

  def test_ped_moves_classes_that_overlap_apart(self):
    inputs = measures_testing.task(spread=3)
    self.assertGreater(_score('ped', inputs), _score('sfda', inputs) + 0.01)

  def test_pactran_of_a_flat_head_is_the_entropy_of_labels(self):
    # Features that are noise of no size cannot lower the loss.
    inputs = measures_testing.task()
    inputs['features'] *= 1e-9
    self.assertAlmostEqual(
      _score('pactran', inputs, optimum=True),
      _entropy(inputs['labels']),
      places=6,
    )

  def test_pactran_is_a_minimum(self):
    inputs = measures_testing.task(40, 3, num_classes=2)
    centred = inputs['features'] - inputs['features'].mean(axis=0)
    rng = np.random.default_rng(0)
    least = _score('pactran', inputs, optimum=True)
    for scale in (0.0, 0.1, 1.0, 3.0):
      head = scale * rng.normal(size=(3, 2))
      logits = centred @ head
      logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
      loss = -logits[np.arange(40), inputs['labels']].mean()
      self.assertLess(least, loss + (head**2).sum() / 80)


class PoolTest(parameterized.TestCase):
  def test_etran_scales_its_terms_over_the_pool(self):
    pool = [measures_testing.task(300, seed=seed) for seed in range(4)]
    lda, energy = (
      np.array([_score('etran', inputs, term=term) for inputs in pool])
      for term in ('lda', 'energy')
    )
    lda = (lda - lda.min()) / (lda.max() - lda.min())
    energy = (energy - energy.min()) / (energy.max() - energy.min())
    np.testing.assert_allclose(
      measures.score_pool('etran', pool), 0.85 * lda + 0.15 * energy
    )

  def test_ncti_prefers_models_with_less_variability(self):
    pool = [measures_testing.task(spread=spread) for spread in (0.1, 1, 4)]
    scores = measures.score_pool('ncti', pool)
    self.assertEqual(scores.argmax(), 0)
    self.assertEqual(scores.argmin(), 2)

  def test_other_measures_score_each_model_by_itself(self):
    pool = [measures_testing.task(seed=seed) for seed in range(3)]
    np.testing.assert_array_equal(
      measures.score_pool('lfc', pool, norm='spectral'),
      [_score('lfc', inputs, norm='spectral') for inputs in pool],
    )

  @parameterized.parameters('etran', 'ncti')
  def test_a_pool_of_equal_models_has_equal_scores(self, name):
    scores = measures.score_pool(name, [measures_testing.task()] * 3)
    np.testing.assert_array_equal(scores, 0)

  @parameterized.parameters('etran', 'ncti', 'lfc')
  def test_an_empty_pool_has_no_scores(self, name):
    self.assertEqual(measures.score_pool(name, []).shape, (0,))

  def test_one_term_of_a_pool_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'all its terms'):
      measures.score_pool('etran', [measures_testing.task()], term='lda')


class NLEEPTest(absltest.TestCase):
  def test_far_apart_classes_score_zero(self):
    inputs = measures_testing.task(200, num_classes=3)
    inputs['features'] += 100 * np.eye(9)[inputs['labels']]
    self.assertAlmostEqual(_score('nleep', inputs), 0, places=6)

  def test_clusters_that_are_singular_at_that_scale_are_refused(self):
    inputs = measures_testing.task(30)
    inputs['features'] *= 1e6
    with self.assertRaisesRegex(ValueError, 'singular: scale'):
      _score('nleep', inputs)

  def test_it_is_the_mean_over_seeds(self):
    inputs = measures_testing.task()
    alone = [_score('nleep', inputs, seed=seed) for seed in (3, 4)]
    both = _score('nleep', inputs, seed=3, num_seeds=2)
    self.assertAlmostEqual(both, np.mean(alone), places=14)

  def test_the_budget_bounds_the_dimensions_by_the_task_alone(self):
    inputs = measures_testing.task(100, 12)
    seen = []

    def posteriors(values, num_clusters, seed):
      del seed
      seen.append((values.shape[1], num_clusters))
      return np.full((len(values), num_clusters), 1 / num_clusters)

    with mock.patch.object(
      measures.nleep.estimators, 'mixture_posteriors', posteriors
    ):
      _score('nleep', inputs)
      _score('nleep', inputs, budget=100 * 20 * 3**2)
      _score('nleep', inputs, budget=1.0)
    self.assertGreater(seen[0][0], 3)
    self.assertEqual(seen[1:], [(3, 20), (1, 20)])


if __name__ == '__main__':
  absltest.main()
