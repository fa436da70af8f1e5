"""Tests of weights that a graph is given as inputs."""

from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs import weights
from tests import testing

_RNG = np.random.default_rng(0)
_KERNEL = _RNG.normal(size=(5, 5, 3, 64)).astype(np.float32)
_DENSE = _RNG.normal(size=(64, 64)).astype(np.float32)
_SMALL = _RNG.normal(size=64).astype(np.float32)


def _encoder(x):
  x = tf.nn.relu(tf.nn.conv2d(x, tf.constant(_KERNEL), 2, 'SAME') + _SMALL)
  means = tf.reduce_mean(x, axis=(1, 2))
  # The transpose is of a constant alone.
  return tf.tanh(means @ tf.transpose(tf.constant(_DENSE)))


class WeightsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.network = frozen_graphs.load(
      testing.freeze(_encoder), representation='representation'
    )

  def test_operands_of_what_depends_on_the_image_are_taken(self):
    graph, found = weights.taken_out(self.network.subgraph)
    for values, expected in zip(
      sorted(found.values(), key=np.size), (_SMALL, _KERNEL), strict=True
    ):
      np.testing.assert_array_equal(values, expected)
      self.assertEqual(values.ctypes.data % 64, 0)
    for name in found:
      node = name.split(':')[0]
      self.assertEqual(graph.nodes[node].op, 'Placeholder')
      self.assertEqual(self.network.subgraph.nodes[node].op, 'Const')

  def test_results_are_the_bits_of_those_with_constants(self):
    images = testing.images(5).astype(np.float32) / 255
    found = self.network.gradients(images, batch_size=2)
    with mock.patch.object(weights, 'taken_out', lambda graph: (graph, {})):
      expected = self.network.gradients(images, batch_size=2)
    for ours, theirs in zip(found, expected, strict=True):
      np.testing.assert_array_equal(ours, theirs)
    self.assertTrue(np.any(found[0]))


if __name__ == '__main__':
  absltest.main()
