"""Tests of where a composite activation begins and ends."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from attribution import composites
from frozen_graphs import graph, tensors
from tests import testing


def find(function, named=None):
  """Returns the composites of a function of `input`, and their op types."""
  subgraph = graph.extract(
    testing.freeze(function), 'input:0', 'representation:0'
  )
  depends = {'input'}
  carriers = {}
  for name, node in subgraph.nodes.items():
    inputs = tuple(t for t in tensors.data_inputs(node) if t[0] in depends)
    if inputs:
      carriers[name] = inputs
      depends.add(name)
  found = composites.find(
    subgraph.nodes, carriers, {'Sigmoid', 'Relu', 'Relu6', 'Tanh'}, named or {}
  )
  return found, [sorted(subgraph.nodes[n].op for n in c.nodes) for c in found]


class CompositesTest(absltest.TestCase):
  def test_entry_is_the_nearest_common_tensor(self):
    def encoder(x):
      z = tf.nn.bias_add(2 * x, tf.constant([1.0, 2.0, 3.0]), name='z')
      return 3 * tf.multiply(z, tf.sigmoid(1.7 * z), name='end')

    (found,), types = find(encoder)
    self.assertEqual(found.entry, ('z', 0))
    self.assertEqual(found.end, 'end')
    self.assertEqual(types, [['Mul', 'Mul', 'Sigmoid']])

  def test_entry_may_be_one_of_several_outputs(self):
    def encoder(x):
      _, z = tf.split(x, [1, 2], axis=3, name='split')
      return z * tf.sigmoid(z)

    self.assertEqual(find(encoder)[0][0].entry, ('split', 1))

  def test_branches_from_different_outputs_are_no_activation(self):
    def encoder(x):
      a, b = tf.split(x, [1, 2], axis=3)
      return a * tf.sigmoid(b)

    self.assertEmpty(find(encoder)[0])

  def test_branches_that_meet_behind_a_convolution_are_no_activation(self):
    kernel = tf.ones
    self.assertEmpty(
      find(lambda x: x * tf.sigmoid(tf.nn.conv2d(x, kernel([1, 1, 3, 3]), 1,
                                                 'SAME')))[0]
    )  # fmt: skip

  def test_chains_and_sums_are_left_to_their_operations(self):
    for function in (
      lambda x: tf.tanh(tf.nn.relu(x) * 3 + 1),
      lambda x: x + tf.tanh(x),
      lambda x: x * x,
      lambda x: 1 / (1 + tf.exp(-x)),
    ):
      self.assertEmpty(find(function)[0])

  def test_a_fixed_choice_bends_nothing(self):
    mask = [True, False, True]
    self.assertEmpty(find(lambda x: tf.where(mask, 2 * x, x))[0])
    _, types = find(lambda x: tf.where(x > 0, 2 * x, x))
    self.assertEqual(types, [['Greater', 'Mul', 'SelectV2']])

  def test_product_of_an_activation_with_itself_is_not_part_of_it(self):
    def encoder(x):
      y = tf.sigmoid(x)
      return y * y

    self.assertEmpty(find(encoder)[0])

  def test_registered_function_is_found_in_another_form(self):
    named = {'logistic': lambda z: (1 + np.tanh(z / 2)) / 2}
    (found,), types = find(
      lambda x: 1 / (1 + tf.exp(-tf.nn.bias_add(x, tf.constant([1.0, 2, 3])))),
      named,
    )
    self.assertEqual(found.name, 'logistic')
    self.assertEqual(types, [['AddV2', 'Exp', 'Neg', 'RealDiv']])

  def test_a_single_activation_is_none_and_one_may_end_in_another(self):
    named = {
      'tanh': lambda z: np.tanh(z),
      'positive_part': lambda z: np.maximum(z, 0),
    }
    self.assertEmpty(find(tf.tanh, named)[0])
    (found,), types = find(lambda x: tf.nn.relu(tf.nn.relu(x)), named)
    self.assertEqual(found.name, 'positive_part')
    self.assertEqual(types, [['Relu', 'Relu']])

  def test_function_of_other_constants_is_not_found(self):
    named = {'hard_sigmoid': lambda z: np.clip(z / 6 + 0.5, 0, 1)}
    self.assertLen(find(lambda x: tf.nn.relu6(x + 3) / 6, named)[0], 1)
    self.assertEmpty(find(lambda x: tf.nn.relu6(x + 3) / 5, named)[0])
    self.assertEmpty(find(lambda x: tf.nn.relu6(x + 2) / 6, named)[0])
    self.assertEmpty(
      find(lambda x: tf.nn.relu6(x + [3.0, 3.0, 2.0]) / 6, named)[0]
    )

  def test_the_number_of_a_function_may_stand_as_its_inverse(self):
    named = {'swish': lambda z, b: z / (1 + np.exp(-b * z))}
    for encoder in (
      lambda x: x * tf.sigmoid(x * 0.25),
      lambda x: x * tf.sigmoid(x / 4),
      lambda x: x * tf.sigmoid(x),
    ):
      (found,), _ = find(encoder, named)
      self.assertEqual(found.name, 'swish')
    (found,), _ = find(lambda x: x * tf.sigmoid(x + 1), named)
    self.assertNotEqual(found.name, 'swish')

  def test_registered_functions_are_computed_once_for_all_nodes(self):
    calls = []

    def logistic(z):
      calls.append(z)
      return (1 + np.tanh(z / 2)) / 2

    def encoder(x):
      for _ in range(30):
        x = 1 / (1 + tf.exp(-tf.reverse(x, [1])))
      return x

    found, _ = find(encoder, {'logistic': logistic})
    self.assertLen(found, 30)
    self.assertLen(calls, 1)

  def test_composites_share_no_node(self):
    def encoder(x):
      for _ in range(4):
        x = x * tf.sigmoid(x)
      return x * tf.nn.relu6(x + 3) / 6

    found, _ = find(encoder)
    self.assertLen(found, 5)
    self.assertLen(
      frozenset().union(*(c.nodes for c in found)),
      sum(len(c.nodes) for c in found),
    )


if __name__ == '__main__':
  absltest.main()
