"""Tests that TensorFlow starts without a word, and nothing else is lost."""

import os
import pathlib
import subprocess
import sys

from absl.testing import absltest, parameterized
import pytest

from toolkit_basics import quiet

_ROOT = pathlib.Path(__file__).parents[2]
_IMPORT = """
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
  for name in ('TF_CPP_MIN_LOG_LEVEL', quiet.ESCAPE):
    if name not in environment:
      variables.pop(name, None)
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=_ROOT,
    env=variables,
    check=True,
    capture_output=True,
    text=True,
  ).stderr


class QuietTestCase(parameterized.TestCase):
  def check_silence(self, level, *modules):
    environment = {'TF_CPP_MIN_LOG_LEVEL': level} if level else {}
    code = f'import {", ".join(modules)}\n{_IMPORT}'
    self.assertEqual(_stderr(code, **environment), 'said by the program\n')


class QuietTest(QuietTestCase):
  # Levels, and what is imported before TensorFlow.
  @parameterized.parameters(
    ('0', 'attribution_transfer', 'taskonomy_models'),
    (None, 'frozen_graphs.graph'),
  )
  def test_tensorflow_starts_without_a_word(self, level, *modules):
    self.check_silence(level, *modules)

  def test_opencv_says_nothing_of_a_damaged_image(self):
    code = (
      'import probe_data.images, toolkit_basics.startup as s; s.begin()\n'
      'import cv2, numpy as np\n'
      "assert cv2.imdecode(np.frombuffer(b'P6 9 9 255 ', 'u1'), 1) is None\n"
    )
    self.assertEqual(_stderr(code), '')

  @pytest.mark.slow
  def test_who_asks_for_the_messages_gets_them(self):
    code = f'import attribution_transfer\n{_IMPORT}'
    with_messages = _stderr(code, **{quiet.ESCAPE: '1'})
    self.assertGreater(len(with_messages.splitlines()), 1)

  def test_only_the_block_is_silent(self):
    self.assertEqual(_stderr(_BLOCK.format('pass')), 'three four\n')

  def test_what_led_to_an_error_is_shown(self):
    stderr = _stderr(_BLOCK.format('raise ValueError'))
    self.assertEqual(stderr.split(), ['one', 'two', 'three', 'four'])

  def test_what_led_to_an_interrupt_is_not_shown(self):
    block = _BLOCK.replace('ValueError', 'KeyboardInterrupt')
    stderr = _stderr(block.format('raise KeyboardInterrupt'))
    self.assertEqual(stderr.split(), ['three', 'four'])

  def test_something_can_be_said_in_the_block(self):
    stderr = _stderr(_BLOCK.format('quiet.say("zero ")'))
    self.assertEqual(stderr.split(), ['zero', 'three', 'four'])


@pytest.mark.slow
class AnyLevelTest(QuietTestCase):
  # Besides those of the fast test.
  @parameterized.parameters(
    ('1', 'attribution'),
    ('2', 'taskonomy_models', 'attribution_transfer'),
    ('2', 'transferability', 'probe_data', 'experiments'),
    ('3', 'toolkit_basics.cli', 'frozen_graphs'),
  )
  def test_it_does_so_after_any_package_whatever_the_level(
    self, level, *modules
  ):
    self.check_silence(level, *modules)


if __name__ == '__main__':
  absltest.main()
