"""Tests that messages name only what their reader can pass."""

import ast
from collections.abc import Iterator
import importlib
import pathlib
import re

from absl.testing import absltest

from tests import command_testing
from tests.module_graph import ROOT

# As `toolkit_basics.cli` reads them: an argument, with a value or without.
_ARGUMENT = re.compile(r'`([a-z]\w*)(?:=[^`]*)?`')
# Not those of style sheets, which are of the same form.
_FLAG = re.compile(r'(?:^|\s)--(\w+)(?=[\s=.,;)]|$)')
_OF_ALL = {'help', 'helpshort', 'helpfull', 'version'}


def _texts(tree: ast.AST) -> Iterator[str]:
  """Yields the texts of a module that are no docstrings."""
  docstrings = {
    id(node.body[0].value)
    for node in ast.walk(tree)
    if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
    and node.body
    and isinstance(node.body[0], ast.Expr)
  }
  for node in ast.walk(tree):
    if isinstance(node, ast.JoinedStr):
      yield ''.join(
        part.value if isinstance(part, ast.Constant) else '\0'
        for part in node.values
      )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
      if id(node) not in docstrings:
        yield node.value


def _parameters(tree: ast.AST) -> set[str]:
  """Returns what can be passed to functions and classes of a module."""
  found = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.FunctionDef):
      given = node.args
      found |= {a.arg for a in (*given.args, *given.kwonlyargs)}
    elif isinstance(node, ast.ClassDef):
      found |= {
        field.target.id
        for field in node.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
      }
  return found


def _flags() -> dict[str, set[str]]:
  """Returns the flags of each command, by its module."""
  return {
    name: {*importlib.import_module(name).FLAGS.names()}
    for name in command_testing.names()
  }


class MessagesTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    flags = _flags()
    packages = {name.partition('.')[0] for name in flags} | {
      path.parent.name for path in ROOT.glob('*/__init__.py')
    }
    cls.trees = {
      path: ast.parse(path.read_text())
      for package in packages - {'tests'}
      for path in sorted((ROOT / package).rglob('*.py'))
    }
    cls.any_flag = set().union(*flags.values())
    cls.parameters = {package: set() for package in packages}
    for path, tree in cls.trees.items():
      cls.parameters[_package(path)] |= _parameters(tree)
    cls.public = cls.parameters['attribution_transfer']

  def test_an_argument_in_backquotes_is_a_flag_or_of_a_function_there(self):
    for path, tree in self.trees.items():
      known = self.any_flag | self.public | self.parameters[_package(path)]
      for name in set(_ARGUMENT.findall('\n'.join(_texts(tree)))) - known:
        with self.subTest(file=str(path.relative_to(ROOT)), name=name):
          self.fail('Nothing of this name can be passed.')

  def test_a_flag_that_is_named_is_there(self):
    for path, tree in self.trees.items():
      named = set(_FLAG.findall('\n'.join(_texts(tree))))
      unknown = named - self.any_flag - _OF_ALL
      if 'packages' in path.stem:
        continue  # It calls npm and pip.
      for name in unknown:
        with self.subTest(file=str(path.relative_to(ROOT)), name=name):
          self.assertIn(name.removeprefix('no'), self.any_flag)

  def test_what_is_wrong_would_be_found(self):
    tree = ast.parse('def f(a):\n  "`b`"\n  raise E(f"Pass `c=1` {a}, --d.")')
    text = '\n'.join(_texts(tree))
    self.assertEqual(set(_ARGUMENT.findall(text)), {'c'})
    self.assertEqual(set(_FLAG.findall(text)), {'d'})
    self.assertEqual(_parameters(tree), {'a'})


def _package(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).parts[0]


if __name__ == '__main__':
  absltest.main()
