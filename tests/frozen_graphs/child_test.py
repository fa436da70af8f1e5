"""Tests of functions in processes of their own."""

import itertools
import os
import signal
import time

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from frozen_graphs import child

_LIMITS = child.Limits(memory=2**30, seconds=60)


def _succeed(path: str) -> None:
  with open(path, 'w', encoding='utf-8') as file:
    file.write(str(os.getpid()))


def _fail() -> None:
  raise ValueError('as anything may')


def _allocate() -> None:
  np.ones(2**29)  # 4 GiB.


def _wait() -> None:
  time.sleep(600)


def _spin() -> None:
  with child.ended_after(0.2):
    max(itertools.repeat(0))  # In C, which no exception gets out of.


def _die() -> None:
  os.write(2, b'F0000 Check failed: 1 == 2 (1 vs. 2)\n')
  os.abort()


def _run(function, *arguments, seconds: float = 60) -> str:
  limits = child.Limits(_LIMITS.memory, seconds)
  return child.run(function, *arguments, limits=limits).fault


class ChildTest(absltest.TestCase):
  """Of the server as of a copy: tests before this one may have run graphs."""

  def test_function_runs_elsewhere_and_its_errors_are_its_own(self):
    path = self.create_tempfile().full_path
    self.assertEqual(_run(_succeed, path), '')
    with open(path, encoding='utf-8') as file:
      self.assertNotEqual(int(file.read()), os.getpid())
    self.assertEqual(_run(_fail), '')

  def test_too_much_memory_is_a_fault(self):
    self.assertEqual(_run(_allocate), 'took more than 1 GiB of memory')

  def test_too_much_time_is_a_fault(self):
    self.assertEqual(_run(_wait, seconds=1), 'took more than 1 seconds')

  def test_what_spins_is_ended_there_and_goes_on_here(self):
    self.assertEqual(_run(_spin), 'took far too long to be read')
    with child.ended_after(1e-3):
      sum(range(10**6))

  def test_death_is_told_with_what_was_said_before(self):
    fault = _run(_die)
    self.assertStartsWith(fault, f'was brought down by {signal.SIGABRT.name}: ')
    self.assertEndsWith(fault, 'Check failed: 1 == 2 (1 vs. 2)')

  def test_server_is_used_once_tensorflow_runs_here_and_lives_on(self):
    with tf.compat.v1.Session(graph=tf.Graph()):
      self.assertFalse(child._can_be_copied())
      self.assertEqual(_run(_fail), '')
      self.assertNotEqual(_run(_die), '')
      self.assertEqual(_run(_fail), '')


if __name__ == '__main__':
  absltest.main()
