"""Tests of the gamma rule against its definition, unit by unit."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods
from attribution.explainer import Explainer
from attribution.layerwise import gamma
from tests import testing

_TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}
_RNG = np.random.default_rng(0)
_KERNELS = [
  _RNG.normal(0, 0.5, shape).astype(np.float32)
  for shape in ((3, 3, 3, 4), (3, 3, 4, 4), (4, 5))
]
_BIASES = [
  _RNG.normal(0, 0.2, k.shape[-1]).astype(np.float32) for k in _KERNELS
]


def _network(x):
  """Two convolutions, one with a batch norm, and a dense layer."""
  x = tf.nn.relu(
    tf.nn.bias_add(tf.nn.conv2d(x, _KERNELS[0], 2, 'SAME'), _BIASES[0])
  )
  x = tf.nn.conv2d(x, _KERNELS[1], 1, 'SAME')
  x = tf.nn.relu(x * tf.constant([1.0, -1.0, 2.0, 0.5]) + _BIASES[1])
  return tf.nn.relu(tf.tensordot(x, _KERNELS[2], 1) + _BIASES[2])


def _matrix(kernel, side, stride=1):
  """A convolution of a grid with zeros around it, as a matrix."""

  def function(x):
    return tf.nn.conv2d(x, kernel, stride, 'SAME')

  units = side * side * kernel.shape[2]
  eye = np.eye(units, dtype=np.float32).reshape(-1, side, side, kernel.shape[2])
  return function(eye).numpy().reshape(units, -1).astype(np.float64)


def _layers():
  scale = np.array([1.0, -1.0, 2.0, 0.5])
  dense = np.kron(np.eye(9), _KERNELS[2])
  return [
    ('convolution', _matrix(_KERNELS[0], 6, 2), np.tile(_BIASES[0], 9)),
    ('convolution', _matrix(_KERNELS[1] * scale, 3), np.tile(_BIASES[1], 9)),
    ('dense', dense, np.tile(_BIASES[2], 9)),
  ]


def _slow(x, gammas, epsilon):
  """The rule as it is written, unit by unit: R_j = sum over k of shares."""
  signals = [x.reshape(-1).astype(np.float64)]
  for _, w, b in _layers():
    signals.append(np.maximum(signals[-1] @ w + b, 0))
  relevance = signals[-1] / signals[-1].size
  for (kind, w, b), a in zip(_layers()[::-1], signals[-2::-1], strict=True):
    g, z = gammas[kind], a @ w + b
    parts = a[:, None] * w
    same_sign = np.sign(parts) == np.sign(z)
    parts = parts * np.where(same_sign, 1 + g, 1)
    bias = b * np.where(np.sign(b) == np.sign(z), 1 + g, 1)
    total = parts.sum(axis=0) + bias
    total += epsilon * np.where(total >= 0, 1, -1)
    relevance = (parts / total * relevance).sum(axis=1)
  return relevance.reshape(x.shape)


def _explained(method, images):
  with Explainer(
    testing.freeze(_network, 6),
    **_TENSORS,
    preprocessing='range(-1, 1)',
    methods=[method, 'saliency'],
  ) as explainer:
    return explainer.explain(images), explainer.summary


class GammaTest(parameterized.TestCase):
  @parameterized.parameters(
    (gamma.GammaLRP(0.25, 1e-9), 0.25, 0.25),
    (gamma.GammaLRP(3.0, 1e-9), 3.0, 3.0),
    (gamma.ByKindLRP(0.25, 0.0, 1e-9), 0.25, 0.0),
    (gamma.ByKindLRP(0.5, 0.1, 1e-9), 0.5, 0.1),
  )
  def test_it_is_the_rule_written_out(self, method, convolution, dense):
    images = testing.images(3, 6)
    found, summary = _explained(method, images)
    x = images.astype(np.float64) / 255 * 2 - 1
    for own, image in zip(found.maps[method.name], x, strict=True):
      slow = _slow(image, {'convolution': convolution, 'dense': dense}, 1e-9)
      np.testing.assert_allclose(own, slow, atol=1e-5 * np.abs(slow).max())
    self.assertEqual(summary.ruled['convolution'], 2)
    self.assertEqual(summary.ruled['dense'], 1)

  def test_without_gamma_it_is_epsilon_lrp_and_others_do_not_change(self):
    images = testing.images(2, 6)
    plain, _ = _explained(methods.EpsilonLRP(), images)
    for method in (gamma.GammaLRP(0), gamma.ByKindLRP(0)):
      found, _ = _explained(method, images)
      np.testing.assert_allclose(
        found.maps[method.name], plain.maps['elrp'], 1e-4, 1e-7
      )
      np.testing.assert_allclose(
        found.maps['saliency'], plain.maps['saliency'], 1e-5, 1e-8
      )

  def test_a_large_gamma_keeps_only_what_speaks_for_a_unit(self):
    found, _ = _explained(gamma.GammaLRP(1e6), testing.images(3, 6))
    maps = found.maps['gamma_lrp']
    self.assertGreater(maps.min(), -1e-4 * maps.max())

  def test_relevance_is_conserved_where_there_is_no_bias(self):
    def network(x):
      x = tf.nn.elu(tf.nn.conv2d(x, _KERNELS[0], 1, 'VALID'))
      x = tf.transpose(tf.nn.conv2d(x, _KERNELS[1], 1, 'SAME'), [0, 3, 1, 2])
      return tf.nn.tanh(tf.reduce_mean(x, [2, 3]) @ tf.constant(_KERNELS[2]))

    with Explainer(
      testing.freeze(network, 6),
      **_TENSORS,
      methods=[gamma.GammaLRP(0.3, 1e-9)],
    ) as explainer:
      found = explainer.explain(testing.images(3, 6))
    np.testing.assert_allclose(
      found.maps['gamma_lrp'].sum(axis=(1, 2, 3)),
      found.representation.mean(axis=1),
      rtol=2e-3,
    )

  @parameterized.parameters('gamma', 'epsilon', 'products')
  def test_wrong_options_are_refused(self, name):
    with self.assertRaisesRegex(ValueError, name):
      methods.create('gamma_lrp', **{name: -1})
    with self.assertRaises(ValueError):
      methods.create('lrp_by_kind', dense_gamma=float('nan'))


if __name__ == '__main__':
  absltest.main()
