"""Tests of what all commands share, with one that does nothing else."""

import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from unittest import mock

from absl.testing import absltest, parameterized

from tests import command_testing
from toolkit_basics import cli

_COMMAND = textwrap.dedent('''
  """A command of the tests.

    python -m some.command SOURCE
  """
  from concurrent.futures import process
  from absl import logging
  import toolkit_basics.cli as cli

  FLAGS = cli.Flags()
  _KIND = FLAGS.enum('kind', 'Which kind is meant.', ['a', 'b'], 'a')
  _NUMBER = FLAGS.integer('number', 'How many there are.', 1, lower_bound=1)
  _SOME = FLAGS.some_of('some', 'Which are taken.', ('x', 'y'), ('x',))
  _ANY = FLAGS.some_of('any', 'Which more.', ('x', 'y'), (), may_be_empty=True)
  _FILE = FLAGS.path('file', 'A file.')
  _FILES = FLAGS.paths('files', 'More files.')
  _RAISE = FLAGS.string('raise', 'A Python expression.')
  _LIST = FLAGS.bool('list', 'Whether there is a list.', True)
  FLAGS.require(_KIND)

  def main(source='nothing'):
    if _RAISE.value:
      raise eval(_RAISE.value)
    logging.info('some news')
    print(source, *FLAGS.values(['list', 'raise']).values())

  if __name__ == '__main__':
    cli.run(main, FLAGS)
''')
_DEFAULTS = "a 1 ['x'] [] None None\n"


class CliTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.create_tempdir().full_path
    pathlib.Path(folder, 'a_command.py').write_text(_COMMAND)
    self.enter_context(mock.patch.object(sys, 'path', [folder, *sys.path]))
    self.addCleanup(sys.modules.pop, 'a_command', None)

  def run_all(self, *commands, **options):
    return command_testing.run('a_command', *commands, **options)

  def run_one(self, *arguments, **options):
    return self.run_all(arguments, **options)[0]

  def assert_one_line(self, result, *parts):
    code, out, err = result
    self.assertEqual(code, 1, err)
    self.assertEmpty(out)
    self.assertLen(err.splitlines(), 1, err)
    self.assertStartsWith(err, 'Error: ')
    for part in parts:
      self.assertIn(part, err)


class RunTest(CliTestCase):
  def test_main_gets_its_arguments_and_flags(self):
    code, out, err = self.run_one(
      *('me', '--kind=b', '--number', '3', '--some=y,x', '--any=y')
    )
    self.assertEqual((code, err), (0, ''))
    self.assertEqual(out, "me b 3 ['y', 'x'] ['y'] None None\n")

  def test_flags_of_one_run_are_forgotten_by_the_next(self):
    first, second = self.run_all(['--kind=b', '--any=x', '--file=f'], [])
    self.assertEqual(first[1], "nothing b 1 ['x'] ['x'] f None\n")
    self.assertEqual(second[1], f'nothing {_DEFAULTS}')

  def test_the_home_folder_of_a_path_is_found(self):
    home = os.path.expanduser('~')
    _, out, _ = self.run_one('--file=~/a', '--files=~/b,c~')
    self.assertEndsWith(out, f"{home}/a ['{home}/b', 'c~']\n")

  @parameterized.parameters(
    "ValueError('a wrong\\n  value')", "OSError('a wrong value')"
  )
  def test_error_of_the_user_is_one_line(self, error):
    self.assert_one_line(self.run_one(f'--raise={error}'), 'a wrong value')

  def test_missing_file_is_named(self):
    result = self.run_one("--raise=FileNotFoundError(2, 'None', '/no/file')")
    self.assert_one_line(result, '/no/file')

  def test_a_killed_worker_is_one_line(self):
    result = self.run_one('--raise=process.BrokenProcessPool("killed")')
    self.assert_one_line(result, 'lack of memory', 'killed')

  def test_a_lack_of_memory_is_one_line(self):
    result = self.run_one("--raise=MemoryError('Unable to allocate 9 TiB')")
    self.assert_one_line(result, 'not enough memory. Unable to allocate 9 TiB')
    with self.assertRaises(MemoryError):
      self.run_one('--raise=MemoryError()', '--debug')

  def test_debug_shows_where_an_error_came_from(self):
    with self.assertRaisesRegex(ValueError, 'a wrong value'):
      self.run_one("--raise=ValueError('a wrong value')", '--debug')

  def test_error_of_the_program_keeps_its_traceback(self):
    with self.assertRaisesRegex(KeyError, 'a bug'):
      self.run_one("--raise=KeyError('a bug')")

  @parameterized.parameters(
    ('--kind=c', 'kind', 'a|b'),
    ('--number=0', 'number', 'positive'),
    ('--number=many', 'number', 'many'),
    ('--kid=a', 'kid', 'kind'),
    ('--some=', 'some', 'choose from x, y'),
    ('--some=x,z', 'some', 'choose from x, y'),
    ('--some=x,x', 'some', 'each once'),
    ('--any=z', 'any', 'choose from x, y'),
    ('--files=', 'files', 'one or more'),
    ('--files=a,', 'files', 'one of them is empty'),
    ('--file=', 'file', 'give a path'),
    ('--nolist=1', 'nolist'),
    ('--kind', 'kind'),
  )
  def test_wrong_flag_is_one_line(self, flag, *parts):
    self.assert_one_line(self.run_one(flag), *parts, '--help')

  @parameterized.parameters(
    ('whole', 'x', "'x' is no whole number"),
    ('whole', '1.5', "'1.5' is no whole number"),
    ('whole', '', "'' is no whole number"),
    ('whole', '9' * 5000, "9' is no whole number"),
    ('part', 'x', "'x' is no number"),
    ('part', '1,5', "'1,5' is no number"),
    ('part', 'nan', "'nan' is no finite number"),
    ('part', '1e999', "'1e999' is no finite number"),
    ('several', '1,x', "'x' is no whole number"),
    ('several', '3,0', '0 is not a positive integer'),
    ('switch', 'maybe', "'maybe' is neither true nor false"),
  )
  def test_what_is_no_number_is_said_in_words(self, name, given, expected):
    flags = cli.Flags()
    flags.integer('whole', 'A.')
    flags.float('part', 'B.')
    flags.integers('several', 'C.', [7], lower_bound=1)
    flags.bool('switch', 'D.')
    with self.assertRaisesRegex(ValueError, f'{expected}$'):
      flags.parse([f'--{name}={given}'])
    flags.parse(['--whole=0x10', '--part=1e-3', '--several=3,4', '--switch'])
    self.assertEqual(list(flags.values().values()), [16, 1e-3, [3, 4], True])
    self.assertIn('default: 7', flags.help())

  def test_wrong_number_of_arguments_is_one_line(self):
    self.assert_one_line(self.run_one('b', 'c'), "Unexpected arguments: ['c']")
    module = sys.modules['a_command']
    with mock.patch.object(module, 'main', lambda source, other: None):
      self.assert_one_line(self.run_one('b'), 'OTHER is missing')
      self.assert_one_line(self.run_one(), 'SOURCE is missing')

  def test_missing_flags_are_named(self):
    module = self.run_one() and sys.modules['a_command']
    module.FLAGS.require(module._FILE)
    self.assert_one_line(self.run_one(), '--file is needed')
    module.FLAGS.require(module._FILES)
    self.assert_one_line(self.run_one(), '--file and --files are needed')
    self.assertEqual(self.run_one('--file=f', '--files=g')[0], 0)

  @parameterized.parameters(
    ('`kind` is wrong', '--kind is wrong'),
    ("pass `kind='b'`", 'pass --kind=b'),
    ('`number=3` or `list=True`', '--number=3 or --list'),
    ('`relu` is no flag', '`relu` is no flag'),
  )
  def test_arguments_of_libraries_are_spelled_as_flags(self, text, expected):
    result = self.run_one(f'--raise=ValueError({text!r})')
    self.assert_one_line(result, expected)

  def test_commands_are_called_as_this_one_was(self):
    def spell(text):
      return text.replace('python -m some.command', 'program some')

    error = "--raise=ValueError('Use python -m some.command.')"
    result = self.run_one(error, spell_commands=spell)
    self.assert_one_line(result, 'Use program some.')
    self.assertIn(
      '  program some SOURCE', self.run_one('-h', spell_commands=spell)[1]
    )

  def test_interrupt_ends_in_one_line(self):
    code, _, err = self.run_one('--raise=KeyboardInterrupt()')
    self.assertEqual(code, 128 + signal.SIGINT)
    self.assertEqual(err, 'Interrupted.\n')
    sys.modules['a_command'].FLAGS.bool('resume', 'Go on.')
    _, _, err = self.run_one('--raise=KeyboardInterrupt()')
    self.assertEqual(err, 'Interrupted; pass --resume to go on.\n')

  def test_a_signal_to_end_lets_a_command_tidy_up(self):
    handler = signal.getsignal(signal.SIGTERM)
    self.assertIs(handler, signal.SIG_DFL)
    tidied = []
    flags = cli.Flags()
    flags.bool('resume', 'Go on.')

    def main():
      with contextlib.ExitStack() as stack:
        stack.callback(tidied.append, True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    with contextlib.redirect_stderr(io.StringIO()) as err:
      with self.assertRaises(SystemExit) as end:
        cli.run(main, flags, [])
    self.assertEqual(end.exception.code, 128 + signal.SIGTERM)
    self.assertEqual(err.getvalue(), 'Ended; pass --resume to go on.\n')
    self.assertEqual(tidied, [True])
    self.assertIs(signal.getsignal(signal.SIGTERM), handler)

  def test_who_takes_care_of_signals_goes_on_to(self):
    def own(*_):
      self.fail('It is called.')

    before = signal.signal(signal.SIGTERM, own)
    self.addCleanup(signal.signal, signal.SIGTERM, before)
    seen = []
    cli.run(
      lambda: seen.append(signal.getsignal(signal.SIGTERM)), cli.Flags(), []
    )
    self.assertEqual(seen, [own])

  def test_news_are_shown_in_a_process_of_its_own(self):
    result = subprocess.run(
      [sys.executable, '-c', _COMMAND, 'me'],
      cwd=command_testing.ROOT,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertEqual(result.stdout, f'me {_DEFAULTS}')
    self.assertEqual(result.stderr, 'some news\n')

  @parameterized.parameters(['--help'], ['me'])
  def test_nobody_who_reads_is_no_error(self, *arguments):
    process = subprocess.Popen(
      [sys.executable, '-c', _COMMAND, *arguments],
      cwd=command_testing.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    process.stdout.close()  # As `| head -0`, before anything is printed.
    err = process.stderr.read()
    process.stderr.close()
    self.assertEqual(process.wait(), 128 + signal.SIGPIPE, err)
    self.assertNotIn('Broken pipe', err)

  def test_a_broken_pipe_of_another_kind_is_told(self):
    (found,) = self.run_all(['--raise=BrokenPipeError("to a worker")'])
    self.assertEqual(found, (1, '', 'Error: to a worker\n'))


class HelpTest(CliTestCase):
  @parameterized.parameters('--help', '-h', '--helpfull', '--helpshort')
  def test_it_is_the_docstring_and_all_flags(self, flag):
    code, out, err = self.run_one('--kind=b', flag)
    self.assertEqual((code, err), (0, ''))
    self.assertStartsWith(
      out, 'A command of the tests.\n\n  python -m some.command SOURCE\n\nFlag'
    )
    text = ' '.join(out.split())
    for part in (
      '--kind Which kind is meant. There are: a, b. (default: a; required)',
      '--number How many there are. (a positive integer; default: 1)',
      '--some Which are taken. There are: x, y. (a comma separated list; '
      'default: x)',
      '--file A file. --files More files. (a comma separated list) --raise',
      '--[no]list Whether there is a list. --[no]debug Show',
    ):
      self.assertIn(part, text)

  def test_no_name_is_cut_at_the_end_of_a_line(self):
    names = [f'a_rather_long_name_{i}' for i in range(9)]
    flags = cli.Flags()
    flags.list('names', 'Which are taken.', names)
    text = flags.help()
    self.assertLess(max(map(len, text.splitlines())), 81)
    for name in names:
      self.assertIn(name, text)


class SeparateTest(absltest.TestCase):
  def test_commands_of_the_same_flags_do_not_meet(self):
    modules = []
    for _ in range(2):
      modules.append({'__name__': 'a_command'})
      exec(compile(_COMMAND, 'a_command', 'exec'), modules[-1])
    first, second = (module['FLAGS'] for module in modules)
    with contextlib.redirect_stderr(io.StringIO()):
      first.parse(['--kind=b'])
      second.parse([])
    self.assertEqual(first.values()['kind'], 'b')
    self.assertEqual(second.values()['kind'], 'a')


if __name__ == '__main__':
  absltest.main()
