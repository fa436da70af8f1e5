"""Tests of how many images are computed at once where memory is short."""

from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs import batch_sizes, session
from frozen_graphs.errors import GraphError
from tests import testing

_MB = 2**20
_IMAGES = testing.images(40).astype(np.float32) / 255


class BatchSizeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.network = frozen_graphs.load(
      testing.tiny_graph_def(), representation='representation'
    )
    self.expected = self.network.gradients(_IMAGES)
    # A process that takes 100 MB, and 10 for each image that it computes.
    self.sizes, self.most, self.peak = [], 1000, 100
    self.error = tf.errors.ResourceExhaustedError(None, None, 'OOM')
    run = tf.compat.v1.Session.run

    def counted(running, wanted, feed):
      (images,) = (v for t, v in feed.items() if 'input' in str(t))
      if len(images) > self.most:
        raise self.error
      self.sizes.append(len(images))
      self.peak = max(self.peak, 100 + 10 * len(images))
      return run(running, wanted, feed)

    for where, name, function in (
      (tf.compat.v1.Session, 'run', counted),
      (batch_sizes, 'peak_bytes', lambda: self.peak * _MB),
    ):
      self.enter_context(mock.patch.object(where, name, function))

  def check(self, sizes, budget=None):
    """Explains 40 images in batches of 32, and compares how."""
    with batch_sizes.memory_budget(budget and budget * _MB):
      found = self.network.gradients(_IMAGES, batch_size=32)
    for values, expected in zip(found, self.expected, strict=True):
      np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-7)
    self.assertEqual(self.sizes, sizes)

  def test_without_a_bound_batches_are_as_large_as_was_asked(self):
    self.check([32, 32])

  def test_batches_double_as_far_as_the_budget_has_room(self):
    self.check([1, 2, 4, 8, 8, 8, 8, 8], budget=200)
    self.assertEqual(self.peak, 180)

  def test_a_large_budget_comes_to_what_was_asked(self):
    self.check([1, 2, 4, 8, 16, 32, 32], budget=1000)

  def test_an_image_that_is_too_large_is_an_error(self):
    with self.assertRaisesRegex(GraphError, '110 MB, .* leaves 105 MB'):
      self.check([], budget=105)

  def test_on_a_gpu_batches_double_until_memory_is_short(self):
    self.most = 20
    with mock.patch.object(session, 'is_gpu', return_value=True):
      self.check([8, 16, 16, 16])

  def test_on_a_gpu_batches_may_become_smaller(self):
    self.most = 3
    with mock.patch.object(session, 'is_gpu', return_value=True):
      self.check([2] * 20)

  def test_memory_that_python_lacks_is_short_too(self):
    self.most, self.error = 3, MemoryError('Unable to allocate')
    with mock.patch.object(session, 'is_gpu', return_value=True):
      self.check([2] * 20)

  def test_whatever_is_raised_names_the_network(self):
    self.most = 0
    for error in (RuntimeError('no kernel'), ValueError('Cannot feed it')):
      self.error = error
      with self.assertRaisesRegex(
        GraphError, f'^{self.network.name}: TensorFlow cannot run .*: {error}$'
      ):
        self.check([])

  def test_memory_for_not_even_one_image_is_an_error(self):
    self.most = 0
    with self.assertRaisesRegex(GraphError, 'shape .1, 16, 16, 3.: OOM'):
      self.check([])


class PeakTest(absltest.TestCase):
  def test_the_peak_is_that_since_it_was_forgotten(self):
    batch_sizes.forget_peak()
    before = batch_sizes.peak_bytes()
    if not before:
      self.skipTest('the system does not tell')
    values = np.ones(100 * _MB, np.uint8)
    del values
    self.assertGreater(batch_sizes.peak_bytes(), before + 90 * _MB)
    batch_sizes.forget_peak()
    self.assertLess(batch_sizes.peak_bytes(), before + 50 * _MB)


if __name__ == '__main__':
  absltest.main()
