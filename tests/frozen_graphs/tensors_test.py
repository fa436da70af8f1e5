"""Tests of how tensors are named, and of what a wrong name is told."""

from absl.testing import absltest, parameterized
import tensorflow as tf

from frozen_graphs import graph, tensors
from frozen_graphs.errors import GraphError
from tests import testing


def extract(graph_def, source='input:0', target='representation:0'):
  return graph.extract(graph_def, source, target)


class InputsTest(absltest.TestCase):
  def test_inputs_are_nodes_and_numbers_without_control_inputs(self):
    node = tf.compat.v1.NodeDef(input=['a', 'b/c:2', '^d'])
    self.assertEqual(list(tensors.data_inputs(node)), [('a', 0), ('b/c', 2)])


class ResolveTest(parameterized.TestCase):
  def test_missing_tensor_lists_the_closest_names(self):
    with self.assertRaisesRegex(
      GraphError, "'representaton:0'.*representation:0"
    ):
      extract(testing.tiny_graph_def(), target='representaton:0')
    with self.assertRaisesRegex(GraphError, 'Closest: input:0'):
      extract(testing.tiny_graph_def(), source='Input:0')

  def test_name_without_its_scope_is_found_or_among_the_closest(self):
    name = 'some/long/scope/of/it/encoder_output'
    graph_def = testing.freeze(lambda x: tf.nn.relu(x, name=name))
    subgraph = extract(graph_def, target='encoder_output')
    self.assertEqual(subgraph.representation_tensor, f'{name}:0')
    with self.assertRaisesRegex(GraphError, f'Closest: {name}:0'):
      extract(graph_def, target='other/encoder_output')

  def test_zero_may_be_left_out(self):
    subgraph = extract(testing.tiny_graph_def(), 'input', 'representation')
    self.assertEqual(subgraph.input_tensor, 'input:0')

  @parameterized.parameters('split', 'split:2', '^split', '', ':0', 'split:x')
  def test_wrong_or_ambiguous_name_is_an_error(self, name):
    graph_def = testing.freeze(
      lambda x: tf.add(*tf.split(x, 2, 1, name='split'))
    )
    with self.assertRaises(GraphError):
      extract(graph_def, target=name)

  def test_ambiguous_name_lists_the_choices(self):
    graph_def = testing.freeze(
      lambda x: tf.add(*tf.split(x, 2, 1, name='split'))
    )
    with self.assertRaisesRegex(GraphError, 'ambiguous.*split:0, split:1'):
      extract(graph_def, target='split')


if __name__ == '__main__':
  absltest.main()
