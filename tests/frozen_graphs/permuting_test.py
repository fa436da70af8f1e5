"""Tests of untrained twins."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs import permuting
from tests import testing


def _constants(subgraph):
  return {
    name: tf.make_ndarray(node.attr['value'].tensor)
    for name, node in subgraph.nodes.items()
    if node.op == 'Const'
  }


def _ramp(*shape):
  return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


class PermutingTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    network = frozen_graphs.load(
      testing.tiny_graph_def(),
      input='input:0',
      representation='representation:0',
    )
    self.subgraph = network.subgraph

  def test_weights_are_the_same_numbers_in_another_order(self):
    before = _constants(self.subgraph)
    after = _constants(permuting.permuted(self.subgraph, 0))
    changed = 0
    for name, values in before.items():
      np.testing.assert_array_equal(
        np.sort(values, axis=None), np.sort(after[name], axis=None)
      )
      changed += not np.array_equal(values, after[name])
      if values.size < 5 or values.dtype.kind != 'f':
        np.testing.assert_array_equal(values, after[name])
    self.assertGreater(changed, 0)
    again = _constants(self.subgraph)
    for name, values in before.items():
      np.testing.assert_array_equal(values, again[name])

  def test_same_seed_gives_the_same_twin(self):
    first, again, other = (
      _constants(permuting.permuted(self.subgraph, seed)) for seed in (1, 1, 2)
    )
    same = [np.array_equal(first[name], again[name]) for name in first]
    differs = [not np.array_equal(first[n], other[n]) for n in first]
    self.assertTrue(all(same))
    self.assertTrue(any(differs))

  def test_layers_are_kernels_with_what_follows_from_the_input_on(self):
    graph = testing.freeze(
      lambda x: tf.nn.relu(
        tf.reduce_mean(
          tf.nn.conv2d(x, tf.constant(_ramp(3, 3, 3, 6), name='k1'), 1, 'SAME')
          * tf.sqrt(tf.constant(_ramp(6), name='scale'))
          + tf.constant(_ramp(6), name='bias'),
          [1, 2],
        )
        @ tf.transpose(tf.constant(_ramp(5, 6), name='k2'))
        + tf.constant(_ramp(5), name='shift')
      )
    )
    subgraph = frozen_graphs.load(
      graph, input='input:0', representation='representation:0'
    ).subgraph
    layers = permuting.layers(subgraph)
    self.assertEqual(layers, [('k1', 'scale', 'bias'), ('k2', 'shift')])
    before = _constants(subgraph)
    after = _constants(permuting.permuted(subgraph, 0, layers[1]))
    changed = [n for n in before if not np.array_equal(before[n], after[n])]
    self.assertCountEqual(changed, layers[1])

  def test_redrawn_kernels_have_the_variance_of_he(self):
    for name, values in _constants(permuting.redrawn(self.subgraph, 0)).items():
      if values.ndim > 2 and values.size > 50:
        expected = 2 / np.prod(values.shape[:-1])
        with self.subTest(name=name):
          self.assertBetween(values.var() / expected, 0.6, 1.5)


if __name__ == '__main__':
  absltest.main()
