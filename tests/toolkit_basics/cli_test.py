"""Tests of what all entry points share, with one that does nothing else."""

import pathlib
import signal
import subprocess
import sys
import textwrap

from absl.testing import absltest, parameterized

_ROOT = pathlib.Path(__file__).parents[2]
_ENTRY_POINT = textwrap.dedent('''
  """An entry point of the tests."""
  import os, signal
  from absl import app, flags, logging
  from toolkit_basics import cli

  _KIND = flags.DEFINE_enum('kind', 'a', ['a', 'b'], 'Of something.')
  _NUMBER = flags.DEFINE_integer('number', 1, 'Of it.', lower_bound=1)
  _RAISE = flags.DEFINE_string('raise', None, 'A Python expression.')

  def main(argv):
    if len(argv) > 1:
      raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
    if flags.FLAGS['raise'].value:
      raise eval(flags.FLAGS['raise'].value)
    logging.info('some news')
    print(f'{_KIND.value} {_NUMBER.value}')

  if __name__ == '__main__':
    cli.run(main)
''')


class CliTest(parameterized.TestCase):
  def _run(self, *arguments):
    return subprocess.run(
      [sys.executable, '-c', _ENTRY_POINT, *arguments],
      cwd=_ROOT,
      capture_output=True,
      text=True,
      check=False,
    )

  def _assert_one_line(self, result, *parts):
    self.assertEqual(result.returncode, 1, result.stderr)
    self.assertEmpty(result.stdout)
    self.assertLen(result.stderr.splitlines(), 1, result.stderr)
    self.assertStartsWith(result.stderr, 'Error: ')
    for part in parts:
      self.assertIn(part, result.stderr)

  def test_main_gets_its_flags_and_news_are_shown(self):
    result = self._run('--kind=b', '--number=3')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(result.stdout, 'b 3\n')
    self.assertEqual(result.stderr, 'some news\n')

  @parameterized.parameters(
    "ValueError('a wrong\\n  value')", "OSError('a wrong value')"
  )
  def test_error_of_the_user_is_one_line(self, error):
    self._assert_one_line(self._run(f'--raise={error}'), 'a wrong value')

  def test_missing_file_is_named(self):
    result = self._run("--raise=FileNotFoundError(2, 'None', '/no/file')")
    self._assert_one_line(result, '/no/file')

  def test_a_killed_worker_is_one_line(self):
    result = self._run(
      '--raise=__import__("concurrent.futures.process").futures.process'
      '.BrokenProcessPool("killed")'
    )
    self._assert_one_line(result, 'lack of memory', 'killed')

  def test_debug_shows_where_an_error_came_from(self):
    result = self._run("--raise=ValueError('a wrong value')", '--debug')
    self.assertEqual(result.returncode, 1)
    self.assertIn('Traceback', result.stderr)
    self.assertIn('ValueError: a wrong value', result.stderr)

  def test_error_of_the_program_keeps_its_traceback(self):
    result = self._run("--raise=KeyError('a bug')")
    self.assertEqual(result.returncode, 1)
    self.assertIn('Traceback', result.stderr)

  @parameterized.parameters(
    ('--kind=c', 'kind', 'a|b'),
    ('--number=0', 'number', 'positive'),
    ('--number=many', 'number', 'many'),
    ('--kid=a', 'kid', 'kind'),
  )
  def test_wrong_flag_is_one_line(self, flag, *parts):
    self._assert_one_line(self._run(flag), *parts, '--help')

  def test_unexpected_argument_is_one_line(self):
    self._assert_one_line(self._run('b'), "Unexpected arguments: ['b']")

  def test_help_lists_the_flags(self):
    result = self._run('--help')
    self.assertIn('--kind', result.stdout)
    self.assertIn('An entry point of the tests.', result.stdout)

  def test_interrupt_ends_in_one_line(self):
    result = self._run('--raise=KeyboardInterrupt()')
    self.assertEqual(result.returncode, 128 + signal.SIGINT)
    self.assertLen(result.stderr.splitlines(), 1)
    self.assertIn('--resume', result.stderr)


if __name__ == '__main__':
  absltest.main()
