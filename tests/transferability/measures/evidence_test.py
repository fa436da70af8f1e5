"""Tests of TransRate and LogME where the answer is known."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from tests import measures_testing
from transferability.measures import logme

_score = measures_testing.score


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

    def reduction(scale):
      pairs = zip(shares, within, strict=True)
      conditional = sum(share * rate(matrix, scale) for share, matrix in pairs)
      return rate(covariance, scale) - conditional

    options = {'form': 'projected', 'epsilon': 0.1, 'per_rank': False}
    self.assertAlmostEqual(
      _score('transrate', inputs, **options, unit_trace=False),
      reduction(1),
      places=11,
    )
    expected = reduction(trace)
    actual = _score('transrate', inputs, **options)
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


if __name__ == '__main__':
  absltest.main()
