"""Tests of which format a network is of."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import tensorflow as tf
import tf_keras

from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry
from frozen_graphs.frozen import FrozenNetwork
from tests import testing

_FOLDER = pathlib.Path(registry.__file__).parent


class RegistryTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _file(self, name: str, content: bytes = b'') -> pathlib.Path:
    path = self.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

  def test_every_module_that_loads_a_format_is_registered(self):
    found = {
      path.stem
      for path in _FOLDER.glob('*.py')
      if '\ndef matches(' in path.read_text(encoding='utf-8')
    }
    self.assertEqual(found, set(registry.NAMES))

  @parameterized.parameters(*registry.NAMES)
  def test_modules_have_what_a_format_needs(self, name):
    module = registry.module(name)
    self.assertEndsWith(module.__name__, f'.{name}')
    self.assertTrue(callable(module.load))
    self.assertFalse(module.matches(self.folder / 'absent'))

  @parameterized.parameters(
    ('saved/saved_model.pb', 'saved_model'),
    ('saved/saved_model.pbtxt', 'saved_model'),
    ('a.keras', 'keras_model'),
    ('a.h5', 'keras_model'),
    ('a.ckpt.meta', 'checkpoint'),
    ('a.onnx', 'onnx_model'),
    ('a.tflite', 'tflite_model'),
    ('a.pb', 'frozen_graph'),
    ('a.pbtxt', 'frozen_graph'),
  )
  def test_files_are_told_by_their_names(self, name, expected):
    path = self._file(name)
    self.assertEqual(registry.detect(path), expected)
    self.assertEqual(registry.detect(os.fspath(path)), expected)

  @parameterized.parameters(
    ('graph-model', 'tfjs_graph_model'), ('layers-model', 'tfjs_layers_model')
  )
  def test_models_of_tensorflow_js_are_told_by_their_content(
    self, kind, expected
  ):
    content = f'{{"format": "{kind}", "modelTopology": {{"node": []}}}}'
    if kind == 'layers-model':
      content = content.replace('"node": []', '"model_config": {}')
    path = self._file('web/model.json', content.encode())
    self.assertEqual(registry.detect(path), expected)
    self.assertEqual(registry.detect(path.parent), expected)

  def test_folders_are_told_by_what_they_hold(self):
    path = self._file('saved/saved_model.pb')
    self.assertEqual(registry.detect(path.parent), 'saved_model')
    self._file('saved/tfhub_module.pb')
    self.assertEqual(registry.detect(path.parent), 'hub_module')

  def test_handles_and_prefixes_need_no_file_of_their_name(self):
    self.assertEqual(registry.detect('https://tfhub.dev/a/1'), 'hub_module')
    self._file('a.ckpt.index')
    self.assertEqual(registry.detect(self.folder / 'a.ckpt'), 'checkpoint')

  def test_keras_models_are_recognised(self):
    for keras in (tf.keras, tf_keras):
      model = keras.Sequential([keras.Input((4, 4, 3))])
      self.assertEqual(registry.detect(model), 'keras_model')

  @parameterized.parameters('absent', 'absent.pb', 'absent.keras')
  def test_what_is_not_there_is_said_not_to_be(self, name):
    with self.assertRaisesRegex(FileNotFoundError, f'folder .*{name}'):
      registry.detect(self.folder / name)

  def test_unknown_files_list_what_is_known(self):
    with self.assertRaisesRegex(GraphError, 'hub_module.*--format'):
      registry.detect(self._file('notes.txt'))
    with self.assertRaisesRegex(GraphError, "format 'x'; there are hub_"):
      registry.module('x')

  @parameterized.parameters(7, None, b'a.pb')
  def test_other_objects_are_refused(self, source):
    with self.assertRaisesRegex(GraphError, 'neither a path nor a model'):
      registry.detect(source)

  def test_missing_package_hides_its_format_alone(self):
    imported = registry._imported

    def without_onnx(name):
      if name == 'onnx_model':
        raise ImportError('no onnx')
      return imported(name)

    path = self._file('a.pb')
    with mock.patch.object(registry, '_imported', without_onnx):
      self.assertEqual(registry.detect(path), 'frozen_graph')
      with self.assertRaisesRegex(GraphError, 'onnx_model cannot be .*no onnx'):
        registry.detect(self._file('a.onnx'))

  def test_options_that_a_format_needs_not_are_left_for_later(self):
    given = {'input': 'a', 'representation': 'b', 'signature': None}
    self.assertEqual(registry.options('keras_model', given), {})
    self.assertEqual(
      registry.options('checkpoint', given),
      {'input': 'a', 'representation': 'b'},
    )

  def test_options_of_other_formats_are_refused(self):
    with self.assertRaisesRegex(GraphError, 'no option tags; it has none'):
      registry.options('frozen_graph', {'tags': ['serve']})
    with self.assertRaisesRegex(GraphError, 'it has signature, tags'):
      registry.options('hub_module', {'meta_graph': 'x'})
    options = {'signature': 'a', 'tags': ['b']}
    self.assertEqual(registry.options('hub_module', options), options)

  def test_frozen_graph_is_loaded_with_its_ends(self):
    content = testing.tiny_graph_def().SerializeToString()
    path = self._file('a.pb', content)
    network = registry.module('frozen_graph').load(path)
    self.assertIsInstance(network, FrozenNetwork)
    self.assertEqual(network.inputs, ('input:0',))
    self.assertEqual(network.outputs, ('representation:0',))


if __name__ == '__main__':
  absltest.main()
