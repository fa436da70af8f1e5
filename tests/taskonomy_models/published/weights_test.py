"""Tests that published weights come into the layers that they belong to."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np
from scipy import io
import tensorflow as tf

from taskonomy_models import keras_networks
from taskonomy_models.published import weights

layers = tf.keras.layers


def _model() -> tf.keras.Model:
  image = layers.Input((8, 8, 3))
  x = layers.Conv2D(4, 3, use_bias=False, name='block.conv')(image)
  x = layers.BatchNormalization(epsilon=1e-3, name='block.norm')(x)
  x = layers.Conv2D(2, 1, name='last')(layers.ReLU(name='relu')(x))
  model = tf.keras.Model(image, x, name='small')
  keras_networks.randomise(model, 0)
  return model


def _published(model: tf.keras.Model, style: str, prefix: str):
  """Returns the weights of a model as a release of that style has them."""
  convolution, norm, last = (
    model.get_layer(name).get_weights()
    for name in ('block.conv', 'block.norm', 'last')
  )
  gamma, beta, mean, variance = norm
  names = {
    'slim': ('weights', 'biases', 'gamma', 'beta'),
    'caffe': ('weights', 'biases', 'scale', 'offset'),
  }
  if style == 'matconvnet':
    moments = np.stack([mean, np.sqrt(variance + 1e-3)], axis=1)
    found = {
      'block/conv_filter': convolution[0],
      'block/norm_mult': gamma[:, None],
      'block/norm_bias': beta[:, None],
      'block/norm_moments': moments,
      'last_filter': last[0].squeeze(),  # As MATLAB drops sides of 1.
      'last_bias': last[1][None],
    }
    return {prefix + name: value for name, value in found.items()}
  kernel, bias, factor, shift = names[style]
  moving = 'moving_' if style == 'slim' else ''
  found = {
    f'block/conv/{kernel}': convolution[0],
    f'block/norm/{factor}': gamma,
    f'block/norm/{shift}': beta,
    f'block/norm/{moving}mean': mean,
    f'block/norm/{moving}variance': variance,
    f'last/{kernel}': last[0],
    f'last/{bias}': last[1],
  }
  return {prefix + name: value for name, value in found.items()}


def _write_checkpoint(path: pathlib.Path, found) -> None:
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    variables = [
      tf.compat.v1.get_variable(name, initializer=value)
      for name, value in found.items()
    ]
    session.run(tf.compat.v1.global_variables_initializer())
    saver = tf.compat.v1.train.Saver(variables)
    saver.save(session, str(path), write_meta_graph=False, write_state=False)


def _write_mat(path: pathlib.Path, found, is_net: bool) -> None:
  names = np.array(list(found), object)
  parameters = np.rec.fromarrays(
    [names, np.array([*found.values(), None], object)[:-1]],
    names=['name', 'value'],
  )
  meta = {'normalization': {'averageImage': [[[120.0, 110.0, 100.0]]]}}
  content = {'params': parameters, 'meta': meta}
  io.savemat(path, {'net': content} if is_net else content)


class WeightsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.model, self.other = _model(), _model()
    keras_networks.randomise(self.other, 1)

  def assert_same(self):
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(
      self.other(images).numpy(), self.model(images).numpy(), 1e-4, 1e-5
    )

  @parameterized.parameters('slim', 'caffe')
  def test_those_of_a_checkpoint(self, style):
    found = _published(self.model, style, 'net/')
    _write_checkpoint(self.folder / 'model.ckpt', found)
    read = weights.read(self.folder)
    self.assertIsNone(weights.average(read))
    weights.assign(self.other, read, style, 'net/')
    self.assert_same()

  @parameterized.parameters(False, True)
  def test_those_of_matconvnet(self, is_net):
    found = _published(self.model, 'matconvnet', '')
    _write_mat(self.folder / 'net.mat', found, is_net)
    read = weights.read(self.folder)
    self.assertEqual(weights.average(read), (120, 110, 100))
    weights.assign(self.other, read, 'matconvnet')
    self.assert_same()

  def test_what_is_missing_or_of_another_shape_is_named(self):
    found = _published(self.model, 'slim', '')
    with self.assertRaisesRegex(ValueError, 'Missing: net/block/conv/weights'):
      weights.assign(self.other, found, 'slim', 'net/')
    found['last/biases'] = np.zeros(3)
    with self.assertRaisesRegex(ValueError, r'last/biases \(3,\), not \(2,\)'):
      weights.assign(self.other, found, 'slim')

  def test_folders_without_one_file_of_weights_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'there are: none'):
      weights.read(self.folder)
    for name in ('a.mat', 'b.mat'):
      (self.folder / name).write_bytes(b'no weights')
    with self.assertRaisesRegex(ValueError, 'a.mat, b.mat'):
      weights.read(self.folder)
    (self.folder / 'b.mat').unlink()
    with self.assertRaisesRegex(ValueError, 'a.mat cannot be read'):
      weights.read(self.folder)


if __name__ == '__main__':
  absltest.main()
