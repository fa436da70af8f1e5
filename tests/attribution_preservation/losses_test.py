"""Tests of the losses against reference values and written-out formulas."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution_preservation import losses
from tests.attribution_preservation import references


def _head(reference, side):
  """Returns the reference's head of features [B, h, w, C]: two tanh layers."""
  first, second = (reference[f'in/{n}_{side}'] for n in ('W1', 'W2'))

  def head(features):
    planes = tf.transpose(features, (0, 3, 1, 2))
    flat = tf.reshape(planes, (tf.shape(planes)[0], -1))
    return tf.matmul(
      tf.tanh(tf.matmul(flat, first, transpose_b=True)),
      second,
      transpose_b=True,
    )

  return head


def _close(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-12)


@parameterized.parameters(*references.CASES)
class ReferenceTest(parameterized.TestCase):
  def _load(self, case):
    found = references.load(case)
    features = {
      side: tf.constant(references.nhwc(found[f'in/feat_{side}_nchw']))
      for side in ('teacher', 'student')
    }
    heads = {side: _head(found, side) for side in features}
    return found, features, heads

  def _check(self, found, name, features, loss):
    with tf.GradientTape() as tape:
      tape.watch(features)
      value = loss(features)
    gradient = tape.gradient(value, features)
    _close(value, found[f'ref/{name}_loss'])
    expected = references.nhwc(found[f'ref/{name}_loss_grad_wrt_student_feat'])
    _close(gradient, expected)

  def test_ewa_and_attention_transfer_and_their_gradient(self, case):
    found, features, _ = self._load(case)
    teacher = losses.equally_weighted(features['teacher'])

    def loss(student):
      return losses.match(teacher, losses.equally_weighted(student))

    self._check(found, 'ewa', features['student'], loss)
    _close(loss(features['student']), found['ref/at_loss_zagoruyko'])

  def test_swa_its_maps_and_its_gradient_through_the_weights(self, case):
    found, features, heads = self._load(case)
    classes = tf.constant(found['ref/class_index_from_teacher_argmax'])
    scores, weights = losses.scores_and_weights(
      heads['teacher'], features['teacher'], classes
    )
    _close(scores, found['ref/teacher_logits'])
    np.testing.assert_array_equal(tf.argmax(scores, 1), classes)
    _close(weights, references.nhwc(found['ref/grad_teacher']).sum(axis=(1, 2)))
    teacher = losses.sensitivity_weighted(features['teacher'], weights)
    _close(
      losses.normalised(teacher),
      losses.normalised(tf.constant(found['ref/swa_map_teacher'])),
    )

    def loss(student):
      own = losses.channel_weights(heads['student'], student, classes)
      return losses.match(teacher, losses.sensitivity_weighted(student, own))

    self._check(found, 'swa', features['student'], loss)

  def test_sswa_erases_activations_of_the_teacher_not_weights(self, case):
    found, features, heads = self._load(case)
    classes = tf.constant(found['ref/class_index_from_teacher_argmax'])
    weights = losses.channel_weights(
      heads['teacher'], features['teacher'], classes
    )
    mask = np.ones(features['teacher'].shape[-1])
    mask[found['in/erased_teacher_channels']] = 0
    teacher = losses.sensitivity_weighted(features['teacher'] * mask, weights)

    def loss(student):
      own = losses.channel_weights(heads['student'], student, classes)
      return losses.match(teacher, losses.sensitivity_weighted(student, own))

    self._check(found, 'sswa', features['student'], loss)

  def test_task_loss_and_distillation(self, case):
    found, _, _ = self._load(case)
    labels, teacher, student = (
      tf.constant(found[name])
      for name in (
        'in/multilabel_targets',
        'ref/teacher_logits',
        'ref/student_logits',
      )
    )
    _close(
      tf.reduce_mean(losses.multi_label(labels, student)),
      found['ref/multilabel_soft_margin_loss'],
    )
    _close(
      losses.distillation(labels, teacher, student),
      found['ref/kd_loss_T4_alpha0.9'],
    )


class HeadsTest(absltest.TestCase):
  def test_closed_form_of_a_linear_head_is_that_of_the_tape(self):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(3, 4, 5, 6)))
    kernel = tf.constant(rng.normal(size=(4 * 5 * 6, 7)))
    classes = tf.constant([6, 0, 3])
    by_tape = losses.channel_weights(
      lambda a: tf.matmul(tf.reshape(a, (3, -1)), kernel), features, classes
    )
    closed = losses.linear_channel_weights(kernel, features, classes)
    np.testing.assert_allclose(closed, by_tape, rtol=1e-12)

  def test_maps_of_unit_directions_are_those_of_the_classes(self):
    rng = np.random.default_rng(1)
    features = tf.constant(rng.normal(size=(2, 3, 3, 4)))
    kernel = tf.constant(rng.normal(size=(36, 5)))

    def head(a):
      return tf.tanh(tf.matmul(tf.reshape(a, (2, -1)), kernel))

    maps, scores = losses.direction_maps(
      head, features, tf.eye(5, dtype=tf.float64)
    )
    np.testing.assert_allclose(scores, head(features))
    for k in range(5):
      weights = losses.channel_weights(head, features, tf.constant([k, k]))
      expected = losses.sensitivity_weighted(features, weights, False)
      np.testing.assert_allclose(maps[:, k], expected, rtol=1e-10)


class MatchTest(absltest.TestCase):
  def test_a_map_of_zeros_costs_the_other_and_has_a_finite_gradient(self):
    zero = tf.zeros((2, 3, 3), tf.float64)
    other = tf.constant(np.random.default_rng(0).uniform(size=(2, 3, 3)))
    with tf.GradientTape() as tape:
      tape.watch(zero)
      value = losses.match(other, zero)
    self.assertAlmostEqual(float(value), 1 / 9, places=12)
    self.assertTrue(np.isfinite(tape.gradient(value, zero)).all())

  def test_it_is_at_most_two_over_the_pixels_and_ignores_scale(self):
    first = tf.constant([[[1.0, 0], [0, 0]]])
    second = tf.constant([[[0, 0], [0, 5.0]]])
    self.assertAlmostEqual(float(losses.match(first, second)), 2 / 4)
    self.assertAlmostEqual(float(losses.match(first, 9 * first)), 0)

  def test_kernel_ignores_bases_and_scale_and_knows_foreign_rows(self):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(1, 3, 4, 4))
    basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = 5 * np.einsum('ij,bjhw->bihw', basis, rows)
    self.assertAlmostEqual(
      float(losses.kernel_mismatch(tf.constant(rows), tf.constant(turned))), 0
    )
    basis, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    first, second = (
      tf.constant(part.reshape(1, -1, 4, 4)) for part in (basis[:2], basis[2:5])
    )
    self.assertAlmostEqual(float(losses.kernel_mismatch(first, second)), 1)

  def test_kernel_ignores_any_scale_of_single_precision(self):
    rows = np.random.default_rng(2).normal(size=(2, 3, 8)).astype(np.float32)
    other = np.random.default_rng(3).normal(size=(2, 3, 8)).astype(np.float32)
    wanted = float(
      losses.kernel_mismatch(tf.constant(rows), tf.constant(other))
    )
    for scale in (1e-8, 1e-5, 1e4, 1e8):
      found = losses.kernel_mismatch(
        tf.constant(rows * np.float32(scale)), tf.constant(other)
      )
      self.assertAlmostEqual(float(found), wanted, places=5)

  def test_kernel_is_the_cosine_of_kernels_over_pixels(self):
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(1, 3, 8)), rng.normal(size=(1, 2, 8))
    kernels = [rows[0].T @ rows[0] for rows in (first, second)]
    cosine = np.sum(kernels[0] * kernels[1]) / np.prod(
      [np.linalg.norm(kernel) for kernel in kernels]
    )
    self.assertAlmostEqual(
      float(losses.kernel_mismatch(tf.constant(first), tf.constant(second))),
      1 - cosine,
    )

  def test_input_gradient_mismatch_is_half_the_mean_distance(self):
    first = tf.constant(np.arange(12.0).reshape(2, 2, 1, 3))
    second = first + np.reshape([3.0, 4.0], (2, 1, 1, 1))
    expected = 0.5 * np.mean([3 * np.sqrt(6), 4 * np.sqrt(6)])
    self.assertAlmostEqual(
      float(losses.input_gradient_mismatch(first, second)), expected
    )

  def test_channel_mask_erases_so_many_and_follows_its_seed(self):
    masks = [
      losses.channel_mask(10, 0.39, tf.constant([7, i])).numpy()
      for i in (0, 0, 1)
    ]
    self.assertEqual([mask.sum() for mask in masks], [7, 7, 7])
    np.testing.assert_array_equal(masks[0], masks[1])
    self.assertTrue((masks[0] != masks[2]).any())


if __name__ == '__main__':
  absltest.main()
