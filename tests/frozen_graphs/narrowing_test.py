"""Tests that networks may multiply in half precision, and nothing else."""

from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import graph, narrowing
from frozen_graphs.passes import Passes
from tests import testing

_RNG = np.random.default_rng(0)
# f(z) / z of a sigmoid is infinite at 0; Grad-CAM of tanh may be zero.
_METHODS = {'gradient': 'tanh', 'elrp': 'tanh', 'grad_cam': 'sigmoid'}
# Half of the distance between 1 and the next number.
_ROUNDING = {'bfloat16': 2**-8, 'float16': 2**-11}
_HALVES = tuple(_ROUNDING)


def _rounded(values, precision):
  kind = tf.as_dtype(precision).as_numpy_dtype
  return np.asarray(values, np.float32).astype(kind).astype(np.float64)


def _subgraph(function, size=4):
  return graph.extract(
    testing.freeze(function, size), 'input:0', 'representation:0'
  )


def _weights(*shape):
  return tf.constant(_RNG.normal(size=shape), tf.float32)


def _attending(x):
  x = tf.nn.conv2d(x, _weights(1, 1, 3, 4), 1, 'SAME')
  x = tf.reshape(x, [-1, 16, 4])
  keys = tf.einsum('nid,de->nie', x, _weights(4, 4))
  return tf.nn.softmax(tf.matmul(x, keys, transpose_b=True)) @ x


class NarrowingTest(parameterized.TestCase):
  @parameterized.parameters(*_HALVES)
  def test_operands_of_a_product_are_rounded_and_sums_are_not(self, precision):
    weights = _RNG.normal(size=(48, 5)).astype(np.float32)
    inputs = _RNG.normal(size=(3, 4, 4, 3)).astype(np.float32)
    subgraph = _subgraph(lambda x: tf.reshape(x, [-1, 48]) @ weights + 1000.0)
    with Passes(subgraph, precision=precision) as passes:
      found = passes.run(inputs).representation
    exact = _rounded(inputs.reshape(3, 48), precision) @ _rounded(
      weights, precision
    )
    # The product is rounded once more; the sum would be, by several units.
    wrong = np.abs(found - 1000 - exact)
    self.assertEqual(found.dtype, np.float32)
    self.assertLess(
      np.max(wrong / np.maximum(np.abs(exact), 1)), 1.5 * _ROUNDING[precision]
    )
    self.assertGreater(wrong.max(), 0)

  @parameterized.parameters(*_HALVES)
  def test_all_kinds_of_products_are_computed_in_half_precision(
    self, precision
  ):
    subgraph = _subgraph(_attending)
    found = narrowing.narrow(subgraph, precision).nodes
    kind = tf.as_dtype(precision).as_datatype_enum
    products = {
      node.op: node.attr['T'].type
      for node in found.values()
      if node.op in ('Conv2D', 'Einsum', 'BatchMatMulV2')
    }
    self.assertEqual(
      products, dict.fromkeys(('Conv2D', 'Einsum', 'BatchMatMulV2'), kind)
    )
    self.assertEqual(found['Softmax'].attr['T'].type, tf.float32)
    inputs = _RNG.normal(size=(2, 4, 4, 3)).astype(np.float32)
    with Passes(subgraph, rules=[None]) as single:
      expected = single.run(inputs)
    with Passes(subgraph, rules=[None], precision=precision) as half:
      actual = half.run(inputs)
    for a, b in (
      (actual.representation, expected.representation),
      (actual.gradients[None], expected.gradients[None]),
    ):
      difference = np.linalg.norm(a - b) / np.linalg.norm(b)
      self.assertLess(difference, 16 * _ROUNDING[precision])
      self.assertGreater(difference, 0)

  def test_weights_are_rounded_once_with_what_is_folded_into_them(self):
    weights = _RNG.normal(size=(3, 5)).astype(np.float32)
    scale = np.float32(1 + 2**-10)  # Lost if both are rounded first.
    inputs = _RNG.normal(size=(4, 1, 1, 3)).astype(np.float32)
    subgraph = _subgraph(
      lambda x: tf.reshape(x, [-1, 3]) @ weights * scale * 1.5, 1
    )
    with Passes(subgraph, precision='bfloat16') as passes:
      found = passes.run(inputs).representation
    kernel = _rounded(weights * (scale * np.float32(1.5)), 'bfloat16')
    exact = _rounded(inputs.reshape(4, 3), 'bfloat16') @ kernel
    expected = _rounded(exact, 'bfloat16')
    np.testing.assert_allclose(found, expected, atol=1e-6)

  def test_single_precision_changes_nothing(self):
    subgraph = _subgraph(_attending)
    self.assertIs(narrowing.narrow(subgraph, 'float32'), subgraph)

  def test_double_precision_stays(self):
    subgraph = _subgraph(
      lambda x: tf.cast(
        tf.reshape(tf.cast(x, tf.float64), [-1, 48])
        @ tf.ones([48, 2], tf.float64),
        tf.float32,
      )
    )
    found = narrowing.narrow(subgraph, 'bfloat16').nodes
    self.assertEqual(found.keys(), subgraph.nodes.keys())

  def test_unknown_precision_is_an_error_that_lists_the_known_ones(self):
    with self.assertRaisesRegex(ValueError, "'int8'.*float32, bfloat16"):
      narrowing.narrow(_subgraph(_attending), 'int8')

  @parameterized.product(precision=_HALVES, method=tuple(_METHODS))
  def test_maps_are_near_those_of_single_precision(self, precision, method):
    images, maps = testing.images(4), {}
    for each in ('float32', precision):
      with Explainer(
        testing.tiny_graph_def(_METHODS[method]),
        representation_tensor='representation:0',
        methods=[method],
        precision=each,
      ) as explainer:
        maps[each] = explainer.explain(images).maps[method].reshape(4, -1)
    single, half = maps['float32'], maps[precision]
    cosine = (single * half).sum(1) / np.linalg.norm(single, axis=1)
    self.assertGreater(np.min(cosine / np.linalg.norm(half, axis=1)), 0.999)
    self.assertFalse(np.array_equal(single, half))

  def test_gradients_of_means_over_many_units_are_not_lost_in_float16(self):
    weights = np.full((3, 2**19), 1e-3, np.float32)
    subgraph = _subgraph(lambda x: tf.reshape(x, [-1, 3]) @ weights, 1)
    inputs = np.ones((1, 1, 1, 3), np.float32)
    with Passes(subgraph, rules=[None], precision='float16') as passes:
      (found,) = passes.run(inputs).gradients.values()
    np.testing.assert_allclose(found, np.full_like(found, 1e-3), rtol=1e-2)

  def test_how_images_are_batched_is_found_out_in_single_precision(self):
    kernel = _RNG.normal(size=(3, 3, 3, 8)).astype(np.float32)
    graph_def = testing.freeze(
      lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, 1, 'SAME')), 8, batch=1
    )
    subgraph = graph.extract(graph_def, 'input:0', 'representation:0')
    with (
      mock.patch.object(narrowing, 'narrow', wraps=narrowing.narrow) as narrow,
      Passes(subgraph, batch_size=4, precision='bfloat16') as passes,
    ):
      self.assertEqual(passes.batching, 'rebatched')
      found = passes.run(np.ones((3, 8, 8, 3), np.float32))
    self.assertEqual(len(found.representation), 3)
    narrow.assert_called_once()


if __name__ == '__main__':
  absltest.main()
