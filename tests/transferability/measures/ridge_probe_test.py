"""Tests of the ridge probe against its definition, step by step."""

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing
from transferability import measures
from transferability.measures import ridge_probe


def _columns(features, hidden):
  """Returns standardised columns, and as many random units of them."""
  x = (features - features.mean(axis=0)) / features.std(axis=0)
  if not hidden:
    return x
  rng = np.random.default_rng(0)
  weights = rng.standard_normal((x.shape[1], hidden)) / np.sqrt(x.shape[1])
  units = np.maximum(0, x @ weights + rng.standard_normal(hidden) / 2)
  return np.hstack([x, (units - units.mean(axis=0)) / units.std(axis=0)])


def _defined(features, targets, folds, hidden):
  """Returns the score by normal equations of each fold and penalty."""
  x = _columns(features, hidden)
  scores = []
  for penalty in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0):
    errors = squares = 0
    for fold in set(folds):
      rest = [i for i, own in enumerate(folds) if own != fold]
      mean, level = x[rest].mean(axis=0), targets[rest].mean(axis=0)
      z, y = x[rest] - mean, targets[rest] - level
      weights = np.linalg.solve(
        z.T @ z + len(rest) * penalty * np.eye(z.shape[1]), z.T @ y
      )
      for i, own in enumerate(folds):
        if own == fold:
          errors += ((targets[i] - (x[i] - mean) @ weights - level) ** 2).sum()
          squares += ((targets[i] - level) ** 2).sum()
    scores.append(1 - errors / squares)
  return max(scores)


class RidgeProbeTest(parameterized.TestCase):
  @parameterized.product(size=(4, 50), hidden=(0, 7), num_folds=(2, 5))
  def test_it_is_that_of_normal_equations(self, size, hidden, num_folds):
    inputs = measures_testing.task(size=size)
    value = measures.score(
      'ridge_probe', **inputs, hidden=hidden, num_folds=num_folds
    )
    folds = [i % num_folds for i in range(60)]
    targets = np.eye(4)[inputs['labels']]
    expected = _defined(inputs['features'], targets, folds, hidden)
    self.assertAlmostEqual(value, expected, places=9)

  def test_a_group_is_in_one_fold(self):
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    targets += features[:, :2]
    groups = rng.integers(9, size=60) * 10
    value = ridge_probe.ridge_probe(
      features, targets, hidden=0, regression=True, groups=groups
    )
    folds = (np.unique(groups, return_inverse=True)[1] % 5).tolist()
    expected = _defined(features, targets, folds, 0)
    self.assertAlmostEqual(value, expected, places=9)

  def test_places_of_an_image_do_not_tell_of_each_other(self):
    rng = np.random.default_rng(1)
    of_image = np.repeat(rng.normal(size=(40, 30)), 8, axis=0)
    features = of_image + 0.01 * rng.normal(size=of_image.shape)
    targets = np.repeat(rng.normal(size=40), 8)  # Of nothing in the features.
    images = np.repeat(np.arange(40), 8)
    options = {'hidden': 0, 'regression': True}
    apart = ridge_probe.ridge_probe(features, targets, **options)
    together = ridge_probe.ridge_probe(
      features, targets, **options, groups=images
    )
    self.assertGreater(apart, 0.5)
    self.assertLess(together, 0.1)

  def test_random_units_tell_what_no_line_does(self):
    x = np.random.default_rng(2).normal(size=(400, 2))
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    self.assertLess(ridge_probe.ridge_probe(x, labels, hidden=0), 0.05)
    self.assertGreater(ridge_probe.ridge_probe(x, labels), 0.4)

  def test_errors_by_group_add_up_to_the_score(self):
    inputs = measures_testing.task()
    features, labels = inputs['features'], inputs['labels']
    groups = np.arange(60) // 3
    probe = ridge_probe.RidgeProbe(features, groups=groups)
    errors, squares = probe.errors(np.eye(4)[labels])
    self.assertEqual((errors.shape, squares.shape), ((20,), (20,)))
    self.assertAlmostEqual(
      1 - errors.sum() / squares.sum(),
      ridge_probe.ridge_probe(features, labels, groups=groups),
    )

  def test_labels_of_nothing_score_about_0(self):
    inputs = measures_testing.task(200)
    labels = np.random.default_rng(3).permutation(inputs['labels'])
    value = ridge_probe.ridge_probe(inputs['features'], labels)
    self.assertLess(abs(value), 0.05)

  def test_what_does_not_vary_is_refused(self):
    inputs = measures_testing.task()
    with self.assertRaisesRegex(ValueError, 'features are the same'):
      ridge_probe.ridge_probe(np.ones((60, 3)), inputs['labels'])
    with self.assertRaisesRegex(ValueError, 'labels are the same'):
      ridge_probe.ridge_probe(inputs['features'], np.zeros(60, int))
    for value in (0.3, 1e6 + 0.1):  # Their mean is off by rounding.
      with self.assertRaisesRegex(ValueError, 'labels are the same'):
        ridge_probe.ridge_probe(
          inputs['features'], np.full(60, value), regression=True
        )


if __name__ == '__main__':
  absltest.main()
