"""Tests of the one door, of networks, and of their passes."""

import hashlib
import pathlib
from unittest import mock
import weakref

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs import batching, graph
from frozen_graphs import network as network_lib
from frozen_graphs.errors import GraphError
from tests import testing


def _of_two(x):
  """Returns an encoder that knows it gets two images, and mixes them not."""
  return tf.tanh(tf.reshape(x, [2, 16 * 16 * 3]))


class LoadTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.content = testing.tiny_graph_def().SerializeToString()
    folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = folder / 'a.pb'
    self.path.write_bytes(self.content)

  def test_file_is_known_by_its_digest_and_ends(self):
    network = frozen_graphs.load(self.path)
    self.assertEqual(network.digest, hashlib.sha256(self.content).hexdigest())
    self.assertEqual(network.inputs, ('input:0',))
    self.assertEqual(network.outputs, ('representation:0',))
    self.assertEqual(network.name, f'frozen graph {self.path}')

  def test_graph_in_memory_has_a_digest_too(self):
    first, same, other = (
      frozen_graphs.load(testing.tiny_graph_def(seed=seed)).digest
      for seed in (0, 0, 1)
    )
    self.assertEqual(first, same)
    self.assertNotEqual(first, other)

  def test_digest_of_a_graph_is_that_of_its_bytes_at_once(self):
    graph_def = testing.tiny_graph_def()
    graph_def.versions.producer, graph_def.version = 1395, 3
    graph_def.library.function.add().signature.name = 'unused'
    content = graph_def.SerializeToString(deterministic=True)
    self.assertEqual(b''.join(graph.serialized(graph_def)), content)
    self.assertEqual(
      frozen_graphs.load(graph_def).digest, hashlib.sha256(content).hexdigest()
    )
    self.assertEqual(frozen_graphs.load(graph_def).size, len(content))

  def test_representation_may_be_chosen_later(self):
    network = frozen_graphs.load(self.path)
    with self.assertRaisesRegex(GraphError, 'not given.*representation:0'):
      network.run(np.zeros((1, 16, 16, 3), np.float32))
    self.path.unlink()  # It was read.
    cut = network.at('representation')
    self.assertEqual(cut.input_shape, (16, 16, 3))
    self.assertEqual(cut.operations['Relu'], 2)
    self.assertEqual(cut.representation_shape, (None, 8, 8, 4))
    self.assertEqual(
      list(cut.activations().values()), [(None, 16, 16, 6), (None, 8, 8, 4)]
    )

  def test_errors_name_the_network(self):
    network = frozen_graphs.load(self.path, representation='no', name='mine')
    with self.assertRaisesRegex(GraphError, "^mine: .*no tensor 'no'"):
      network.subgraph  # noqa: B018

  def test_other_inputs_may_be_constants(self):
    def encoder(x):
      scale = tf.compat.v1.placeholder(tf.float32, [], 'scale')
      return tf.tanh(scale * x)

    graph_def = testing.freeze(encoder)
    network = frozen_graphs.load(
      graph_def, representation='representation', constants={'scale': 2.0}
    )
    x = np.full((1, 16, 16, 3), 0.5, np.float32)
    np.testing.assert_allclose(network.run(x), np.tanh(2 * x), 1e-6)
    with self.assertRaisesRegex(GraphError, "'other'.*fed.*'scale'"):
      frozen_graphs.load(graph_def, constants={'other': 1})


class NetworkTest(parameterized.TestCase):
  def _network(self, encoder, **options):
    return frozen_graphs.load(
      testing.freeze(encoder, **options), representation='representation'
    )

  @parameterized.parameters(1, 3, 32)
  def test_images_do_not_depend_on_their_batch(self, batch_size):
    network = frozen_graphs.load(
      testing.tiny_graph_def(), representation='representation'
    )
    x = np.random.default_rng(0).random((7, 16, 16, 3), np.float32)
    alone = np.concatenate([network.run(image[None]) for image in x])
    np.testing.assert_allclose(network.run(x, batch_size), alone, 1e-5, 1e-6)

  def test_gradient_is_that_of_the_mean_over_units(self):
    network = self._network(lambda x: tf.tanh(2 * x))
    x = np.random.default_rng(0).random((5, 16, 16, 3), np.float32)
    gradient, representation = network.gradients(x, batch_size=2)
    np.testing.assert_allclose(representation, np.tanh(2 * x), 1e-5)
    expected = 2 * (1 - np.tanh(2 * x) ** 2) / x[0].size
    np.testing.assert_allclose(gradient, expected, 1e-4, 1e-9)

  def test_a_large_graph_is_in_a_file_while_passes_run(self):
    network = self._network(lambda x: tf.tanh(2 * x))
    x = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    before = network.gradients(x)
    content = network.graph_def.SerializeToString(deterministic=True)
    gone = weakref.ref(network.subgraph)
    with mock.patch.object(network_lib, '_LARGE', 0):
      with self.assertRaises(RuntimeError), network.aside():
        self.assertIsNone(gone())
        self.assertFalse(network.graph_def.node)
        raise RuntimeError
      after = network.gradients(x)
    self.assertEqual(
      network.graph_def.SerializeToString(deterministic=True), content
    )
    self.assertIs(network.frozen.graph_def, network.graph_def)
    for found, expected in zip(after, before, strict=True):
      np.testing.assert_array_equal(found, expected)

  def test_the_shape_that_was_assumed_stays_when_a_graph_comes_back(self):
    with tf.Graph().as_default() as built:
      x = tf.compat.v1.placeholder(tf.float32, name='input')
      tf.tanh(x, name='representation')
    network = frozen_graphs.load(
      built.as_graph_def(), representation='representation'
    )
    network.assume_input_shape((1, 16, 16, 3))
    with mock.patch.object(network_lib, '_LARGE', 0), network.aside():
      pass
    self.assertEqual(network.subgraph.input_shape, (1, 16, 16, 3))

  @parameterized.parameters(
    (lambda x: tf.tanh(x), 2, 'rebatched', 4),
    (_of_two, 2, 'fixed', 2),
    (lambda x: tf.reshape(tf.tanh(x), [1, -1]), 1, 'one_at_a_time', 1),
  )
  def test_fixed_batches_are_opened_or_kept(self, encoder, made, way, size):
    network = self._network(encoder, batch=made)
    with network.passes(batch_size=4) as passes:
      self.assertEqual((passes.batching, passes.batch_size), (way, size))
    x = np.random.default_rng(0).random((5, 16, 16, 3), np.float32)
    actual = network.run(x).reshape(x.shape)
    np.testing.assert_allclose(actual, np.tanh(x), 1e-5)

  def test_images_that_influence_each_other_are_refused(self):
    network = self._network(
      lambda x: tf.reshape(x - tf.reduce_mean(x, 0), [2, -1]), batch=2
    )
    with self.assertRaisesRegex(GraphError, 'influence each other'):
      network.run(np.zeros((2, 16, 16, 3), np.float32))

  def test_what_is_wrong_with_a_graph_of_a_fixed_batch_is_said(self):
    network = self._network(lambda x: tf.tile(x, [1, 9000, 9000, 1]), batch=1)
    with self.assertRaisesRegex(GraphError, 'makes a tensor of shape'):
      network.run(np.zeros([1, 16, 16, 3], np.float32))

  def test_images_smaller_than_a_window_are_refused(self):
    pool = lambda x: tf.nn.max_pool2d(x, 5, 1, 'VALID')  # noqa: E731
    with self._network(pool, size=None) as network:
      x = np.random.default_rng(0).random((2, 5, 6, 3), np.float32)
      np.testing.assert_array_equal(network.run(x), pool(x).numpy())
      with self.assertRaisesRegex(GraphError, 'subtracting 5 from 4'):
        network.run(np.zeros([2, 4, 6, 3], np.float32))

  def test_what_cannot_be_differentiated_is_said(self):
    network = self._network(
      lambda x: tf.raw_ops.ClipByValue(
        t=x, clip_value_min=tf.zeros([2]), clip_value_max=tf.ones([2])
      )
    )
    with self.assertRaisesRegex(GraphError, 'cannot differentiate the graph'):
      network.gradients(np.zeros([1, 16, 16, 3], np.float32))

  def test_closed_passes_say_so(self):
    network = self._network(tf.tanh)
    passes = network.passes()
    passes.close()
    with self.assertRaisesRegex(ValueError, 'is closed'):
      passes.run(np.zeros((1, 16, 16, 3), np.float32))

  def test_what_is_made_of_a_graph_is_made_once(self):
    network = self._network(tf.tanh)
    made = []
    for _ in range(3):
      network.derived('key', made.append)
    self.assertLen(made, 1)
    self.assertIs(made[0], network.subgraph)

  def test_result_of_the_wrong_batch_is_refused(self):
    network = self._network(lambda x: tf.reduce_mean(x, 0))
    with self.assertRaisesRegex(GraphError, 'first dimension must be'):
      network.run(np.zeros((3, 16, 16, 3), np.float32))


class OtherInputTest(absltest.TestCase):
  def test_another_image_has_about_the_same_range(self):
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    other = batching.other_than(image)
    self.assertEqual(other.shape, image.shape)
    self.assertLessEqual(other.max(), image.max())
    self.assertFalse(np.array_equal(other, image))


if __name__ == '__main__':
  absltest.main()
