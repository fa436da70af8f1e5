"""Tests of the console script, and of what holds for every command."""

import ast
import importlib
import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest, parameterized

import attribution_transfer
from attribution_transfer import command_line
from tests import command_testing

_NAMES = command_testing.names()
_SCRIPT = """
import sys
from attribution_transfer.command_line import main
main()
print('tensorflow' in sys.modules)
"""


class ListingTest(absltest.TestCase):
  def test_list_that_nobody_reads_ends_without_a_word(self):
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(
      [sys.executable, '-c', _SCRIPT],
      stdout=writer,
      stderr=subprocess.PIPE,
      check=False,
    )
    os.close(writer)
    self.assertEqual((found.returncode, found.stderr), (141, b''))


class EveryCommandTest(parameterized.TestCase):
  @parameterized.parameters(*_NAMES)
  def test_help_shows_its_docstring_and_exactly_its_flags(self, name):
    ((code, out, err),) = command_testing.run(name, ['--help'])
    self.assertEqual((code, err), (0, ''))
    module = importlib.import_module(name)
    self.assertStartsWith(out, module.__doc__.strip() + '\n\nFlags:\n')
    shown = re.findall(r'^  --(?:\[no\])?(\w+)$', out, re.MULTILINE)
    self.assertEqual(shown, [*module.FLAGS.names(), 'debug'])
    self.assertLessEqual(max(map(len, out.splitlines())), 80)

  @parameterized.parameters(*_NAMES)
  def test_every_flag_of_it_is_read(self, name):
    path = pathlib.Path(importlib.import_module(name).__file__)
    self.assertEmpty(_unread(path.read_text()))

  @parameterized.parameters('shared_flags', 'selection_cli')
  def test_every_flag_that_commands_share_is_read(self, name):
    path = command_testing.ROOT / 'experiments' / f'{name}.py'
    self.assertEmpty(_unread(path.read_text()))

  def test_a_flag_that_is_not_read_is_found(self):
    text = "_A = FLAGS.bool('a', 1, '')\n_B = shared.b(FLAGS)\nprint(_B.value)"
    self.assertEqual(_unread(text), ['_A'])

  @parameterized.parameters(*_NAMES)
  def test_each_flag_is_explained_by_a_sentence(self, name):
    text = importlib.import_module(name).FLAGS.help()
    for flag, meaning in re.findall(
      r'^  --(\S+)\n((?:      .*\n?)+)', text, re.M
    ):
      with self.subTest(flag=flag):
        meaning = ' '.join(meaning.split())
        self.assertRegex(meaning, r'^[A-Z](\S* ){2,}\S*[^ ]\.( \(.+\))?$')

  def test_flags_of_one_name_are_of_one_kind(self):
    kinds = {}
    for name in _NAMES:
      flags = importlib.import_module(name).FLAGS
      for flag, value in flags.values().items():
        if value is not None and (name, flag) not in _LISTS:
          kinds.setdefault(flag, {}).setdefault(type(value), []).append(name)
    for flag, users in kinds.items():
      self.assertLen(users, 1, f'--{flag}: {users}')

  @parameterized.parameters(*_NAMES)
  def test_a_stray_argument_and_an_unknown_flag_are_refused(self, name):
    stray, unknown = command_testing.run(name, ['a', 'b', 'c'], ['--wibble'])
    for (code, out, err), part in (
      (stray, 'Unexpected arguments'),
      (unknown, 'wibble'),
    ):
      self.assertEqual((code, out), (1, ''))
      self.assertRegex(err, rf'^Error: .*{part}.*\n$')

  def test_the_folder_that_a_command_writes_to_is_its_alone(self):
    shared = set()
    for name in _NAMES:
      flags = importlib.import_module(name).FLAGS
      if 'output' in flags:
        flags.parse(['--output=results/of_it'])
        if flags.claimed() != ['results/of_it']:
          shared.add(name)
    # Several add to one bank; one file is written whole.
    self.assertEqual(
      shared, {'taskonomy_models.convert', 'experiments.run_diagram'}
    )

  def test_each_says_how_it_is_called(self):
    for name in _NAMES:
      module = importlib.import_module(name)
      self.assertIn(f'python -m {name}', module.__doc__)


# Commands that take several of what others take one of.
_LISTS = {
  ('experiments.run_study', 'probe'),
  ('experiments.run_paper', 'probe'),
  ('experiments.measure_transfers', 'num_train'),
  ('experiments.calibrate_recommend', 'bank'),
  ('experiments.run_beyond_the_mean', 'bank'),
  ('experiments.run_beyond_the_mean', 'probe'),
  ('experiments.run_compression', 'method'),
}


def _unread(text: str) -> list[str]:
  """Returns the variables that hold flags, and are not read after that."""
  held, read = set(), set()
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.Assign) and _makes_flags(node.value):
      held |= {ast.unparse(target) for target in node.targets}
    if isinstance(node, (ast.Name, ast.Attribute)):
      if isinstance(node.ctx, ast.Load):
        read.add(ast.unparse(node))
  return sorted(held - read - {'FLAGS'})


def _makes_flags(value: ast.expr) -> bool:
  """Whether this is FLAGS.kind(...), or is done with FLAGS."""
  if not isinstance(value, ast.Call):
    return False
  parts = [value.func, *value.args[:1]]
  return any(re.match(r'(FLAGS|flags)\b', ast.unparse(part)) for part in parts)


class CommandLineTest(absltest.TestCase):
  def run_script(self, *arguments, **environment):
    """Runs it as the script that pip makes does, in a folder of traps."""
    folder = pathlib.Path(self.create_tempdir().full_path)
    for package in ('experiments', 'taskonomy_models', 'frozen_graphs'):
      (folder / package).mkdir()
      (folder / package / '__init__.py').write_text('1 / 0')
    (folder / 'bin').mkdir()
    script = folder / 'bin' / 'attribution-transfer'
    script.write_text(_SCRIPT)
    # As installed: the packages are found, behind those of the user.
    path = os.pathsep.join([str(folder), str(command_testing.ROOT)])
    return subprocess.run(
      [sys.executable, script, *arguments],
      cwd=folder,
      env={**os.environ, 'PYTHONPATH': path, **environment},
      capture_output=True,
      text=True,
      check=False,
    )

  def test_its_names_are_those_of_all_commands(self):
    own = [n for n in _NAMES if not n.startswith('benchmarks.')]
    self.assertCountEqual(command_line.COMMANDS.values(), own)

  def test_alone_it_lists_the_commands_without_importing_tensorflow(self):
    for arguments in ([], ['--help']):
      result = self.run_script(*arguments)
      self.assertEqual(result.returncode, 0, result.stderr)
      self.assertEqual(result.stdout.splitlines()[-1], 'False')
      for name in command_line.COMMANDS:
        self.assertRegex(result.stdout, rf'\n  {name} +[A-Z].*[.?]\n')

  def test_commands_are_run_where_others_have_their_names(self):
    result = self.run_script('study')
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEmpty(result.stderr)
    self.assertStartsWith(result.stdout, 'map_grids ')

  def test_wrong_commands_are_one_line(self):
    result = self.run_script('wibble')
    self.assertEqual(result.returncode, 1)
    self.assertRegex(result.stderr, r"^Error: no command 'wibble'; .*rank.*\n$")

  def test_texts_name_commands_by_it(self):
    text = 'python -m taskonomy_models.convert_task_bank --help, python -m '
    self.assertEqual(
      command_line.in_short_names(text + 'taskonomy_models.convert X'),
      'attribution-transfer convert-task-bank --help, '
      'attribution-transfer convert X',
    )

  def test_the_version_is_that_of_the_distribution(self):
    setup = (command_testing.ROOT / 'setup.py').read_text()
    self.assertIn(f"version='{attribution_transfer.__version__}'", setup)
    result = self.run_script('--version')
    version, _ = result.stdout.splitlines()
    self.assertEqual(version, attribution_transfer.__version__)


if __name__ == '__main__':
  absltest.main()
