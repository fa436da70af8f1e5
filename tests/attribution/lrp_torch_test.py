"""Compares LRP with zennit's and lxt's, where the rules are defined the same.

Both networks are written twice, for TensorFlow and for PyTorch, with the same
weights. See docs/attribution_rules.md for where definitions differ.
"""

import importlib.util
import pathlib
import subprocess
import sys
import unittest

from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

from attribution import methods
from attribution.explainer import Explainer
from tests import module_graph, testing

_HAS = {
  name: importlib.util.find_spec(name) is not None
  for name in ('torch', 'zennit', 'lxt')
}
_EPSILON = 1e-6
_SIDE, _TOKENS, _WIDTH = 8, 16, 6
_IMAGES = testing.images(3, _SIDE)
_X = _IMAGES.astype(np.float32) / 255 * 2 - 1
pytestmark = [pytest.mark.torch]


def _draw(*shape: int, seed: int = 0, size: float = 0.5) -> np.ndarray:
  rng = np.random.default_rng((seed, *shape))
  return rng.normal(0, size, shape).astype(np.float32)


_CONVOLUTIONAL = {
  'kernel0': _draw(3, 3, 3, 5),
  'kernel1': _draw(3, 3, 5, 7, size=0.3),
  'kernel2': _draw(28, 4, size=0.3),
  'bias0': _draw(5, size=0.1),
  'bias1': _draw(7, size=0.1),
  'bias2': _draw(4, size=0.1),
}
_BLOCK = {
  'scale': 1 + _draw(_WIDTH, size=0.1),
  'shift': _draw(_WIDTH, size=0.1, seed=1),
  'patch': _draw(12, _WIDTH),
  'shrink': _draw(9, _WIDTH),
  **{n: _draw(_WIDTH, 9, seed=s) for s, n in enumerate(('grow', 'gate'))},
  **{
    name: _draw(_WIDTH, _WIDTH, seed=seed)
    for seed, name in enumerate(('query', 'key', 'value', 'out'))
  },
}


def _convolutional(x):
  for number, stride in enumerate((1, 2)):
    x = tf.nn.conv2d(x, _CONVOLUTIONAL[f'kernel{number}'], stride, 'VALID')
    x = tf.nn.relu(tf.nn.bias_add(x, _CONVOLUTIONAL[f'bias{number}']))
  x = tf.reshape(x[:, :2, :2], [-1, 28])
  x = tf.matmul(x, _CONVOLUTIONAL['kernel2']) + _CONVOLUTIONAL['bias2']
  return tf.nn.relu(x)


def _norm(x):
  mean, variance = tf.nn.moments(x, [-1], keepdims=True)
  x = (x - mean) / tf.sqrt(variance + 1e-5)
  return x * _BLOCK['scale'] + _BLOCK['shift']


def _transformer(x, is_gated: bool):
  """A pre-norm block: one head of attention, and a perceptron or GEGLU."""
  x = tf.reshape(tf.nn.space_to_depth(x, 2), [-1, _TOKENS, 12])
  x = tf.tensordot(x, _BLOCK['patch'], 1)
  y = _norm(x)
  query, key, value = (
    tf.tensordot(y, _BLOCK[name], 1) for name in ('query', 'key', 'value')
  )
  weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / _WIDTH**0.5)
  x += tf.tensordot(tf.matmul(weights, value), _BLOCK['out'], 1)
  y = _norm(x)
  z = tf.nn.gelu(tf.tensordot(y, _BLOCK['grow'], 1), approximate=False)
  if is_gated:
    z *= tf.tensordot(y, _BLOCK['gate'], 1)
  return _norm(x + tf.tensordot(z, _BLOCK['shrink'], 1))


class _ReferenceTest(parameterized.TestCase):
  def assert_same(self, network, method, what: str, options, weights) -> None:
    """Compares maps, of each image by the largest magnitude in its map."""
    path = pathlib.Path(self.create_tempdir().full_path) / 'given.npz'
    np.savez(path, what=what, options=options, x=_X, **weights)
    subprocess.run(
      [sys.executable, '-m', 'tests.attribution.lrp_reference', path],
      cwd=module_graph.ROOT,
      check=True,
    )
    expected = np.load(path.with_name('relevance.npy'))
    with Explainer(
      testing.freeze(network, _SIDE),
      input_tensor='input:0',
      representation_tensor='representation:0',
      preprocessing='range(-1, 1)',
      methods=[method],
    ) as explainer:
      actual = explainer.explain(_IMAGES, inverse=False).maps[method.name]
    scale = np.abs(expected).max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-4)


@unittest.skipUnless(_HAS['torch'] and _HAS['zennit'], 'needs zennit')
class ZennitTest(_ReferenceTest):
  """A convolutional network: epsilon and gamma in every layer."""

  @parameterized.parameters(
    ('elrp', {}, 0.0, 0.0),
    ('gamma_lrp', {'gamma': 0.25}, 0.25, 0.25),
    ('gamma_lrp', {'gamma': 2.0}, 2.0, 2.0),
    ('lrp_by_kind', {'convolution_gamma': 0.4}, 0.4, 0.0),
  )
  def test_maps_are_zennits(self, name, options, *gammas):
    method = methods.create(name, epsilon=_EPSILON, **options)
    self.assert_same(
      _convolutional, method, 'zennit', [*gammas, _EPSILON], _CONVOLUTIONAL
    )


@unittest.skipUnless(_HAS['torch'] and _HAS['lxt'], 'needs lxt')
class LxtTest(_ReferenceTest):
  """A transformer block: normalisation, attention, GELU, a gated product."""

  @parameterized.parameters(False, True)
  def test_maps_are_lxts(self, is_gated):
    method = methods.create('elrp', epsilon=_EPSILON)
    self.assert_same(
      lambda x: _transformer(x, is_gated), method, 'lxt', [is_gated], _BLOCK
    )


if __name__ == '__main__':
  absltest.main()
