"""Tests of files of Keras, good ones and hostile ones."""

import json
import os
import pathlib
import zipfile

from absl.testing import absltest, parameterized
import h5py
import tensorflow as tf

from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.formats.keras import files as keras_files
from frozen_graphs.formats.keras import model as keras_model
from tests import format_testing

L = tf.keras.layers


def _model(*more) -> tf.keras.Model:
  return tf.keras.Sequential([
    tf.keras.Input((16, 16, 3), name='image'),
    L.Conv2D(4, 3, name='conv', activation='gelu', kernel_regularizer='l2'),
    L.BatchNormalization(name='norm'),
    L.Dropout(0.5),
    *more,
  ])  # fmt: skip


class KerasFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _saved(self, model, suffix='.keras') -> pathlib.Path:
    path = self.folder / f'model{suffix}'
    model.save(path)
    return path

  def _with_config(self, change) -> pathlib.Path:
    """Returns a .keras file whose configuration was changed by hand."""
    path = self._saved(_model())
    changed = self.folder / 'changed.keras'
    with (
      zipfile.ZipFile(path) as source,
      zipfile.ZipFile(changed, 'w') as target,
    ):
      for name in source.namelist():
        content = source.read(name)
        if name == 'config.json':
          config = json.loads(content)
          change(config)
          content = json.dumps(config)
        target.writestr(name, content)
    return changed

  @parameterized.parameters('.keras', '.h5')
  def test_file_computes_what_the_model_does(self, suffix):
    model = format_testing.randomised(_model(L.ReLU(max_value=6)))
    model.compile('adam', 'mse')
    path = self._saved(model, suffix)
    self.assertTrue(keras_model.matches(path))
    images = format_testing.images()
    format_testing.assert_same(
      format_testing.run(keras_model.load(path), images),
      format_testing.original(lambda x: model(x, training=False), images),
    )

  @parameterized.parameters('.keras', '.h5')
  def test_lambda_layers_are_refused_before_keras_sees_them(self, suffix):
    path = self._saved(_model(L.Lambda(lambda x: x * 2, name='code')), suffix)
    with self.assertRaisesRegex(
      UnsafeGraphError, r"'code' \(Lambda\) holds Python code"
    ):
      keras_files.load_model(path)

  def test_classes_of_other_modules_are_refused(self):
    def change(config):
      layer = config['config']['layers'][1]
      layer.update(module='os', class_name='system', config={'x': 'touch y'})

    with self.assertRaisesRegex(UnsafeGraphError, "from the module 'os'"):
      keras_files.load_model(self._with_config(change))

  def test_functions_of_other_modules_are_refused(self):
    def change(config):
      config['config']['layers'][1]['config']['activation'] = {
        'module': 'keras.src.utils.file_utils',
        'class_name': 'function',
        'config': 'get_file',
        'registered_name': 'get_file',
      }

    with self.assertRaisesRegex(UnsafeGraphError, 'keras.src.utils'):
      keras_files.load_model(self._with_config(change))

  def test_layers_that_applications_have_for_themselves_are_read(self):
    image = tf.keras.Input((32, 32, 3), name='image')
    networks = [
      tf.keras.applications.ConvNeXtTiny(
        weights=None, include_top=False, input_tensor=image
      ),
      tf.keras.applications.InceptionResNetV2(weights=None, include_top=False),
    ]
    layers = {
      layer.__class__.__name__: layer
      for network in networks
      for layer in network.layers
      if 'applications' in type(layer).__module__
    }
    self.assertSameElements(layers, {'LayerScale', 'CustomScaleLayer'})
    x = L.Conv2D(8, 3, padding='same')(image)
    scale = type(layers['LayerScale'])(0.5, 8, name='scale')
    add = type(layers['CustomScaleLayer'])(0.3, name='add')
    model = tf.keras.Model(image, add([scale(x), L.ReLU()(x)]))
    path = self._saved(format_testing.randomised(model))
    images = format_testing.images(size=32)
    format_testing.assert_same(
      format_testing.run(keras_model.load(path), images),
      format_testing.original(model, images),
    )

  def test_functions_of_applications_are_refused(self):
    def change(config):
      config['config']['layers'][1]['config']['activation'] = {
        'module': 'keras.src.applications.convnext',
        'class_name': 'function',
        'config': 'ConvNeXtTiny',
        'registered_name': 'function',
      }

    with self.assertRaisesRegex(UnsafeGraphError, 'applications.convnext'):
      keras_files.load_model(self._with_config(change))

  def test_built_in_classes_of_python_are_refused(self):
    def change(config):
      config['config']['layers'][1].update(
        module='builtins', class_name='eval', config={}
      )

    with self.assertRaisesRegex(UnsafeGraphError, "names 'eval' of Python"):
      keras_files.load_model(self._with_config(change))

  def test_custom_layers_are_refused_and_say_what_to_do(self):
    class Mine(L.Layer):
      def call(self, x):
        return x

    path = self._saved(_model(Mine(name='mine')), '.h5')
    with self.assertRaisesRegex(GraphError, 'Mine'):
      keras_files.load_model(path)

  def test_layers_that_read_other_files_are_refused(self):
    def change(config):
      config['config']['layers'][1].update(
        class_name='StringLookup', config={'vocabulary': '/etc/passwd'}
      )

    with self.assertRaisesRegex(UnsafeGraphError, 'may read another file'):
      keras_files.load_model(self._with_config(change))

  def test_weights_without_a_network_are_refused(self):
    path = self.folder / 'some.weights.h5'
    _model().save_weights(path)
    with self.assertRaisesRegex(GraphError, 'weights only'):
      keras_files.load_model(path)

  def test_configuration_that_is_no_model_is_refused(self):
    path = self.folder / 'list.h5'
    with h5py.File(path, 'w') as file:
      file.attrs['model_config'] = '[1]'
    with self.assertRaisesRegex(GraphError, 'does not describe a model'):
      keras_files.load_model(path)

  @parameterized.parameters('.keras', '.h5')
  def test_every_cut_of_a_file_is_one_clear_error(self, suffix):
    content = self._saved(_model(), suffix).read_bytes()
    path = self.folder / f'cut{suffix}'
    for share in (0, 0.1, 0.5, 0.9, 0.999):
      path.write_bytes(content[: int(len(content) * share)])
      with self.assertRaisesRegex(GraphError, f'cut{suffix}: '):
        keras_files.load_model(path)

  def test_missing_file_is_said_to_be_missing(self):
    with self.assertRaisesRegex(FileNotFoundError, 'no file .*absent.keras'):
      keras_files.load_model(self.folder / 'absent.keras')

  def test_weights_that_do_not_fit_are_one_clear_error(self):
    def change(config):
      config['config']['layers'][1]['config']['filters'] = 5

    with self.assertRaisesRegex(GraphError, 'Keras cannot load it'):
      keras_files.load_model(self._with_config(change))

  def test_refused_files_leave_nothing_behind(self):
    marker = self.folder / 'executed'
    command = f'open({os.fspath(marker)!r}, "w")'
    path = self._saved(_model(L.Lambda(lambda x: eval(command) and x)))
    marker.unlink(missing_ok=True)
    with self.assertRaises(UnsafeGraphError):
      keras_files.load_model(path)
    self.assertFalse(marker.exists())


if __name__ == '__main__':
  absltest.main()
