"""Tests of conditionals with constant conditions."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import control_flow, graph
from frozen_graphs.errors import UnsafeGraphError
from tests import testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}


def _dropout(x, condition):
  """Returns what Keras' dropout is: noise in training, else nothing."""
  return tf.cond(
    condition, lambda: x * tf.random.uniform(tf.shape(x)), lambda: tf.tanh(x)
  )


def _freeze(function, is_v2):
  with tf.Graph().as_default() as built:
    switch = tf.compat.v1.enable_control_flow_v2
    if not is_v2:
      switch = tf.compat.v1.disable_control_flow_v2
    switch()
    try:
      x = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], 'input')
      tf.identity(function(x), name='representation')
    finally:
      tf.compat.v1.enable_control_flow_v2()
  return built.as_graph_def()


def _default(value):
  return tf.compat.v1.placeholder_with_default(value, [], 'training')


class ConditionalsTest(parameterized.TestCase):
  @parameterized.product(
    is_v2=(False, True),
    condition=(
      lambda: _default(False),
      lambda: tf.logical_not(_default(True)),
      lambda: tf.logical_and(_default(True), tf.equal(_default(3), 4)),
      lambda: tf.cast(_default(0), tf.bool),
    ),
  )
  def test_branch_that_is_taken_is_all_that_is_left(self, is_v2, condition):
    graph_def = _freeze(lambda x: 2 * _dropout(x, condition()), is_v2)
    found = {node.op for node in graph_def.node}
    self.assertContainsSubset({'If'} if is_v2 else {'Switch', 'Merge'}, found)
    images = testing.images(2, 8)
    with Explainer(graph_def, **TENSORS) as explainer:
      result = explainer.explain(images, inverse=False)
      self.assertEqual(explainer.summary.ruled, {'Tanh': 1})
    x = images.astype(np.float32) / 255
    np.testing.assert_allclose(result.representation, 2 * np.tanh(x), 1e-5)
    np.testing.assert_allclose(
      result.maps['elrp'], x * 2 * np.tanh(x) / (x + 1e-4) / x[0].size, 1e-4
    )

  @parameterized.parameters(False, True)
  def test_conditionals_may_be_nested(self, is_v2):
    def encoder(x):
      inner = lambda: _dropout(x, _default(False))  # noqa: E731
      return tf.cond(_default(True), inner, lambda: 3 * x)

    graph_def = _freeze(encoder, is_v2)
    nodes = graph.extract(graph_def, 'input', 'representation').nodes
    self.assertEqual([n.op for n in nodes.values()], ['Placeholder', 'Tanh'])

  def test_branch_that_is_a_constant_is_dead_by_its_control_input(self):
    for value in (False, True):
      graph_def = _freeze(
        lambda x, value=value: (
          x * tf.cond(_default(value), lambda: 2.0, lambda: 5.0)
        ),
        is_v2=False,
      )
      nodes = graph.extract(graph_def, 'input', 'representation').nodes
      (constant,) = [n for n in nodes.values() if n.op == 'Const']
      self.assertEqual(
        tf.make_ndarray(constant.attr['value'].tensor), 2.0 if value else 5.0
      )

  @parameterized.parameters((False, 'Merge'), (True, 'If'))
  def test_condition_on_the_images_is_refused_by_name(self, is_v2, op_type):
    graph_def = _freeze(
      lambda x: _dropout(x, tf.reduce_sum(x) > 0), is_v2=is_v2
    )
    with self.assertRaisesRegex(UnsafeGraphError, op_type):
      graph.extract(graph_def, 'input', 'representation')

  @parameterized.parameters(False, True)
  def test_loops_are_refused_with_the_way_out(self, is_v2):
    def encoder(x):
      return tf.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), (0, x)
      )[1]

    graph_def = _freeze(encoder, is_v2)
    with self.assertRaisesRegex(UnsafeGraphError, 'a loop.*behind it'):
      graph.extract(graph_def, 'input', 'representation')

  def test_graph_without_conditionals_is_as_it_was(self):
    graph_def = testing.tiny_graph_def()
    self.assertEqual(control_flow.fold(graph_def).node, graph_def.node)

  def test_condition_that_forks_at_every_step_is_known_at_once(self):
    def encoder(x):
      condition = _default(True)
      for _ in range(60):
        condition = tf.logical_and(condition, condition)
      return tf.cond(condition, lambda: tf.tanh(x), lambda: tf.exp(x))

    graph_def = _freeze(encoder, is_v2=True)
    nodes = graph.extract(graph_def, 'input', 'representation').nodes
    self.assertEqual([n.op for n in nodes.values()], ['Placeholder', 'Tanh'])


if __name__ == '__main__':
  absltest.main()
