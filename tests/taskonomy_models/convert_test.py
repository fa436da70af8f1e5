"""Tests of the command that converts: one network, in every format."""

import importlib.util
import os
import pathlib
import shlex

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from taskonomy_models import bank as banks
from tests import command_testing, testing, tfjs_testing

_COMMAND = 'taskonomy_models.convert'
v1 = tf.compat.v1
_T = 'resize(16) | range(-1, 1)'


def _weights() -> dict[str, np.ndarray]:
  rng = np.random.default_rng(5)
  return {
    'conv/kernel': rng.normal(0, 0.4, (3, 3, 3, 4)).astype(np.float32),
    'conv/bias': rng.normal(0, 0.1, 4).astype(np.float32),
  }


def _apply(x: tf.Tensor) -> tf.Tensor:
  """The network: what every file below holds."""
  kernel, bias = _weights().values()
  y = tf.nn.conv2d(x, kernel, 1, 'SAME', name='conv')
  return tf.nn.relu(tf.nn.bias_add(y, bias), name='features')


def _keras() -> tf.keras.Model:
  image = tf.keras.Input((16, 16, 3), name='image')
  layer = tf.keras.layers.Conv2D(4, 3, padding='same', name='conv')
  x = tf.keras.layers.ReLU(name='features')(layer(image))
  layer.set_weights(list(_weights().values()))
  return tf.keras.Model(image, x)


def _keras_file(folder, suffix: str) -> str:
  path = os.fspath(folder / f'network{suffix}')
  _keras().save(path)
  return path


def _saved_model(folder) -> str:
  tf.saved_model.save(_keras(), os.fspath(folder))
  return os.fspath(folder)


def _frozen_graph(folder) -> str:
  path = folder / 'network.pb'
  path.write_bytes(testing.freeze(_apply).SerializeToString())
  return os.fspath(path)


def _checkpoint(folder) -> str:
  with v1.Graph().as_default(), v1.Session() as session:
    image = v1.placeholder(tf.float32, [None, 16, 16, 3], 'image')
    kernel, bias = (
      v1.get_variable(name, initializer=value)
      for name, value in _weights().items()
    )
    x = tf.nn.conv2d(image, kernel, 1, 'SAME')
    tf.nn.relu(tf.nn.bias_add(x, bias), name='features')
    session.run(v1.global_variables_initializer())
    return v1.train.Saver().save(session, os.fspath(folder / 'model.ckpt'))


def _tfjs_graph_model(folder) -> str:
  node = tfjs_testing.node
  topology = {
    'node': [
      tfjs_testing.placeholder('image', (-1, 16, 16, 3)),
      *(tfjs_testing.constant(*item) for item in _weights().items()),
      node(
        'conv',
        'Conv2D',
        ['image', 'conv/kernel'],
        T='DT_FLOAT',
        strides=[1, 1, 1, 1],
        padding='SAME',
        data_format='NHWC',
      ),
      node('biased', 'BiasAdd', ['conv', 'conv/bias'], T='DT_FLOAT'),
      node('features', 'Relu', ['biased'], T='DT_FLOAT'),
    ],
    'library': {},
    'versions': {'producer': 440},
  }
  tfjs_testing.write(folder, topology, _weights())
  return os.fspath(folder)


def _tfjs_layers_model(folder) -> str:
  def layer(kind, name, *inbound, **config):
    nodes = [[[source, 0, 0, {}] for source in inbound]] if inbound else []
    config = {'name': name, 'dtype': 'float32', **config}
    return {
      'class_name': kind,
      'name': name,
      'config': config,
      'inbound_nodes': nodes,
    }

  options = {'filters': 4, 'kernel_size': [3, 3], 'padding': 'same'}
  layers = [
    layer('InputLayer', 'image', batch_input_shape=[None, 16, 16, 3]),
    layer('Conv2D', 'conv', 'image', **options),
    layer('ReLU', 'features', 'conv'),
  ]
  model = {
    'name': 'network',
    'layers': layers,
    'input_layers': [['image', 0, 0]],
    'output_layers': [['features', 0, 0]],
  }
  topology = {
    'keras_version': '2.10.0',
    'backend': 'tensorflow',
    'model_config': {'class_name': 'Functional', 'config': model},
  }
  return os.fspath(tfjs_testing.write(folder, topology, _weights()))


def _onnx(folder) -> str:
  import onnx
  from onnx import helper, numpy_helper

  kernel, bias = _weights().values()
  path = os.fspath(folder / 'network.onnx')
  sides = (1, 16, 16)
  graph = helper.make_graph(
    [
      helper.make_node(
        'Conv', ['image', 'kernel', 'bias'], ['conv'], pads=[1, 1, 1, 1]
      ),
      helper.make_node('Relu', ['conv'], ['features']),
    ],
    'network',
    [helper.make_tensor_value_info('image', 1, [1, 3, *sides[1:]])],
    [helper.make_tensor_value_info('features', 1, [1, 4, *sides[1:]])],
    [
      numpy_helper.from_array(kernel.transpose(3, 2, 0, 1), 'kernel'),
      numpy_helper.from_array(bias, 'bias'),
    ],
  )
  opset = [helper.make_opsetid('', 17)]
  onnx.save(helper.make_model(graph, opset_imports=opset), path)
  return path


def _tflite(folder) -> str:
  path = folder / 'network.tflite'
  converter = tf.lite.TFLiteConverter.from_keras_model(_keras())
  path.write_bytes(converter.convert())
  return os.fspath(path)


# How each is written, and what is its representation there.
_FORMATS = {
  'keras': (lambda folder: _keras_file(folder, '.keras'), 'features'),
  'h5': (lambda folder: _keras_file(folder, '.h5'), 'features'),
  'saved_model': (_saved_model, 'Relu'),
  'pb': (_frozen_graph, 'representation:0'),
  'checkpoint': (_checkpoint, 'features'),
  'tfjs_graph': (_tfjs_graph_model, 'features'),
  'tfjs_layers': (_tfjs_layers_model, 'features'),
  'onnx': (_onnx, 'Relu_0'),
  'tflite': (_tflite, 'Relu_0'),
}
_PACKAGES = {'onnx': 'onnx', 'tflite': 'tflite'}


class FormatsTest(absltest.TestCase):
  def test_one_network_of_every_format_has_the_same_maps(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    output = folder / 'bank'
    names, commands = [], []
    for name, (write, representation) in _FORMATS.items():
      package = _PACKAGES.get(name)
      if package and importlib.util.find_spec(package) is None:
        continue
      (folder / name).mkdir()
      names.append(name)
      commands.append([
        write(folder / name), f'--output={output}', f'--name={name}',
        f'--representation={representation}', f'--preprocessing={_T}',
      ])  # fmt: skip
    for name, (code, out, err) in zip(
      names, command_testing.run(_COMMAND, *commands), strict=True
    ):
      with self.subTest(format=name):
        self.assertEqual(code, 0, err)
        self.assertStartsWith(out, f'{name}: {output / name}.pb')
        self.assertIn(f'run_taskonomy --bank={output}', out)
        self.assertIn(f'--space=RUN --bank={output} --name={name}', out)
    bank = banks.load(os.fspath(output))
    self.assertEqual(bank.names, tuple(names))
    images = testing.images(2)
    x = tf.constant(images / 127.5 - 1, tf.float32)
    with tf.GradientTape() as tape:
      tape.watch(x)
      features = _apply(x)
      mean = tf.reduce_mean(features, [1, 2, 3])
    gradient = tape.gradient(mean, x).numpy()
    for encoder in bank.encoders:
      with self.subTest(format=encoder.name):
        with Explainer(
          encoder.load(),
          preprocessing=encoder.preprocessing,
          methods=('saliency',),
        ) as explainer:
          found = explainer.explain(images, inverse=False)
          self.assertEqual(found.representation.shape, tuple(features.shape))
        np.testing.assert_allclose(found.representation, features, 1e-4, 1e-5)
        np.testing.assert_allclose(
          found.maps['saliency'], np.abs(gradient), 1e-4, 1e-6
        )


class InspectionTest(absltest.TestCase):
  def test_command_that_inspection_ends_in_converts_the_network(self):
    folder = pathlib.Path(self.create_tempdir('my networks').full_path)
    source = _keras_file(folder, '.keras')
    ((code, out, err),) = command_testing.run(
      'taskonomy_models.inspect', [source]
    )
    self.assertEqual(code, 0, err)
    command = out.strip().splitlines()[-1]
    words = shlex.split(command.replace('FOLDER', shlex.quote(f'{folder}/b')))
    self.assertEqual(words[:3], ['python', '-m', _COMMAND])
    ((code, _, err),) = command_testing.run(_COMMAND, words[3:])
    self.assertEqual(code, 0, err)
    (encoder,) = banks.load(f'{folder}/b').encoders
    self.assertEqual(encoder.name, 'network')
    self.assertIn('features', encoder.representation_tensor)


class RefusalsTest(parameterized.TestCase):
  def test_what_cannot_be_done_is_one_line(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    output = folder / 'bank'
    graph = _frozen_graph(folder)
    (folder / 'empty').mkdir()
    for name in (
      'bad.pb', 'bad.keras', 'bad.h5', 'bad.onnx', 'bad.tflite', 'bad.txt',
      'empty/model.json', 'bad.ckpt.index',
    ):  # fmt: skip
      (folder / name).write_bytes(b'no network')
    good = [f'--output={output}', '--name=mine', f'--preprocessing={_T}']
    end = '--representation=representation:0'
    cases = [
      ([graph, *good, end, '--name=other'], None),
      ([graph, *good, end, '--name=other'], "a network 'other' already"),
      ([graph, *good], 'he representation is not given'),
      ([graph, *good, '--representation=absent'], "no tensor 'absent'"),
      ([graph, *good, end, '--input=absent'], "no tensor 'absent'"),
      ([graph, *good[:2], end], 'preprocessing is not given'),
      ([graph, *good, end, '--preprocessing=wibble'], 'wibble'),
      ([graph, *good[1:], end], '--output is needed'),
      ([graph, *good, end, '--pretrained=false'], 'has its own weights'),
      ([*good, end], 'SOURCE is missing'),
      ([graph, graph, *good, end], 'Unexpected arguments'),
      ([graph, *good, end, '--constant=x'], 'not NAME=VALUE'),
      ([graph, *good, end, '--constant=x=print(1)'], 'Values are numbers'),
      ([graph, *good, end, '--constant=x=1'], "'x'"),
      ([graph, *good, end, '--signature=x'], 'has no option signature'),
      ([graph, *good, end, '--format=onnx_model'], 'network.pb'),
      ([folder / 'absent.pb', *good, end], 'There is no file or folder'),
      ([folder / 'bad.txt', *good, end], 'of no format that is known'),
      ([folder / 'empty', *good, end], 'of no format that is known'),
      ([folder, *good, end], 'of no format that is known'),
      ([folder / 'bad.ckpt', *good, end], 'bad.ckpt.meta is missing'),
      *(
        ([folder / name, *good, end], name)
        for name in (
          'bad.pb',
          'bad.keras',
          'bad.h5',
          'bad.onnx',
          'bad.tflite',
        )  # fmt: skip
      ),
    ]
    results = command_testing.run(_COMMAND, *(command for command, _ in cases))
    for (command, expected), (code, out, err) in zip(
      cases, results, strict=True
    ):
      with self.subTest(command=command):
        if expected is None:
          self.assertEqual(code, 0, err)
          continue
        self.assertEqual(code, 1)
        self.assertEqual(out, '')
        self.assertRegex(err, r'^Error: [^\n]*\n$')
        self.assertIn(expected, err)
    self.assertEqual(banks.load(os.fspath(output)).names, ('other',))


if __name__ == '__main__':
  absltest.main()
