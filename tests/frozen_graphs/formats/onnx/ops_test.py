"""Tests of every ONNX operation against the evaluator of the package `onnx`."""

import tempfile

from absl.testing import absltest, parameterized
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='needs the extra onnx')

from onnx import helper  # noqa: E402

from frozen_graphs.formats.onnx import model as onnx_model  # noqa: E402
from frozen_graphs.formats.onnx import registry as onnx_registry  # noqa: E402
from tests import onnx_cases, onnx_testing  # noqa: E402

# Depends on the shape only: there is nothing to run.
_KNOWN_AT_ONCE = ('Shape', 'Size')


class OnnxOpsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls._folder = folder.name

  def test_every_operation_has_a_case(self):
    self.assertEqual(
      set(onnx_registry.ops()), {case.op for case in onnx_cases.CASES}
    )

  @parameterized.named_parameters(*onnx_cases.parameters())
  def test_result_is_that_of_the_reference(self, case, opset, layout):
    names = [
      f'{kind}{i}' if kind else '' for i, (kind, _) in enumerate(case.operands)
    ]
    arrays = {
      name: array
      for name, (_, array) in zip(names, case.operands, strict=True)
      if name
    }
    outputs = [f'y{i}' for i in range(case.results)]
    node = helper.make_node(case.op, names, outputs, **case.attributes)
    expected = _expected(case, node, arrays, opset)
    feeds = {n: a for n, a in arrays.items() if n.startswith('x')}
    if feeds and case.op not in _KNOWN_AT_ONCE:
      with self.subTest('computed by the graph'):
        self._check_fed(node, arrays, feeds, expected, opset, layout)
    if layout == 'channels_last' or not feeds:
      with self.subTest('computed of constants'):
        self._check_constant(node, arrays, expected, opset)

  def _check_fed(self, node, arrays, feeds, expected, opset, layout):
    """Checks a node on inputs."""
    model = onnx_testing.model(
      [node],
      {name: array.shape for name, array in feeds.items()},
      node.output,
      {n: a for n, a in arrays.items() if n not in feeds},
      opset,
      {name: array.dtype for name, array in feeds.items()},
    )
    path = onnx_testing.save(model, self._folder)
    network = onnx_model.load(path, layout=layout)
    is_first = layout == 'channels_first'
    fed = {
      f'{name}:0': a.transpose(0, 2, 3, 1) if is_first and a.ndim == 4 else a
      for name, a in feeds.items()
    }
    _assert_same(onnx_testing.run(network, fed), expected)

  def _check_constant(self, node, arrays, expected, opset):
    """Checks a node on constants; a sum makes a network of it."""
    nodes, sums = [node], []
    for name in node.output:
      number, total = f'{name}_number', f'{name}_sum'
      nodes += [
        helper.make_node('Cast', [name], [number], to=onnx.TensorProto.FLOAT),
        helper.make_node('Add', [number, 'zero'], [total]),
      ]
      sums.append(total)
    model = onnx_testing.model(nodes, {'zero': [1]}, sums, arrays, opset)
    path = onnx_testing.save(model, self._folder)
    results = onnx_testing.run(
      onnx_model.load(path), {'zero:0': np.zeros(1, np.float32)}
    )
    _assert_same(
      results,
      [e.reshape(e.shape or (1,)).astype(np.float32) for e in expected],
    )


def _expected(case, node, arrays, opset):
  if case.oracle is not None:
    return [case.oracle(*(array for _, array in case.operands))]
  model = onnx_testing.model(
    [node],
    {name: array.shape for name, array in arrays.items()},
    node.output,
    opset=opset,
    types={name: array.dtype for name, array in arrays.items()},
  )
  return onnx_testing.reference(model, arrays)


def _assert_same(actual, expected):
  for a, e in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, e, rtol=2e-4, atol=2e-5)
    assert a.shape == e.shape, (a.shape, e.shape)


if __name__ == '__main__':
  absltest.main()
