"""Tests that a sample of random TensorFlow Lite files compares as it should."""

import pathlib
from unittest import mock

from absl.testing import absltest
import pytest

pytest.importorskip('tflite', reason='needs the extra tflite')

from tests import format_testing  # noqa: E402
from tests.fuzzing import differential, tflite_differential


class TfliteDifferentialTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_random_networks_give_what_the_interpreter_gives(self):
    counts, others = differential.sample(
      tflite_differential.compare, 12, self.folder
    )
    self.assertEmpty(others)
    self.assertGreater(counts['same'], 5, counts)

  def test_another_result_is_found(self):
    run = format_testing.run

    def wrong(*arguments):
      value, gradient = run(*arguments)
      return value + 0.01, gradient

    with mock.patch.object(format_testing, 'run', wrong):
      kind, _ = tflite_differential.compare(0, 0, self.folder)
    self.assertEqual(kind, 'OTHER')


if __name__ == '__main__':
  absltest.main()
