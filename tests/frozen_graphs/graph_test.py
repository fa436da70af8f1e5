"""Tests of loading, cutting and cleaning frozen graphs."""

import os
import tempfile

from absl.testing import absltest, parameterized
from google.protobuf import text_format
import tensorflow as tf

from frozen_graphs import graph
from frozen_graphs.errors import GraphError, UnsafeGraphError
from tests import testing


def extract(graph_def, source='input:0', target='representation:0'):
  return graph.extract(graph_def, source, target)


class LoadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.graph_def = testing.tiny_graph_def()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def write(self, name, content):
    path = os.path.join(self.folder, name)
    with open(path, 'wb') as file:
      file.write(content)
    return path

  def test_binary_graph_is_read(self):
    path = self.write('a.pb', self.graph_def.SerializeToString())
    self.assertEqual(graph.load_graph_def(path), self.graph_def)

  def test_shape_without_sides_is_open_in_graphs_of_tensorflow_1_1(self):
    for producer, is_open in ((23, True), (24, False)):
      self.graph_def.versions.producer = producer
      node = next(n for n in self.graph_def.node if n.op == 'Placeholder')
      node.attr['shape'].shape.Clear()
      path = self.write('a.pb', self.graph_def.SerializeToString())
      shape = extract(graph.load_graph_def(path)).input_shape
      self.assertEqual(shape, None if is_open else ())

  def test_textual_graph_is_read(self):
    text = text_format.MessageToString(self.graph_def).encode()
    path = self.write('a.pbtxt', text)
    self.assertEqual(graph.load_graph_def(path), self.graph_def)

  def test_truncated_file_is_an_error_wherever_it_is_cut(self):
    content = self.graph_def.SerializeToString()
    for length in range(0, len(content), 97):
      with self.assertRaisesRegex(GraphError, r'a\.pb.*(cut off|missing)'):
        cut = graph.load_graph_def(self.write('a.pb', content[:length]))
        extract(cut)  # A cut between two nodes may only show here.

  @parameterized.parameters(b'node { name: ', b'\xff\xfe')
  def test_broken_text_is_an_error(self, content):
    with self.assertRaisesRegex(GraphError, r'a\.pbtxt'):
      graph.load_graph_def(self.write('a.pbtxt', content))

  def test_something_else_is_an_error(self):
    for content in (b'\x89PNG\r\n\x1a\n' + bytes(50), b'hello world'):
      with self.assertRaisesRegex(GraphError, r'a\.pb'):
        graph.load_graph_def(self.write('a.pb', content))

  def test_large_file_is_refused_before_it_is_read(self):
    path = self.write('a.pb', self.graph_def.SerializeToString())
    with self.assertRaisesRegex(GraphError, 'more than the 100 allowed'):
      graph.load_graph_def(path, max_bytes=100)

  def test_folder_and_missing_file_are_errors(self):
    with self.assertRaisesRegex(GraphError, 'folder'):
      graph.load_graph_def(self.folder)
    with self.assertRaises(FileNotFoundError):
      graph.load_graph_def(os.path.join(self.folder, 'none.pb'))

  def test_nodes_of_one_name_are_an_error(self):
    self.graph_def.node.add().CopyFrom(self.graph_def.node[0])
    path = self.write('a.pb', self.graph_def.SerializeToString())
    with self.assertRaisesRegex(GraphError, 'same name'):
      graph.load_graph_def(path)


class SubGraphTest(absltest.TestCase):
  def test_parts_are_those_of_the_graph(self):
    cut = extract(testing.tiny_graph_def())
    whole = cut.graph_def().SerializeToString(deterministic=True)
    self.assertEqual(b''.join(cut.serialized()), whole)

  def test_constants_are_shared_and_half_ones_are_not_changed(self):
    with tf.Graph().as_default() as made:
      images = tf.compat.v1.placeholder(tf.float16, [None, 4, 4, 3], 'input')
      images *= tf.constant([1.5, 2, 3], tf.float16, name='factor')
      tf.nn.relu(images, 'representation')
    graph_def = made.as_graph_def()
    before = graph_def.SerializeToString()
    cut = extract(graph_def)
    self.assertEqual(graph_def.SerializeToString(), before)
    kind = cut.nodes['factor'].attr['dtype'].type
    self.assertEqual(kind, tf.float32.as_datatype_enum)
    again = extract(cut.graph_def())
    source = cut.graph_def()
    found = extract(source).nodes['factor']
    self.assertIs(found, next(n for n in source.node if n.name == 'factor'))
    self.assertEqual(again.nodes['factor'], found)


class ExtractTest(parameterized.TestCase):
  def test_only_what_lies_between_is_kept(self):
    def encoder(x):
      tf.nn.softmax(x, name='head')
      return tf.nn.relu(x, name='used')

    kept = extract(testing.freeze(encoder)).nodes
    self.assertEqual(list(kept), ['input', 'used'])

  def test_input_may_be_inside_the_graph(self):
    graph_def = testing.freeze(
      lambda x: tf.nn.relu(
        tf.split(tf.bitcast(x, x.dtype), 3, 3, name='split')[2] * 2.0
      )
    )
    subgraph = extract(graph_def, 'split:2')
    ops = [node.op for node in subgraph.nodes.values()]
    self.assertCountEqual(ops, ['Placeholder', 'Const', 'Mul', 'Relu'])
    self.assertEqual(subgraph.input_type, tf.float32)

  def test_attributes_of_the_process_and_devices_are_left_out(self):
    def encoder(x):
      with tf.device('/GPU:3'):
        y = tf.nn.silu(x)  # Carries the gradient of a tf.custom_gradient.
      with tf.control_dependencies([tf.no_op()]):
        return tf.nn.relu(y)

    graph_def = testing.freeze(encoder)
    for node in graph_def.node:
      node.attr['_class'].list.s.append(b'loc:@gone')
    self.assertIn('_gradient_op_type', str(graph_def))
    cleaned = extract(graph_def).graph_def()
    self.assertNotRegex(str(cleaned), 'attr {\\s*key: "_|device|\\^')
    with tf.Graph().as_default():
      tf.import_graph_def(cleaned)

  def test_identities_are_left_out(self):
    graph_def = testing.freeze(
      lambda x: tf.identity(tf.identity_n([x, tf.nn.relu(tf.identity(x))])[1])
    )
    ops = [node.op for node in extract(graph_def).nodes.values()]
    self.assertEqual(ops, ['Placeholder', 'Relu'])

  def test_nodes_come_after_what_they_need(self):
    graph_def = testing.tiny_graph_def()
    shuffled = tf.compat.v1.GraphDef(node=list(graph_def.node)[::-1])
    seen = set()
    for node in extract(shuffled).nodes.values():
      self.assertLessEqual({i.split(':')[0] for i in node.input}, seen)
      seen.add(node.name)

  def test_deep_graph_is_no_problem(self):
    def encoder(x):
      for _ in range(3000):
        x = tf.nn.relu(x)
      return x

    self.assertLen(extract(testing.freeze(encoder)).nodes, 3001)

  def test_second_input_is_named(self):
    graph_def = testing.freeze(
      lambda x: x * tf.compat.v1.placeholder(tf.float32, [], 'keep_prob')
    )
    with self.assertRaisesRegex(GraphError, "'keep_prob'"):
      extract(graph_def)

  def test_input_with_a_default_takes_it(self):
    graph_def = testing.freeze(
      lambda x: x * tf.compat.v1.placeholder_with_default(2.0, [], 'scale')
    )
    ops = [node.op for node in extract(graph_def).nodes.values()]
    self.assertCountEqual(ops, ['Placeholder', 'Const', 'Mul'])

  def test_representation_must_come_from_the_input(self):
    def encoder(x):
      tf.constant(1.0, name='alone')
      return tf.nn.relu(x)

    for target in ('alone', 'input'):
      with self.assertRaisesRegex(GraphError, 'not computed from'):
        extract(testing.freeze(encoder), target=target)

  def test_batch_normalization_in_training_mode_is_refused(self):
    graph_def = testing.freeze(
      lambda x: tf.compat.v1.nn.fused_batch_norm(x, [1.0] * 3, [0.0] * 3)[0]
    )
    with self.assertRaisesRegex(GraphError, 'training mode'):
      extract(graph_def)

  def test_variable_means_not_frozen(self):
    with tf.Graph().as_default() as built:
      x = tf.compat.v1.placeholder(tf.float32, [None, 2], 'input')
      v = tf.compat.v1.get_variable('v', [2, 2], use_resource=True)
      tf.identity(x @ v, name='representation')
    with self.assertRaisesRegex(GraphError, 'not frozen'):
      extract(built.as_graph_def())

  def test_cycle_is_an_error(self):
    graph_def = testing.freeze(
      lambda x: tf.nn.relu(tf.nn.relu(x, name='one'), name='two')
    )
    for node in graph_def.node:
      if node.name == 'one':
        node.input[0] = 'two'
    with self.assertRaisesRegex(GraphError, 'cycle'):
      extract(graph_def)

  def test_loop_is_refused_by_name(self):
    def encoder(x):
      return tf.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), (0, x)
      )[1]

    with self.assertRaisesRegex(UnsafeGraphError, 'While|Exit'):
      extract(testing.freeze(encoder))

  def test_input_keeps_what_is_known_of_its_shape(self):
    graph_def = testing.freeze(tf.nn.relu, 5, 2, batch=1)
    self.assertEqual(extract(graph_def).input_shape, (1, 5, 5, 2))
    with tf.Graph().as_default() as built:
      x = tf.compat.v1.placeholder(tf.float32, name='input')
      tf.nn.relu(x, name='representation')
    self.assertIsNone(extract(built.as_graph_def()).input_shape)


if __name__ == '__main__':
  absltest.main()
