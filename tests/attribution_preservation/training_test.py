"""Tests of training with every way of matching."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution_preservation import (
  matching,
  networks,
  pruning,
  surgery,
  training,
)
from attribution_preservation.training import LabelledData, Schedule, Seeds

_WIDTHS = (3, 4, 4, 4, 4, 5)


def _data(number=24):
  rng = np.random.default_rng(0)
  images = rng.normal(size=(number, 32, 32, 3)).astype(np.float32)
  labels = (rng.uniform(size=(number, 3)) < 0.4).astype(np.float32)
  labels[:, 0] = 1
  return LabelledData(images, labels)


def _teacher():
  return networks.build(_WIDTHS, 3, seed=1, dropout_seed=1)


class MatchingTest(parameterized.TestCase):
  @parameterized.parameters(*matching.names())
  def test_equal_seeds_give_equal_students(self, name):
    teacher, data, way = _teacher(), _data(), matching.create(name)
    known = training.known_of(teacher, data, way)
    found = []
    for seed in (0, 0):
      student = networks.build(_WIDTHS, 3, seed=2, dropout_seed=2)
      training.fit(
        student,
        data,
        known,
        training.by_labels,
        Schedule(1, 1e-3, batch_size=8),
        matching=way,
        seeds=Seeds(seed, seed),
      )
      found.append(student.model.get_weights())
    for first, second in zip(*found, strict=True):
      np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)

  @parameterized.parameters(
    'ewa', 'swa', 'swa_identity', 'subspace', 'input_gradient', 'swa_present'
  )
  def test_the_term_is_zero_for_the_teacher_itself(self, name):
    teacher, data, way = _teacher(), _data(6), matching.create(name)
    known = {
      n: tf.constant(v)
      for n, v in training.known_of(teacher, data, way).items()
    }
    frozen = networks.Split(
      teacher.model, _InTesting(teacher.body), _InTesting(teacher.head)
    )
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    _, term = way.forward(frozen, images, labels, known, tf.constant([0, 0]))
    self.assertAlmostEqual(float(term), 0, places=5)

  @parameterized.parameters('swa', 'subspace', 'subspace_input')
  def test_matching_brings_the_term_down(self, name):
    teacher, data, way = _teacher(), _data(32), matching.create(name)
    known = training.known_of(teacher, data, way)
    terms = []
    for beta in (0.0, 300.0):
      student = networks.build(_WIDTHS, 3, seed=2, dropout_seed=2)
      schedule = Schedule(12, 5e-3, batch_size=16, weight_decay=0.0)
      _, term = training.fit(
        student,
        data,
        known,
        training.by_labels,
        schedule,
        matching=way,
        beta=beta,
      )
      terms.append(term)
    self.assertLess(terms[1], 0.9 * terms[0])

  def test_sswa_leaves_other_channels_out_in_each_batch(self):
    teacher, data = _teacher(), _data(4)
    way = matching.create('sswa', rate=0.5)
    known = {
      n: tf.constant(v)
      for n, v in training.known_of(teacher, data, way).items()
    }
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    terms = {
      float(
        way.forward(teacher, images, labels, known, tf.constant([0, step]))[1]
      )
      for step in range(4)
    }
    self.assertGreater(len(terms), 1)


class _InTesting:
  """A part of a network whose dropout and norms are as in testing."""

  def __init__(self, part):
    self._part, self.outputs = part, part.outputs

  def __call__(self, inputs, training):
    del training
    return self._part(inputs, training=False)


class FitTest(absltest.TestCase):
  def test_weights_that_were_pruned_stay_zero(self):
    network, data = _teacher(), _data()
    kernels = surgery.kernels(network.model)
    kept = pruning.weights_to_keep([k.numpy() for k in kernels], 0.6)
    training.fit(
      network,
      data,
      {'outputs': data.labels},
      training.by_labels,
      Schedule(2, 1e-2, batch_size=8),
      masks=list(zip(kernels, kept, strict=True)),
    )
    for kernel, mask in zip(kernels, kept, strict=True):
      self.assertTrue((kernel.numpy()[~mask] == 0).all())
      self.assertTrue((kernel.numpy()[mask] != 0).all())

  def test_it_learns_and_tells_each_epoch(self):
    network, data = _teacher(), _data(32)
    seen = []
    first, last = (
      training.fit(
        network,
        data,
        {'outputs': data.labels},
        training.by_labels,
        Schedule(epochs, 1e-2, cosine=True, batch_size=16),
        after_epoch=seen.append,
      )[0]
      for epochs in (1, 15)
    )
    self.assertLess(last, 0.7 * first)
    self.assertEqual(seen, [1, *range(1, 16)])

  def test_a_loss_that_is_no_number_is_an_error(self):
    network, data = _teacher(), _data(8)
    data.images[0, 0, 0, 0] = np.nan
    with self.assertRaisesRegex(FloatingPointError, 'learning rate'):
      training.fit(
        network,
        data,
        {'outputs': data.labels},
        training.by_labels,
        Schedule(1, 1e-3),
      )

  def test_imitation_is_relative_to_the_spread_of_outputs(self):
    teacher = tf.constant([[0.0, 2.0], [2.0, 0.0]])
    loss = training.by_imitation(None, teacher, teacher + 1)
    self.assertAlmostEqual(float(loss), 1, places=5)


if __name__ == '__main__':
  absltest.main()
