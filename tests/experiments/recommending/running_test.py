"""Tests of answers about small networks, of which the truth is known."""

import dataclasses
import json
import pathlib

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from experiments.recommending import labelled, page, running
from experiments.recommending.executing import Where
from experiments.recommending.looks import Looking
from experiments.recommending.running import Question, Way
from frozen_graphs import batch_sizes
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from tests import testing
from transferability.recommendation import calibration

_WAY = Way(
  num_images=60,
  num_draws=10,
  looking=Looking(num_twins=6, num_few=60),
  track=lambda items, **unused: items,
)


_PATTERN = np.sign(np.random.default_rng(7).normal(size=(3, 3, 3)))


def _images(number=60):
  """Returns noise with a faint pattern, or its negative; and which it is."""
  rng = np.random.default_rng(0)
  positive = rng.integers(0, 2, number)
  tiled = np.tile(_PATTERN, (6, 6, 1))[:16, :16]
  signs = (2 * positive - 1)[:, None, None, None]
  pictures = 128 + rng.normal(0, 30, (number, 16, 16, 3)) + 9 * signs * tiled
  return np.clip(pictures, 0, 255).astype(np.uint8), positive


def _network(name, kernel, t='range(-1, 1)', **changes):
  """Returns a network of one layer with a kernel [3, 3, 3, 4]."""
  graph = testing.freeze(
    lambda x: tf.nn.relu(tf.nn.conv2d(x, tf.constant(kernel), 1, 'SAME'))
  )
  encoder = Encoder(name, graph, 'input:0', 'representation:0', t, name)
  return dataclasses.replace(encoder, **changes)


def _random(name, seed):
  kernel = np.random.default_rng(seed).normal(size=(3, 3, 3, 4))
  return _network(name, kernel.astype(np.float32))


def _kernel_of_pattern():
  return np.stack([_PATTERN, -_PATTERN] * 2, axis=-1).astype(np.float32)


def _trained(name, noise=0.0, **changes):
  """Returns a network whose units find the pattern."""
  kernel = np.stack([_PATTERN, -_PATTERN] * 2, axis=-1)
  kernel = kernel + noise * np.random.default_rng(9).normal(size=kernel.shape)
  return _network(name, kernel.astype(np.float32), **changes)


class RecommendTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.images, self.classes = _images()

  def _ask(self, encoders, way=_WAY, **question):
    question = {'images': self.images, **question}
    bank = Bank('test', tuple(encoders))
    return running.recommend(Question(bank, **question), way)

  def test_labels_find_the_network_that_finds_the_pattern(self):
    candidates = [_random('r0', 0), _trained('finder'), _random('r1', 1)]
    found = self._ask(candidates, labels=self.classes)
    self.assertEqual(found.best, 'finder')
    row = found.decision.rows[0]
    self.assertLess(row.low, row.score)
    self.assertSetEqual(set(row.others), {'logme', 'parc'})
    self.assertIn('Transfer from finder', repr(found))
    self.assertGreater(found.costs['finder'].megabytes, 0)

  def test_labels_of_pixels_are_probed_at_the_grid_of_the_network(self):
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[1, 1, 0] = [1, -1, 0, 0]
    kernel[1, 1, 1] = [0, 0, 1, -1]
    candidates = [_random('r0', 0), _network('pixels', kernel)]
    found = self._ask(candidates, labels=self.images[..., 0] / 255)
    self.assertEqual(found.decision.rows[0].name, 'pixels')
    self.assertEqual(found.decision.situation.name, 'labels')
    self.assertIn('a ridge probe predicts labels', repr(found))
    score, other = (row.score for row in found.decision.rows)
    self.assertGreater(score, 0.99)  # Means of 2 x 2 pixels would not tell.
    self.assertLess(other, score)

  def test_random_networks_are_at_the_noise_floor(self):
    candidates = [_random(f'r{i}', i) for i in range(3)]
    found = self._ask([*candidates, _trained('e')], labels=self.classes)
    weak = [row.name for row in found.decision.rows if row.is_untrained]
    self.assertCountEqual(weak, ['r0', 'r1', 'r2'])
    nobody = self._ask(candidates, labels=self.classes)
    self.assertIsNone(nobody.best)
    self.assertIn('Transfer from none of these', repr(nobody))

  def test_network_of_the_target_finds_its_like(self):
    candidates = [_random('r0', 0), _trained('like', 0.1)]
    target = _trained('target')
    found = self._ask([*candidates, target], target='target')
    self.assertEqual(found.best, 'like')
    self.assertNotIn('target', [row.name for row in found.decision.rows])
    outside = self._ask(candidates, target=target)
    self.assertEqual(outside.best, 'like')

  def test_what_the_network_of_the_target_predicts_stands_for_labels(self):
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[1, 1, 0] = [1, -1, 0, 0]
    kernel[1, 1, 1] = [0, 0, 1, -1]
    pixels = _network('pixels', kernel)

    def whole(x):
      features = tf.nn.relu(
        tf.nn.conv2d(x, tf.constant(_kernel_of_pattern()), 1, 'SAME')
      )
      features = tf.math.multiply(features, 1.5, name='features')
      return tf.add(tf.reduce_mean(features), x[..., :1])

    target = Encoder(
      'target',
      testing.freeze(whole),
      'input:0',
      'features:0',
      'range(-1, 1)',
      'target',
      prediction_tensor='representation:0',
    )
    candidates = [_random('r0', 0), _trained('like', 0.1), pixels]
    found = self._ask(candidates, target=target)
    self.assertEqual(found.decision.situation.name, 'prediction')
    self.assertEqual(found.best, 'pixels')
    self.assertIn('which predicts a number a pixel', found.question)
    self.assertIn('target', found.features)
    plain = dataclasses.replace(target, prediction_tensor=None)
    found = self._ask(candidates, target=plain)
    self.assertEqual(found.best, 'like')
    self.assertEqual(found.decision.situation.name, 'target')

  def test_labels_count_for_more_than_predictions(self):
    candidates = [_random('r0', 0), _trained('finder')]
    target = dataclasses.replace(
      _trained('target'), prediction_tensor='representation:0'
    )
    found = self._ask(candidates, target=target, labels=self.classes)
    self.assertEqual(found.decision.situation.name, 'labels')
    self.assertNotIn('which predicts', found.question)

  def test_a_constant_prediction_is_refused_by_name(self):
    target = dataclasses.replace(
      _network('target', np.zeros((3, 3, 3, 4), np.float32)),
      prediction_tensor='representation:0',
    )
    with self.assertRaisesRegex(ValueError, 'what target predicts: All labels'):
      self._ask([_random('r0', 0), _random('r1', 1)], target=target)

  def test_chances_are_those_for_one_architecture_or_for_several(self):
    images, positive = _images()
    other = _network('other', np.ones((3, 3, 3, 7), np.float32))
    alike = (_trained('good'), _random('a', 1))
    for encoders, key in ((alike, 'labels'), ((*alike, other), 'labels_mixed')):
      answer = running.recommend(
        Question(Bank('b', encoders), images, positive), _WAY
      )
      self.assertIs(answer.calibration, calibration.stored()[key])
      self.assertIn(answer.calibration.bank, answer.paragraph())

  def test_training_settles_it(self):
    way = dataclasses.replace(_WAY, train=2)
    candidates = [_trained('a'), _trained('b', 0.5), _random('r', 0)]
    found = self._ask(candidates, way, labels=self.classes)
    trained = [r.name for r in found.decision.rows if np.isfinite(r.trained)]
    self.assertSetEqual(set(trained), {'a', 'b'})
    self.assertGreater(found.decision.rows[0].trained, 0.9)
    self.assertIn('really trained', found.paragraph())

  def test_one_that_fails_is_a_line_and_does_not_stop_the_others(self):
    broken = _network(
      'broken', np.zeros((3, 3, 3, 4), np.float32), 'range(0,1)'
    )
    wrong = dataclasses.replace(
      _random('wrong', 1), preprocessing='resize(12) | range(-1, 1)'
    )
    found = self._ask([_trained('good'), broken, wrong], labels=self.classes)
    self.assertEqual(found.best, 'good')
    self.assertSetEqual(set(found.decision.faults), {'broken', 'wrong'})
    self.assertRegex(repr(found), r'Failed: wrong: its input takes')

  def test_same_network_twice_is_said_and_tied(self):
    candidates = [_trained('one'), _trained('two'), _random('r', 0)]
    found = self._ask(candidates, labels=self.classes)
    self.assertEqual(found.best, 'one')
    self.assertEqual(found.decision.tied, ('two',))
    self.assertIn('two is the same network as one', repr(found))

  def test_one_candidate_and_few_images_are_said(self):
    rows = np.r_[:10]
    found = self._ask(
      [_trained('one')],
      images=self.images[rows],
      labels=self.classes[rows],
    )
    self.assertIn('one candidate only', repr(found))
    self.assertIn('10 images are few; no intervals', repr(found))

  def test_nothing_known_is_said_with_ways_out(self):
    found = self._ask([_random('r0', 0), _random('r1', 1)])
    self.assertIsNone(found.best)
    self.assertStartsWith(repr(found), 'Cannot tell: 2 candidates.')
    self.assertIn('`labels`', repr(found))
    self.assertLen(found.to_dict()['ways_to_tell'], 3)

  def test_history_ranks_by_standing_elsewhere(self):
    rows = [
      (target, name, score)
      for target in ('x', 'y')
      for name, score in (('r0', 3.0), ('r1', 2.0), ('other', 1.0))
    ]
    candidates = [_random('r0', 0), _random('r1', 1), _random('new', 2)]
    found = self._ask(
      candidates, images=None, history=labelled.read_history(rows)
    )
    self.assertEqual(found.best, 'r0')
    self.assertIn('new', found.decision.faults)
    self.assertIn('poor guess', repr(found))

  def test_what_does_not_fit_is_refused(self):
    one = [_random('r0', 0)]
    for question, message in (
      ({'target': 'no'}, "No network 'no' for `target`; there are r0"),
      ({'images': None, 'labels': [1]}, 'no `images`'),
      ({'images': None, 'target': 'r0'}, 'no candidates'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        self._ask(one, **question)
    with self.assertRaisesRegex(ValueError, '`train` needs `labels`'):
      self._ask(one, dataclasses.replace(_WAY, train=1))
    with self.assertRaisesRegex(ValueError, 'no candidates: x: broken'):
      self._ask([], faults={'x': 'x: broken'})
    with self.assertRaisesRegex(ValueError, '`target` needs `images`'):
      self._ask([*one, _random('r1', 1)], images=None, target='r0')

  def test_everything_is_in_its_json_and_on_its_page(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    candidates = [_trained('finder'), _random('r0', 0)]
    found = self._ask(candidates, labels=self.classes)
    found = page.write(found, folder, {'seed': 0})
    content = json.loads((folder / 'recommendation.json').read_text())
    self.assertEqual(content['recommended'], 'finder')
    self.assertEqual(content['candidates'][0]['network'], 'finder')
    self.assertEqual(content, json.loads(json.dumps(found.to_dict())))
    self.assertIn('Transfer from finder', (folder / 'report.html').read_text())
    found.plot_tree(folder / 'tree.png')
    self.assertGreater((folder / 'tree.png').stat().st_size, 1000)
    self.assertLen(found.table, 2)

  def test_a_budget_of_memory_changes_nothing(self):
    candidates = [_random('r0', 0), _trained('finder')]
    expected = self._ask(candidates, labels=self.classes)
    budget = batch_sizes.peak_bytes() // 2**20 + 2000
    way = dataclasses.replace(_WAY, where=Where(memory_mb=budget))
    found = self._ask(candidates, way, labels=self.classes)
    for ours, others in zip(
      found.decision.rows, expected.decision.rows, strict=True
    ):
      self.assertEqual(ours.name, others.name)
      self.assertAlmostEqual(ours.score, others.score, places=4)
    with self.subTest('one that is too small is said of each candidate'):
      way = dataclasses.replace(_WAY, where=Where(memory_mb=1))
      with self.assertRaisesRegex(ValueError, 'One image takes'):
        self._ask(candidates, way, labels=self.classes)

  def test_an_unknown_executor_is_refused(self):
    with self.assertRaisesRegex(ValueError, "executor 'slurm'; choose from"):
      Where(executor='slurm')

  def test_wrong_range_of_values_is_noticed(self):
    def saturates(x):
      kernel = np.stack([_PATTERN, -_PATTERN] * 2, axis=-1)
      found = tf.nn.conv2d(x, tf.constant(kernel, tf.float32), 1, 'SAME')
      return tf.sigmoid(found)

    graph = testing.freeze(saturates)
    encoder = Encoder(
      'n', graph, 'input:0', 'representation:0', 'range(0, 255)', 'n'
    )
    found = self._ask([encoder, _random('r', 0)], labels=self.classes)
    notes = ' '.join(found.warnings)
    self.assertRegex(notes, r'n scores higher by range\(')


if __name__ == '__main__':
  absltest.main()
