"""Tests of networks with shuffled weights."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs.permuted import permuted
from tests import testing


def _weights(network):
  return [
    tf.make_ndarray(node.attr['value'].tensor)
    for node in network.graph_def.node
    if node.op == 'Const'
  ]


class PermutedTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    graph = testing.tiny_graph_def('relu', seed=0, size=16, channels=3)
    self.network = frozen_graphs.load(
      graph, input='input:0', representation='representation:0'
    )
    self.inputs = testing.images(3, 16).astype(np.float32) / 255

  def test_every_weight_keeps_its_elements_and_loses_their_order(self):
    twin, moved = permuted(self.network), 0
    pairs = zip(_weights(self.network), _weights(twin), strict=True)
    for before, after in pairs:
      self.assertEqual(before.shape, after.shape)
      self.assertEqual(before.dtype, after.dtype)
      np.testing.assert_array_equal(
        np.sort(before.ravel()), np.sort(after.ravel())
      )
      is_weight = before.dtype.kind == 'f'
      moved += is_weight and not np.array_equal(before, after)
      if not is_weight:
        np.testing.assert_array_equal(before, after)
    self.assertGreater(moved, 0)

  def test_the_network_itself_is_left_as_it_is(self):
    before = self.network.run(self.inputs)
    twin = permuted(self.network)
    np.testing.assert_array_equal(self.network.run(self.inputs), before)
    found = twin.run(self.inputs)
    self.assertEqual(found.shape, before.shape)
    self.assertFalse(np.allclose(found, before))
    self.assertNotEqual(twin.digest, self.network.digest)

  def test_a_seed_fixes_the_order(self):
    same, again, other = (
      permuted(self.network, seed).run(self.inputs) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(same, again)
    self.assertFalse(np.allclose(same, other))


if __name__ == '__main__':
  absltest.main()
