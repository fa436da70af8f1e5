"""Tests that a graph which reaches outside is refused by name."""

from absl.testing import absltest, parameterized
import tensorflow as tf

from frozen_graphs import graph, safety
from frozen_graphs.errors import GraphError, UnsafeGraphError
from tests import testing


def _read(x):
  size = tf.strings.length(tf.io.read_file('/etc/passwd', name='reader'))
  return tf.nn.relu(x) + tf.cast(size, x.dtype)


def _write(x):
  with tf.control_dependencies([tf.io.write_file('/tmp/x', 'x', name='w')]):
    return tf.nn.relu(x)


def _python(x):
  return tf.compat.v1.py_func(lambda v: v, [x], x.dtype, name='call')


def _aside(x):
  tf.io.write_file('/tmp/x', 'x', name='aside')  # Not needed by the encoder.
  return tf.nn.relu(x)


def _in_function(x):
  @tf.function
  def body(y):
    return y + tf.cast(tf.strings.length(tf.io.read_file('a')), y.dtype)

  return body(x)


class SafetyTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ('read', _read, "ReadFile .*'reader'"),
    ('write', _write, "WriteFile .*'w'"),
    ('python', _python, "PyFunc .*'call'"),
    ('beside_the_encoder', _aside, "WriteFile .*'aside'"),
    ('in_a_function', _in_function, "ReadFile .*function '.*body"),
  )
  def test_operation_and_node_are_named(self, function, message):
    graph_def = testing.freeze(function)
    with self.assertRaisesRegex(UnsafeGraphError, message):
      graph.extract(graph_def, 'input:0', 'representation:0')

  @parameterized.parameters(
    'ReadFile', 'WriteFile', 'PyFunc', 'PyFuncStateless', 'EagerPyFunc',
    'MatchingFiles', 'SaveV2', 'RestoreV2', 'TextLineReaderV2', 'PrintV2',
    'DebugIdentityV2', 'TensorSliceDataset', 'IteratorGetNext', 'Send',
    '_Recv', 'RpcCall', 'XlaLaunch', 'InitializeTableFromTextFileV2',
    'WriteImageSummary', 'SummaryWriter', 'RemoteCall', 'LoadLibrary',
    'MergeV2Checkpoints', 'SymbolicGradient', 'LMDBReader',
  )  # fmt: skip
  def test_known_ways_out_are_refused_anywhere(self, op_type):
    self.assertTrue(safety.reaches_outside(op_type))
    graph_def = testing.tiny_graph_def()
    graph_def.node.add(name='n', op=op_type)
    with self.assertRaisesRegex(UnsafeGraphError, op_type):
      safety.refuse_dangerous(graph_def)

  @parameterized.parameters(*sorted(safety.ALLOWED))
  def test_no_allowed_operation_reaches_outside(self, op_type):
    self.assertFalse(safety.reaches_outside(op_type))

  def test_operation_off_the_list_is_refused_before_tensorflow_sees_it(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(x, name='r'))
    for node in graph_def.node:
      if node.name == 'r':
        node.op = 'SomethingNew'
    with self.assertRaisesRegex(GraphError, "SomethingNew .*'r'"):
      graph.extract(graph_def, 'input:0', 'representation:0')

  def test_stateful_and_random_operations_are_not_allowed(self):
    graph_def = testing.freeze(lambda x: x + tf.random.normal([3], name='n'))
    with self.assertRaisesRegex(UnsafeGraphError, 'RandomStandardNormal'):
      graph.extract(graph_def, 'input:0', 'representation:0')

  def test_constant_that_unfolds_to_gigabytes_is_refused(self):
    graph_def = testing.freeze(lambda x: x * tf.constant(2.0, name='bomb'))
    for node in graph_def.node:
      if node.name == 'bomb':
        shape = tf.TensorShape([2**20, 2**20]).as_proto()
        node.attr['value'].tensor.tensor_shape.CopyFrom(shape)
    with self.assertRaisesRegex(GraphError, 'constants .* would take more'):
      graph.extract(graph_def, 'input:0', 'representation:0')

  def test_real_operations_are_what_the_tables_list(self):
    for op_type in sorted(safety.ALLOWED):
      self.assertTrue(hasattr(tf.raw_ops, op_type), op_type)


if __name__ == '__main__':
  absltest.main()
