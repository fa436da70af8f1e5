"""Tests of what images flow through in a graph."""

from absl.testing import absltest
import tensorflow as tf

from frozen_graphs import functions
from frozen_graphs.errors import GraphError
from frozen_graphs.inspection import flow
from tests import hostile_testing, testing

_FLOAT = tf.float32.as_datatype_enum


def _trace(graph_def, shape=(1, 16, 16, 3), source=('input', 0)):
  nodes = {n.name: n for n in functions.inline_functions(graph_def)}
  return flow.trace(nodes, source, shape)


class TraceTest(absltest.TestCase):
  def test_shapes_that_are_not_inferred_are_found_in_a_run(self):
    def encoder(x):
      count = tf.cast(tf.reduce_max(x) * 0 + 5, tf.int32)  # Of the values.
      wide = tf.image.resize(x, tf.stack([count, count]), name='wide')
      tf.reshape(x, tf.stack([count, count]), name='never')  # 768 are not 25.
      return tf.nn.relu(wide)

    found = _trace(testing.freeze(encoder))
    shapes = {name: shape for (name, _), shape in found.shapes.items()}
    self.assertEqual(shapes['input'], (1, 16, 16, 3))
    self.assertIn((1, 5, 5, 3), shapes.values())
    self.assertNotIn('never', shapes)
    self.assertIn('never', found.carriers)

  def test_what_tensorflow_does_not_take_is_dropped_with_what_is_behind(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(x, name='kept'))
    hostile_testing.constant(graph_def, 'kernel', [[1.0, 2.0]], tf.float32)
    operands = ['kept', 'kernel']
    hostile_testing.add(graph_def, 'bad', 'BatchMatMulV2', operands, T=_FLOAT)
    hostile_testing.add(graph_def, 'behind', 'Relu', ['bad'], T=_FLOAT)
    found = _trace(graph_def)
    self.assertEqual(found.dropped, 1)
    self.assertEqual(
      found.left_out, {'a BatchMatMulV2 that TensorFlow does not take': 1}
    )
    self.assertIn('kept', found.nodes)
    self.assertNoCommonElements(['bad', 'behind'], found.nodes)

  def test_why_the_rest_is_left_out_is_counted(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(x, name='kept'))
    add = hostile_testing.add
    add(graph_def, 'other', 'Placeholder', dtype=_FLOAT)
    for number in range(2):
      add(graph_def, f'strange_{number}', 'NobodyKnows', ['kept'])
    add(graph_def, 'damaged', 'Relu', ['kept'], T=tf.int32.as_datatype_enum)
    ones = tf.ones(3).numpy()
    for name in 'abcd':
      hostile_testing.constant(graph_def, name, ones)
    norm = ['kept', 'a', 'b', 'c', 'd']
    kinds = {'T': _FLOAT, 'U': _FLOAT}
    add(graph_def, 'norm', 'FusedBatchNormV3', norm, **kinds)
    self.assertEqual(
      _trace(graph_def).left_out,
      {
        'a further input (other)': 1,
        'the operation NobodyKnows': 2,
        'a damaged Relu': 1,
        'batch normalization in training mode': 1,
      },
    )

  def test_nothing_behind_the_input_is_an_error_with_the_reason(self):
    graph_def = hostile_testing.new()
    hostile_testing.add(graph_def, 'strange', 'NobodyKnows', ['input'])
    with self.assertRaisesRegex(
      GraphError, "Nothing.*'input:0' alone: there is the operation NobodyKnows"
    ):
      _trace(graph_def)

  def test_a_graph_that_never_fits_is_an_error(self):
    graph_def = hostile_testing.new()
    source = 'input'
    hostile_testing.constant(graph_def, 'kernel', [[1.0, 2.0]], tf.float32)
    for number in range(42):
      name = f'bad_{number}'
      operands = [source, 'kernel']
      hostile_testing.add(graph_def, name, 'BatchMatMulV2', operands, T=_FLOAT)
    with self.assertRaisesRegex(GraphError, 'cannot import the graph: .*equal'):
      _trace(graph_def)


if __name__ == '__main__':
  absltest.main()
