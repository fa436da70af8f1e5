"""Tests that TensorFlow starts without a word, and nothing else is lost."""

import os
import pathlib
import subprocess
import sys

from absl.testing import absltest
import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_IMPORT = """
import toolkit_basics.cli
import sys
import tensorflow as tf
tf.config.list_physical_devices()
print(tf.constant(2) + 1)
print('said by the program', file=sys.stderr)
"""
# Python's and the C library's way to stderr.
_BLOCK = """
import os, sys
from toolkit_basics import quiet
try:
  with quiet.silent_stderr():
    print('one', file=sys.stderr)
    os.write(2, b'two ')
    {}
except ValueError:
  pass
os.write(2, b'three ')
print('four', file=sys.stderr)
"""


def _stderr(code: str, **environment: str) -> str:
  variables = {**os.environ, **environment}
  if not environment:
    variables.pop('TF_CPP_MIN_LOG_LEVEL', None)
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=_ROOT,
    env=variables,
    check=True,
    capture_output=True,
    text=True,
  ).stderr


class QuietTest(absltest.TestCase):
  def test_tensorflow_starts_without_a_word(self):
    self.assertEqual(_stderr(_IMPORT), 'said by the program\n')

  @pytest.mark.slow
  def test_who_asks_for_the_messages_gets_them(self):
    with_messages = _stderr(_IMPORT, TF_CPP_MIN_LOG_LEVEL='0')
    self.assertGreater(len(with_messages.splitlines()), 1)

  @pytest.mark.slow
  def test_who_asks_for_errors_gets_only_those(self):
    *errors, last = _stderr(_IMPORT, TF_CPP_MIN_LOG_LEVEL='2').splitlines()
    self.assertEqual(last, 'said by the program')
    for line in errors:  # As that there is no GPU.
      self.assertStartsWith(line, 'E')

  def test_only_the_block_is_silent(self):
    self.assertEqual(_stderr(_BLOCK.format('pass')), 'three four\n')

  def test_what_led_to_an_error_is_shown(self):
    stderr = _stderr(_BLOCK.format('raise ValueError'))
    self.assertEqual(stderr.split(), ['one', 'two', 'three', 'four'])


if __name__ == '__main__':
  absltest.main()
