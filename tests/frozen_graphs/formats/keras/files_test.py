"""Tests of files of Keras, good ones and hostile ones."""

import io
import json
import os
import pathlib
import re
from unittest import mock
import zipfile

from absl.testing import absltest, parameterized
import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.formats.keras import checks
from frozen_graphs.formats.keras import files as keras_files
from frozen_graphs.formats.keras import model as keras_model
from tests import format_testing, tfjs_testing

L = tf.keras.layers
L2 = tf_keras.layers


def _model(*more) -> tf.keras.Model:
  return tf.keras.Sequential([
    tf.keras.Input((16, 16, 3), name='image'),
    L.Conv2D(4, 3, name='conv', activation='gelu', kernel_regularizer='l2'),
    L.BatchNormalization(name='norm'),
    L.Dropout(0.5),
    *more,
  ])  # fmt: skip


def _model_2(*more) -> tf_keras.Model:
  """Returns a model of Keras 2, whose layers are named as those of `_model`."""
  return tf_keras.Sequential([
    tf_keras.Input((16, 16, 3), name='image'),
    L2.Conv2D(4, 3, name='conv', activation='gelu', kernel_regularizer='l2'),
    L2.BatchNormalization(name='norm'),
    L2.Dropout(0.5),
    *more,
  ])  # fmt: skip


# Layers and functions of Keras 2, on images.
_LAYERS_2 = {
  'activation': L2.Activation('hard_sigmoid'),
  'function': L2.Activation(tf.nn.relu6),
  'convolution': L2.Conv2D(6, 3, activation='hard_sigmoid', groups=3),
  'depthwise': L2.DepthwiseConv2D(3, dilation_rate=2),
  'separable': L2.SeparableConv2D(4, 3, strides=2, padding='same'),
  'transposed': L2.Conv2DTranspose(4, 3, strides=2, padding='same'),
  'local': L2.LocallyConnected2D(2, 8, strides=8),
  'leaky': L2.LeakyReLU(),
  'prelu': L2.PReLU(shared_axes=[1, 2]),
  'thresholded': L2.ThresholdedReLU(0.5),
  'elu': L2.ELU(0.5),
  'relu': L2.ReLU(6.0, 0.1, 0.2),
  'softmax': L2.Softmax(),
  'up': L2.UpSampling2D(2, interpolation='bicubic'),
  'resizing': L2.Resizing(8, 6, 'area', crop_to_aspect_ratio=True),
  'batch': L2.BatchNormalization(axis=1),
  'layer': L2.LayerNormalization(),
  'group': L2.GroupNormalization(3),
  'unit': L2.UnitNormalization(),
  'normalization': L2.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2, 3]),
  'rescaling': L2.Rescaling(2.0, -1.0),
  'flip': L2.RandomFlip(),
  'noise': L2.GaussianNoise(0.1),
  'dropout': L2.SpatialDropout2D(0.1),
  'pooling': L2.GlobalAveragePooling2D(keepdims=True),
  'padding': L2.ZeroPadding2D(((1, 2), (0, 1))),
  'distributed': L2.TimeDistributed(L2.Dense(4)),
  'sum': lambda x: L2.Add()([x, x, L2.ReLU()(x)]),
  'dot': lambda x: L2.Dot(-1)([L2.Reshape((256, 3))(x)] * 2),
  'attention': lambda x: L2.MultiHeadAttention(2, 4)(
    L2.Reshape((256, 3))(x), L2.Reshape((256, 3))(x)
  ),
  'operators': lambda x: 1.0 - (x / 127.5 - 1.0) * x[:, :, :, :1],
  'slices': lambda x: L2.Conv2D(4, 3)(x[:, 2:-2, ::2]),
  'functions': lambda x: tf.reduce_mean(tf.concat([tf.nn.relu(x), x], -1), [1]),
  'nested': lambda x: tf_keras.Sequential([L2.Conv2D(4, 3), L2.ReLU()])(x),
}


class KerasFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _saved(self, model, suffix='.keras') -> pathlib.Path:
    path = self.folder / f'model{suffix}'
    model.save(path)
    return path

  def _with_config(self, change, model=None, **more) -> pathlib.Path:
    """Returns a .keras file whose configuration was changed by hand.

    Args:
      change: A function that changes it.
      model: Of the file.
      **more: Other members of the archive, in place of its own.
    """
    path = self._saved(model or _model())
    changed = self.folder / 'changed.keras'
    with (
      zipfile.ZipFile(path) as source,
      zipfile.ZipFile(changed, 'w', zipfile.ZIP_DEFLATED) as target,
    ):
      for name in source.namelist():
        content = source.read(name)
        if name == 'config.json':
          config = json.loads(content)
          change(config)
          content = json.dumps(config)
        target.writestr(name, more.get(name.replace('.', '_'), content))
    return changed

  def _with_attribute(self, change, model=None) -> pathlib.Path:
    """Returns a .h5 file whose configuration was changed by hand."""
    path = self._saved(model or _model_2(), '.h5')
    with h5py.File(path, 'r+') as file:
      config = json.loads(file.attrs['model_config'])
      change(config['config']['layers'])
      file.attrs['model_config'] = json.dumps(config)
    return path

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

  @parameterized.parameters(
    *((name, suffix) for name in _LAYERS_2 for suffix in ('.keras', '.h5'))
  )
  def test_layer_of_keras_2_computes_what_tf_keras_does(self, name, suffix):
    image = tf_keras.Input((16, 16, 3))
    x = L2.Conv2D(3, 3, padding='same')(image)
    model = tf_keras.Model(image, _LAYERS_2[name](x))
    format_testing.randomised(model)
    path = self._saved(model, suffix)
    if suffix == '.keras':  # As Keras 2 names modules, not as tf-keras does.
      self._rename_modules(path)
    self._assert_loads_as(path, model)

  def _assert_loads_as(self, path, model, size: int = 16) -> None:
    images = format_testing.images(size=size)
    network = keras_model.load(path)
    actual = tfjs_testing.run(
      network, network.outputs[0], {network.inputs[0]: images}
    )
    expected = model(images, training=False).numpy()
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, 0, tolerance)

  def test_network_of_keras_2(self):
    model = tf_keras.applications.MobileNetV2(
      (32, 32, 3), 0.35, weights=None, include_top=False
    )
    rng = np.random.default_rng(0)
    for variable in model.weights:
      if len(variable.shape) == 1:  # Of a normalization.
        variable.assign(rng.uniform(0.2, 0.8, variable.shape))
    path = self._saved(model, '.h5')
    self._assert_loads_as(path, model, 32)

  def _rename_modules(self, path: pathlib.Path, to: str = 'keras.') -> None:
    with zipfile.ZipFile(path) as archive:
      members = {name: archive.read(name) for name in archive.namelist()}
    members['config.json'] = members['config.json'].replace(
      b'tf_keras.src.', to.encode()
    )
    with zipfile.ZipFile(path, 'w') as archive:
      for name, content in members.items():
        archive.writestr(name, content)

  @parameterized.parameters('keras.', 'keras.src.', 'tf_keras.src.')
  def test_modules_as_keras_has_named_them(self, to):
    image = tf_keras.Input((16, 16, 3))
    x = L2.Conv2D(2, 3)(image)
    # Keras 2.12 has other modules, which tf-keras lacks, for functions.
    x = L2.ReLU()(x) if to == 'keras.' else tf.nn.relu(x - 1.0)
    model = tf_keras.Model(image, x)
    path = self._saved(model)
    self._rename_modules(path, to)
    self._assert_loads_as(path, model)

  def test_groups_that_depthwise_layers_do_not_have_may_be_written(self):
    def change(layers):
      self.assertEqual(layers[-1]['class_name'], 'DepthwiseConv2D')
      layers[-1]['config']['groups'] = 1

    model = _model_2(L2.DepthwiseConv2D(3, padding='same'))
    path = self._with_attribute(change, model)
    self._assert_loads_as(path, model)

  @parameterized.parameters('.keras', '.h5')
  def test_version_in_the_file_decides_which_keras_loads_it(self, suffix):
    for build, kind in ((_model, tf.keras.Model), (_model_2, tf_keras.Model)):
      model = keras_files.load_model(self._saved(build(), suffix))
      self.assertIsInstance(model, kind)

  @parameterized.parameters(_model, _model_2)
  def test_content_decides_how_a_file_is_read(self, build):
    for suffix, other in (('.keras', '.h5'), ('.h5', '.keras')):
      path = self._saved(build(), suffix)
      renamed = path.rename(self.folder / f'renamed{other}')
      self.assertLen(keras_files.load_model(renamed).layers, 3)

  def _archive(self, model) -> bytes:
    return self._saved(model).read_bytes()

  @parameterized.parameters(_model, _model_2)
  def test_archive_behind_a_file_changes_nothing(self, build):
    layers = L if build is _model else L2
    code = build(layers.Lambda(lambda x: x * 2, name='code'))
    for suffix in ('.h5', '.keras'):
      path = self._saved(code, '.h5')
      both = self.folder / f'both{suffix}'
      both.write_bytes(path.read_bytes() + self._archive(build()))
      self.assertTrue(zipfile.is_zipfile(both))
      with self.assertRaisesRegex(UnsafeGraphError, 'holds Python code'):
        keras_files.load_model(both)
      path = self._saved(build(), '.h5')
      both.write_bytes(path.read_bytes() + self._archive(code))
      self.assertLen(keras_files.load_model(both).layers, 3)

  def test_folder_is_told_so(self):
    with self.assertRaisesRegex(GraphError, 'is a folder; Keras keeps'):
      keras_files.load_model(self.create_tempdir().full_path)

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

    with self.assertRaisesRegex(
      UnsafeGraphError, "eval.* from the module 'builtins'"
    ):
      keras_files.load_model(self._with_config(change))

  @parameterized.parameters(
    {
      'registered_name': 'Lambda',
      'module': 'keras.src.layers.core.lambda_layer',
    },
    {'registered_name': 'x>Lambda'},
    {'class_name': 'Layer.Lambda'},
    {'class_name': None, 'registered_name': None, 'module': 'os'},
    {'class_name': 'load_model', 'module': 'keras.models'},
    {'class_name': 'deserialize', 'module': 'keras.layers'},
    {'class_name': 'ClassMethod', 'module': 'keras.layers'},
    {'class_name': '__typespec__', 'spec_name': 'Lambda'},
    {
      'class_name': 'function',
      'config': 'load_model',
      'module': 'keras.models',
    },
    {'class_name': 'function', 'config': 'os.system', 'module': 'builtins'},
    {'class_name': 'Sequence', 'module': 'tf_keras.src.utils.data_utils'},
  )
  def test_other_names_for_what_is_no_layer_are_refused(self, **changes):
    def change(config):
      config['config']['layers'][1].update(changes)

    for model in (_model(), _model_2()):
      with self.assertRaises(UnsafeGraphError):
        keras_files.load_model(self._with_config(change, model))

  @parameterized.parameters(
    'load_op_library',
    'io.write_file',
    'saved_model.load',
    'py_function',
    'nn.fixed_unigram_candidate_sampler',
    'math.x.y',
    'raw_ops.ReadFile',
    'io.gfile.rmtree',
  )
  def test_functions_that_may_do_more_than_compute_are_refused(self, name):
    def change(layers):
      (layer,) = (x for x in layers if x['class_name'] == 'TFOpLambda')
      layer['config']['function'] = name

    image = tf_keras.Input((16, 16, 3))
    path = self._with_attribute(change, tf_keras.Model(image, image * 2.0))
    with self.assertRaisesRegex(UnsafeGraphError, re.escape(name)):
      keras_files.load_model(path)

  @parameterized.parameters('link', 'array')
  def test_numbers_in_other_files_are_refused(self, what):
    (self.folder / 'secret').write_bytes(bytes(1000))
    path = self._saved(_model_2(), '.h5')
    with h5py.File(path, 'r+') as file:
      if what == 'link':
        file['model_weights/a'] = h5py.ExternalLink('secret', '/a')
      else:
        file.create_dataset('a', (9,), 'f4', external=[('secret', 0, 36)])
    with self.assertRaisesRegex(UnsafeGraphError, 'in another file'):
      keras_files.load_model(path)

  def test_sizes_are_bounded_before_anything_is_made(self):
    path = self._saved(_model_2(), '.h5')
    with h5py.File(path, 'r+') as file:
      file.create_dataset('a', (10**12,), 'f4', chunks=(1000,))
    with self.assertRaisesRegex(GraphError, 'arrays take more than 2 GiB'):
      keras_files.load_model(path)
    content = io.BytesIO()
    with h5py.File(content, 'w') as file:
      file.create_dataset('a', (10**12,), 'f4', chunks=(1000,))
    path = self._with_config(
      lambda config: None, model_weights_h5=content.getvalue()
    )
    with self.assertRaisesRegex(GraphError, 'arrays take more than 2 GiB'):
      keras_files.load_model(path)

    def change(layers):
      layers[1]['config'].update(filters=2**20, kernel_size=[16, 16])

    with self.assertRaisesRegex(GraphError, 'weights take more than 2 GiB'):
      keras_files.load_model(self._with_attribute(change))

  def test_sizes_that_no_layer_has_are_refused_by_name(self):
    def change(config):
      config['config']['layers'][1]['config'].update(filters=10**12)

    with self.assertRaisesRegex(GraphError, r'filters=1e\+12; at most 4194304'):
      keras_files.load_model(self._with_config(change))

  def test_archives_that_unpack_to_much_are_refused(self):
    path = self.folder / 'large.keras'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
      archive.writestr('config.json', bytes(2**20))
    with (
      mock.patch.object(checks, 'MAX_BYTES', 2**19),
      self.assertRaisesRegex(GraphError, 'parts take more than 2 GiB'),
    ):
      keras_files.load_model(path)

  def test_layers_that_wait_for_each_other_are_refused(self):
    def change(layers):
      layers[1]['inbound_nodes'][0][0][0] = layers[2]['name']

    image = tf_keras.Input((16, 16, 3))
    model = tf_keras.Model(image, L2.ReLU()(L2.Conv2D(3, 3)(image)))
    with self.assertRaisesRegex(GraphError, 'take what no layer before'):
      keras_files.load_model(self._with_attribute(change, model))

  @parameterized.parameters('.keras', '.h5')
  def test_refusals_are_one_sentence(self, suffix):
    class Mine(L2.Layer):
      def call(self, x):
        return x

    model = _model_2(*(Mine(name=f'mine_{n}') for n in range(60)))
    path = self._saved(model, suffix)
    with self.assertRaises(GraphError) as context:
      keras_files.load_model(path)
    message = str(context.exception).removeprefix(str(path))
    self.assertLess(len(message), 300)
    self.assertIn('Mine', message)

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
