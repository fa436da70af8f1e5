"""Tests of importing graphs and of choosing a device."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs import graph, session
from frozen_graphs.errors import GraphError
from tests import testing


class SessionTest(parameterized.TestCase):
  @parameterized.parameters(None, '/CPU:0', 'CPU:0', '/device:CPU:0')
  def test_present_device_is_accepted(self, device):
    session.check_device(device)

  @parameterized.parameters('/CPU:9', '/GPU:99', '/TPU:0', 'what:ever:x')
  def test_absent_device_is_an_error_that_lists_the_present(self, device):
    with self.assertRaisesRegex(ValueError, device):
      session.check_device(device)

  def test_remapper_is_off_and_memory_grows(self):
    config = session.config()
    options = config.graph_options.rewrite_options
    self.assertEqual(options.remapping, type(options).OFF)
    self.assertTrue(config.gpu_options.allow_growth)

  def test_activations_are_not_fused_into_convolutions(self):
    graph_def = testing.tiny_graph_def('relu')
    subgraph = graph.extract(graph_def, 'input', 'representation')

    def kept(config):
      metadata = tf.compat.v1.RunMetadata()
      options = tf.compat.v1.RunOptions(output_partition_graphs=True)
      with tf.Graph().as_default() as imported:
        source, result = session.import_graph(subgraph)
        with tf.compat.v1.Session(graph=imported, config=config) as running:
          feed = {source: testing.images(1)}
          running.run(result, feed, options, metadata)
      parts = metadata.partition_graphs
      return [n.op for part in parts for n in part.node].count('Relu')

    self.assertEqual(kept(session.config()), 2)
    self.assertEqual(kept(tf.compat.v1.ConfigProto()), 0)  # TensorFlow's way.

  def test_static_shape_is_what_the_graph_tells(self):
    graph_def = testing.freeze(lambda x: tf.nn.max_pool2d(x, 2, 2, 'VALID'))
    self.assertEqual(
      session.static_shape(graph_def, 'representation:0'), (None, 8, 8, 3)
    )
    graph_def.node[0].attr['shape'].shape.unknown_rank = True
    del graph_def.node[0].attr['shape'].shape.dim[:]
    self.assertIsNone(session.static_shape(graph_def, 'input:0'))

  def test_tensorflow_refusal_is_one_line(self):
    kernel = np.ones([3, 3, 3, 4], np.float32)
    graph_def = testing.freeze(
      lambda x: tf.nn.conv2d(x, kernel, 1, 'SAME', name='c')
    )
    for node in graph_def.node:
      if node.name == 'c':
        node.attr['strides'].list.i[1] = 0
    subgraph = graph.extract(graph_def, 'input', 'representation')
    with tf.Graph().as_default():
      with self.assertRaisesRegex(GraphError, 'cannot import') as caught:
        session.import_graph(subgraph)
    self.assertNotIn('\n', str(caught.exception))

  @parameterized.parameters(
    # 512 MiB, or 1024 times the image.
    (16, 6_000, None),
    (16, 7_000, 588_000_000),
    (512, 16_000, None),
    (512, 17_000, 3_468_000_000),
  )
  def test_only_tensors_in_proportion_are_made(self, side, enlarged, size):
    graph_def = testing.freeze(
      lambda x: tf.image.resize(x, [enlarged, enlarged]), side
    )
    subgraph = graph.extract(graph_def, 'input', 'representation')
    with tf.Graph().as_default():
      if size is None:
        session.import_graph(subgraph)
        return
      with self.assertRaisesRegex(GraphError, f'of {size} bytes for one image'):
        session.import_graph(subgraph)

  def test_representation_of_integers_is_refused(self):
    graph_def = testing.freeze(lambda x: tf.argmax(x, axis=3))
    subgraph = graph.extract(graph_def, 'input', 'representation')
    with tf.Graph().as_default():
      with self.assertRaisesRegex(GraphError, 'int64.*floating-point'):
        session.import_graph(subgraph)


if __name__ == '__main__':
  absltest.main()
