"""Tests of graphs that are built operation by operation, named in the end."""

from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from frozen_graphs import named_graph, tensors
from frozen_graphs.named_graph import NamedGraph


def _finished():
  """Returns a product with large weights, plus a small bias."""
  rng = np.random.default_rng(0)
  weights, bias = rng.normal(size=(64, 32)), rng.normal(size=32)
  named = NamedGraph()
  images = named.input('images', tf.float64, [None, 64])
  with named.operation('MatMul_0') as made:
    product = tf.matmul(images, named_graph.constant(weights))
    made.append(product + named_graph.constant(bias))
  named.output('features', made[0])
  return named, named.finish()[0], weights


class ConstantTest(absltest.TestCase):
  def test_large_weights_are_not_in_the_graph_until_it_is_finished(self):
    named, graph_def, weights = _finished()
    kinds = [operation.type for operation in named.graph.get_operations()]
    self.assertEqual(kinds.count('Placeholder'), 2)
    self.assertEqual(kinds.count('Const'), 1)
    self.assertEmpty(named.graph.weights)
    nodes = {node.name: node for node in graph_def.node}
    found = nodes['MatMul_0/Const']
    self.assertEqual(found, tensors.constant(found.name, weights))

  def test_graph_is_the_one_with_plain_constants(self):
    _, graph_def, _ = _finished()
    with mock.patch.object(named_graph, 'constant', tf.constant):
      _, plain, _ = _finished()
    for node in (*graph_def.node, *plain.node):
      if node.op == 'Const':
        node.attr.pop('_output_shapes', None)
    self.assertEqual(graph_def, plain)

  def test_in_other_graphs_constants_are_constants(self):
    with tf.Graph().as_default():
      made = named_graph.constant(np.ones(2000))
    self.assertEqual(made.op.type, 'Const')


if __name__ == '__main__':
  absltest.main()
