"""Tests of the first seconds of a command."""

import os
import pathlib
import signal
import subprocess
import sys

from absl.testing import absltest, parameterized

from tests import command_testing

_SLOW_IMPORT = """
import sys, time
print('importing', flush=True)
print('noise', file=sys.stderr)
time.sleep(60)
"""
_SCRIPT = 'from attribution_transfer.command_line import main\nmain()'
_OPENING = """
import os, sys
from toolkit_basics import startup
startup.begin()
for stream in (sys.stdin, sys.stdout, sys.stderr):
  assert stream.fileno() < 3
sys.stdout.flush()
with open(os.devnull) as file:
  sys.exit(file.fileno() < 3)
"""
# Prints the help of all commands, as if each had been asked alone.
_ALL_HELP = """
import contextlib, importlib, io, sys
from toolkit_basics import startup
startup.leave_out_libraries()
from toolkit_basics import cli
for name in sys.argv[1:]:
  command = importlib.import_module(name)
  cli.run(command.main, command.FLAGS, ['--help'])
for library in ('tensorflow', 'scipy', 'matplotlib'):
  assert not hasattr(sys.modules.get(library), '__version__'), library
"""


def _hear_interrupts():
  """In a process that is to be: tests in the background may ignore them."""
  signal.signal(signal.SIGINT, signal.SIG_DFL)


class StreamsTest(parameterized.TestCase):
  @parameterized.parameters(0, 1, 2)
  def test_stream_that_is_closed_is_no_file_that_is_opened_later(self, number):
    found = subprocess.run(
      [sys.executable, '-c', _OPENING, str(number)],
      preexec_fn=lambda: os.close(number),
      check=False,
    )
    self.assertEqual(found.returncode, 0)

  def test_command_without_an_output_ends_as_others_do(self):
    found = subprocess.run(
      [sys.executable, '-c', _SCRIPT, 'rank', '--help'],
      preexec_fn=lambda: os.close(1),
      stderr=subprocess.PIPE,
      check=False,
    )
    self.assertEqual((found.returncode, found.stderr), (0, b''))


class InterruptTest(parameterized.TestCase):
  @parameterized.parameters(
    ['-m', 'experiments.run_taskonomy'],
    ['-m', 'taskonomy_models.inspect', 'x.onnx'],
    ['-c', _SCRIPT, 'zoo', '--bank=x'],
  )
  def test_it_is_one_line_while_tensorflow_is_imported(self, *arguments):
    folder = pathlib.Path(self.create_tempdir().full_path, 'tensorflow')
    folder.mkdir()
    (folder / '__init__.py').write_text(_SLOW_IMPORT)
    process = subprocess.Popen(
      [sys.executable, *arguments],
      cwd=command_testing.ROOT,
      env={**os.environ, 'PYTHONPATH': str(folder.parent)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      preexec_fn=_hear_interrupts,
    )
    self.addCleanup(process.kill)
    self.assertEqual(process.stdout.readline(), 'importing\n')
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    self.assertEqual((out, err), ('', 'Interrupted.\n'))
    self.assertEqual(process.returncode, 130)

  def test_importing_a_command_changes_nothing_for_the_process(self):
    code = (
      'import signal, experiments.remove_model, sys\n'
      'assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n'
      'assert "_Stand" not in repr(sys.meta_path)'
    )
    subprocess.run(
      [sys.executable, '-c', code, '--help'],
      cwd=command_testing.ROOT,
      check=True,
      preexec_fn=_hear_interrupts,
    )


class HelpTest(absltest.TestCase):
  def test_without_libraries_it_is_what_it_is_with_them(self):
    names = command_testing.names()
    with_it = [command_testing.run(name, ['--help'])[0][1] for name in names]
    without = subprocess.run(
      [sys.executable, '-c', _ALL_HELP, *names],
      cwd=command_testing.ROOT,
      check=True,
      capture_output=True,
      text=True,
    )
    self.assertEqual(without.stdout, ''.join(with_it))
    self.assertEmpty(without.stderr)


if __name__ == '__main__':
  absltest.main()
