"""Tests of modules of TensorFlow Hub, against `hub.load`; none is fetched."""

import hashlib
import os
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from frozen_graphs import loading
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import hub_module, registry
from tests import format_testing

v1 = tf.compat.v1


class _Module(tf.Module):
  """A reusable module of the second format, with a signature."""

  def __init__(self):
    super().__init__()
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.4, (3, 3, 3, 5)).astype(np.float32)
    self.kernel = tf.Variable(kernel)

  @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
  def __call__(self, image):
    return tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, 'SAME'))


def _save_module_1(folder: pathlib.Path) -> None:
  """Writes a module of the first format: two graphs, with and without noise."""
  kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4))
  builder = v1.saved_model.Builder(os.fspath(folder))
  for number, tags in enumerate(([], ['train'])):
    with v1.Graph().as_default(), v1.Session() as session:
      image = v1.placeholder(tf.float32, [None, 16, 16, 3], 'image')
      weights = v1.get_variable(
        'module/weights', initializer=kernel.astype(np.float32)
      )
      features = tf.nn.elu(tf.nn.conv2d(image, weights, 2, 'SAME'))
      if tags:
        features = tf.nn.dropout(features, 0.5)
      session.run(v1.global_variables_initializer())
      info = v1.saved_model.build_signature_def(
        {'images': v1.saved_model.build_tensor_info(image)},
        {'default': v1.saved_model.build_tensor_info(features)},
      )
      if number:
        builder.add_meta_graph(tags, {'default': info})
      else:
        builder.add_meta_graph_and_variables(session, tags, {'default': info})
  builder.save()
  # A message with one field: the format, 3 for what hub.Module exported.
  (folder / 'tfhub_module.pb').write_bytes(b'\x08\x03')


class HubModuleTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / 'module'
    self.images = format_testing.images()

  def test_folder_computes_what_hub_loads(self):
    tf.saved_model.save(_Module(), str(self.folder))
    original = hub.load(str(self.folder))
    format_testing.assert_same(
      format_testing.run(hub_module.load(self.folder), self.images),
      format_testing.original(original, self.images),
    )

  def test_module_of_format_1_computes_what_hub_loads(self):
    _save_module_1(self.folder)
    self.assertTrue(hub_module.matches(self.folder))
    self.assertEqual(registry.of(self.folder).name, 'hub_module')
    original = hub.load(str(self.folder), tags=[]).signatures['default']
    format_testing.assert_same(
      format_testing.run(hub_module.load(self.folder), self.images),
      format_testing.original(lambda x: original(x)['default'], self.images),
    )

  def test_graph_of_a_module_is_chosen_by_its_tags(self):
    _save_module_1(self.folder)
    train = hub_module.load(self.folder, tags=['train'])
    self.assertIn('dropout', ' '.join(n.name for n in train.graph_def.node))
    with self.assertRaisesRegex(GraphError, r"\['x'\]; pass tags out of"):
      hub_module.load(self.folder, tags=['x'])

  def test_handle_is_found_in_the_cache(self):
    handle = 'https://tfhub.dev/someone/features/1'
    cache = pathlib.Path(self.create_tempdir().full_path)
    # Where TensorFlow Hub keeps what it has downloaded.
    name = hashlib.sha1(handle.encode()).hexdigest()
    tf.saved_model.save(_Module(), str(cache / name))
    with mock.patch.dict(os.environ, {'TFHUB_CACHE_DIR': str(cache)}):
      network = hub_module.load(handle)
      original = hub.load(handle)
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(original, self.images),
    )
    self.assertEqual(network.source, f'TensorFlow Hub module {handle}')
    self.assertEqual(registry.of(handle).name, 'hub_module')

  def test_handle_that_cannot_be_fetched_says_what_to_do(self):
    # No server listens there, and nothing leaves this machine.
    handle = 'http://127.0.0.1:9/someone/features/1'
    with mock.patch.dict(
      os.environ, {'TFHUB_CACHE_DIR': self.create_tempdir().full_path}
    ):
      with self.assertRaisesRegex(GraphError, '^The .*be fetched .*unpack it'):
        loading.load(handle, trust='checks')

  def test_folder_that_is_no_module_is_refused(self):
    self.folder.mkdir()
    (self.folder / 'tfhub_module.pb').write_bytes(b'\x08\x03')
    with self.assertRaisesRegex(GraphError, 'no saved_model.pb'):
      hub_module.load(self.folder)


if __name__ == '__main__':
  absltest.main()
