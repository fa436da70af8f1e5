"""Tests of the ground truth: readouts that are really trained."""

from absl.testing import absltest, parameterized
import numpy as np

from experiments.selection import targets, truth
from taskonomy_models.mini import readouts
from taskonomy_models.mini import tasks as mini_tasks

_RECIPE = readouts.ReadoutRecipe(steps=150, dropout=0.2)


def _task(n=160, num_train=100, seed=0):
  """Returns labels, values, and features that hold both or neither."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(3, size=n)
  values = rng.normal(size=n) * 5 + 40
  noise = rng.normal(size=(n, 2, 2, 4)).astype(np.float32)
  telling = noise.copy()
  telling[..., 0] += 4 * labels[:, None, None]
  telling[..., 1] += (values - 40)[:, None, None]
  features = {'noise': noise, 'telling': telling, 'odd': telling[:, :1]}
  return labels, values, features, num_train


class PredictTest(parameterized.TestCase):
  @parameterized.parameters(True, False)
  def test_losses_are_those_of_the_predictions(self, classes):
    labels, values, features, _ = _task()
    labels = labels if classes else values[:, None].astype(np.float32)
    stacked = np.stack([features['noise'], features['telling']])
    trained = readouts.Readouts(
      mini_tasks.MiniTask('t', 3 if classes else 1, False, classes),
      stacked,
      labels,
      _RECIPE,
    )
    trained.train(stacked[:, :30], labels[:30])
    outputs = trained.predict(stacked)
    losses = trained.score(stacked, labels)
    if classes:
      logs = outputs - np.log(np.exp(outputs).sum(axis=-1, keepdims=True))
      expected = -logs[:, np.arange(len(labels)), labels]
    else:
      expected = (outputs - labels)[..., 0] ** 2 / labels.var()
    np.testing.assert_allclose(losses, expected, rtol=1e-3, atol=1e-4)


class TrainTest(absltest.TestCase):
  def test_what_tells_the_classes_apart_does_better_than_noise(self):
    labels, _, features, num_train = _task()
    target = targets.classification('t', labels, num_train)
    found = truth.train_readouts(target, features, num_train, (0, 1), _RECIPE)
    self.assertGreater(np.mean(found.performance['telling']), 0.75)
    self.assertLess(np.mean(found.performance['noise']), 0.6)
    self.assertGreater(np.mean(found.performance['odd']), 0.75)
    self.assertLen(found.performance['odd'], 2)
    self.assertGreater(found.seconds, 0)
    with self.subTest('the same seeds give the same numbers'):
      again = truth.train_readouts(target, features, num_train, (1,), _RECIPE)
      self.assertEqual(again.performance['odd'], found.performance['odd'][1:])

  def test_numbers_are_scored_by_the_variance_that_is_left(self):
    _, values, features, num_train = _task()
    target = targets.regression('t', values, num_train, 5)
    found = truth.train_readouts(target, features, num_train, (0,), _RECIPE)
    self.assertGreater(np.mean(found.performance['telling']), 0.5)
    self.assertLess(np.mean(found.performance['noise']), 0.2)

  def test_performance_is_accuracy_or_r_squared(self):
    target = targets.Target('t', np.array([0, 1, 1]), np.arange(3))
    logits = np.array([[2.0, 1.0], [2.0, 1.0]])
    self.assertEqual(truth.performance(target, np.array([0, 1]), logits), 0.5)
    values = np.array([1.0, 2.0, 6.0])
    target = targets.Target('t', np.zeros(3, int), np.arange(3), values)
    rows = np.arange(3)
    mean = np.full((3, 1), 3.0)
    self.assertAlmostEqual(truth.performance(target, rows, mean), 0.0)
    self.assertEqual(truth.performance(target, rows, values[:, None]), 1.0)

  def test_training_that_diverged_counts_as_a_guess(self):
    values = np.array([1.0, 2.0, 6.0])
    rows = np.arange(3)
    number = targets.Target('t', np.arange(3), rows, values)
    blown_up = np.array([[1e3], [-1e3], [0.0]])
    raw = truth.performance(number, rows, blown_up)
    self.assertLess(raw, -1e5)
    lost = truth.performance(number, rows, blown_up * np.nan)
    found = truth.settle(
      number, {'fair': [-0.9], 'blown': [0.5, raw], 'nan': [lost]}, 1.0
    )
    self.assertEqual(
      found.performance, {'fair': [-0.9], 'blown': [0.5, -1], 'nan': [-1]}
    )
    self.assertEqual(found.diverged['nan'], 'outputs not finite')
    self.assertRegex(found.diverged['blown'], r'^R\^2 -\d')
    self.assertLen(found.diverged, 2)
    classes = targets.Target('t', np.arange(3), rows)
    logits = np.full((3, 3), np.nan)
    lost = truth.performance(classes, rows, logits)
    found = truth.settle(classes, {'bad': [0.0], 'nan': [lost]}, 1.0)
    self.assertEqual(found.performance, {'bad': [0.0], 'nan': [1 / 3]})
    self.assertEqual(list(found.diverged), ['nan'])

  def test_a_channel_that_is_silent_in_training_does_not_blow_up_later(self):
    _, values, features, num_train = _task()
    target = targets.regression('t', values, num_train, 5)
    waking = features['telling'].copy()
    waking[..., 3] = 7.3  # Of a unit that fires on no training image.
    waking[num_train + 5, ..., 3] = 9
    found = truth.train_readouts(
      target, {'waking': waking}, num_train, (0,), _RECIPE
    )
    self.assertGreater(found.performance['waking'][0], 0.5)
    self.assertEmpty(found.diverged)

  def test_features_that_explode_on_test_images_are_seen_to_diverge(self):
    _, values, features, num_train = _task()
    target = targets.regression('t', values, num_train, 5)
    broken = features['telling'].copy()
    broken[num_train:] *= 1e4
    found = truth.train_readouts(
      target,
      {'telling': features['telling'], 'broken': broken},
      *(num_train, (0,), _RECIPE),
    )
    self.assertEqual(found.performance['broken'], [-1])
    self.assertEqual(list(found.diverged), ['broken'])

  def test_test_images_are_never_trained_on(self):
    labels, _, _, num_train = _task()
    target = targets.classification('t', labels, num_train)
    train, held_out, test = truth.split(target, num_train, 3)
    self.assertLess(target.rows[np.concatenate([train, held_out])].max(), 100)
    self.assertGreaterEqual(target.rows[test].min(), 100)
    self.assertEmpty(set(train) & set(held_out))
    self.assertLen(train, 80)


if __name__ == '__main__':
  absltest.main()
