"""Tests of bringing networks into a bank."""

import gc
import json
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import network as network_lib
from frozen_graphs.errors import GraphError
from frozen_graphs.network import Network
from taskonomy_models import bank as banks
from taskonomy_models import conversion
from tests import format_testing, testing

L = tf.keras.layers
_T = 'resize(16) | range(-1, 1)'


def _model(*more, side: int | None = 16, channels: int = 3) -> tf.keras.Model:
  model = tf.keras.Sequential([
    tf.keras.Input((side, side, channels), name='image'),
    L.Conv2D(4, 3, strides=2, name='conv', activation='relu'),
    L.Conv2D(5, 3, name='top', activation='tanh'),
    *more,
  ])  # fmt: skip
  return format_testing.randomised(model)


class ConversionTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / 'mine'

  def _convert(self, source=None, **changes):
    arguments = {
      'name': 'first',
      'representation': 'top',
      'preprocessing': _T,
    }
    return conversion.convert(
      _model() if source is None else source,
      self.folder,
      **{**arguments, **changes},
    )

  def _refused(self, pattern, source=None, error=GraphError, **changes):
    before = self._content()
    with self.assertRaisesRegex(error, pattern) as caught:
      self._convert(source, **changes)
    self.assertEqual(self._content(), before)
    return str(caught.exception)

  def _content(self):
    paths = self.folder.rglob('*') if self.folder.exists() else ()
    return {path: path.read_bytes() for path in paths if path.is_file()}

  def test_network_that_mixes_the_images_of_a_batch_is_refused(self):
    class Contrast(L.Layer):
      def call(self, x):
        return x - tf.reduce_mean(x, axis=0, keepdims=True)

    model = _model(Contrast(), L.ReLU(name='last'))
    self._refused('influence each other', model, representation='last')
    self._convert(model, representation='top')

  def test_network_without_finite_results_is_not_said_to_mix_images(self):
    class Broken(L.Layer):
      def call(self, x):
        return x / 0.0

    model = _model(Broken(), L.ReLU(name='last'))
    self._refused('zero or not finite', model, representation='last')

  def test_bank_has_the_network_as_it_was_described(self):
    encoder = self._convert(label='First', group='2d', image_size=32)
    bank = banks.load(str(self.folder))
    self.assertEqual(bank.name, 'mine')
    self.assertEqual(bank.image_size, 32)
    self.assertEqual(bank.encoders, (encoder,))
    self.assertEqual(encoder.label, 'First')
    self.assertEqual(encoder.group, '2d')
    self.assertEqual(encoder.sha256, encoder.load().digest)
    self.assertEqual(encoder.input_tensor, 'image:0')
    self.assertCountEqual(
      [path.name for path in self.folder.iterdir()], ['first.pb', 'bank.json']
    )

  def test_maps_are_the_gradients_of_the_model(self):
    model = _model()
    encoder = self._convert(model)
    images = testing.images(3)
    with Explainer(
      encoder.graph,
      input_tensor=encoder.input_tensor,
      representation_tensor=encoder.representation_tensor,
      preprocessing=encoder.preprocessing,
      methods=('saliency', 'gradient_times_input'),
    ) as explainer:
      maps = explainer.explain(images, inverse=False).maps
    x = tf.constant(images / 127.5 - 1, tf.float32)
    with tf.GradientTape() as tape:
      tape.watch(x)
      features = model(x, training=False)
      means = tf.reduce_mean(features, [1, 2, 3])
    gradient = tape.gradient(means, x).numpy()
    np.testing.assert_allclose(maps['saliency'], np.abs(gradient), 1e-4, 1e-6)
    np.testing.assert_allclose(
      maps['gradient_times_input'], gradient * x, 1e-4, 1e-6
    )

  def test_memory_need_not_hold_the_graph_while_a_picture_is_explained(self):
    graph_def = testing.tiny_graph_def()
    ends = {'representation': 'representation'}
    small = self._convert(graph_def, **ends)
    seen, explain = [], Explainer.explain

    def look(explainer, *arguments, **options):
      gc.collect()
      large = [o for o in gc.get_objects() if isinstance(o, Network)]
      seen.append(sum(len(network.graph_def.node) for network in large))
      return explain(explainer, *arguments, **options)

    with (
      mock.patch.object(network_lib, '_LARGE', 0),
      mock.patch.object(Explainer, 'explain', look),
    ):
      large = self._convert(graph_def, name='second', **ends)
    self.assertEqual(seen, [0])
    self.assertEqual(large.sha256, small.sha256)

  def test_second_network_leaves_the_first_as_it_was(self):
    first = self._convert()
    graph = self.folder / 'first.pb'
    before = graph.read_bytes()
    second = self._convert(_model(L.ReLU()), name='second')
    bank = banks.load(str(self.folder))
    self.assertEqual(bank.encoders, (first, second))
    self.assertEqual(graph.read_bytes(), before)

  def test_what_else_a_bank_says_stays(self):
    self._convert(image_size=48)
    path = self.folder / 'bank.json'
    content = json.loads(path.read_text())
    content['name'] = 'other'
    path.write_text(json.dumps(content))
    self._convert(name='second')
    bank = banks.load(str(self.folder))
    self.assertEqual((bank.name, bank.image_size), ('other', 48))

  def test_name_that_is_taken_is_refused_before_anything_is_loaded(self):
    self._convert()
    with mock.patch.object(conversion.frozen_graphs, 'load') as load:
      self._refused(
        "a network 'first' already.*pass .overwrite", error=ValueError
      )
      self._refused(
        "a network 'first'; 'FIRST' differs in case",
        error=ValueError,
        name='FIRST',
        overwrite=True,
      )
    load.assert_not_called()

  def test_network_is_replaced_if_that_is_asked_for(self):
    first = self._convert()
    second = self._convert(_model(L.ReLU()), name='second')
    other = self._convert(
      _model(L.ReLU(name='last')), representation='last', overwrite=True
    )
    self.assertNotEqual(first.sha256, other.sha256)
    self.assertEqual(banks.load(str(self.folder)).encoders, (other, second))

  def test_two_conversions_give_the_same_bytes(self):
    model = _model()
    first = self._convert(model)
    self.assertEqual(self._convert(model, name='second').sha256, first.sha256)

  @parameterized.parameters('../up', 'a/b', '', '.hidden', 'x' * 200)
  def test_name_that_is_no_file_name_is_refused(self, name):
    self._refused('cannot name an encoder', error=ValueError, name=name)

  @parameterized.parameters(None, '')
  def test_preprocessing_is_never_guessed(self, preprocessing):
    self._refused(
      'preprocessing is not given',
      error=ValueError,
      preprocessing=preprocessing,
    )

  def test_preprocessing_that_does_not_fit_is_refused(self):
    self._refused(
      r'has the shape \(None, 16, 16, 3\).* makes \(20, 20, 3\)',
      preprocessing='resize(20) | range(-1, 1)',
    )
    self._refused('wibble', error=ValueError, preprocessing='wibble(3)')

  def test_what_makes_other_channels_is_named(self):
    for channels, operation in ((1, 'grayscale'), (4, 'append_channel')):
      self._refused(f"pixels.*'{operation}", _model(channels=channels))

  def test_open_sizes_take_any_picture(self):
    model = _model(side=None)
    self._convert(model, preprocessing='resize(24)')
    self._convert(model, name='as_it_is', preprocessing='range(0, 1)')

  def test_missing_representation_lists_what_there_is(self):
    message = self._refused(
      'he representation is not given', representation=None
    )
    self.assertIn('conv_out:0, top_out:0', message)
    self.assertIn('taskonomy_models.inspect', message)

  def test_tensor_that_is_not_there_is_named_with_what_is(self):
    message = self._refused("no tensor or layer 'to'", representation='to')
    self.assertIn('top', message)
    self._refused("no tensor 'imag", input='imagine')

  def test_end_that_several_tensors_have_is_refused(self):
    part = tf.keras.Sequential(
      [tf.keras.Input((16, 16, 3)), L.Conv2D(3, 3, padding='same', name='c')],
      name='part',
    )
    image = tf.keras.Input((16, 16, 3), name='image')
    twice = tf.keras.Model(image, part(part(image)))
    self._refused(
      "nodes of the graph have names that end in 'BiasAdd'; choose one of",
      twice,
      representation='BiasAdd',
    )

  def test_representation_that_images_do_not_reach_is_refused(self):
    image = tf.keras.Input((16, 16, 3), name='image')
    style = tf.keras.Input((16, 16, 3), name='style')
    used = L.Conv2D(3, 3, name='used')(image)
    other = L.Conv2D(3, 3, name='other')(style)
    model = tf.keras.Model([image, style], [used, other])
    self._refused("'style'", model, representation='other')
    encoder = self._convert(model, representation='other', input='style')
    self.assertEqual(encoder.input_tensor, 'style:0')

  def test_second_input_can_be_made_a_constant(self):
    image = tf.keras.Input((16, 16, 3), name='image')
    scale = tf.keras.Input((1,), name='scale')
    x = L.Conv2D(3, 3, name='conv')(image)
    x = L.Multiply(name='scaled')([x, L.Reshape((1, 1, 1))(scale)])
    model = tf.keras.Model([image, scale], x)
    self._refused(
      "other|input 'scale'.*give it a value", model, representation='scaled'
    )
    self._convert(model, representation='scaled', constants={'scale': [[2.0]]})

  def test_dead_representation_is_refused(self):
    model = _model(L.Rescaling(0.0, name='dead'))
    self._refused('zero or not finite', model, representation='dead')

  def test_objects_that_are_no_models_are_refused(self):
    self._refused('neither a path nor a model of Keras', 7)
    self._refused('tf.saved_model.save', tf.Module())

  def test_option_of_another_format_is_refused(self):
    self._refused('keras_model has no option signature', signature='x')

  def test_damaged_bank_is_not_written_to(self):
    self._convert()
    (self.folder / 'bank.json').write_text('{')
    self._refused('bank.json: not JSON', error=ValueError, name='second')

  def test_failed_write_leaves_the_bank_as_it_was(self):
    self._convert()
    with mock.patch.object(banks.Folder, '_content', side_effect=OSError('x')):
      with self.assertRaisesRegex(OSError, 'x'):
        self._convert(name='second')
    self.assertLen(banks.load(str(self.folder)).encoders, 1)
    self.assertFalse((self.folder / 'second.pb').exists())
    self._convert(name='second')
    self.assertLen(banks.load(str(self.folder)).encoders, 2)

  def test_description_says_if_epsilon_lrp_cannot_be_used(self):
    model = _model(*(L.ReLU() for _ in range(12)), L.ReLU(name='last'))
    good = conversion.describe(self._convert(model, representation='last'))
    self.assertNotIn('ZERO', good)
    layer = model.get_layer('conv')
    layer.set_weights([1e-7 * weights for weights in layer.get_weights()])
    top = model.get_layer('top')
    top.set_weights([top.get_weights()[0], np.zeros(5)])
    bad = self._convert(model, name='bad', representation='last')
    self.assertIn('IS ZERO', conversion.describe(bad))

  def test_description_says_what_was_written(self):
    text = conversion.describe(self._convert())
    for expected in (
      'first.pb',
      'input image:0 (None, 16, 16, 3)',
      f'preprocessing {_T}',
      'Relu 1',
      'Tanh 1',
    ):
      self.assertIn(expected, text)


if __name__ == '__main__':
  absltest.main()
