"""Tests of the frozen encoder of the task bank."""

import functools
import math
import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

from frozen_graphs.errors import GraphError
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from taskonomy_models.task_bank.files import Checkpoint
from tests import task_bank_testing, testing


def _images(size: int = 64, channels: int = 3, number: int = 2) -> np.ndarray:
  images = testing.images(number, size) / np.float32(127.5) - 1
  return images[..., :channels].astype(np.float32)


def _small_blocks():
  blocks = (
    task_bank_encoder.Block(*block) for block in task_bank_testing.SMALL_BLOCKS
  )
  return mock.patch.object(task_bank_encoder, 'BLOCKS', tuple(blocks))


@functools.cache
def _small_model(channels: int, prefix: str) -> task_bank_testing.SlimModel:
  return task_bank_testing.SlimModel(
    _images(64, channels), task_bank_testing.SMALL_BLOCKS, prefix
  )


def _by_name(channels: int) -> dict[str, task_bank_encoder.Variable]:
  return {v.name: v for v in task_bank_encoder.variables(channels)}


class VariablesTest(parameterized.TestCase):
  def test_counts_are_those_of_the_architecture(self):
    variables = task_bank_encoder.variables(3)
    sizes = {v.name: math.prod(v.shape) for v in variables}
    self.assertLen(sizes, 270)
    self.assertLen({v.torch_name for v in variables}, 270)
    self.assertLen([v for v in variables if v.name.endswith('weights')], 54)
    self.assertEqual(sum(sizes.values()), 23_708_640)
    moving = sum(size for name, size in sizes.items() if '/moving_' in name)
    self.assertEqual(sum(sizes.values()) - moving, 23_655_504)
    grey = task_bank_encoder.variables(1)
    self.assertEqual(sum(math.prod(v.shape) for v in grey), 23_708_640 - 6_272)

  def test_one_batch_norm_follows_each_convolution(self):
    variables = _by_name(3)
    for name, variable in variables.items():
      if name.endswith('/weights'):
        scope = name.removesuffix('weights')
        for part in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
          norm = variables[f'{scope}BatchNorm/{part}']
          self.assertEqual(norm.shape, variable.shape[-1:])

  @parameterized.parameters(
    ('encoder/conv1/weights', (7, 7, 3, 64), 'conv1.weight'),
    (
      'encoder/conv1/BatchNorm/moving_variance', (64,), 'bn1.running_var'
    ),
    (
      'encoder/block1/unit_1/bottleneck_v1/shortcut/weights',
      (1, 1, 64, 256), 'layer1.0.downsample.0.weight',
    ),
    (
      'encoder/block1/unit_1/bottleneck_v1/conv1/weights',
      (1, 1, 64, 64), 'layer1.0.conv1.weight',
    ),
    (
      'encoder/block2/unit_4/bottleneck_v1/conv2/weights',
      (3, 3, 128, 128), 'layer2.3.conv2.weight',
    ),
    (
      'encoder/block3/unit_6/bottleneck_v1/conv3/BatchNorm/gamma',
      (1024,), 'layer3.5.bn3.weight',
    ),
    (
      'encoder/block4/unit_1/bottleneck_v1/shortcut/BatchNorm/beta',
      (2048,), 'layer4.0.downsample.1.bias',
    ),
    ('compress1/weights', (3, 3, 2048, 8), 'compress1.weight'),
    ('compress1/BatchNorm/moving_mean', (8,), 'compress_bn.running_mean'),
  )  # fmt: skip
  def test_names_and_shapes_are_those_of_both_releases(
    self, name, shape, torch_name
  ):
    variable = _by_name(3)[name]
    self.assertEqual(variable.shape, shape)
    self.assertEqual(variable.torch_name, torch_name)

  def test_shortcut_convolutions_are_in_the_first_units_only(self):
    names = [n for n in _by_name(3) if n.endswith('shortcut/weights')]
    self.assertEqual(
      names,
      [
        f'encoder/block{b}/unit_1/bottleneck_v1/shortcut/weights'
        for b in (1, 2, 3, 4)
      ],
    )


class FullSizeTest(absltest.TestCase):
  """One conversion of a checkpoint with all 23.7 million weights."""

  @pytest.mark.slow
  def test_frozen_graph_is_the_checkpoints_model(self):
    images = _images(256, number=1)
    model = task_bank_testing.SlimModel(
      images, task_bank_testing.BLOCKS, 'feedforward/'
    )
    prefix = os.path.join(
      self.create_tempdir().full_path, 'class_1000', task_bank.CHECKPOINT
    )
    model.save(prefix)
    saved = {n: tuple(s) for n, s in tf.train.list_variables(prefix)}
    encoder = task_bank.encoders()['class_1000']
    expected = {
      f'feedforward/{name}': variable.shape
      for name, variable in _by_name(3).items()
    }
    self.assertContainsSubset(expected.items(), saved.items())
    self.assertLen(saved, 270 + 7)

    network = task_bank_encoder.freeze(
      Checkpoint(encoder, pathlib.Path(prefix)).weights(),
      encoder.channels,
      prefix,
      prefix=encoder.prefix,
    )
    units, gradient = task_bank_testing.run(
      network.graph_def, images, *network.outputs
    )
    reference = model(images)
    self.assertEqual(units.shape, (1, 16, 16, 8))
    self.assertBetween(np.mean(reference > 0), 0.2, 0.8)
    self.assertGreater(reference.std(), 0.1)
    np.testing.assert_allclose(units, reference, 0, 1e-4 * reference.max())
    self.assertGreater(np.abs(gradient).max(), 0)
    constants = {
      node.name: tf.make_ndarray(node.attr['value'].tensor).shape
      for node in network.graph_def.node
      if node.op == 'Const'
    }
    self.assertContainsSubset(expected.items(), constants.items())


class FreezeTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(_small_blocks())

  def _model(self, channels=3, prefix=''):
    return _small_model(channels, prefix)

  def _weights(self, model, prefix=''):
    return {
      name.removeprefix(prefix): value
      for name, value in model.variables.items()
    }

  @parameterized.parameters(
    (3, '', 64), (1, '', None), (3, 'feedforward/', None)
  )
  def test_representation_is_the_models(self, channels, prefix, size):
    model = self._model(channels, prefix=prefix)
    network = task_bank_encoder.freeze(
      self._weights(model, prefix), channels, 'x', prefix, size
    )
    images = _images(64, channels)
    units, _ = task_bank_testing.run(
      network.graph_def, images, *network.outputs
    )
    np.testing.assert_allclose(units, model(images), 1e-4, 1e-5)

  @parameterized.parameters(16, 17, 50, 63, 97)
  def test_open_graph_is_the_models_for_any_size(self, size):
    """Padding differs between odd and even sizes."""
    model = self._model()
    network = task_bank_encoder.freeze(self._weights(model), 3, 'x', size=None)
    images = _images(size)[:, :, : size - 3]
    units, _ = task_bank_testing.run(
      network.graph_def, images, *network.outputs
    )
    reference = model(images)
    self.assertEqual(units.shape, reference.shape)
    np.testing.assert_allclose(units, reference, 1e-4, 1e-5)

  def test_pytorch_weights_are_the_same_network(self):
    model = self._model()
    variables = task_bank_encoder.variables(3)
    weights = self._weights(model)
    state = {
      v.torch_name: weights[v.name].transpose(3, 2, 0, 1)
      if len(v.shape) == 4
      else weights[v.name]
      for v in variables
    }
    state['bn1.num_batches_tracked'] = np.int64(3)
    expected = task_bank_encoder.freeze(weights, 3, 'x').graph_def
    for prefix in ('', 'module.', 'encoder.'):
      named = {prefix + name: value for name, value in state.items()}
      got = task_bank_encoder.from_torch(named, 3, 'x')
      self.assertEqual(
        task_bank_encoder.freeze(got, 3, 'x').graph_def, expected
      )

  def test_half_precision_kernels_are_half_the_size_and_nearly_the_same(self):
    weights = self._weights(self._model())
    images = _images()
    results = []
    for kind in task_bank_encoder.WEIGHTS_TYPES:
      network = task_bank_encoder.freeze(
        weights, 3, 'x', weights_type=kind, size=64
      )
      results.append(
        (
          network.graph_def.ByteSize(),
          task_bank_testing.run(network.graph_def, images, *network.outputs)[0],
        )
      )
    (size, units), (half_size, half_units) = results
    kernels = sum(v.size for n, v in weights.items() if n.endswith('weights'))
    self.assertAlmostEqual((size - half_size) / (2 * kernels), 1, delta=0.3)
    self.assertFalse(np.array_equal(units, half_units))
    np.testing.assert_allclose(half_units, units, 0, 0.02 * units.max())

  def test_kernel_that_half_precision_cannot_hold_is_refused(self):
    weights = self._weights(self._model())
    weights['compress1/weights'] = 1e6 * weights['compress1/weights']
    task_bank_encoder.freeze(weights, 3, 'x')
    with self.assertRaisesRegex(GraphError, 'x: .*compress1/weights.*float32'):
      task_bank_encoder.freeze(weights, 3, 'x', weights_type='float16')

  @parameterized.parameters(
    ('encoder/conv1/weights', lambda v: v[..., :1], r'shape \[7, 7, 3, 1\]'),
    ('encoder/conv1/weights', lambda v: v.astype(int), 'int64, not floats'),
    ('compress1/BatchNorm/beta', lambda v: v * np.nan, 'not finite'),
    ('compress1/BatchNorm/beta', lambda v: v + np.inf, 'not finite'),
    ('compress1/BatchNorm/beta', lambda v: v + 1e300, 'not finite'),
    ('compress1/BatchNorm/moving_variance', lambda v: -v, 'negative'),
    ('encoder/block1/unit_2/bottleneck_v1/conv2/weights', None, 'missing'),
  )
  def test_bad_variable_is_named_with_its_file(self, name, change, message):
    weights = self._weights(self._model())
    if change is None:
      del weights[name]
    else:
      weights[name] = change(weights[name])
    with self.assertRaisesRegex(
      GraphError, f"^some/file: the variable 'feedforward/{name}'.*{message}"
    ):
      task_bank_encoder.freeze(weights, 3, 'some/file', 'feedforward/')

  @parameterized.parameters(
    ('layer1.1.bn2.running_var', lambda v: -v, 'negative'),
    ('layer2.0.downsample.0.weight', None, 'missing'),
    ('compress1.weight', lambda v: v[:4], r'shape \[4, 16, 3, 3\]'),
  )
  def test_bad_pytorch_variable_is_called_by_its_own_name(
    self, name, change, message
  ):
    rng = np.random.default_rng(0)
    state = {
      v.torch_name: rng.uniform(0.1, 1, v.torch_shape)
      for v in task_bank_encoder.variables(3)
    }
    task_bank_encoder.from_torch(state, 3, 'some/file')
    if change is None:
      del state[name]
    else:
      state[name] = change(state[name])
    with self.assertRaisesRegex(
      GraphError, f"^some/file: the variable '{name}'.*{message}"
    ):
      task_bank_encoder.from_torch(state, 3, 'some/file')

  def test_batch_norm_keeps_its_epsilon(self):
    """A helper of TensorFlow's raises it to 1.001e-5."""
    network = task_bank_encoder.freeze(self._weights(self._model()), 3, 'x')
    epsilons = {
      node.attr['epsilon'].f
      for node in network.graph_def.node
      if node.op == 'FusedBatchNormV3'
    }
    self.assertEqual(epsilons, {float(np.float32(1e-5))})


class GroupNormTest(absltest.TestCase):
  def test_summed_output_of_group_norm_has_no_gradient(self):
    """Why the group norm that the PyTorch release appends is left off."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(2, 32, 32, 3)))
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 8)))
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(images)
      units = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, 'SAME'))
      # Eight groups of eight channels: each channel of an image by itself.
      mean, variance = tf.nn.moments(units, [1, 2], keepdims=True)
      normalised = (units - mean) / tf.sqrt(variance + 1e-5)
      plain_sum, sum_ = tf.reduce_sum(units), tf.reduce_sum(normalised)
    self.assertGreater(np.abs(normalised).max(), 1)
    plain = np.abs(tape.gradient(plain_sum, images)).max()
    self.assertGreater(plain, 1)
    self.assertLess(np.abs(tape.gradient(sum_, images)).max(), 1e-12 * plain)


if __name__ == '__main__':
  absltest.main()
