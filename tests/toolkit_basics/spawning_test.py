"""Tests of work in new processes, and of what ends it early."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

from absl.testing import absltest, parameterized

from tests import command_testing
from toolkit_basics import spawning

_COMMAND = textwrap.dedent("""
  import os, signal, time
  # Ignored by what a shell started behind its back (`&`), and so by its tests.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  import toolkit_basics.cli as cli
  from toolkit_basics import spawning

  if __name__ != '__main__':  # A new process, while it imports.
    os.write(1, b'import\\n')
    time.sleep(1)

  def work(number):
    os.write(1, b'work\\n')
    time.sleep(600)

  def main():
    with spawning.calls(work, [(i,) for i in range(9)], 2) as results:
      list(results)

  if __name__ == '__main__':
    cli.run(main, cli.Flags())
""")


def _double(number):
  return 2 * number


def _fail(number):
  if number == 3:
    raise ValueError(f'{number} is wrong')
  time.sleep(600)


def _set():
  os.environ['BEGUN'] = 'yes'


def _begun():
  return os.environ.get('BEGUN'), os.getpid() != os.getppid()


class CallsTest(parameterized.TestCase):
  def test_every_call_returns(self):
    with spawning.calls(_double, [(i,) for i in range(5)], 2) as results:
      self.assertCountEqual(results, [0, 2, 4, 6, 8])

  def test_processes_begin_as_they_are_told(self):
    with spawning.calls(_begun, [()], 1, _set) as results:
      self.assertEqual(list(results), [('yes', True)])
    self.assertNotIn('BEGUN', os.environ)

  def test_an_error_ends_the_others(self):
    started = time.monotonic()
    with self.assertRaisesRegex(ValueError, '3 is wrong'):
      with spawning.calls(_fail, [(1,), (3,), (5,)], 2) as results:
        list(results)
    self.assertLess(time.monotonic() - started, 60)

  @parameterized.product(
    number=(signal.SIGINT, signal.SIGTERM, signal.SIGKILL),
    after=('import', 'work'),
  )
  def test_nobody_is_left_and_an_interrupt_is_one_line(self, number, after):
    path = pathlib.Path(self.create_tempdir().full_path, 'command.py')
    path.write_text(_COMMAND)
    with subprocess.Popen(
      [sys.executable, str(path)],
      env={**os.environ, 'PYTHONPATH': str(command_testing.ROOT)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    ) as process:
      while process.stdout.readline() != f'{after}\n':
        self.assertIsNone(process.poll())
      if number == signal.SIGINT:  # As from a terminal: to all.
        os.killpg(process.pid, number)
      else:
        process.send_signal(number)
      # The pipe is closed once nobody is left who could write to it.
      process.stdout.read()
      said = process.stderr.read()
    if number == signal.SIGKILL:  # Python tells of semaphores that are left.
      self.assertEqual(process.returncode, -number)
    else:
      word = {signal.SIGINT: 'Interrupted', signal.SIGTERM: 'Ended'}[number]
      self.assertEqual(said, f'{word}.\n')
      self.assertEqual(process.returncode, 128 + number)


if __name__ == '__main__':
  absltest.main()
