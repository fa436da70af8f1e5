"""Tests of LEEP, NCE, H-score, LFC, PARC and kNN where the answer is known."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from tests import measures_testing
from transferability import measures

_entropy = measures_testing.entropy
_score = measures_testing.score
_with_features = measures_testing.with_features


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

  @parameterized.parameters(1e-90, 1e90)
  def test_lfc_of_a_constant_feature_and_any_scale_is_that_without(self, scale):
    inputs = measures_testing.task()
    wide = np.column_stack([inputs['features'], np.full(60, 1e9 + 0.1)])
    found = _score('lfc', inputs)
    self.assertAlmostEqual(_score('lfc', _with_features(inputs, wide)), found)
    scaled = _with_features(inputs, scale * inputs['features'])
    self.assertAlmostEqual(_score('lfc', scaled), found, places=12)
    flat = _with_features(inputs, np.full((60, 3), 0.1))
    with self.assertRaisesRegex(ValueError, 'inner products .* equal'):
      _score('lfc', flat)

  @parameterized.product(
    num_classes=(2, 3, 5, 8), label_distances=('exact', 'released')
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
    if label_distances == 'released':
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
      votes = np.bincount([labels[j] for _, j in order[:count]], minlength=4)
      winners = votes == votes.max()
      correct += winners[labels[i]] / winners.sum()
    self.assertAlmostEqual(
      _score('knn', inputs, num_neighbours=count), correct / 30
    )

  def test_knn_of_equal_distances_lets_all_of_them_vote(self):
    dead = {'features': np.full((6, 3), 0.1)}
    for labels, expected in (
      ([0, 1, 0, 0, 1, 0], 4 / 6),
      ([0, 0, 0, 1, 1, 2], 3 / 6 / 2),  # Of three, two others against two.
    ):
      dead['labels'] = np.array(labels)
      self.assertAlmostEqual(_score('knn', dead), expected)

  @parameterized.parameters(1, 3)
  def test_knn_of_equal_distances_knows_no_order(self, count):
    rng = np.random.default_rng(0)
    inputs = measures_testing.task(40)
    inputs['features'] = (inputs['features'] > 0.8).astype(float)
    found = _score('knn', inputs, num_neighbours=count)
    for _ in range(5):
      order, columns = rng.permutation(40), rng.permutation(9)
      changed = {
        'features': inputs['features'][order][:, columns],
        'labels': rng.permutation(4)[inputs['labels'][order]],
      }
      self.assertAlmostEqual(
        _score('knn', changed, num_neighbours=count), found
      )

  def test_knn_does_not_depend_on_the_block(self):
    inputs = measures_testing.task(30)
    whole = _score('knn', inputs)
    with mock.patch.object(measures.knn, '_BLOCK', 70):
      self.assertEqual(_score('knn', inputs), whole)


if __name__ == '__main__':
  absltest.main()
