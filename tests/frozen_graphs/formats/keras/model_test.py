"""Tests of Keras models, against Keras itself."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf
import tf_keras

from frozen_graphs import control_flow, graph, graph_ends
from frozen_graphs.errors import GraphError, OpenSizeError
from frozen_graphs.formats.keras import model as keras_model
from tests import format_testing

L = tf.keras.layers


def _plain() -> tf.keras.Model:
  return tf.keras.Sequential([
    tf.keras.Input((16, 16, 3), name='image'),
    L.Conv2D(6, 3, padding='same', name='first'),
    L.BatchNormalization(name='norm'),
    L.ReLU(name='relu'),
  ])  # fmt: skip


def _residual() -> tf.keras.Model:
  inputs = tf.keras.Input((None, None, 3), name='image')
  x = L.Conv2D(6, 3, padding='same', activation='swish', name='stem')(inputs)
  y = L.DepthwiseConv2D(3, padding='same', name='depthwise')(x)
  y = L.Dropout(0.5)(L.BatchNormalization()(y))
  x = L.Add(name='sum')([x, L.Activation('gelu')(y)])
  x = L.SeparableConv2D(4, 3, strides=2, name='separable')(x)
  x = L.GaussianNoise(0.3)(x)
  return tf.keras.Model(inputs, L.LeakyReLU(name='last')(x))


def _nested() -> tf.keras.Model:
  part = tf.keras.Sequential(
    [
      tf.keras.Input((None, None, 3)),
      L.Conv2D(3, 3, padding='same', name='conv'),
      L.ReLU(name='relu'),
    ],
    name='part',
  )
  inputs = tf.keras.Input((16, 16, 3), name='image')
  return tf.keras.Model(inputs, L.Average(name='mean')([
    part(part(inputs)), inputs,
  ]))  # fmt: skip


def _preprocessing() -> tf.keras.Model:
  norm = L.Normalization(mean=[90.0, 100, 110], variance=[50.0, 60, 70])
  return tf.keras.Sequential([
    tf.keras.Input((16, 16, 3), name='image'),
    L.RandomFlip(),
    L.RandomRotation(0.2),
    L.Rescaling(255.0),
    norm,
    L.Resizing(8, 8),
    L.Conv2D(4, 3, name='conv'),
    L.PReLU(name='prelu'),
  ])  # fmt: skip


def _keras_2() -> tf_keras.Model:
  layers = tf_keras.layers
  part = tf_keras.Sequential(
    [layers.Conv2D(3, 3, padding='same', name='conv'), layers.ReLU()],
    name='part',
  )
  inputs = tf_keras.Input((16, 16, 3), name='image')
  x = layers.Average(name='mean')([part(part(inputs)), inputs])
  x = layers.Dropout(0.5)(layers.BatchNormalization()(x)) * 2.0
  return tf_keras.Model(inputs, tf.nn.tanh(x))


class _Subclassed2(tf_keras.Model):
  def __init__(self):
    super().__init__()
    self.conv = tf_keras.layers.Conv2D(4, 3, name='conv')

  def call(self, x):
    return tf.nn.relu(self.conv(x))


def _subclassed_2() -> tf_keras.Model:
  model = _Subclassed2()
  model(np.zeros((1, 16, 16, 3), np.float32))
  return model


class _Scaled(tf.keras.Model):
  """Subclassed, with a tf.function and a variable that Keras does not know."""

  def __init__(self):
    super().__init__(name='scaled')
    self.conv = L.Conv2D(4, 3, name='conv')
    self.hidden = (lambda v: lambda: v)(tf.Variable([1.0, 2, 3, 4]))

  @tf.function
  def _scale(self, x):
    return tf.nn.tanh(x * self.hidden())

  def call(self, x, training=None):
    del training
    return self._scale(self.conv(x))


def _subclassed() -> tf.keras.Model:
  model = _Scaled()
  model(np.zeros((1, 16, 16, 3), np.float32))
  return model


class _Switching(L.Layer):
  """Asks a variable whether the network is trained."""

  def __init__(self):
    super().__init__(name='switching')
    self.is_training = self.add_weight(
      shape=(), dtype='bool', initializer='zeros', trainable=False
    )

  def call(self, x):
    return tf.cond(self.is_training.value, lambda: x * 2, lambda: x * 3)


class _Conditional(L.Layer):
  def call(self, x, training=None):
    return tf.cond(
      tf.constant(bool(training)),
      lambda: tf.nn.dropout(x, 0.5),
      lambda: tf.nn.relu(x) * 3,
    )


def _model_with(layer) -> tf.keras.Model:
  return tf.keras.Sequential([
    tf.keras.Input((16, 16, 3), name='image'),
    L.Conv2D(3, 3, name='conv'),
    layer,
    L.Conv2D(3, 3, name='after'),
  ])  # fmt: skip


class KerasModelTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ('plain', _plain),
    ('residual', _residual),
    ('nested', _nested),
    ('preprocessing', _preprocessing),
    ('subclassed', _subclassed),
    ('keras_2', _keras_2),
    ('subclassed_2', _subclassed_2),
    ('conditional', lambda: _model_with(_Conditional())),
  )
  def test_frozen_network_computes_what_the_model_does(self, build):
    model = format_testing.randomised(build())
    images = format_testing.images()
    network = keras_model.load(model)
    self.assertLen(network.inputs, 1)
    self.assertLen(network.outputs, 1)
    format_testing.assert_same(
      format_testing.run(network, images),
      format_testing.original(lambda x: model(x, training=False), images),
    )

  def test_nothing_of_the_model_changes(self):
    model = _residual()
    images = format_testing.images()
    before = model(images, training=False).numpy()
    attributes = [set(vars(layer)) for layer in model.layers]
    keras_model.load(model)
    self.assertEqual(attributes, [set(vars(layer)) for layer in model.layers])
    np.testing.assert_array_equal(model(images, training=False), before)

  def test_two_loads_give_the_same_bytes(self):
    model = _residual()
    first, second = (
      keras_model.load(model).graph_def.SerializeToString(deterministic=True)
      for _ in range(2)
    )
    self.assertEqual(first, second)

  def test_every_layer_can_be_named(self):
    model = format_testing.randomised(_residual())
    network = keras_model.load(model)
    images = format_testing.images()
    for name in ('stem', 'sum', 'separable'):
      part = tf.keras.Model(model.input, model.get_layer(name).output)
      format_testing.assert_same(
        format_testing.run(network, images, f'{name}_out:0'),
        format_testing.original(lambda x, p=part: p(x, training=False), images),
      )

  def test_layers_of_nested_models_are_named_by_use(self):
    model = format_testing.randomised(_nested())
    network = keras_model.load(model)
    part = model.get_layer('part')
    images = format_testing.images()
    once = part(images)
    for name, expected in (
      ('part_out:0', once),
      ('part/relu_out:0', once),
      ('part_out_1:0', part(once)),
      ('part/relu_out_1:0', part(once)),
    ):
      actual, _ = format_testing.run(network, images, name)
      np.testing.assert_allclose(actual, expected, 1e-5, 1e-6)

  def test_layers_of_keras_2_are_named_in_the_same_way(self):
    model = format_testing.randomised(_keras_2())
    network = keras_model.load(model)
    self.assertEqual(network.inputs, ('image:0',))
    part = model.get_layer('part')
    images = format_testing.images()
    for name, expected in (
      ('part_out:0', part(images)),
      ('part/conv_out:0', part.get_layer('conv')(images)),
      ('part_out_1:0', part(part(images))),
    ):
      actual, _ = format_testing.run(network, images, name)
      np.testing.assert_allclose(actual, expected, 1e-5, 1e-6)

  def test_layer_of_a_model_in_a_model_is_found_by_its_own_name(self):
    nodes = {n.name: n for n in keras_model.load(_nested()).graph_def.node}
    self.assertEqual(
      graph_ends.full_name(nodes, 'relu'),
      graph_ends.full_name(nodes, 'part/relu'),
    )

  def test_names_that_are_taken_are_counted_on(self):
    inputs = tf.keras.Input((16, 16, 3), name='a_out')
    model = tf.keras.Model(inputs, L.ReLU(name='a')(inputs * -1))
    network = keras_model.load(model)
    self.assertEqual(network.inputs, ('a_out:0',))
    self.assertEqual(network.outputs, ('a_out_1:0',))

  def test_layer_is_not_taken_for_one_that_is_called_nearly_so(self):
    inputs = tf.keras.Input((16, 16, 3), name='image')
    x, parts = inputs, {}
    names = ('stem', 'stem_out', '_a', 'x_a', 'ü b', 'tail', 'tail_out_1')
    for name in names:
      x = parts[name] = L.Conv2D(2, 1, name=name)(x)
    model = tf.keras.Model(inputs, x, name='Größe')
    network = keras_model.load(format_testing.randomised(model))
    images = format_testing.images()
    for name in ('stem', 'stem_out', 'ü b', 'tail', 'tail_out_1'):
      actual, _ = format_testing.run(network, images, name)
      part = tf.keras.Model(inputs, parts[name])
      np.testing.assert_allclose(actual, part(images), 1e-5, 1e-6)
    for name in ('x_a', '_a'):
      with self.assertRaisesRegex(GraphError, 'Closest: x_a__?, x_a__?'):
        format_testing.run(network, images, name)
    self.assertEqual([layer.name for layer in model.layers[1:]], [*names])

  def test_size_that_a_layer_needs_may_be_said(self):
    inputs = tf.keras.Input((None, None, 3), name='image')
    x = L.Conv2D(4, 3)(inputs)
    x = L.UpSampling2D(interpolation='bilinear')(x)
    model = format_testing.randomised(tf.keras.Model(inputs, x))
    with self.assertRaisesRegex(OpenSizeError, 'say it .`image_size`'):
      keras_model.load(model)
    images = format_testing.images()
    network = keras_model.load(model, image_size=images.shape[1:3])
    format_testing.assert_same(
      format_testing.run(network, images),
      format_testing.original(model, images),
    )

  def test_batch_and_size_stay_open(self):
    model = format_testing.randomised(_residual())
    network = keras_model.load(model)
    self.assertEqual(network.inputs, ('image:0',))
    subgraph = graph.extract(network.graph_def, 'image:0', network.outputs[0])
    self.assertEqual(subgraph.input_shape, (None, None, None, 3))
    for count, size in ((1, 16), (4, 21)):
      images = format_testing.images(count, size)
      actual, _ = format_testing.run(network, images)
      np.testing.assert_allclose(actual, model(images), 1e-4, 1e-5)

  def test_inputs_and_outputs_of_several_kinds_are_told_apart(self):
    vector = tf.keras.Input((5,), name='style')
    image = tf.keras.Input((16, 16, 3), name='image')
    x = L.Conv2D(4, 3, name='features')(image)
    y = L.Dense(4, name='bias')(vector)
    z = L.Add(name='styled')([x, L.Reshape((1, 1, 4))(y)])
    model = tf.keras.Model([vector, image], {'a': z, 'b': x})
    network = keras_model.load(format_testing.randomised(model))
    self.assertEqual(network.inputs, ('image:0', 'style:0'))
    self.assertEqual(network.outputs, ('styled_out:0', 'features_out:0'))
    images = format_testing.images()
    part = tf.keras.Model(image, x)
    format_testing.assert_same(
      format_testing.run(network, images, 'features_out:0'),
      format_testing.original(part, images),
    )
    with self.assertRaisesRegex(GraphError, "also depends on .*'style'"):
      format_testing.run(network, images, 'styled_out:0')

  def test_mixed_precision_is_computed_in_half_precision(self):
    layers = {'dtype': 'mixed_float16'}
    model = tf.keras.Sequential([
      tf.keras.Input((16, 16, 3), name='image'),
      L.Conv2D(8, 3, name='conv', **layers),
      L.ReLU(name='relu', **layers),
      L.Conv2D(4, 3, name='last', **layers),
    ])  # fmt: skip
    network = keras_model.load(format_testing.randomised(model))
    kinds = {n.attr['T'].type for n in network.graph_def.node if 'T' in n.attr}
    self.assertIn(tf.float16.as_datatype_enum, kinds)

  def test_condition_that_a_variable_decides_is_folded_by_its_value(self):
    model = format_testing.randomised(_model_with(_Switching()))
    network = keras_model.load(model)
    network = dataclasses.replace(
      network, graph_def=control_flow.fold(network.graph_def)
    )
    images = format_testing.images()
    format_testing.assert_same(
      format_testing.run(network, images),
      format_testing.original(model, images),
    )

  def test_model_without_an_input_shape_is_refused(self):
    with self.assertRaisesRegex(GraphError, 'call it once on a picture'):
      keras_model.load(_Scaled())

  def test_model_that_cannot_be_traced_is_refused_with_its_reason(self):
    class Failing(L.Layer):
      def call(self, x, training=None):
        if training is False:
          raise RuntimeError('the reason')
        return x

    with self.assertRaisesRegex(GraphError, 'for inference: .*the reason'):
      keras_model.load(_model_with(Failing()))


if __name__ == '__main__':
  absltest.main()
