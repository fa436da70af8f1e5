"""Tests of finding and reading model.json."""

import json
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

import frozen_graphs
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tfjs import files as tfjs_files
from tests import tfjs_testing

_GRAPH = {'node': []}


class FilesTest(parameterized.TestCase):
  def write(self) -> pathlib.Path:
    folder = self.create_tempdir().full_path
    return tfjs_testing.write(folder, _GRAPH, {'w': np.zeros(3, np.float32)})

  def test_a_folder_stands_for_its_model(self):
    path = self.write()
    by_folder = tfjs_files.read(path.parent, tfjs_files.GRAPH_MODEL)
    self.assertEqual(by_folder.path, path)
    self.assertEqual(by_folder.topology, _GRAPH)

  def test_a_file_may_have_another_name(self):
    path = self.write().rename(
      pathlib.Path(self.create_tempdir().full_path) / 'posenet.json'
    )
    self.assertEqual(tfjs_files.kind(path), tfjs_files.GRAPH_MODEL)
    tfjs_files.read(path, tfjs_files.GRAPH_MODEL)

  def test_what_converters_0_wrote_is_named(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    names = 'tensorflowjs_model.pb', 'weights_manifest.json'
    for name in names:
      (folder / name).write_bytes(b'')
    for path in (folder, *(folder / name for name in names)):
      with self.assertRaisesRegex(
        GraphError, r'converter of TensorFlow.js 0\.x'
      ):
        frozen_graphs.load(path, trust='checks')
    other = folder / 'other.pb'
    other.write_bytes(b'')
    self.assertFalse(tfjs_files.is_of_old_converter(other))

  def test_no_such_file(self):
    folder = self.create_tempdir().full_path
    with self.assertRaisesRegex(FileNotFoundError, 'model.json'):
      tfjs_files.read(folder, tfjs_files.GRAPH_MODEL)

  @parameterized.parameters('', '{', '[' * 100_000, '\x80', '{"a": 1}', '[]')
  def test_what_is_no_model(self, text):
    path = self.write()
    path.write_bytes(text.encode('latin-1'))
    with self.assertRaises(GraphError) as context:
      tfjs_files.read(path, tfjs_files.GRAPH_MODEL)
    self.assertIn(str(path), str(context.exception))
    self.assertNotIn('\n', str(context.exception))

  def test_a_model_of_the_other_format(self):
    path = self.write()
    with self.assertRaisesRegex(GraphError, 'graph-model, not a layers-model'):
      tfjs_files.read(path, tfjs_files.LAYERS_MODEL)

  def test_a_file_that_is_too_large_is_not_read(self):
    path = self.write()
    size = path.stat().st_size
    tfjs_files.read(path, tfjs_files.GRAPH_MODEL, max_bytes=size)
    with self.assertRaisesRegex(GraphError, f'{size} bytes'):
      tfjs_files.read(path, tfjs_files.GRAPH_MODEL, max_bytes=size - 1)

  @parameterized.parameters(
    ({'format': 'graph-model'}, 'graph-model'),
    ({'format': 'layers-model'}, 'layers-model'),
    ({'modelTopology': {'node': []}}, 'graph-model'),
    ({'modelTopology': {'class_name': 'Sequential'}}, 'layers-model'),
    ({'modelTopology': {'keras_version': '2.1.6'}}, 'layers-model'),
    ({'modelTopology': {'model_config': {}}}, 'layers-model'),
    ({'format': 'other', 'modelTopology': {}}, None),
    ({}, None),
  )
  def test_the_head_of_a_file_tells_its_format(self, content, expected):
    for indent in (None, 2):
      path = self.write()
      path.write_text(json.dumps(content, indent=indent))
      self.assertEqual(tfjs_files.kind(path), expected)
      self.assertEqual(tfjs_files.kind(str(path.parent)), expected)

  def test_other_files_have_no_format(self):
    path = self.write()
    self.assertIsNone(tfjs_files.kind(path.parent / 'absent.json'))
    self.assertIsNone(tfjs_files.kind(path.parent / 'shard0of1.bin'))
    self.assertIsNone(tfjs_files.kind(path.rename(path.with_suffix('.txt'))))


if __name__ == '__main__':
  absltest.main()
