"""Tests that random files give what the TensorFlow Lite interpreter gives."""

import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import pytest

pytest.importorskip('tflite', reason='needs the extra tflite')

from tests import format_testing  # noqa: E402
from tests.fuzzing import (
  differential,
  keras_differential,
  tflite_differential,
)


class InterpreterDifferentialTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  @parameterized.parameters(
    (keras_differential.compare, 8, 3), (tflite_differential.compare, 12, 5)
  )
  def test_random_networks_give_what_the_interpreter_gives(
    self, compare, count, fewest
  ):
    counts, others = differential.sample(compare, count, self.folder)
    self.assertEmpty(others)
    self.assertGreater(counts['same'], fewest, counts)

  @parameterized.parameters(
    keras_differential.compare, tflite_differential.compare
  )
  def test_another_result_is_found(self, compare):
    run = format_testing.run

    def wrong(*arguments):
      value, gradient = run(*arguments)
      return value + 0.01, gradient

    with mock.patch.object(format_testing, 'run', wrong):
      kind, _ = compare(0, 0, self.folder)
    self.assertEqual(kind, 'OTHER')


if __name__ == '__main__':
  absltest.main()
