"""Tests of the measures of class overlap, of pools and of mixtures."""

import itertools
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
from scipy import linalg

from tests import measures_testing
from transferability import measures

_entropy = measures_testing.entropy
_score = measures_testing.score
_with_features = measures_testing.with_features


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

  @parameterized.parameters('sfda', 'ped', 'ncti')
  def test_collapsed_classes_are_refused(self, name):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(21) % 3)
    # The mean of seven equal numbers may be off by rounding.
    for corners in (np.eye(3), *rng.normal(size=(5, 3, 4))):
      inputs = {'features': corners[labels], 'labels': labels}
      with self.assertRaisesRegex(ValueError, 'samples of each class are eq'):
        _score(name, inputs)

  def test_ped_of_classes_that_do_not_overlap_moves_nothing(self):
    inputs = measures_testing.task(200, num_classes=3)
    inputs['features'] += 100 * np.eye(9)[inputs['labels']]
    self.assertEqual(_score('ped', inputs), _score('sfda', inputs))

  @parameterized.parameters((3, 0, 0.2), (10, 0, 3), (30, 0, 0.2), (3, 20, 0.2))
  def test_ped_is_the_motion_of_balls_that_overlap(self, spread, far, step):
    inputs = measures_testing.task(num_classes=3, spread=spread)
    features, labels = inputs['features'], inputs['labels']
    features[:, 8] *= 5e-4 / features[:, 8].std()
    features[labels == 2, 0] += far
    deviations = np.maximum(features.std(axis=0), 1e-3)
    moved = (features - features.mean(axis=0)) / deviations
    lengths = []
    for _ in range(6):
      balls = [
        (own.mean(axis=0), 0.6 * np.sqrt(own.var(axis=0).sum()))
        for own in (moved[labels == c] for c in range(3))
      ]
      shifts = np.zeros((3, 9))
      for c, b in itertools.permutations(range(3), 2):
        apart = balls[c][0] - balls[b][0]
        length = np.linalg.norm(apart)
        overlap = max(0, balls[c][1] + balls[b][1] - length)
        shifts[c] += min(step**2 / 2, 1) * overlap * apart / length
      lengths.append(np.abs(shifts).sum())
      if lengths[-1] <= 0.8 * lengths[0] and len(lengths) > 1:
        break
      moved = moved + shifts[labels]
    by_hand = _with_features(inputs, moved * deviations + features.mean(axis=0))
    self.assertAlmostEqual(
      _score('ped', inputs, time_step=step, exit_ratio=0.8),
      _score('sfda', by_hand),
    )
    self.assertNotAlmostEqual(
      _score('sfda', inputs), _score('sfda', by_hand), places=4
    )

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

  def test_seli_is_of_as_many_directions_as_classes_less_one(self):
    inputs = measures_testing.task(size=6, num_classes=3)
    x = 0.3 * inputs['features']
    labels, d = inputs['labels'], 6
    centred = x - x.mean(axis=0)
    means = np.stack([centred[labels == c].mean(axis=0) for c in range(3)])
    within = centred - means[labels]
    a = np.exp(-np.cov(x.T).trace())
    self.assertGreater(a, 0.01)
    inside, total = (
      (1 - a) * s + a * np.trace(s) / d * np.eye(d)
      for s in (within.T @ within / 60, centred.T @ centred / 60)
    )
    directions = linalg.eigh(total - inside, inside)[1][:, -2:]
    expected = np.linalg.svd(centred @ directions, compute_uv=False).sum()
    self.assertAlmostEqual(
      _score('ncti', _with_features(inputs, x), term='seli'), expected, places=9
    )

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
      measures.leep.estimators, 'mixture_posteriors', posteriors
    ):
      _score('nleep', inputs)
      _score('nleep', inputs, budget=100 * 20 * 3**2)
      _score('nleep', inputs, budget=1.0)
    self.assertGreater(seen[0][0], 3)
    self.assertEqual(seen[1:], [(3, 20), (1, 20)])


if __name__ == '__main__':
  absltest.main()
