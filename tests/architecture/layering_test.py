"""Tests of who may import whom, and of what a library must not do."""

import ast
from collections.abc import Iterator
import graphlib
import subprocess
import sys

from absl.testing import absltest, parameterized

from tests import module_graph

# From the ground up: each package's floor, and what it may import of this
# project besides itself and the ground floor: always packages below it.
FLOORS = {
  'toolkit_basics': (0, ''),
  'frozen_graphs': (1, ''),
  'transferability': (1, ''),
  'probe_data': (1, ''),
  'attribution': (2, 'frozen_graphs'),
  'taskonomy_models': (
    3,
    'frozen_graphs attribution probe_data transferability.oracle',
  ),
  'attribution_preservation': (3, 'frozen_graphs attribution'),
  'experiments': (4, 'all below'),
  'attribution_transfer': (5, 'all below'),
  'benchmarks': (5, 'all below'),
}
# Packages of others: where few will do, there are no more.
_OTHERS = {
  'toolkit_basics': 'absl numpy threadpoolctl tqdm',
  'transferability': 'absl numpy scipy',
  'probe_data': 'absl cv2 numpy pooch',
}
# What may be missing, or is slow to import: imported in functions only.
_LATE = {'h5py', 'onnx', 'sklearn', 'tf_keras', 'tflite'}
# Besides commands: what parses their flags.
_HAVE_FLAGS = ('toolkit_basics.cli',)

# What may be called at import: that makes entries of tables, or imports.
_HARMLESS = ('register', 'import_module', 'filterwarnings', 'quieten')


def allowed(package: str) -> set[str]:
  """Returns the packages and modules of this project that one may import."""
  floor, names = FLOORS[package]
  if names == 'all below':
    names = ' '.join(p for p, (below, _) in FLOORS.items() if below < floor)
  ground = {p for p, (below, _) in FLOORS.items() if below == 0}
  return {package, *ground, *names.split()}


def _libraries() -> list[module_graph.Module]:
  return [m for m in module_graph.modules() if m.package in FLOORS]


def _is_in(name: str, packages: set[str]) -> bool:
  parts = name.split('.')
  return any('.'.join(parts[:n]) in packages for n in range(1, len(parts) + 1))


class FloorsTest(absltest.TestCase):
  def test_every_package_is_on_a_floor(self):
    packages = {module.package for module in module_graph.modules()}
    self.assertEqual(packages - {'tests'}, FLOORS.keys())

  def test_no_arrow_goes_up_or_sideways(self):
    for package, (floor, _) in FLOORS.items():
      for name in allowed(package) - {package}:
        self.assertLess(FLOORS[module_graph.top(name)][0], floor, package)

  def test_packages_import_only_what_they_may(self):
    packages = FLOORS.keys() | {'tests'}
    wrong = [
      f'{module.name} imports {name}'
      for module in _libraries()
      for name in sorted(module.imports)
      if module_graph.top(name) in packages
      and not _is_in(name, allowed(module.package))
    ]
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_few_packages_of_others_are_used_where_few_will_do(self):
    for module in _libraries():
      if module.package in _OTHERS:
        known = {*FLOORS, *_LATE, *_OTHERS[module.package].split()}
        self.assertEmpty([n for n in module.imports if not _is_in(n, known)])

  def test_modules_import_each_other_in_no_circle(self):
    graphlib.TopologicalSorter(
      {module.name: module.imports for module in module_graph.modules()}
    ).prepare()

  def test_private_tensorflow_modules_are_used_in_one_file_at_most(self):
    users = [m.name for m in module_graph.modules() if m.private]
    self.assertLessEqual(len(users), 1, users)

  def test_a_module_that_may_be_imported_does_not_allow_its_package(self):
    self.assertTrue(_is_in('frozen_graphs.graph', {'frozen_graphs.graph'}))
    self.assertFalse(_is_in('frozen_graphs.session', {'frozen_graphs.graph'}))
    self.assertFalse(_is_in('frozen_graphs', {'frozen_graphs.graph'}))
    self.assertTrue(_is_in('frozen_graphs.graph', {'frozen_graphs'}))


class ImportTest(parameterized.TestCase):
  """Of what happens when a library is imported: nothing."""

  def test_what_may_be_missing_is_imported_where_it_is_used(self):
    for module in _libraries():
      with self.subTest(module=module.name):
        self.assertEmpty(module.at_import & _LATE)

  def test_nothing_is_done_at_import(self):
    for module in _libraries():
      if not module.is_command() and module.name not in _HAVE_FLAGS:
        with self.subTest(module=module.name):
          self.assertEmpty(list(_work(module.tree().body)))

  def test_importing_what_needs_no_tensorflow_does_not_import_it(self):
    names = [m.name for m in _libraries() if m.package in _OTHERS]
    self.assertNotEmpty(names)
    code = (
      'import importlib, sys\n'
      f'for name in {names}:\n'
      '  importlib.import_module(name)\n'
      f"assert not {{'tensorflow', *{_LATE}}} & sys.modules.keys()"
    )
    subprocess.run(
      [sys.executable, '-c', code], check=True, cwd=module_graph.ROOT
    )

  @parameterized.parameters(
    'open("x")',
    'import os\nos.environ["x"] = "y"',
    'for x in range(3):\n  print(x)',
    'if True:\n  configure()',
  )
  def test_work_is_found(self, text):
    self.assertNotEmpty(list(_work(ast.parse(text).body)))

  @parameterized.parameters(
    '"""A docstring."""\nimport os\nX = os.path.join("a", "b")\nX: str',
    '@register("x")\ndef f():\n  print("later")',
    'if TYPE_CHECKING:\n  import os',
    'for name in "ab":\n  register_set(name)(f)\nregistry.register(f)',
    "if __name__ == '__main__':\n  main()",
  )
  def test_definitions_and_registration_are_no_work(self, text):
    self.assertEmpty(list(_work(ast.parse(text).body)))


def _work(body: list[ast.stmt]) -> Iterator[str]:
  """Yields statements that do more than to define, import or register."""
  definitions = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
  for node in body:
    is_typing = isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(
      node.test
    )
    if isinstance(node, ast.For | ast.With) or is_typing:
      yield from _work(node.body)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
      targets = getattr(node, 'targets', None) or [node.target]
      if any(isinstance(target, ast.Subscript) for target in targets):
        yield ast.unparse(node)
    elif isinstance(node, ast.Expr):
      is_text = isinstance(node.value, ast.Constant)
      if not is_text and not _called(node.value).startswith(_HARMLESS):
        yield ast.unparse(node)
    elif not isinstance(node, definitions):
      if not module_graph.is_main_block(node):
        yield ast.unparse(node)


def _called(node: ast.expr) -> str:
  """Returns the name of the function that is called, without its module."""
  while isinstance(node, ast.Call):
    node = node.func
  return ast.unparse(node).rpartition('.')[2].lstrip('_')


class FlagsTest(parameterized.TestCase):
  def test_only_commands_know_flags(self):
    for module in _libraries():
      if not module.is_command() and module.name not in _HAVE_FLAGS:
        with self.subTest(module=module.name):
          self.assertEmpty(_flag_uses(module.tree()))

  @parameterized.parameters(
    'from absl import flags',
    'from absl import app, flags as f',
    'import absl.flags',
    'from absl.flags import DEFINE_string',
    'def f():\n  from absl import app',
  )
  def test_use_of_flags_is_found(self, text):
    self.assertNotEmpty(_flag_uses(ast.parse(text)))

  def test_logging_is_no_use_of_flags(self):
    tree = ast.parse('from absl import logging\nflags = 1')
    self.assertEmpty(_flag_uses(tree))


def _flag_uses(tree: ast.Module) -> list[str]:
  """Returns the imports of absl's modules of flags and commands."""
  names = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      names += [f'{node.module}.{alias.name}' for alias in node.names]
  return [n for n in names if _is_in(n, {'absl.flags', 'absl.app'})]


if __name__ == '__main__':
  absltest.main()
