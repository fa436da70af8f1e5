"""Tests of which format a network is of."""

import os
import pathlib

from absl.testing import absltest, parameterized
import tensorflow as tf
import tf_keras

from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry

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

  @parameterized.parameters(*registry.FORMATS)
  def test_nothing_matches_what_is_not_there(self, name):
    entry = registry.FORMATS.get(name)
    self.assertFalse(entry.matches(self.folder / 'absent'))
    self.assertFalse(entry.accepts(7))

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
    ('A.KERAS', 'keras_model'),
    ('A.H5', 'keras_model'),
    ('A.ONNX', 'onnx_model'),
    ('A.TFLITE', 'tflite_model'),
    ('A.PB', 'frozen_graph'),
    ('A.PBTXT', 'frozen_graph'),
  )
  def test_files_are_told_by_their_names(self, name, expected):
    path = self._file(name)
    self.assertEqual(registry.of(path).name, expected)
    self.assertEqual(registry.of(os.fspath(path)).name, expected)

  @parameterized.parameters('a.safetensors', 'a.pth', 'a.bin', 'a.ckpt')
  def test_weights_alone_are_told_what_they_need(self, name):
    with self.assertRaisesRegex(
      GraphError, r'weights without a network.*`checkpoint=FILE`'
    ):
      registry.of(self._file(name, b'PK'))

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
    self.assertEqual(registry.of(path).name, expected)
    self.assertEqual(registry.of(path.parent).name, expected)

  def test_folders_are_told_by_what_they_hold(self):
    path = self._file('saved/saved_model.pb')
    self.assertEqual(registry.of(path.parent).name, 'saved_model')
    self._file('saved/tfhub_module.pb')
    self.assertEqual(registry.of(path.parent).name, 'hub_module')

  def test_handles_and_prefixes_need_no_file_of_their_name(self):
    self.assertEqual(registry.of('https://tfhub.dev/a/1').name, 'hub_module')
    self._file('a.ckpt.index')
    self.assertEqual(registry.of(self.folder / 'a.ckpt').name, 'checkpoint')

  def test_keras_models_are_recognised(self):
    for keras in (tf.keras, tf_keras):
      model = keras.Sequential([keras.Input((4, 4, 3))])
      self.assertEqual(registry.of(model).name, 'keras_model')

  @parameterized.parameters('absent', 'absent.pb', 'absent.keras')
  def test_what_is_not_there_is_said_not_to_be(self, name):
    with self.assertRaisesRegex(FileNotFoundError, f'folder .*{name}'):
      registry.of(self.folder / name)

  def test_unknown_files_list_what_is_known(self):
    with self.assertRaisesRegex(GraphError, 'hub_module.*Say which it is'):
      registry.of(self._file('notes.txt'))
    with self.assertRaisesRegex(ValueError, "format 'x'; there are: "):
      registry.of('a.pb', 'x')
    self.assertEqual(registry.of('a.xyz', 'onnx_model').name, 'onnx_model')

  def test_a_folder_of_hugging_face_is_named_as_such(self):
    self._file('vit/config.json')
    with self.assertRaisesRegex(GraphError, "name it so: 'hf:.*vit'"):
      registry.of(self.folder / 'vit')

  def test_a_path_is_of_one_format(self):
    for name in ('a.keras', 'a.onnx', 'a.tflite', 'a.pb', 's/saved_model.pb'):
      path = self._file(name)
      found = [n for n, f in registry.FORMATS.items() if f.matches(path)]
      self.assertLen(found, 1, found)

  @parameterized.parameters(7, None, b'a.pb')
  def test_other_objects_are_refused(self, source):
    with self.assertRaisesRegex(GraphError, 'neither a path nor a model'):
      registry.of(source)

  def test_options_that_a_format_needs_not_are_left_for_later(self):
    given = {'input': 'a', 'representation': 'b', 'signature': None}
    self.assertEqual(registry.FORMATS.get('keras_model').options(given), {})
    self.assertEqual(
      registry.FORMATS.get('checkpoint').options(given),
      {'input': 'a', 'representation': 'b'},
    )

  def test_options_of_other_formats_are_refused(self):
    with self.assertRaisesRegex(GraphError, 'no option tags; it has none'):
      registry.FORMATS.get('frozen_graph').options({'tags': ['serve']})
    hub = registry.FORMATS.get('hub_module')
    with self.assertRaisesRegex(GraphError, 'it has signature, tags'):
      hub.options({'meta_graph': 'x'})
    options = {'signature': 'a', 'tags': ['b']}
    self.assertEqual(hub.options(options), options)


if __name__ == '__main__':
  absltest.main()
