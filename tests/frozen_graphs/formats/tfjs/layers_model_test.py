"""Tests of layers models of TensorFlow.js: how layers make a network."""

import json
import pathlib

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf
import tf_keras

from attribution.explainer import Explainer
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tfjs import graph_model as tfjs_graph_model
from frozen_graphs.formats.tfjs import layers_model as tfjs_layers_model
from tests import testing, tfjs_testing


def _layer(kind: str, name: str, *inbound, **config) -> dict:
  """Returns a layer as Keras 2 stores it.

  Args:
    kind: Its class.
    name: Its name.
    *inbound: For each use, the names of its inputs, or (name, node, tensor).
    **config: Its options.
  """
  nodes = [
    [
      [key, 0, 0, {}] if isinstance(key, str) else [*key, {}]
      for key in ([use] if isinstance(use, str) else use)
    ]
    for use in inbound
  ]
  return {
    'class_name': kind,
    'name': name,
    'config': {'name': name, 'trainable': True, 'dtype': 'float32', **config},
    'inbound_nodes': nodes,
  }


def _input(name: str, sides=(16, 16, 3)) -> dict:
  layer = _layer('InputLayer', name, batch_input_shape=[None, *sides])
  del layer['config']['trainable']
  return layer


def _convolution(name: str, *inbound, **config) -> dict:
  options = {'kernel_size': [3, 3], 'padding': 'same', 'filters': 3, **config}
  return _layer('Conv2D', name, *inbound, **options)


def _model(layers, inputs, outputs, kind: str = 'Functional') -> dict:
  return {
    'class_name': kind,
    'config': {
      'name': 'model',
      'layers': layers,
      'input_layers': [[name, 0, 0] for name in inputs],
      'output_layers': [
        [key, 0, 0] if isinstance(key, str) else list(key) for key in outputs
      ],
    },
  }


def _sequential(*layers, name: str = 'sequential') -> dict:
  return {
    'class_name': 'Sequential',
    'config': {'name': name, 'layers': list(layers)},
  }


def _topology(model: dict) -> dict:
  return {
    'keras_version': '2.10.0',
    'backend': 'tensorflow',
    'model_config': model,
  }


def _weights(*layers: str, seed: int = 0, channels: int = 3) -> dict:
  rng = np.random.default_rng(seed)
  weights = {}
  for name in layers:
    kernel = rng.normal(0, 0.4, (3, 3, channels, 3))
    weights[f'{name}/kernel'] = kernel.astype(np.float32)
    weights[f'{name}/bias'] = rng.normal(0, 1, 3).astype(np.float32)
  return weights


def _apply(weights: dict, name: str, x) -> tf.Tensor:
  y = tf.nn.conv2d(x, weights[f'{name}/kernel'], 1, 'SAME')
  return y + weights[f'{name}/bias']


class LayersModelTestCase(parameterized.TestCase):
  def load(self, model: dict, weights: dict, **options):
    return tfjs_layers_model.load(self.write(model, weights, **options))

  def write(self, model: dict, weights: dict, **options) -> pathlib.Path:
    topology = model if 'model_config' in model else _topology(model)
    folder = self.create_tempdir().full_path
    return tfjs_testing.write(folder, topology, weights, **options)

  def refuses(self, model: dict, weights: dict, *fragments: str) -> None:
    path = self.write(model, weights)
    with self.assertRaises(GraphError) as context:
      tfjs_layers_model.load(path)
    for fragment in (str(path), *fragments):
      self.assertIn(fragment, str(context.exception))


def _residual() -> dict:
  return _model(
    [
      _input('LR'),
      _convolution('F_1', 'LR'),
      _layer('Activation', 'F_1_Relu', 'F_1', activation='relu'),
      _convolution('F_2', 'F_1_Relu', filters=3, use_bias=True),
      _layer('MultiplyBeta', 'multiply_beta', 'F_2', beta=0.2),
      _layer('Add', 'FDF', ['multiply_beta', 'F_1']),
    ],
    ['LR'],
    ['FDF'],
  )


def _plain_residual(weights: dict, image) -> tf.Tensor:
  first = _apply(weights, 'F_1', image)
  return 0.2 * _apply(weights, 'F_2', tf.nn.relu(first)) + first


class NetworkTest(LayersModelTestCase):
  @parameterized.parameters(None, 'float16', 'uint8')
  def test_output_is_that_of_the_network_written_out(self, storage):
    weights = _weights('F_1', 'F_2')
    stored = dict.fromkeys(weights, storage) if storage else None
    network = self.load(_residual(), weights, storage=stored)
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 3))
    images = images.astype(np.float32)
    actual = tfjs_testing.run(network, 'FDF_out:0', {'LR:0': images})
    tolerance = {None: 1e-5, 'float16': 1e-2, 'uint8': 0.2}[storage]
    np.testing.assert_allclose(
      actual, _plain_residual(weights, images), 0, tolerance
    )

  @parameterized.parameters('gradient_times_input', 'elrp')
  def test_maps_are_those_of_the_network_written_out(self, method):
    weights, images = _weights('F_1', 'F_2'), testing.images(3)
    network = self.load(_residual(), weights)
    maps = []
    for graph_def, source, target in (
      (network.graph_def, 'LR:0', 'FDF_out'),
      (
        testing.freeze(lambda x: _plain_residual(weights, x)),
        'input:0',
        'representation:0',
      ),
    ):
      with Explainer(
        graph_def,
        input_tensor=source,
        representation_tensor=target,
        methods=(method,),
      ) as explainer:
        maps.append(explainer.explain(images).maps[method])
    self.assertGreater(np.abs(maps[1]).max(), 0)
    np.testing.assert_allclose(maps[0], maps[1], 1e-4, 1e-7)

  def test_names_of_inputs_and_outputs(self):
    network = self.load(_residual(), _weights('F_1', 'F_2'))
    self.assertEqual(network.inputs, ('LR:0',))
    self.assertEqual(network.outputs, ('FDF_out:0',))
    self.assertIn('TensorFlow.js layers model', network.source)
    names = {node.name for node in network.graph_def.node}
    expected = ('F_1', 'F_1_Relu', 'F_2', 'multiply_beta', 'FDF')
    self.assertContainsSubset({f'{name}_out' for name in expected}, names)

  def test_layers_may_come_in_any_order(self):
    model = _residual()
    model['config']['layers'].reverse()
    network = self.load(model, _weights('F_1', 'F_2'))
    images = np.ones((1, 16, 16, 3), np.float32)
    np.testing.assert_allclose(
      tfjs_testing.run(network, 'FDF_out:0', {'LR:0': images}),
      _plain_residual(_weights('F_1', 'F_2'), images),
      1e-4,
      1e-5,
    )

  def test_keras_agrees_about_a_whole_classifier(self):
    layers = tf_keras.layers
    keras = tf_keras.Sequential([
      layers.Input((16, 16, 3), name='image'),
      layers.ZeroPadding2D(((0, 1), (0, 1)), name='pad'),
      layers.Conv2D(4, 3, strides=2, use_bias=False, name='conv'),
      layers.BatchNormalization(name='bn'),
      layers.ReLU(6.0, name='relu'),
      layers.DepthwiseConv2D(3, padding='same', name='depthwise'),
      layers.SeparableConv2D(6, 3, activation='hard_sigmoid', name='separable'),
      layers.Conv2DTranspose(4, 3, strides=2, name='transposed'),
      layers.PReLU(shared_axes=[1, 2], name='prelu'),
      layers.GroupNormalization(2, name='group'),
      layers.UpSampling2D(2, interpolation='bilinear', name='up'),
      layers.MaxPooling2D(2, name='pool'),
      layers.Reshape((-1, 4), name='reshape'),
      layers.Dense(5, activation='softmax', name='dense'),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    weights = {}
    for variable in keras.weights:
      value = rng.uniform(0.1, 1, variable.shape).astype(np.float32)
      variable.assign(value)
      weights[variable.name.partition(':')[0]] = value
    network = self.load(json.loads(keras.to_json()), weights)
    images = rng.normal(size=(3, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(
      tfjs_testing.run(network, 'dense_out:0', {'image:0': images}),
      keras(images, training=False),
      1e-4,
      1e-6,
    )

  @parameterized.parameters(
    ('hardSigmoid', lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    (
      'gelu_new',
      lambda x: (
        x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
      ),
    ),
  )
  def test_activations_of_tensorflow_js(self, name, formula):
    layer = _layer(
      'Activation', 'a', activation=name, batch_input_shape=[None, 5]
    )
    x = np.random.default_rng(0).normal(0, 2, (3, 5)).astype(np.float32)
    network = self.load(_sequential(layer), {})
    actual = tfjs_testing.run(network, 'a_out:0', {'a_input:0': x})
    np.testing.assert_allclose(actual, formula(x), 1e-5, 1e-6)

  @parameterized.parameters(2, 3, 4, 8)
  def test_pixels_are_shuffled(self, n):
    layer = _layer(
      f'PixelShuffle{n}x',
      'shuffle',
      scale=n,
      batch_input_shape=[None, 3, 2, 2 * n * n],
    )
    x = np.random.default_rng(0).random((2, 3, 2, 2 * n * n), np.float32)
    network = self.load(_sequential(layer), {})
    actual = tfjs_testing.run(network, 'shuffle_out:0', {'shuffle_input:0': x})
    for i in range(n):  # Pixel (i, j) of each n x n block.
      for j in range(n):
        start = (i * n + j) * 2
        np.testing.assert_array_equal(
          actual[:, i::n, j::n], x[..., start : start + 2]
        )

  def test_folder_and_file_both_match_and_others_do_not(self):
    path = self.write(_residual(), {})
    self.assertTrue(tfjs_layers_model.matches(path))
    self.assertTrue(tfjs_layers_model.matches(str(path.parent)))
    self.assertFalse(tfjs_graph_model.matches(path))
    graph = tfjs_testing.write(
      self.create_tempdir().full_path, {'node': []}, {}
    )
    self.assertFalse(tfjs_layers_model.matches(graph))


class StructureTest(LayersModelTestCase):
  def run_on_noise(self, model: dict, weights: dict, *names: str):
    network = self.load(model, weights)
    x = np.random.default_rng(2).normal(size=(2, 16, 16, 3))
    x = x.astype(np.float32)
    values = tfjs_testing.run(network, list(names), {network.inputs[0]: x})
    return network, x, values

  def test_a_layer_used_again_shares_its_weights(self):
    weights = _weights('conv')
    model = _model(
      [
        _input('image'),
        _layer('ReLU', 'relu', 'conv', [('conv', 1, 0)]),
        _convolution('conv', 'image', 'relu'),
      ],
      ['image'],
      [('conv', 1, 0), ('relu', 1, 0)],
    )
    network, x, values = self.run_on_noise(
      model, weights, 'conv_out:0', 'conv_out_1:0', 'relu_out_1:0'
    )
    first = _apply(weights, 'conv', x)
    second = _apply(weights, 'conv', tf.nn.relu(first))
    for actual, expected in zip(
      values, (first, second, tf.nn.relu(second)), strict=True
    ):
      np.testing.assert_allclose(actual, expected, 1e-4, 1e-4)
    self.assertEqual(network.outputs, ('conv_out_1:0', 'relu_out_1:0'))

  @parameterized.parameters('list', 'object')
  def test_sequential_model_without_an_input_layer(self, form):
    weights = _weights('one', 'two')
    layers = [
      _convolution('one', batch_input_shape=[None, 16, 16, 3]),
      _convolution('two', activation='relu'),
    ]
    model = _sequential(*layers)
    if form == 'list':
      model['config'] = layers
    network, x, values = self.run_on_noise(model, weights, 'two_out:0')
    self.assertEqual(network.inputs, ('one_input:0',))
    self.assertEqual(network.outputs, ('two_out:0',))
    expected = _apply(weights, 'two', _apply(weights, 'one', x))
    np.testing.assert_allclose(values[0], tf.nn.relu(expected), 1e-4, 1e-4)

  def test_topology_as_tensorflow_js_itself_saves_it(self):
    weights = _weights('one')
    model = _sequential(
      _convolution('one', batch_input_shape=[None, 16, 16, 3])
    )
    topology = {**model, 'keras_version': 'tfjs-layers 1.0'}
    path = tfjs_testing.write(
      self.create_tempdir().full_path, topology, weights
    )
    self.assertTrue(tfjs_layers_model.matches(path))
    self.assertEqual(tfjs_layers_model.load(path).outputs, ('one_out:0',))

  def test_models_in_models(self):
    weights = _weights('inner_conv', 'head')
    backbone = _model(
      [
        _input('inner_input'),
        _convolution('inner_conv', 'inner_input'),
        _layer('ReLU', 'inner_relu', 'inner_conv'),
      ],
      ['inner_input'],
      ['inner_relu'],
    )
    backbone['config']['name'] = 'backbone'
    model = _sequential(
      _sequential(backbone, name='trunk'), _convolution('head')
    )
    network, x, values = self.run_on_noise(
      model,
      weights,
      'trunk/backbone/inner_relu_out:0',
      'trunk/backbone_out:0',
      'trunk_out:0',
      'head_out:0',
    )
    self.assertEqual(network.inputs, ('trunk_input:0',))
    features = tf.nn.relu(_apply(weights, 'inner_conv', x))
    for actual in values[:3]:
      np.testing.assert_allclose(actual, features, 1e-4, 1e-4)
    head = _apply(weights, 'head', features)
    np.testing.assert_allclose(values[3], head, 1e-4, 1e-4)

  def test_a_model_used_twice_has_two_sets_of_names(self):
    weights = _weights('conv')
    inner = _sequential(
      _convolution('conv', batch_input_shape=[None, 16, 16, 3]), name='tower'
    )
    model = _model(
      [
        _input('image'),
        {
          **inner,
          'name': 'tower',
          'inbound_nodes': [
            [['image', 0, 0, {}]],
            [['tower', 1, 0, {}]],  # The first use of it is that by itself.
          ],
        },
      ],
      ['image'],
      [('tower', 2, 0)],
    )
    _, x, values = self.run_on_noise(
      model, weights, 'tower/conv_out:0', 'tower/conv_out_1:0', 'tower_out_1:0'
    )
    once = _apply(weights, 'conv', x)
    np.testing.assert_allclose(values[0], once, 1e-4, 1e-4)
    for actual in values[1:]:
      np.testing.assert_allclose(
        actual, _apply(weights, 'conv', once), 1e-4, 1e-3
      )

  def test_an_inner_model_may_return_several_tensors(self):
    inner = _model(
      [
        _input('inside'),
        _layer('ReLU', 'positive', 'inside'),
        _layer('Rescaling', 'negated', 'inside', scale=-1.0),
      ],
      ['inside'],
      ['positive', 'negated'],
    )
    model = _model(
      [
        _input('image'),
        {**inner, 'name': 'split', 'inbound_nodes': [[['image', 0, 0, {}]]]},
        _layer('Add', 'sum', [('split', 1, 0), ('split', 1, 1)]),
      ],
      ['image'],
      ['sum'],
    )
    _, x, values = self.run_on_noise(model, {}, 'sum_out:0')
    np.testing.assert_allclose(values[0], np.maximum(x, 0) - x, 1e-6)

  def test_scopes_before_the_names_of_weights_are_no_matter(self):
    weights = _weights('model/scope/one', 'two')
    layers = [
      _convolution('one', batch_input_shape=[None, 16, 16, 3]),
      _convolution('two'),
    ]
    _, x, values = self.run_on_noise(_sequential(*layers), weights, 'two_out:0')
    expected = _apply(weights, 'two', _apply(weights, 'model/scope/one', x))
    np.testing.assert_allclose(values[0], expected, 1e-4, 1e-4)

  def test_a_layer_may_have_a_name_that_ends_as_that_of_another(self):
    weights = _weights('one', 'head/one')
    model = _sequential(
      _convolution('one', batch_input_shape=[None, 16, 16, 3]),
      _convolution('head/one'),
    )
    _, x, values = self.run_on_noise(model, weights, 'head/one_out:0')
    expected = _apply(weights, 'head/one', _apply(weights, 'one', x))
    np.testing.assert_allclose(values[0], expected, 1e-4, 1e-4)

  def test_names_that_differ_in_case_only(self):
    model = _sequential(
      _layer('ReLU', 'Block', batch_input_shape=[None, 2]),
      _layer('ReLU', 'block'),
      _layer('ReLU', 'block_out'),
    )
    network = self.load(model, {})
    names = {node.name for node in network.graph_def.node}
    self.assertContainsSubset(
      {'Block_out', 'block_out', 'block_out_out'}, names
    )
    self.assertEqual(network.outputs, ('block_out_out:0',))

  @parameterized.parameters({}, {'training': False})
  def test_arguments_of_a_call_that_change_nothing(self, **arguments):
    model = _residual()
    model['config']['layers'][1]['inbound_nodes'][0][0][3] = arguments
    self.load(model, _weights('F_1', 'F_2'))


class RefusalTest(LayersModelTestCase):
  def changed(self, number: int, **changes) -> dict:
    model = _residual()
    model['config']['layers'][number].update(changes)
    return model

  def test_unknown_layer_by_its_name(self):
    self.refuses(
      self.changed(4, class_name='Mine'),
      _weights('F_1', 'F_2'),
      "'multiply_beta' is of the class 'Mine', which is not known",
    )

  def test_layer_that_holds_code(self):
    self.refuses(
      self.changed(4, class_name='Lambda'),
      _weights('F_1', 'F_2'),
      "'multiply_beta' (Lambda) holds Python code",
    )

  def test_missing_weight(self):
    weights = _weights('F_1', 'F_2')
    del weights['F_2/bias']
    self.refuses(_residual(), weights, "'F_2'", "'bias'")

  def test_layer_without_weights(self):
    self.refuses(_residual(), _weights('F_1'), "'F_2'", "'kernel'")

  def test_weights_of_no_layer(self):
    weights = _weights('F_1', 'F_2', 'F_3')
    self.refuses(_residual(), weights, "'F_3/kernel'", 'belong to no layer')

  def test_weights_that_may_be_of_two_layers(self):
    weights = _weights('a/F_1', 'b/F_1', 'F_2')
    self.refuses(_residual(), weights, "'a/F_1/kernel'", "'b/F_1/kernel'")

  def test_weight_of_another_shape(self):
    weights = _weights('F_1', 'F_2')
    weights['F_2/bias'] = weights['F_2/bias'][:2]
    self.refuses(_residual(), weights, "'bias' of shape (3,)", '(2,)')

  @parameterized.parameters(('FDF', 0), ('absent', 0), ('F_1', 0))
  def test_input_that_never_comes(self, name, use):
    model = self.changed(1, inbound_nodes=[[[name, use, 0, {}]]])
    self.refuses(model, _weights('F_1', 'F_2'))

  def test_layers_in_a_circle(self):
    model = self.changed(1, inbound_nodes=[[['FDF', 0, 0, {}]]])
    self.refuses(model, _weights('F_1', 'F_2'), 'take what no layer before')

  def test_output_that_is_no_layer(self):
    model = _residual()
    model['config']['output_layers'] = [['absent', 0, 0]]
    self.refuses(model, _weights('F_1', 'F_2'))

  @parameterized.parameters(
    {'inbound_nodes': [[['LR', 0, 0, {'scale': 2}]]]},
    {'inbound_nodes': [[['LR', 0]]]},
    {'inbound_nodes': [{'args': [], 'kwargs': {}}]},
    {'inbound_nodes': 3},
    {'config': None},
    {'config': {'name': 'F_1', 'filters': 3, 'padding': 'odd'}},
    {'name': 3},
    {'class_name': 4},
  )
  def test_layer_that_is_described_in_another_way(self, **changes):
    self.refuses(self.changed(1, **changes), _weights('F_1', 'F_2'))

  def test_two_layers_of_one_name(self):
    model = _sequential(
      _layer('ReLU', 'twice', batch_input_shape=[None, 2]),
      _layer('ReLU', 'twice'),
    )
    self.refuses(model, {}, 'unique names')

  @parameterized.parameters('my layer', 'a:b', '_a')
  def test_names_that_tensorflow_does_not_allow(self, name):
    model = _sequential(_layer('ReLU', name, batch_input_shape=[None, 2]))
    self.refuses(model, {}, f"'{name}/' is not a valid")

  @parameterized.parameters(
    (None,), ([],), ([None, -3, 4],), (['a', 3],), ([None, 2.5],)
  )
  def test_input_without_a_shape(self, shape):
    model = _sequential(_layer('ReLU', 'first', batch_input_shape=shape))
    self.refuses(model, {})

  def test_input_of_an_unknown_type(self):
    layer = _layer('ReLU', 'first', batch_input_shape=[None, 2], dtype='odd')
    self.refuses(_sequential(layer), {}, 'odd')

  @parameterized.parameters(
    ({'class_name': 'Graph', 'config': {}}, 'Graph'),
    ({'class_name': 'Functional'}, 'config'),
    ({'class_name': 'Functional', 'config': {'layers': 3}}, 'iterable'),
    ({'class_name': 'Sequential', 'config': []}, 'shape of its input'),
    ({'class_name': 'Sequential', 'config': [3]}, 'int'),
    ({'class_name': 'Sequential', 'config': 3}, 'int'),
    (3, 'does not describe a model'),
  )
  def test_model_that_is_none(self, model, fragment):
    topology = {'keras_version': '2.10.0', 'model_config': model}
    self.refuses(topology, {}, fragment)

  def test_keras_3_is_refused_with_the_way_out(self):
    topology = {**_topology(_residual()), 'keras_version': '3.4.1'}
    self.refuses(topology, {}, 'Keras 3.4.1', 'tf-keras')

  def test_models_in_models_without_an_end(self):
    model = _sequential(_layer('ReLU', 'relu', batch_input_shape=[None, 2]))
    for number in range(40):
      model = _sequential(model, name=f'model{number}')
    self.refuses(model, {}, 'nested')

  def test_models_that_are_called_too_often(self):
    model = _sequential(_layer('ReLU', 'relu', batch_input_shape=[None, 2]))
    for _ in range(14):
      uses = [[['in', 0, 0, {}]], [['inner', 1, 0, {}]]] * 2
      inner = {**model, 'name': 'inner', 'inbound_nodes': uses}
      model = _model([_input('in', [2]), inner], ['in'], [('inner', 2, 0)])
    self.refuses(model, {}, 'call more than')

  def test_missing_shard_is_named_once_with_the_file(self):
    path = self.write(_residual(), _weights('F_1', 'F_2'), shard_bytes=10**6)
    (path.parent / 'shard0of1.bin').unlink()
    with self.assertRaisesRegex(GraphError, 'shard0of1') as context:
      tfjs_layers_model.load(path)
    self.assertEqual(str(context.exception).count(str(path)), 1)


if __name__ == '__main__':
  absltest.main()
