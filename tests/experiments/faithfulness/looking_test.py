"""Tests of kinds of networks, and of maps that a network refuses."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods
from experiments.faithfulness import looking
import frozen_graphs
from taskonomy_models.encoder import Encoder
from tests import testing


def _gated(x):
  gate = tf.sigmoid(tf.reduce_mean(x, [1, 2], keepdims=True))
  return tf.nn.elu(x) * gate


def _attention(x):
  tokens = tf.reshape(x, [-1, 256, 3])
  weights = tf.nn.softmax(tf.matmul(tokens, tokens, transpose_b=True))
  return tf.nn.relu(tf.matmul(weights, tokens))


class LookingTest(parameterized.TestCase):
  @parameterized.parameters(
    (_attention, 'attention'),
    (_gated, 'gated'),
    (tf.nn.elu, 'smooth'),
    (tf.nn.silu, 'smooth'),
    (lambda x: tf.nn.relu(x) + tf.nn.leaky_relu(-x), 'relu'),
    (lambda x: x[:, :, :, :1] * 2.0, 'linear'),
    (lambda x: tf.nn.relu(tf.math.sin(x)), 'relu'),  # Without a rule.
  )
  def test_kinds(self, function, kind):
    network = frozen_graphs.load(
      testing.freeze(function),
      input='input:0',
      representation='representation:0',
    )
    self.assertEqual(looking.kind_of(network), kind)

  def test_a_method_that_refuses_a_network_leaves_the_others_their_maps(self):
    graph = testing.freeze(lambda x: tf.nn.relu(tf.math.sin(x)))
    encoder = Encoder(
      'one', graph, 'input:0', 'representation:0', 'range(0, 1)', 'One'
    )
    how = looking.Explaining(methods.create_all(['elrp', 'saliency']), 2)
    with encoder.load() as network:
      maps, refused = looking.maps_of(network, encoder, testing.images(2), how)
    self.assertEqual(list(maps), ['saliency'])
    self.assertEqual(list(refused), ['elrp'])
    self.assertIn('Sin', refused['elrp'])

  def test_texts_are_kept_beside_arrays(self):
    packed = looking.packed({'a/b': np.arange(3)}, {'elrp': 'No rule.'})
    arrays, words = looking.unpacked(packed)
    self.assertEqual(words, {'elrp': 'No rule.'})
    np.testing.assert_array_equal(arrays['a/b'], np.arange(3))


if __name__ == '__main__':
  absltest.main()
