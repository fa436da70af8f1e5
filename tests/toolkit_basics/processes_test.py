"""Tests of work that copies of this process share."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import textwrap
import threading
from unittest import mock

from absl.testing import absltest, parameterized

from toolkit_basics import processes


def _in_new_process(code: str) -> str:
  """Returns what a fresh process prints, which can be copied."""
  code = textwrap.dedent(code)
  result = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, timeout=60
  )
  return result.stdout + result.stderr


class ProcessesTest(parameterized.TestCase):
  @parameterized.parameters(1, 3)
  def test_results_come_in_order_with_all_steps_told(self, workers):
    told = _in_new_process(f"""
      import os
      from toolkit_basics import processes

      def task(item):
        processes.advance()
        processes.advance()
        return item.upper(), os.getpid() == parent

      parent, steps = os.getpid(), []
      found = list(processes.results(task, 'abcde', {workers}, steps.append))
      print(''.join(letter for letter, _ in found), sum(steps))
      print(any(is_here for _, is_here in found))
    """)
    self.assertEqual(told, f'ABCDE 10\n{workers == 1}\n')

  def test_threads_give_results_in_order_with_all_steps_told(self):
    both, steps = threading.Barrier(2, timeout=30), []

    def task(item):
      both.wait()  # Two at a time, or never.
      processes.advance()
      return item.upper()

    found = list(processes.in_threads(task, 'abcd', 2, steps.append))
    self.assertEqual((found, steps), (list('ABCD'), [1, 1, 1, 1]))

  def test_an_error_in_a_thread_is_raised_in_its_place(self):
    found = processes.in_threads(lambda item: 1 // item, [1, 0, 1], 2)
    self.assertEqual(next(found), 1)
    with self.assertRaises(ZeroDivisionError):
      next(found)

  def test_copies_use_opencv_after_its_threads_have_run_here(self):
    told = _in_new_process("""
      import cv2, numpy as np
      from toolkit_basics import processes

      cv2.setNumThreads(4)
      picture = np.zeros([2000, 2000, 3], np.float32)

      def task(size):
        cv2.GaussianBlur(cv2.resize(picture, (size, size)), (9, 9), 2)
        return cv2.getNumThreads()

      task(1000)
      print(list(processes.results(task, [500, 600, 700], 2)))
      print(cv2.getNumThreads())
    """)
    self.assertEqual(told, '[1, 1, 1]\n4\n')

  def test_an_error_comes_where_its_result_would_have(self):
    told = _in_new_process("""
      from toolkit_basics import processes
      found = processes.results(lambda n: 6 // n, [3, 2, 0, 1], 2)
      print(next(found), next(found))
      try:
        next(found)
      except ZeroDivisionError:
        print('division')
    """)
    self.assertEqual(told, '2 3\ndivision\n')

  def test_a_copy_that_is_killed_is_an_error(self):
    told = _in_new_process("""
      import concurrent.futures.process, os
      from toolkit_basics import processes
      try:
        list(processes.results(lambda n: os.kill(os.getpid(), 9), [1, 2], 2))
      except concurrent.futures.process.BrokenProcessPool:
        print('broken')
    """)
    self.assertEqual(told, 'broken\n')

  def test_copies_end_with_the_process_that_they_work_for(self):
    code = """
      import os, sys, time
      from toolkit_basics import processes

      def task(number):
        os.write(1, b'%d\\n' % os.getpid())
        time.sleep(600)

      list(processes.results(task, [1, 2], 2))
    """
    with subprocess.Popen(
      [sys.executable, '-c', textwrap.dedent(code)],
      stdout=subprocess.PIPE,
      text=True,
    ) as process:
      for _ in range(2):
        self.assertGreater(int(process.stdout.readline()), 0)
      process.send_signal(signal.SIGKILL)
      # The pipe is closed once nobody is left who could write to it.
      self.assertEqual(process.stdout.read(), '')

  @parameterized.parameters(signal.SIGINT, signal.SIGTERM)
  def test_a_command_that_is_told_to_end_does_not_wait_for_copies(self, number):
    code = """
      import os, signal, time
      signal.signal(signal.SIGINT, signal.default_int_handler)
      import toolkit_basics.cli as cli
      from toolkit_basics import processes

      def task(number):
        os.write(1, b'%d\\n' % os.getpid())
        time.sleep(600)

      cli.run(lambda: list(processes.results(task, [1, 2], 2)), cli.Flags())
    """
    with subprocess.Popen(
      [sys.executable, '-c', textwrap.dedent(code)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    ) as process:
      for _ in range(2):
        self.assertGreater(int(process.stdout.readline()), 0)
      process.send_signal(number)  # To it alone.
      self.assertEqual(process.stdout.read(), '')
      self.assertRegex(process.stderr.read(), r'^(Interrupted|Ended)\.\n$')
    self.assertEqual(process.returncode, 128 + number)

  def test_a_copy_ends_when_it_is_told_to(self):
    told = _in_new_process("""
      import os, signal
      import toolkit_basics.cli as cli
      from toolkit_basics import processes

      def task(number):
        os.kill(os.getpid(), signal.SIGTERM)

      cli.run(lambda: list(processes.results(task, [1, 2], 2)), cli.Flags())
    """)
    self.assertRegex(told, '^Error: A worker process was killed.*\n$')

  def test_where_nothing_can_be_copied_the_work_is_done_here(self):
    with mock.patch.object(processes, 'can_be_copied', return_value=False):
      found = list(processes.results(lambda _: os.getpid(), [1, 2], 2))
    self.assertEqual(found, [os.getpid()] * 2)

  def test_a_process_with_other_threads_is_not_copied(self):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
      self.assertFalse(pool.submit(processes.can_be_copied).result())

  @parameterized.parameters(
    ('2.18.1', True), ('2.21.0', False), ('2.22.0-dev1', False), ('', False)
  )
  def test_threads_without_names_may_be_of_an_old_tensorflow(
    self, version, expected
  ):
    told = _in_new_process(f"""
      import sys, threading, types
      from toolkit_basics import processes

      if version := {version!r}:
        module = types.SimpleNamespace(__version__=version)
        sys.modules['tensorflow'] = module
      print(processes.has_foreign_threads())
      end = threading.Event()
      threading.Thread(target=end.wait).start()
      print(processes.has_foreign_threads())
      end.set()
    """)
    self.assertEqual(told, f'False\n{expected}\n')

  def test_a_bar_on_a_terminal_is_no_thread(self):
    told = _in_new_process("""
      import io, sys
      from toolkit_basics import processes, progress

      sys.stderr = io.StringIO()
      sys.stderr.isatty = lambda: True
      for _ in progress.track(range(2), description='Working'):
        print(processes.can_be_copied())
    """)
    self.assertEqual(told, 'True\nTrue\n')

  def test_number_is_as_asked_or_as_cores_and_memory_allow(self):
    with (
      mock.patch.object(processes, 'cores', return_value=4),
      mock.patch.object(processes, 'free_bytes', return_value=100),
    ):
      self.assertEqual(processes.chosen(0, 20), 4)
      self.assertEqual(processes.chosen(0, 3), 3)
      self.assertEqual(processes.chosen(0, 20, each_bytes=20), 2)
      self.assertEqual(processes.chosen(0, 20, each_bytes=1000), 1)
      self.assertEqual(processes.chosen(6, 20, each_bytes=1000), 6)
      self.assertEqual(processes.chosen(0, 20, each_bytes=20, budget=60), 3)

  def test_an_error_that_cannot_be_sent_becomes_one_of_its_text(self):
    class Peculiar(ValueError):
      def __init__(self, message, more):
        super().__init__(message)

    self.assertEqual(
      repr(processes.sendable(Peculiar('told', 1))), "ValueError('told')"
    )
    error = KeyError('known')
    self.assertIs(processes.sendable(error), error)


if __name__ == '__main__':
  absltest.main()
