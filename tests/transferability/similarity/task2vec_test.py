"""Tests of Task2Vec against its definitions, written out."""

from absl.testing import absltest, parameterized
import numpy as np
from scipy import special
from scipy.spatial import distance as distances_lib

from tests import measures_testing
from transferability.measures import heads
from transferability.similarity import task2vec


def _head(features, labels, penalty=1e-2):
  scaled = features / np.sqrt(np.mean(features**2))
  _, weights, probs = heads.fit(
    scaled, labels, penalty, maxiter=200, ftol=1e-12, gtol=1e-8
  )
  return scaled, weights, probs


def _task(informative, seed=0, number=200, size=12):
  """Returns features of which some tell the class, and the classes."""
  rng = np.random.default_rng(seed)
  labels = rng.permutation(np.arange(number) % 3)
  features = rng.normal(size=(number, size))
  features[:, informative] += 2 * rng.normal(size=(3, len(informative)))[labels]
  return features, labels


class FisherTest(absltest.TestCase):
  def test_it_is_the_mean_over_drawn_classes_of_squared_gradients(self):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 3, 4))
    probs = special.softmax(rng.normal(size=(5, 3)), axis=1)
    expected = np.zeros(4)
    for i in range(5):
      for c in range(3):
        # d log p_c / dw of log p_c = z_c - log sum exp z.
        score = gradients[i, c] - sum(
          probs[i, k] * gradients[i, k] for k in range(3)
        )
        expected += probs[i, c] * score**2 / 5
    np.testing.assert_allclose(
      task2vec.diagonal_fisher(gradients, probs), expected
    )

  def test_embedding_is_the_fisher_information_of_gains(self):
    inputs = measures_testing.task(60, 7, 4)
    features, labels = inputs['features'], inputs['labels']
    scaled, weights, probs = _head(features, labels)
    # The logit c is sum_j g_j x_j w_jc: its gradient by g_j is x_j w_jc.
    gradients = scaled[:, None, :] * weights.T[None]
    np.testing.assert_allclose(
      task2vec.embed(features, labels),
      task2vec.diagonal_fisher(gradients, probs),
    )

  def test_gradients_are_those_of_finite_differences(self):
    inputs = measures_testing.task(30, 5, 3)
    scaled, weights, probs = _head(inputs['features'], inputs['labels'])

    def log_probs(gains):
      return special.log_softmax((scaled * gains) @ weights, axis=1)

    probs = np.exp(log_probs(np.ones(5)))
    expected = []
    for j in range(5):
      step = np.eye(5)[j] * 1e-5
      score = (log_probs(1 + step) - log_probs(1 - step)) / 2e-5
      expected.append((probs * score**2).sum(axis=1).mean())
    gradients = scaled[:, None, :] * weights.T[None]
    np.testing.assert_allclose(
      task2vec.diagonal_fisher(gradients, probs), expected, rtol=1e-6
    )

  def test_head_is_at_its_optimum(self):
    inputs = measures_testing.task(80, 6, 4)
    labels = inputs['labels']
    scaled, weights, probs = _head(inputs['features'], labels)
    errors = (probs - np.eye(4)[labels]) / 80
    np.testing.assert_allclose(scaled.T @ errors + 1e-2 * weights, 0, atol=1e-5)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=1e-5)

  def test_weights_of_a_filter_are_averaged(self):
    found = task2vec.filter_means([1.0, 2, 3, 6], [0, 1, 0, 1])
    np.testing.assert_array_equal(found, [2, 4])

  def test_features_that_tell_classes_apart_matter(self):
    embedding = task2vec.embed(*_task([2, 5]))
    self.assertSetEqual(set(np.argsort(embedding)[-2:]), {2, 5})

  def test_numbers_of_classes_and_scale_do_not_change_the_length(self):
    features, labels = _task([1])
    embedding = task2vec.embed(features, labels)
    self.assertEqual(
      embedding.shape, task2vec.embed(features, labels % 2).shape
    )
    np.testing.assert_allclose(
      task2vec.embed(features * 1e6, labels), embedding, rtol=1e-4
    )


class DistanceTest(parameterized.TestCase):
  def test_it_is_the_cosine_distance_of_shares(self):
    x, y = np.random.default_rng(0).uniform(size=(2, 9))
    self.assertAlmostEqual(
      task2vec.distance(x, y),
      distances_lib.cosine(x / (x + y), y / (x + y)),
    )

  def test_it_is_symmetric_0_for_the_same_and_1_for_disjoint_tasks(self):
    x, y = np.random.default_rng(0).uniform(size=(2, 9))
    self.assertEqual(task2vec.distance(x, y), task2vec.distance(y, x))
    self.assertAlmostEqual(task2vec.distance(x, x), 0)
    self.assertAlmostEqual(task2vec.distance([1, 0, 0], [0, 2, 0]), 1)

  def test_scales_of_single_weights_do_not_matter(self):
    x, y, scale = np.random.default_rng(0).uniform(0.1, 1, size=(3, 9))
    self.assertAlmostEqual(
      task2vec.distance(x * scale, y * scale), task2vec.distance(x, y)
    )

  def test_tasks_that_use_the_same_features_are_near(self):
    a, b, c = (
      task2vec.embed(*_task(informative, seed))
      for seed, informative in enumerate(([0, 1, 2], [0, 1, 2], [7, 8, 9]))
    )
    self.assertLess(task2vec.distance(a, b), task2vec.distance(a, c))

  def test_a_source_far_from_trivial_is_nearer(self):
    x, y, trivial = np.random.default_rng(0).uniform(size=(3, 9))
    self.assertAlmostEqual(
      task2vec.asymmetric_distance(x, y, trivial),
      task2vec.distance(x, y) - 0.15 * task2vec.distance(x, trivial),
    )
    self.assertNotEqual(
      task2vec.asymmetric_distance(x, y, trivial),
      task2vec.asymmetric_distance(y, x, trivial),
    )

  @parameterized.parameters(
    ('all zero', [0, 0]),
    ('negative or not finite', [-1, 1]),
    ('negative or not finite', [np.nan, 1]),
    (r'shape \(1, 2\)', [[1, 2]]),
    ('2 and 3 entries', [1, 2, 3]),
  )
  def test_what_is_no_embedding_is_refused(self, message, y):
    with self.assertRaisesRegex(ValueError, message):
      task2vec.distance([1, 2], y)

  def test_gradients_must_fit_the_probabilities(self):
    probs = np.full((4, 2), 0.5)
    with self.assertRaisesRegex(ValueError, r'need \[4, 2, weights\]'):
      task2vec.diagonal_fisher(np.ones((4, 3, 5)), probs)
    with self.assertRaisesRegex(ValueError, 'not finite'):
      task2vec.diagonal_fisher(np.full((4, 2, 5), np.nan), probs)
    with self.assertRaisesRegex(ValueError, 'penalty is 0'):
      task2vec.embed(*_task([1]), penalty=0)


if __name__ == '__main__':
  absltest.main()
