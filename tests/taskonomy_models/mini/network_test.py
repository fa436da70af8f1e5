"""Tests of the mini bank's architecture and of its frozen form."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini import tasks as mini_tasks
from taskonomy_models.mini.architectures import residual


def _encoder(channels=3, seed=0):
  encoder = residual.build(channels)
  mini_network.initialise(encoder, seed)
  return encoder


def _run(graph_def, images):
  forward = tf.compat.v1.wrap_function(
    lambda: tf.compat.v1.import_graph_def(graph_def, name=''), []
  ).prune('input:0', 'representation:0')
  return forward(tf.constant(images)).numpy()


class MiniNetworkTest(parameterized.TestCase):
  def test_a_picture_becomes_eight_by_eight_by_eight_units_that_are_positive(
    self,
  ):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3))
    units = _encoder()(images.astype(np.float32)).numpy()
    self.assertEqual(units.shape, (2, 8, 8, 8))
    self.assertGreaterEqual(units.min(), 0)
    self.assertGreater(units.std(), 0)

  def test_the_frozen_graph_computes_what_the_model_does(self):
    encoder = _encoder()
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    for _ in range(3):  # Moving statistics that are not the initial ones.
      encoder(images, training=True)
    frozen = _run(mini_network.freeze(encoder, 32), images)
    expected = encoder(images, training=False).numpy()
    # The weights of the frozen graph have the precision of float16.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(frozen, expected, atol=5e-3 * scale)

  def test_the_frozen_graph_is_small_and_of_plain_ops(self):
    graph_def = mini_network.freeze(_encoder(), 64)
    self.assertLess(graph_def.ByteSize(), 450_000)
    self.assertEmpty(graph_def.library.function)
    operations = {node.op for node in graph_def.node}
    self.assertContainsSubset({'Conv2D', 'Relu', 'Placeholder'}, operations)
    self.assertNoCommonElements(
      operations, {'PartitionedCall', 'StatefulPartitionedCall', 'VarHandleOp'}
    )

  @parameterized.product(
    name=tuple(mini_tasks.MINI_TASKS), grid=((8, 8, 8), (16, 16, 4), (4, 4, 2))
  )
  def test_a_decoder_gives_what_its_task_asks_for(self, name, grid):
    task = mini_tasks.MINI_TASKS[name]
    decoder = mini_network.build_decoder(task, grid, 64)
    shape = (None, 32, 32) if task.dense else (None,)
    self.assertEqual(decoder.output_shape, (*shape, task.outputs))

  def test_a_graph_has_the_same_bytes_each_time(self):
    first, second = (
      mini_network.freeze(_encoder(), 32).SerializeToString(deterministic=True)
      for _ in range(2)
    )
    self.assertEqual(first, second)


if __name__ == '__main__':
  absltest.main()
