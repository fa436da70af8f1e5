"""Tests of networks with fewer filters."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution_preservation import compression, networks, surgery

layers = tf.keras.layers


def _randomised(model, seed=0):
  rng = np.random.default_rng(seed)
  for variable in model.weights:
    drawn = rng.uniform(0.2, 1.0, variable.shape)
    sign = -1 if 'kernel' in variable.path else 1
    flipped = np.where(rng.uniform(size=variable.shape) < 0.5, sign, 1)
    variable.assign(0.3 * drawn * flipped)
  return model


def _chain(end):
  """Convolution, norm, depthwise, convolution, then one of several ends."""
  images = x = tf.keras.Input((8, 8, 3))
  x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3)(x)))
  x = layers.DepthwiseConv2D(3, padding='same', name='depthwise')(x)
  x = layers.Conv2D(4, 1, activation='relu', name='last')(x)
  return _randomised(tf.keras.Model(images, end(x)))


def _flat(x):
  return layers.Dense(5)(layers.Dropout(0.5)(layers.Flatten()(x)))


def _pooled(x):
  return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


def _residual():
  images = tf.keras.Input((8, 8, 3))
  stem = layers.Conv2D(4, 3, padding='same', name='stem')(images)
  inner = layers.Conv2D(6, 3, padding='same', name='inner')(stem)
  outer = layers.Conv2D(4, 3, padding='same', name='outer')(
    layers.ReLU()(inner)
  )
  added = layers.ReLU()(layers.Add()([stem, outer]))
  logits = layers.Dense(3)(layers.GlobalMaxPooling2D()(added))
  return _randomised(tf.keras.Model(images, logits))


class PruneTest(parameterized.TestCase):
  @parameterized.parameters(_flat, _pooled)
  def test_what_is_left_computes_as_if_the_others_were_zero(self, end):
    model = _chain(end)
    images = np.random.default_rng(1).uniform(size=(3, 8, 8, 3))
    smaller = surgery.prune_filters(model, 0.5)
    # By hand: filters that went are silenced behind their activations.
    for name in surgery.Channels(model).prunable():
      layer = model.get_layer(name)
      kernel = layer.kernel.numpy()
      norms = np.abs(kernel).sum(axis=(0, 1, 2))
      gone = np.argsort(-norms)[len(norms) // 2 :]
      following = 'depthwise' if name != 'last' else None
      if following:
        weights = model.get_layer(following).get_weights()
        weights[0][:, :, gone] = 0
        weights[1][gone] = 0
        model.get_layer(following).set_weights(weights)
      else:
        kernel[..., gone] = 0
        bias = layer.bias.numpy()
        bias[gone] = 0
        layer.set_weights([kernel, bias])
    np.testing.assert_allclose(smaller(images), model(images), rtol=1e-4)
    self.assertLess(smaller.count_params(), model.count_params())

  @parameterized.parameters(
    lambda x: layers.BatchNormalization()(layers.Flatten()(x)),
    lambda x: layers.Flatten(data_format='channels_first')(x),
    lambda x: layers.Flatten()(layers.BatchNormalization(axis=1)(x)),
    lambda x: layers.Flatten()(layers.Activation('log_softmax')(x)),
  )
  def test_dead_filters_go_without_a_trace(self, end):
    model = _chain(lambda x: layers.Dense(5)(end(x)))
    last = model.get_layer('last')
    kernel, bias = last.get_weights()
    kernel[..., 1:3], bias[1:3] = 0, 0
    last.set_weights([kernel, bias])
    images = np.random.default_rng(1).uniform(size=(3, 8, 8, 3))
    for norm in model.layers:  # What a norm makes of a dead channel: nothing.
      if isinstance(norm, layers.BatchNormalization) and norm.input.ndim == 2:
        gamma, beta, mean, variance = norm.get_weights()
        dead = np.arange(6 * 6 * 4) % 4 % 3 != 0
        beta[dead], mean[dead] = 0, 0
        norm.set_weights([gamma, beta, mean, variance])
    able = set(surgery.Channels(model).prunable())
    smaller = surgery.prune_filters(model, 0.5, able & {'last'})
    np.testing.assert_allclose(smaller(images), model(images), rtol=1e-4)

  def test_what_was_frozen_counts_and_learns(self):
    model = _chain(_pooled)
    total, kept = compression.size(model)
    for layer in model.layers[:-1]:
      layer.trainable = False
    self.assertEqual(compression.size(model), (total, kept))
    smaller = surgery.prune_filters(model, 0.5)
    self.assertLen(smaller.trainable_variables, 10)
    self.assertLen(model.trainable_variables, 2)  # It stays as it was.

  def test_channels_that_are_added_stay(self):
    model = _residual()
    self.assertEqual(surgery.Channels(model).prunable(), ['inner'])
    smaller = surgery.prune_filters(model, 0.5)
    self.assertEqual(smaller.get_layer('inner').filters, 3)
    self.assertEqual(smaller.get_layer('stem').filters, 4)
    with self.assertRaisesRegex(ValueError, "'stem' cannot lose"):
      surgery.prune_filters(model, 0.5, ['stem'])

  def test_a_network_that_was_split_is_pruned_as_a_whole_one(self):
    split = networks.build((4, 4, 4, 4, 4, 8), 3)
    names = surgery.Channels(split.model).prunable()
    self.assertEqual(names, [f'conv{i}' for i in range(6)])
    smaller = surgery.prune_filters(split.model, 0.7, ['conv5'])
    self.assertEqual(smaller.get_layer('conv5').filters, 2)
    self.assertEqual(networks.split(smaller, 'relu5').head.input_shape[-1], 2)

  def test_an_output_that_is_a_feature_map_stays(self):
    images = tf.keras.Input((8, 8, 3))
    model = tf.keras.Model(images, layers.ReLU()(layers.Conv2D(4, 3)(images)))
    with self.assertRaisesRegex(ValueError, 'unstructured'):
      surgery.prune_filters(model, 0.5)


class NarrowedTest(absltest.TestCase):
  def test_widths_shrink_together_and_outputs_stay(self):
    model = _residual()
    small = surgery.narrowed(model, 0.5)
    widths = [small.get_layer(n).filters for n in ('stem', 'inner', 'outer')]
    self.assertEqual(widths, [2, 3, 2])
    self.assertEqual(small.output_shape, model.output_shape)

  def test_a_copy_has_weights_of_its_own(self):
    model = _residual()
    copy = surgery.copied(model)
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
    np.testing.assert_array_equal(copy(images), model(images))
    copy.get_layer('stem').kernel.assign_add(
      tf.ones_like(copy.get_layer('stem').kernel)
    )
    self.assertGreater(np.abs(copy(images) - model(images)).max(), 0.01)


class OrderTest(parameterized.TestCase):
  @parameterized.parameters(
    ({'epochs': 0}, '`epochs` is 0'),
    ({'batch_size': 0}, '`batch_size` is 0'),
    ({'setting': 'unstructured', 'rounds': 0}, '`rounds` is 0'),
    ({'learning_rate': -1.0}, '`learning_rate` is -1'),
    ({'learning_rate': np.nan}, '`learning_rate` is nan'),
  )
  def test_what_would_teach_nothing_is_refused(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      compression.Order(**options)

  def test_images_are_needed_and_labels_are_not_there(self):
    teacher = networks.build((3, 4, 4, 4, 4, 5), 3)
    for number, method, message in (
      (0, 'naive', 'no images'), (1, 'swa_present', 'needs labels'),
    ):  # fmt: skip
      images = np.zeros((number, 32, 32, 3), np.float32)
      with self.assertRaisesRegex(ValueError, message):
        compression.compress(teacher, images, compression.Order(), method)


class SplitTest(absltest.TestCase):
  def test_parts_make_the_whole_and_the_last_map_is_found(self):
    model = _residual()
    split = networks.split(model)
    self.assertEqual(split.layer, model.layers[-3].name)
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
    np.testing.assert_allclose(split.head(split.body(images)), model(images))
    self.assertIsNone(split.linear_kernel)
    with self.assertRaisesRegex(ValueError, 'cannot be split'):
      networks.split(model, 'inner')
    with self.assertRaisesRegex(ValueError, 'no layer'):
      networks.split(model, 'wibble')

  def test_weights_are_taken_out_and_put_back(self):
    split = networks.build((2, 3, 4, 5, 6, 7), 3, seed=1, dropout_seed=1)
    kept = networks.weights(split.model)
    self.assertEqual(networks.widths_of(kept), (2, 3, 4, 5, 6, 7))
    other = networks.build(networks.widths_of(kept), 3, seed=2)
    networks.with_weights(other.model, kept)
    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
    np.testing.assert_array_equal(other.model(images), split.model(images))
    self.assertEqual(split.linear_kernel.shape, (8 * 8 * 7, 3))


if __name__ == '__main__':
  absltest.main()
