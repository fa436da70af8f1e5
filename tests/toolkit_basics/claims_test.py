"""Tests that a folder belongs to one run at a time."""

import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
from unittest import mock

from absl.testing import absltest

from toolkit_basics import claims, cli, files

_HOLD = """
import sys
from toolkit_basics import claims
with claims.folder(sys.argv[1]):
  print('held', flush=True)
  sys.stdin.read()
"""
_KILLED_IN_FIRST_WRITE = """
import os, signal, sys
from toolkit_basics import claims, files
with claims.folder(sys.argv[1]):
  with files.replacing(sys.argv[1] + '/run.json') as file:
    file.write(b'{')
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


class ClaimsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / 'a' / 'run'

  def test_folder_that_cannot_be_made_is_said_to_be_it(self):
    self.folder.parent.mkdir()
    self.folder.symlink_to(self.folder)
    with self.assertRaisesRegex(OSError, 'folder .*/run cannot be made'):
      with claims.folder(self.folder):
        pass

  def _process(self, script, folder=None):
    process = subprocess.Popen(
      [sys.executable, '-c', script, str(folder or self.folder)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      cwd=pathlib.Path(__file__).parents[2],
    )
    self.addCleanup(process.wait)
    self.addCleanup(process.stdin.close)
    self.addCleanup(process.stdout.close)
    self.addCleanup(process.kill)
    return process

  def test_a_second_run_is_refused_with_process_host_and_time(self):
    process = self._process(_HOLD)
    self.assertEqual(process.stdout.readline(), 'held\n')
    text = f'in use.*process {process.pid} on {platform.node()}, started 20'
    for _ in range(2):  # What is refused leaves the lock alone.
      with self.assertRaisesRegex(claims.InUseError, text):
        with claims.folder(self.folder):
          self.fail('It is held twice.')
    process.communicate()
    self.assertEqual(process.returncode, 0)
    with claims.folder(self.folder):
      pass

  def test_other_threads_and_calls_of_one_process_are_refused_too(self):
    link = self.folder.parent.parent / 'link'
    with claims.folder(self.folder):
      link.symlink_to(self.folder)
      (self.folder / 'kept').touch()
      for name in (self.folder, link, os.path.relpath(self.folder)):
        with self.assertRaisesRegex(claims.InUseError, 'this very process'):
          with claims.folder(name):
            self.fail('It is held twice.')
    with claims.folder(link):
      pass

  def test_a_folder_in_that_of_a_run_belongs_to_the_run(self):
    inside = self.folder / 'b' / 'deep'
    process = self._process(_HOLD)
    process.stdout.readline()
    text = f'^{self.folder} is in use .*process {process.pid}'
    with self.assertRaisesRegex(claims.InUseError, text):
      with claims.folder(inside):
        self.fail('It is held twice.')
    self.assertEqual(os.listdir(self.folder), [claims.LOCK])
    with claims.folder(self.folder.parent / 'beside'):
      pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with claims.folder(inside):
      pass

  def test_a_run_is_refused_where_another_is_going_on_inside(self):
    inside = self.folder / 'b' / 'deep'
    process = self._process(_HOLD, inside)
    process.stdout.readline()
    half = inside / '.its.7.partial'
    half.touch()
    with claims.folder(self.folder):  # Not known to be of runs: left alone.
      pass
    for name in ('run.json', '.memo'):
      (self.folder / name).touch()
      text = f'^{inside} is in use .*process {process.pid}'
      with self.assertRaisesRegex(claims.InUseError, text):
        with claims.folder(self.folder):
          self.fail('It is held twice.')
      (self.folder / name).unlink()
    self.assertTrue(half.exists())
    (self.folder / 'run.json').touch()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with claims.folder(self.folder):
      self.assertFalse(half.exists())

  def test_a_process_may_have_folders_in_its_own(self):
    with claims.folder(self.folder), claims.folder(self.folder / 'b'):
      self.assertRaisesRegex(
        AssertionError, 'other process', self._other_process, self.folder
      )
      self.assertRaisesRegex(
        AssertionError, 'other process', self._other_process, self.folder / 'b'
      )

  def _other_process(self, folder):
    """Raises AssertionError if another process cannot have a folder."""
    process = self._process(_HOLD, folder)
    if process.stdout.readline() != 'held\n':
      raise AssertionError('other process')

  def test_what_only_looks_like_a_lock_bars_nobody(self):
    self.folder.mkdir(parents=True)
    lock = self.folder / claims.LOCK
    for make in (lock.mkdir, lambda: os.mkfifo(lock)):
      make()
      with claims.folder(self.folder / 'b'):
        pass
      lock.rmdir() if lock.is_dir() else lock.unlink()

  def test_the_lock_of_a_killed_run_bars_nobody(self):
    process = self._process(_HOLD)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    self.assertEqual(os.listdir(self.folder), [claims.LOCK])
    with claims.folder(self.folder):
      owner = json.loads((self.folder / claims.LOCK).read_text())
    self.assertEqual(owner['pid'], os.getpid())
    self.assertEmpty(os.listdir(self.folder))

  def test_a_kill_at_the_first_write_leaves_a_folder_as_good_as_new(self):
    process = self._process(_KILLED_IN_FIRST_WRITE)
    self.assertEqual(process.wait(), -signal.SIGKILL)
    self.assertLen(os.listdir(self.folder), 2)
    with claims.folder(self.folder):
      self.assertEqual(os.listdir(self.folder), [claims.LOCK])

  def test_left_overs_are_swept_from_a_run_and_nothing_else_is(self):
    below = self.folder / 'model_space'
    left = below / '.a.npy.17.partial'
    kept = [self.folder / 'run.json', below / '.b.npy.partial', below / 'c.17']
    (self.folder / 'x' / '.model.8.partial').mkdir(parents=True)
    for path in (left, *kept):
      files.write_atomically(path, b'')
    outside = self.create_tempdir()
    outside.create_file('.d.17.partial')
    (below / 'link').symlink_to(outside.full_path)
    with claims.folder(self.folder):
      self.assertFalse(left.exists())
      self.assertEmpty(os.listdir(self.folder / 'x'))
      self.assertTrue(all(path.exists() for path in kept))
    self.assertEqual(os.listdir(outside.full_path), ['.d.17.partial'])

  def test_nothing_is_swept_from_a_folder_of_somebody_else(self):
    files.write_atomically(self.folder / 'thesis.txt', b'')
    theirs = self.folder / '.theirs.3.partial'
    theirs.touch()
    with claims.folder(self.folder):
      pass
    self.assertTrue(theirs.exists())

  def test_a_lock_that_says_nothing_is_anothers(self):
    process = self._process(_HOLD)
    process.stdout.readline()
    for content in ('', '[]', '{"pid": 3}', 'x' * 5000):
      (self.folder / claims.LOCK).write_text(content)
      with self.assertRaisesRegex(claims.InUseError, 'another process'):
        with claims.folder(self.folder):
          self.fail('It is held twice.')

  def test_a_lock_that_its_owner_has_just_deleted_is_made_anew(self):
    opened = os.open
    gone = []

    def open_(path, *options):
      descriptor = opened(path, *options)
      if str(path).endswith(claims.LOCK) and not gone:
        gone.append(os.unlink(path))  # As by an owner that ends right now.
      return descriptor

    with mock.patch.object(os, 'open', open_), claims.folder(self.folder):
      owner = json.loads((self.folder / claims.LOCK).read_text())
    self.assertLen(gone, 1)
    self.assertEqual(owner['pid'], os.getpid())

  def test_another_error_of_the_lock_is_raised(self):
    broken = mock.patch('fcntl.lockf', side_effect=OSError(5, 'broken'))
    with broken, self.assertRaisesRegex(OSError, 'broken'):
      with claims.folder(self.folder):
        self.fail('It is not locked.')

  def test_what_is_made_and_not_used_is_gone(self):
    with self.assertRaises(KeyError):
      with claims.folder(self.folder):
        raise KeyError
    self.assertFalse(self.folder.parent.exists())
    with claims.folder(self.folder):
      (self.folder / 'a').touch()
    self.assertEqual(os.listdir(self.folder), ['a'])

  def test_a_file_is_refused_before_any_work(self):
    path = self.create_tempfile().full_path
    with self.assertRaisesRegex(OSError, f'{path} is no folder'):
      with claims.folder(path):
        self.fail('The work began.')

  def test_where_nothing_can_be_written_or_locked_nothing_is_claimed(self):
    self.folder.mkdir(parents=True)
    with claims.folder(self.folder / 'none.txt'):
      pass
    with mock.patch.object(os, 'open', side_effect=OSError(30, 'read-only')):
      with claims.folder(self.folder):
        pass
    with (
      mock.patch.object(
        claims.fcntl, 'lockf', side_effect=OSError(37, 'no locks')
      ),
      self.assertLogs() as logs,
    ):
      with claims.folder(self.folder):
        pass
    self.assertIn('cannot be locked', logs.output[0])
    with mock.patch.object(os, 'open', side_effect=OSError(28, 'full')):
      with self.assertRaisesRegex(OSError, 'full'):
        with claims.folder(self.folder):
          pass


class CommandTest(absltest.TestCase):
  def test_a_command_holds_its_folder_and_gives_it_back(self):
    folder = os.path.join(self.create_tempdir().full_path, 'results')
    flags = cli.Flags()
    output = flags.path('output', 'Where.')
    flags.claim(lambda: output.value)
    seen = []

    def main():
      seen.extend(os.listdir(folder))
      cli.run(main, flags, [f'--output={folder}'])

    with self.assertRaises(SystemExit) as end:
      with mock.patch.object(sys, 'stderr') as stderr:
        cli.run(main, flags, [f'--output={folder}'])
    self.assertEqual(end.exception.code, 1)
    self.assertEqual(seen, [claims.LOCK])
    said = ''.join(call.args[0] for call in stderr.write.call_args_list)
    self.assertRegex(said, f'^Error: {folder} is in use by a run.*\n$')
    self.assertFalse(os.path.exists(folder))

  def test_what_main_returns_is_the_exit_code(self):
    for code in (None, 0):
      cli.run(lambda code=code: code, cli.Flags(), [])
    with self.assertRaises(SystemExit) as end:
      cli.run(lambda: 3, cli.Flags(), [])
    self.assertEqual(end.exception.code, 3)


if __name__ == '__main__':
  absltest.main()
