"""Tests of the tables against TensorFlow."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs import operations


class ElementwiseTest(parameterized.TestCase):
  @parameterized.parameters(*operations.ELEMENTWISE)
  def test_numpy_function_is_what_tensorflow_computes(self, op_type):
    z = np.linspace(-3, 3, 13)
    op = getattr(tf.raw_ops, op_type)
    names = [n for n in op.__signature__.parameters if n != 'name']
    operands = [z, z[::-1] + 0.25, np.ones_like(z)][: len(names)]
    if op_type in ('Select', 'SelectV2'):
      operands = [z > 0, z, -z]
    elif op_type == 'ClipByValue':
      operands = [z, np.float64(-1), np.float64(1)]
    expected = op(**dict(zip(names, operands, strict=True))).numpy()
    with np.errstate(all='ignore'):
      actual = operations.ELEMENTWISE[op_type](*operands)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-12)


class TablesTest(absltest.TestCase):
  def test_an_operation_is_in_one_class(self):
    classes = (
      operations.LINEAR,
      operations.BILINEAR,
      operations.LINEAR_IN_FIRST,
      operations.LINEAR_IN,
      operations.WINNER_TAKES_ALL,
      operations.STATIC,
      operations.PASS_THROUGH,
    )
    self.assertLen(frozenset().union(*classes), sum(map(len, classes)))


if __name__ == '__main__':
  absltest.main()
