"""Tests of what is computed of constants, and folded into weights."""

from collections import Counter
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import overrides
from attribution.explainer import Explainer
from frozen_graphs import folding, graph
from tests import testing

_RNG = np.random.default_rng(0)
_CHANNELS = 5
_KERNEL = _RNG.normal(size=(3, 3, 3, _CHANNELS)).astype(np.float32)
_GAMMA, _BETA, _MEAN = _RNG.normal(size=(3, _CHANNELS)).astype(np.float32)
_VARIANCE = _RNG.uniform(0.5, 2, _CHANNELS).astype(np.float32)
_NORMS = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')


def _fused(x, kind='FusedBatchNormV3', **more):
  return getattr(tf.raw_ops, kind)(
    x=x,
    scale=_GAMMA,
    offset=_BETA,
    mean=_MEAN,
    variance=_VARIANCE,
    is_training=False,
    epsilon=1e-3,
    **more,
  ).y


def _spelled_out(x):
  """Batch normalization as Keras 3 writes it, its statistics in half."""
  variance = tf.cast(tf.constant(_VARIANCE.astype(np.float16)), tf.float32)
  scale = tf.raw_ops.Rsqrt(x=variance + 1e-3) * _GAMMA
  return x * scale + (_BETA - _MEAN * scale)


def _first(x):
  """Batch normalization of channels that come first."""
  x = tf.transpose(x, (0, 3, 1, 2))
  shape = (_CHANNELS, 1, 1)
  x = x * tf.constant(_GAMMA.reshape(shape)) - _MEAN.reshape(shape)
  return tf.transpose(x, (0, 2, 3, 1))


def _convolution(x):
  return tf.nn.conv2d(x, tf.constant(_KERNEL), 1, 'SAME')


def _depthwise(x):
  kernel = _RNG.normal(size=(3, 3, 5, 1)).astype(np.float32)
  x = tf.nn.depthwise_conv2d(_convolution(x), kernel, [1, 1, 1, 1], 'SAME')
  return x


def _dense(x):
  weights = _RNG.normal(size=(16 * 16 * 3, _CHANNELS)).astype(np.float32)
  return tf.reshape(x, [-1, 16 * 16 * 3]) @ tf.constant(weights)


def _dilated(x):
  return tf.nn.conv2d(x, tf.constant(_KERNEL), 1, 'SAME', dilations=2)


_CASES = {
  'fused': lambda x: _fused(_convolution(x)),
  'spelled_out': lambda x: _spelled_out(_convolution(x)),
  'behind_a_bias': lambda x: _fused(tf.nn.bias_add(_convolution(x), _MEAN)),
  'channels_first': lambda x: _first(_convolution(x)),
  'depthwise': lambda x: _fused(_depthwise(x)),
  'dense': lambda x: _spelled_out(_dense(x)),
  'scalars': lambda x: 1.0 - _convolution(x) / 3.0,
}


def _extract(function, size=16):
  built = testing.freeze(function, size)
  return graph.extract(built, 'input:0', 'representation:0')


def _run(subgraph, inputs):
  with tf.Graph().as_default():
    (result,) = tf.import_graph_def(
      subgraph.graph_def(),
      {subgraph.input_tensor: tf.constant(inputs)},
      [subgraph.representation_tensor],
    )
    with tf.compat.v1.Session() as session:
      return session.run(result)


def _kinds(subgraph):
  return Counter(node.op for node in subgraph.nodes.values())


class FoldingTest(parameterized.TestCase):
  def assert_same(self, subgraph, folded, tolerance=1e-5):
    inputs = _RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)
    expected = _run(subgraph, inputs)
    error = np.abs(_run(folded, inputs) - expected).max()
    self.assertLess(error, tolerance * np.abs(expected).max())

  @parameterized.named_parameters(*_CASES.items())
  def test_maps_of_channels_become_weights_and_one_bias(self, function):
    subgraph = _extract(lambda x: tf.nn.relu(function(x)))
    folded = folding.fold(subgraph)
    self.assert_same(subgraph, folded)
    kinds = _kinds(folded)
    left = {'Mul', 'Sub', 'Rsqrt', 'Cast', 'RealDiv', 'AddV2', *_NORMS}
    self.assertEmpty(left & kinds.keys())
    self.assertEqual(kinds['BiasAdd'], 1)

  def test_a_norm_behind_a_convolution_with_gaps_is_folded(self):
    subgraph = _extract(lambda x: _fused(_dilated(x)))
    folded = folding.fold(subgraph)
    self.assert_same(subgraph, folded)
    self.assertEqual(_kinds(folded)['BiasAdd'], 1)
    self.assertEmpty(_kinds(folded).keys() & set(_NORMS))

  @parameterized.parameters(*_NORMS)
  def test_a_norm_of_the_input_becomes_a_product_and_a_bias(self, kind):
    # Of activations, as in a network whose norms come first.
    def function(x):
      return _fused(tf.nn.relu(_convolution(x)), kind)

    subgraph = _extract(function)
    folded = folding.fold(subgraph)
    self.assert_same(subgraph, folded)
    kinds = _kinds(folded)
    self.assertEqual((kinds['Mul'], kinds['BiasAdd'], kinds[kind]), (1, 1, 0))

  def test_what_is_seen_twice_is_not_folded(self):
    def function(x):
      z = _convolution(x)
      return tf.concat([_fused(z), z], axis=3)

    folded = folding.fold(_extract(function))
    self.assertEqual(_kinds(folded)['Mul'], 1)
    self.assert_same(_extract(function), folded)

  def test_a_vector_along_another_axis_is_no_scale_of_channels(self):
    row = _RNG.normal(size=(16, 1)).astype(np.float32)
    subgraph = _extract(lambda x: _convolution(x) * tf.constant(row))
    folded = folding.fold(subgraph)
    self.assertEqual(_kinds(folded)['Mul'], 1)
    self.assert_same(subgraph, folded)

  def test_a_product_that_adds_dimensions_is_no_scale(self):
    factor = np.full((1, 1, 1, _CHANNELS), 2, np.float32)
    subgraph = _extract(lambda x: _dense(x) * tf.constant(factor))
    self.assertEqual(_kinds(folding.fold(subgraph))['Mul'], 1)

  def test_a_scale_that_is_not_finite_stays_outside(self):
    subgraph = _extract(lambda x: _convolution(x) / tf.zeros([_CHANNELS]))
    self.assertEqual(_kinds(folding.fold(subgraph))['RealDiv'], 1)

  def test_a_constant_that_would_grow_is_not_computed(self):
    column, row = (np.ones(s, np.float32) for s in ((64, 1), (1, 64)))

    def function(x):
      grid = tf.constant(column) * tf.constant(row)
      return tf.reshape(x, [-1, 768])[:, :64] @ grid

    kinds = _kinds(folding.fold(_extract(function)))
    self.assertEqual(kinds['Mul'], 1)

  def test_a_graph_is_not_changed_by_folding_it(self):
    subgraph = _extract(_CASES['behind_a_bias'])
    before = subgraph.graph_def().SerializeToString(deterministic=True)
    folding.fold(subgraph)
    after = subgraph.graph_def().SerializeToString(deterministic=True)
    self.assertEqual(before, after)

  def test_folded_again_nothing_changes(self):
    for function in _CASES.values():
      once = folding.fold(_extract(function))
      self.assertEqual(folding.fold(once).nodes.keys(), once.nodes.keys())

  def test_steps_before_a_composite_activation_stay_in_it(self):
    # relu6(z + 3) / 6 of z: a sum folded before it would be another z.
    def function(x):
      return tf.nn.relu6(_convolution(x) + 3.0) / 6.0

    marked, ruled = overrides.mark_activations(
      _extract(function), 'gates_constant'
    )
    self.assertEqual(ruled, {'hard_sigmoid': 1})
    folded = folding.fold(marked)
    self.assertEqual(folded.nodes.keys(), marked.nodes.keys())

  @parameterized.parameters('relu', 'relu6', 'elu', 'tanh', 'sigmoid')
  def test_maps_stay_what_they_are(self, activation):
    layer = testing.activation_layer(activation)
    built = testing.freeze(lambda x: layer(_fused(_convolution(x))))
    images, found = testing.images(2), []
    for fold in (folding.fold, lambda subgraph: subgraph):
      with mock.patch.object(folding, 'fold', fold):
        with Explainer(
          built,
          input_tensor='input:0',
          representation_tensor='representation:0',
          methods=('saliency', 'elrp'),
        ) as explainer:
          found.append(explainer.explain(images).maps)
    for method, maps in found[0].items():
      error = np.abs(maps - found[1][method]).max()
      self.assertLess(error, 1e-4 * np.abs(maps).max())


if __name__ == '__main__':
  absltest.main()
