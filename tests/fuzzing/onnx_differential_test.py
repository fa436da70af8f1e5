"""Tests that a sample of random ONNX networks compares as it should."""

import pathlib
from unittest import mock

from absl.testing import absltest
import pytest

pytest.importorskip('onnx', reason='needs the extra onnx')
pytest.importorskip('onnxruntime', reason='needs the extra test')

from tests.fuzzing import differential, onnx_differential  # noqa: E402


class OnnxDifferentialTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_random_networks_give_what_the_runtime_gives(self):
    counts, others = differential.sample(
      onnx_differential.compare, 30, self.folder
    )
    self.assertEmpty(others)
    self.assertGreater(counts['same'], 10, counts)

  def test_another_result_is_found(self):
    runtime = onnx_differential._runtime

    def wrong(model, x):
      return runtime(model, x) + 0.01

    with mock.patch.object(onnx_differential, '_runtime', wrong):
      kinds = {
        onnx_differential.compare(0, number, self.folder)[0]
        for number in range(5)
      }
    self.assertIn('OTHER', kinds)

  def test_number_makes_the_same_network_again(self):
    first, second = (onnx_differential.network(0, 3).model() for _ in range(2))
    self.assertEqual(first, second)


if __name__ == '__main__':
  absltest.main()
