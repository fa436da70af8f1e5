"""Tests of how tensors are named, and of what a wrong name is told."""

from absl.testing import absltest, parameterized
import tensorflow as tf

from frozen_graphs import graph, tensors
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import model as keras_model
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

  def test_a_name_unlike_any_is_told_where_the_graph_ends(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu6(x, name='Relu6'))
    with self.assertRaisesRegex(
      GraphError, "no tensor 'wibble:0'. Its only output is representation:0"
    ):
      extract(graph_def, target='wibble:0')

  @parameterized.parameters('wibble:0', 'Relu:0')
  def test_a_wrong_input_is_told_of_the_inputs_alone(self, name):
    graph_def = testing.freeze(lambda x: tf.nn.relu6(x, name='Relu6'))
    with self.assertRaisesRegex(GraphError, f'{name}.. Its only input is inp'):
      extract(graph_def, name, 'Relu6:0')

  def test_a_wrong_layer_is_told_of_the_layers(self):
    layers = tf.keras.layers
    model = tf.keras.Sequential(
      [
        tf.keras.Input((8, 8, 3), name='images'),
        layers.Conv2D(2, 3, name='conv_pw_1'),
        layers.ReLU(name='conv_pw_1_relu'),
        layers.GlobalAveragePooling2D(name='pool'),
      ]
    )
    graph_def = keras_model.load(model).graph_def
    with self.assertRaisesRegex(
      GraphError, "tensor or layer 'conv_pw1'. Closest: conv_pw_1, conv_pw_1_re"
    ):
      extract(graph_def, 'images', 'conv_pw1')
    with self.assertRaisesRegex(
      GraphError, "'xyz'. Its last layers are conv_pw_1, conv_pw_1_relu, pool."
    ):
      extract(graph_def, 'images', 'xyz')

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
