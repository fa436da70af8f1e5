"""Tests of graph models of TensorFlow.js, against TensorFlow on the same."""

import pathlib
import random

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import graph
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tfjs import graph_model as tfjs_graph_model
from tests import testing, tfjs_testing

_WINDOW = {
  'T': 'DT_FLOAT',
  'strides': [1, 2, 2, 1],
  'padding': 'SAME',
  'data_format': 'NHWC',
  'dilations': [1, 1, 1, 1],
  'explicit_paddings': [],
}


def _encoder_weights() -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  sizes = {
    'kernel': (3, 3, 3, 6),
    'bias': (6,),
    'depthwise': (3, 3, 6, 1),
    'depthwise_bias': (6,),
    'alpha': (6,),
  }
  return {
    name: rng.normal(0, 0.5, size).astype(np.float32)
    for name, size in sizes.items()
  }


def _encoder_topology(seed: int = 0) -> dict:
  """Returns a network of fused nodes, in the order that `seed` gives."""
  nodes = [
    tfjs_testing.placeholder('image', [-1, 16, 16, 3]),
    tfjs_testing.node(
      'block/Relu6',
      '_FusedConv2D',
      ['image', 'kernel', 'bias'],
      fused_ops=['BiasAdd', 'Relu6'],
      num_args=1,
      **_WINDOW,
    ),
    tfjs_testing.node(
      'depthwise_out',
      'FusedDepthwiseConv2dNative',
      ['block/Relu6', 'depthwise', 'depthwise_bias'],
      fused_ops=['BiasAdd'],
      num_args=1,
      **_WINDOW,
    ),
    tfjs_testing.node('prelu', 'Prelu', ['depthwise_out', 'alpha']),
    tfjs_testing.node('Identity', 'Identity', ['prelu'], T='DT_FLOAT'),
    *(
      tfjs_testing.constant(name, value)
      for name, value in _encoder_weights().items()
    ),
  ]
  random.Random(seed).shuffle(nodes)
  return {'node': nodes, 'library': {}, 'versions': {'producer': 440}}


def _plain_encoder(image: tf.Tensor) -> tf.Tensor:
  w = _encoder_weights()
  x = tf.nn.conv2d(image, w['kernel'], 2, 'SAME') + w['bias']
  x = tf.nn.relu6(x)
  x = tf.nn.depthwise_conv2d(x, w['depthwise'], (1, 2, 2, 1), 'SAME')
  x = x + w['depthwise_bias']
  return tf.maximum(x, 0) + w['alpha'] * tf.minimum(x, 0)


_SIGNATURE = {
  'inputs': {'image': {'name': 'image:0', 'dtype': 'DT_FLOAT'}},
  'outputs': {'features': {'name': 'Identity:0', 'dtype': 'DT_FLOAT'}},
}


class GraphModelTestCase(parameterized.TestCase):
  def write(self, topology, weights, **options) -> pathlib.Path:
    folder = self.create_tempdir().full_path
    return tfjs_testing.write(folder, topology, weights, **options)

  def refuses(self, path, *fragments: str) -> None:
    with self.assertRaises(GraphError) as context:
      tfjs_graph_model.load(path)
    for fragment in (str(path), *fragments):
      self.assertIn(fragment, str(context.exception))


class EncoderTest(GraphModelTestCase):
  @parameterized.parameters(0, 1, 2)
  def test_representation_is_that_of_the_plain_network(self, seed):
    path = self.write(_encoder_topology(seed), _encoder_weights())
    images = testing.images(3).astype(np.float32)
    network = tfjs_graph_model.load(path)
    np.testing.assert_allclose(
      tfjs_testing.run(network, 'Identity:0', {'image:0': images}),
      _plain_encoder(images),
      1e-4,
      1e-3,
    )

  @parameterized.parameters('gradient_times_input', 'elrp')
  def test_maps_are_those_of_the_plain_network(self, method):
    path = self.write(_encoder_topology(), _encoder_weights())
    images = testing.images(3)
    network = tfjs_graph_model.load(path)
    with Explainer(
      network.graph_def,
      input_tensor=network.inputs[0],
      representation_tensor=network.outputs[0],
      methods=(method,),
    ) as explainer:
      actual = explainer.explain(images).maps[method]
    with Explainer(
      testing.freeze(_plain_encoder),
      input_tensor='input:0',
      representation_tensor='representation:0',
      methods=(method,),
    ) as explainer:
      expected = explainer.explain(images).maps[method]
    self.assertGreater(np.abs(expected).max(), 0)
    # Epsilon = 1e-4 and PReLU's two ways of being written differ by that much.
    tolerance = 2e-3 if method == 'elrp' else 1e-5
    np.testing.assert_allclose(
      actual, expected, tolerance, tolerance * np.abs(expected).max()
    )

  def test_a_saved_graph_can_be_loaded_again(self):
    path = self.write(_encoder_topology(), _encoder_weights())
    network = tfjs_graph_model.load(path)
    saved = path.parent / 'frozen.pb'
    saved.write_bytes(network.graph_def.SerializeToString())
    sub = graph.extract(graph.load_graph_def(saved), 'image', 'depthwise_out:0')
    self.assertEqual(sub.input_shape, (None, 16, 16, 3))
    self.assertIn('BiasAdd', [node.op for node in sub.nodes.values()])

  def test_fields_that_tools_add_to_nodes_are_left_out(self):
    topology = _encoder_topology()
    for node in topology['node']:
      node['inputs'] = []
    path = self.write(topology, _encoder_weights())
    self.assertNotEmpty(tfjs_graph_model.load(path).graph_def.node)

  def test_folder_and_file_both_match_and_others_do_not(self):
    path = self.write(_encoder_topology(), _encoder_weights())
    self.assertTrue(tfjs_graph_model.matches(path))
    self.assertTrue(tfjs_graph_model.matches(str(path.parent)))
    self.assertFalse(tfjs_graph_model.matches(path.parent / 'shard0of1.bin'))
    layers = self.write({'class_name': 'Sequential', 'config': []}, {})
    self.assertFalse(tfjs_graph_model.matches(layers))


class SignatureTest(GraphModelTestCase):
  @parameterized.parameters(
    {'signature': _SIGNATURE},
    {'userDefinedMetadata': {'signature': _SIGNATURE}},
    {},
    {'signature': None},
    {'signature': {'inputs': [], 'outputs': {'a': {'name': 'absent:0'}}}},
  )
  def test_inputs_and_outputs_are_found(self, **more):
    path = self.write(_encoder_topology(), _encoder_weights(), **more)
    network = tfjs_graph_model.load(path)
    self.assertEqual(network.inputs, ('image:0',))
    self.assertEqual(network.outputs, ('Identity:0',))
    self.assertEqual(network.source, f'TensorFlow.js graph model {path}')

  def test_names_in_a_signature_may_lack_the_number(self):
    signature = {'outputs': {'a': {'name': 'depthwise_out'}}}
    path = self.write(
      _encoder_topology(), _encoder_weights(), signature=signature
    )
    self.assertEqual(tfjs_graph_model.load(path).outputs, ('depthwise_out:0',))

  def test_what_can_be_an_image_is_the_first_input(self):
    topology = {
      'node': [
        tfjs_testing.placeholder('ratio', []),
        tfjs_testing.placeholder('state', [1, 8]),
        tfjs_testing.placeholder('image', [1, 8, 8, 3]),
        tfjs_testing.node('y', 'Relu', ['image'], T='DT_FLOAT'),
      ]
    }
    network = tfjs_graph_model.load(self.write(topology, {}))
    self.assertEqual(network.inputs, ('image:0', 'ratio:0', 'state:0'))
    self.assertEqual(network.outputs, ('y:0',))


class ConstantsTest(GraphModelTestCase):
  @parameterized.parameters(
    ('float32', None, 1e-7),
    ('float32', 'float16', 1e-3),
    ('float32', 'uint8', 1e-2),
    ('float32', 'uint16', 1e-4),
    ('int32', None, 0),
    ('int32', 'uint8', 0),
    ('bool', None, 0),
  )
  def test_weight_of_every_type_and_storage(self, kind, storage, tolerance):
    value = np.linspace(-1, 1, 12).reshape(3, 4)
    if kind == 'int32':
      value = np.arange(-127, 128).reshape(5, 51)  # A whole step of uint8 each.
    value = value.astype(kind)
    path = self.write(
      {'node': [tfjs_testing.constant('w', value)]},
      {'w': value},
      storage={'w': storage} if storage else None,
    )
    actual = tfjs_testing.run(tfjs_graph_model.load(path), 'w:0')
    self.assertEqual(actual.dtype, value.dtype)
    np.testing.assert_allclose(actual, value, 0, tolerance)

  def test_text(self):
    value = np.array([b'one', b''], object)
    path = self.write(
      {'node': [tfjs_testing.constant('w', value, 'DT_STRING')]}, {'w': value}
    )
    actual = tfjs_testing.run(tfjs_graph_model.load(path), 'w:0')
    self.assertEqual(list(actual), [b'one', b''])

  @parameterized.parameters(
    ('DT_DOUBLE', np.float64, np.float32, 0.1),
    ('DT_INT64', np.int64, np.int32, -7),
  )
  def test_types_that_javascript_lacks_come_back(
    self, kind, expected, stored, number
  ):
    value = np.full(3, number, stored)
    nodes = [
      tfjs_testing.constant('w', value, kind),
      tfjs_testing.node('y', 'Neg', ['w'], T=kind),
    ]
    path = self.write({'node': nodes}, {'w': value})
    actual = tfjs_testing.run(tfjs_graph_model.load(path), 'y:0')
    self.assertEqual(actual.dtype, expected)
    np.testing.assert_array_equal(actual, -value.astype(expected))

  def test_value_that_stands_in_the_json_stays(self):
    node = tfjs_testing.constant('w', np.zeros(2, np.float32))
    node['attr']['value']['tensor']['floatVal'] = [1.5, 2.5]
    empty = tfjs_testing.constant('empty', np.zeros((0, 2), np.float32))
    network = tfjs_graph_model.load(self.write({'node': [node, empty]}, {}))
    values = tfjs_testing.run(network, ['w:0', 'empty:0'])
    np.testing.assert_array_equal(values[0], [1.5, 2.5])
    self.assertEqual(values[1].shape, (0, 2))

  def test_constants_of_functions_are_filled_and_calls_stay(self):
    value = np.array([3.0], np.float32)
    function = {
      'signature': {
        'name': 'scaled',
        'inputArg': [{'name': 'x', 'type': 'DT_FLOAT'}],
        'outputArg': [{'name': 'y', 'type': 'DT_FLOAT'}],
      },
      'nodeDef': [
        tfjs_testing.constant('factor', value),
        tfjs_testing.node(
          'product', 'Mul', ['x', 'factor:output:0'], T='DT_FLOAT'
        ),
      ],
      'ret': {'y': 'product:z:0'},
    }
    call = tfjs_testing.node('call', 'PartitionedCall', ['image'])
    call['attr'].update(
      f={'func': {'name': 'scaled'}},
      Tin={'list': {'type': ['DT_FLOAT']}},
      Tout={'list': {'type': ['DT_FLOAT']}},
    )
    topology = {
      'node': [tfjs_testing.placeholder('image', [1]), call],
      'library': {'function': [function]},
    }
    network = tfjs_graph_model.load(self.write(topology, {'factor': value}))
    actual = tfjs_testing.run(network, 'call:0', {'image:0': [2.0]})
    np.testing.assert_array_equal(actual, [6])
    sub = graph.extract(network.graph_def, 'image', 'call')
    self.assertIn('Mul', [node.op for node in sub.nodes.values()])


class DamageTest(GraphModelTestCase):
  def encoder(self, change, **options) -> pathlib.Path:
    topology, weights = _encoder_topology(), _encoder_weights()
    change({node['name']: node for node in topology['node']}, weights)
    return self.write(topology, weights, **options)

  def test_constant_without_a_weight(self):
    path = self.encoder(lambda nodes, weights: weights.pop('bias'))
    self.refuses(path, "'bias'", 'no value')

  def test_weight_of_another_shape(self):
    path = self.encoder(
      lambda nodes, weights: weights.update(bias=np.zeros(7, np.float32))
    )
    self.refuses(path, "'bias'", '(6,)', '(7,)')

  def test_text_in_place_of_numbers(self):
    text = np.array([b'a'] * 6, object)
    path = self.encoder(lambda nodes, weights: weights.update(bias=text))
    self.refuses(path, "'bias'", 'float32')

  @parameterized.parameters(-1, 'DT_RESOURCE', 'DT_VARIANT')
  def test_constant_of_a_type_that_holds_no_numbers(self, kind):
    path = self.encoder(
      lambda nodes, weights: nodes['bias']['attr'].update(dtype={'type': kind})
    )
    self.refuses(path, "'bias'")

  def test_two_nodes_of_one_name(self):
    path = self.encoder(
      lambda nodes, weights: nodes['Identity'].update(name='prelu')
    )
    self.refuses(path, "'prelu'")

  def test_node_that_is_missing(self):
    path = self.encoder(
      lambda nodes, weights: nodes['Identity'].update(input=['absent'])
    )
    self.refuses(path, "'Identity'", "'absent'")

  def test_unknown_fused_operation(self):
    path = self.encoder(
      lambda nodes, weights: nodes['block/Relu6']['attr'].update(
        fused_ops=tfjs_testing.attribute(['BiasAdd', 'Swirl'])
      )
    )
    self.refuses(path, "'block/Relu6'", "'Swirl'")

  @parameterized.parameters(
    {'node': 3}, {'node': [{'name': 5}]}, {'node': [{'attr': {'T': 3}}]}
  )
  def test_topology_that_is_no_graph(self, **topology):
    self.refuses(self.write(topology, {}), 'not a GraphDef')

  def test_missing_shard_is_named_with_the_file(self):
    path = self.encoder(lambda nodes, weights: None)
    shard = next(path.parent.glob('shard0of*.bin'))
    shard.unlink()
    self.refuses(path, repr(shard.name))

  def test_control_flow_is_loaded_but_refused_on_the_way_to_a_map(self):
    nodes = [
      tfjs_testing.placeholder('image', [1, 4, 4, 3]),
      tfjs_testing.node(
        'enter', 'Enter', ['image'], T='DT_FLOAT', frame_name='loop'
      ),
      tfjs_testing.node('exit', 'Exit', ['enter'], T='DT_FLOAT'),
    ]
    network = tfjs_graph_model.load(self.write({'node': nodes}, {}))
    with self.assertRaisesRegex(GraphError, 'depends on Exit .*a loop'):
      graph.extract(network.graph_def, 'image', 'exit')


if __name__ == '__main__':
  absltest.main()
