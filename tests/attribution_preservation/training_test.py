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


def _known(way, teacher, data):
  found = training.known_of(teacher, data, way)
  return {name: tf.constant(values) for name, values in found.items()}


class MatchingTest(parameterized.TestCase):
  @parameterized.parameters(*matching.names())
  def test_its_gradient_is_finite_and_reaches_all_that_it_should(self, name):
    teacher, data, way = _teacher(), _data(4), matching.create(name)
    student = networks.build(_WIDTHS, 3, seed=2, dropout_seed=2)
    known = _known(way, teacher, data)
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    with tf.GradientTape() as tape:
      outputs, term = way.forward(
        student, images, labels, known, tf.constant([0, 0])
      )
      total = term + 0 * tf.reduce_sum(outputs)
    gradients = tape.gradient(total, student.model.trainable_variables)
    for gradient in gradients:
      self.assertTrue(np.isfinite(gradient).all())
    moved = [bool(np.any(gradient)) for gradient in gradients]
    self.assertEqual(moved[0], name != 'naive')  # The first convolution.
    # The head has a part in all but the activations alone.
    self.assertEqual(moved[-2], name not in ('naive', 'ewa'))

  @parameterized.parameters(
    'ewa', 'swa', 'swa_identity', 'subspace', 'input_gradient', 'swa_present'
  )
  def test_the_term_is_zero_for_the_teacher_itself(self, name):
    teacher, data, way = _teacher(), _data(4), matching.create(name)
    frozen = networks.Split(
      teacher.model, _InTesting(teacher.body), _InTesting(teacher.head)
    )
    known = _known(way, teacher, data)
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    _, term = way.forward(frozen, images, labels, known, tf.constant([0, 0]))
    self.assertAlmostEqual(float(term), 0, places=5)

  def test_equal_seeds_give_equal_students_and_matching_is_learned(self):
    teacher, data, way = _teacher(), _data(32), matching.create('sswa')
    known = training.known_of(teacher, data, way)
    found, terms = [], []
    for beta in (300.0, 300.0, 0.0):
      student = networks.build(_WIDTHS, 3, seed=2, dropout_seed=2)
      _, term = training.fit(
        student,
        data,
        known,
        training.by_labels,
        Schedule(12, 5e-3, batch_size=16, weight_decay=0.0),
        matching=way,
        beta=beta,
        seeds=Seeds(5, 6),
      )
      terms.append(term)
      found.append(student.model.get_weights())
    for first, second in zip(*found[:2], strict=True):
      np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)
    self.assertLess(terms[0], 0.9 * terms[2])

  def test_sswa_leaves_other_channels_out_in_each_batch(self):
    teacher, data = _teacher(), _data(4)
    way = matching.create('sswa', rate=0.5)
    known = _known(way, teacher, data)
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    terms = {
      float(
        way.forward(teacher, images, labels, known, tf.constant([0, step]))[1]
      )
      for step in range(4)
    }
    self.assertGreater(len(terms), 1)

  def test_sswa_holds_the_sign_of_both_maps(self):
    teacher, data = _teacher(), _data(4)
    way = matching.create('sswa', rectified=False, rate=0.0)
    plain = matching.create('swa_identity')
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    for each in (way, plain):
      frozen = networks.Split(
        teacher.model, _InTesting(teacher.body), _InTesting(teacher.head)
      )
      known = _known(each, teacher, data)
      _, term = each.forward(frozen, images, labels, known, tf.constant([0, 0]))
      self.assertAlmostEqual(float(term), 0, places=5)

  def test_a_batch_without_labels_has_no_present_class(self):
    teacher, data = _teacher(), _data(4)
    way = matching.create('swa_present')
    images, labels = tf.constant(data.images), tf.zeros((4, 3))
    known = {
      name: tf.constant(v)
      for name, v in way.known(teacher, images, labels).items()
    }
    _, term = way.forward(teacher, images, labels, known, tf.constant([0, 0]))
    self.assertEqual(float(term), 0)


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
