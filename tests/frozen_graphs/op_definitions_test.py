"""Tests of what is read from TensorFlow's operation definitions."""

from absl.testing import absltest
import tensorflow as tf

from frozen_graphs import op_definitions
from frozen_graphs.errors import GraphError
from tests import testing


def _nodes(function):
  return {node.name: node for node in testing.freeze(function).node}


class OpDefinitionsTest(absltest.TestCase):
  def test_types_are_those_of_the_tensors(self):
    def encoder(x):
      tf.split(x, 3, 3, name='split')
      tf.identity_n([x, tf.constant(1)], name='pair')
      tf.cast(x, tf.float16, name='half')
      tf.no_op('none')
      return tf.nn.top_k(x, name='top')[0]

    nodes = _nodes(encoder)
    expected = {
      'split': (tf.float32,) * 3,
      'pair': (tf.float32, tf.int32),
      'half': (tf.float16,),
      'none': (),
      'top': (tf.float32, tf.int32),
    }
    for name, types in expected.items():
      self.assertEqual(op_definitions.output_types(nodes[name]), types)

  def test_attribute_left_out_has_its_default(self):
    node = tf.compat.v1.NodeDef(name='a', op='ArgMax')
    self.assertEqual(op_definitions.output_types(node), (tf.int64,))

  def test_offset_counts_the_tensors_before(self):
    nodes = _nodes(lambda x: tf.nn.top_k(x, name='top')[0])
    self.assertEqual(op_definitions.output_offset(nodes['top'], 'values'), 0)
    self.assertEqual(op_definitions.output_offset(nodes['top'], 'indices'), 1)
    with self.assertRaisesRegex(GraphError, 'no output'):
      op_definitions.output_offset(nodes['top'], 'x')

  def test_unknown_operation_is_named_with_its_node(self):
    node = tf.compat.v1.NodeDef(name='a', op='Prelu')
    with self.assertRaisesRegex(GraphError, "'a'.*'Prelu'"):
      op_definitions.output_types(node)


if __name__ == '__main__':
  absltest.main()
