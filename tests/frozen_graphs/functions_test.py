"""Tests of inlining functions."""

from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import functions, graph
from frozen_graphs.errors import GraphError
from tests import testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}


@tf.function
def _inner(x, scale):
  left, right = tf.split(tf.tanh(x) * scale, [1, 2], axis=3)
  return right, left


@tf.function
def _outer(x):
  right, left = _inner(x, tf.constant(2.0))
  again, _ = _inner(x, tf.constant(3.0))
  return tf.concat([left, right], 3), again


class FunctionsTest(absltest.TestCase):
  def test_nested_functions_compute_what_tensorflow_calls_would(self):
    graph_def = testing.freeze(lambda x: tf.concat(_outer(x), 3))
    self.assertNotEmpty(graph_def.library.function)
    images = testing.images(2)
    with Explainer(graph_def, **TENSORS) as explainer:
      explanation = explainer.explain(images, inverse=False)
      # The two calls of `_inner` are activations of their own.
      self.assertEqual(explainer.summary.ruled, {'Tanh': 2})
    x = images.astype(np.float32) / 255
    expected = tf.concat(_outer(tf.constant(x)), 3).numpy()
    np.testing.assert_allclose(explanation.representation, expected, 1e-5)
    factor = np.array([2, 2 + 3, 2 + 3]) / 5 / 16 / 16
    np.testing.assert_allclose(
      explanation.maps['elrp'], x * factor * np.tanh(x) / (x + 1e-4), 1e-4
    )

  def test_nodes_are_named_after_their_call(self):
    nodes = functions.inline_functions(testing.freeze(lambda x: _outer(x)[0]))
    names = {node.name: node.op for node in nodes}
    self.assertIn('Tanh', names.values())
    tanh = next(n for n, op in names.items() if op == 'Tanh')
    self.assertEqual(tanh.count('/'), 2)
    self.assertEqual(names[tanh.split('/')[0]], 'IdentityN')

  def test_missing_function_is_an_error(self):
    graph_def = testing.freeze(lambda x: _outer(x)[0])
    del graph_def.library.function[:]
    with self.assertRaisesRegex(GraphError, 'library'):
      graph.extract(graph_def, 'input', 'representation')

  def test_function_that_calls_itself_is_an_error(self):
    graph_def = testing.freeze(lambda x: _outer(x)[0])
    for function in graph_def.library.function:
      for node in function.node_def:
        if 'f' in node.attr:
          node.attr['f'].func.name = function.signature.name
    with self.assertRaisesRegex(GraphError, 'nested|more than'):
      graph.extract(graph_def, 'input', 'representation')

  def test_functions_that_unfold_without_measure_are_an_error(self):
    library = tf.compat.v1.GraphDef().library
    kind = tf.float32.as_datatype_enum
    for level in range(30):
      function = library.function.add()
      function.signature.name = f'f{level}'
      function.signature.input_arg.add(name='x', type=kind)
      function.signature.output_arg.add(name='y', type=kind)
      for n in range(2):
        node = function.node_def.add(name=f'n{n}', op=f'f{level + 1}')
        node.input.append('x' if n == 0 else 'n0:y:0')
      function.ret['y'] = 'n1:y:0'
    last = library.function.add()
    last.CopyFrom(library.function[0])
    last.signature.name = 'f30'
    del last.node_def[:]
    last.ret['y'] = 'x'
    graph_def = testing.freeze(lambda x: tf.nn.relu(x, name='call'))
    graph_def.library.CopyFrom(library)
    for node in graph_def.node:
      if node.name == 'call':
        node.op = 'f0'
    with (
      mock.patch.object(functions, '_MAX_NODES', 5000),
      self.assertRaisesRegex(GraphError, 'unfold to more than 5000'),
    ):
      functions.inline_functions(graph_def)

  def test_a_name_that_stands_for_two_things_is_an_error(self):
    twice = testing.freeze(lambda x: _outer(x)[0])
    twice.library.function.add().CopyFrom(twice.library.function[0])
    with self.assertRaisesRegex(GraphError, 'Several functions.*same name'):
      functions.inline_functions(twice)
    like_an_operation = testing.freeze(lambda x: tf.nn.relu(x))
    function = like_an_operation.library.function.add()
    function.signature.name = 'Relu'
    with self.assertRaisesRegex(GraphError, "function 'Relu'.*an operation"):
      functions.inline_functions(like_an_operation)

  def test_nodes_beside_those_that_unfold_count(self):
    graph_def = testing.freeze(lambda x: _outer(x)[0])
    with (
      mock.patch.object(functions, '_MAX_NODES', 100),
      self.assertRaisesRegex(GraphError, 'unfold to more than 100'),
    ):
      functions.inline_functions(graph_def, others=99)


if __name__ == '__main__':
  absltest.main()
