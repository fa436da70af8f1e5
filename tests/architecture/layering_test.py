"""Tests of who may import whom, and of what a library must not do."""

import ast
import subprocess
import sys

from absl.testing import absltest, parameterized

from tests import build_files

# Of each package: what it may import besides itself and the standard library.
# A whole package of this project, or one module of it.
_ALLOWED = {
  'attribution': {'absl', 'cv2', 'google', 'numpy', 'tensorflow'},
  'probe_data': {'absl', 'cv2', 'numpy', 'pooch'},
  'taskonomy_models': {
    'absl',
    'attribution',
    'google',
    'numpy',
    'pooch',
    'tensorflow',
    'tensorflow_hub',
    'tqdm',
    'transferability.oracle',
  },
  'transferability': {'numpy', 'scipy'},
  'experiments': {
    'absl',
    'attribution',
    'cv2',
    'matplotlib',
    'numpy',
    'probe_data',
    'scipy',
    'taskonomy_models',
    'tensorboard',
    'tensorflow',
    'tqdm',
    'transferability',
  },
  'benchmarks': {'absl', 'numpy', 'scipy', 'transferability'},
}
# Single modules that may import more, inside of functions only.
_ALLOWED_LAZILY = {
  'frozen_graphs.formats.torch.architectures.builders': {'h5py'},
  'frozen_graphs.formats.keras.files': {'h5py'},
  'frozen_graphs.formats.onnx.file': {'onnx'},
  'frozen_graphs.formats.tflite.file': {'tflite'},
  'transferability.measures.estimators': {'sklearn'},
}
_WITH_ENTRY_POINTS = ('experiments', 'benchmarks', 'taskonomy_models')
_LIBRARIES = tuple(set(_ALLOWED) - set(_WITH_ENTRY_POINTS))
_MAY_HAVE_FLAGS = ('toolkit_basics.cli',)


def _modules(*packages: str) -> list[build_files.Module]:
  return [m for m in build_files.modules() if m.name.split('.')[0] in packages]


def _is_allowed(name: str, allowed: set[str]) -> bool:
  parts = name.split('.')
  prefixes = {'.'.join(parts[:n]) for n in range(1, len(parts) + 1)}
  return bool(prefixes & allowed)


class LayeringTest(parameterized.TestCase):
  def test_table_is_complete(self):
    packages = {name.split('.')[0] for name in build_files.packages()}
    self.assertContainsSubset(packages - {'tests'}, _ALLOWED)

  @parameterized.parameters(*sorted(_ALLOWED))
  def test_package_imports_only_what_it_may(self, package):
    for module in _modules(package):
      allowed = _ALLOWED[package] | {package}
      allowed = allowed | _ALLOWED_LAZILY.get(module.name, set())
      for name in sorted(module.imports):
        with self.subTest(module=module.name, imports=name):
          self.assertTrue(_is_allowed(name, allowed))

  def test_a_module_that_may_be_imported_does_not_allow_its_package(self):
    self.assertTrue(_is_allowed('frozen_graphs.graph', {'frozen_graphs.graph'}))
    self.assertFalse(
      _is_allowed('attribution.methods', {'frozen_graphs.graph'})
    )
    self.assertFalse(_is_allowed('attribution', {'frozen_graphs.graph'}))
    self.assertTrue(_is_allowed('attribution.methods', {'attribution'}))

  def test_private_tensorflow_modules_are_used_in_one_file_at_most(self):
    users = [m.name for m in build_files.modules() if m.private]
    self.assertLessEqual(len(users), 1, users)

  def test_nothing_imports_tests_but_tests(self):
    for module in _modules(*_ALLOWED):
      self.assertFalse(any(_is_allowed(n, {'tests'}) for n in module.imports))

  def test_importing_what_needs_no_tensorflow_does_not_import_it(self):
    names = [m.name for m in _modules('transferability', 'probe_data')]
    self.assertNotEmpty(names)
    lazy = sorted(set().union(*_ALLOWED_LAZILY.values()))
    code = (
      f'import importlib, sys\nfor name in {names}:\n'
      '  importlib.import_module(name)\n'
      f"assert not {{'tensorflow', *{lazy}}} & sys.modules.keys()"
    )
    subprocess.run(
      [sys.executable, '-c', code], check=True, cwd=build_files.ROOT
    )


class FlagsTest(parameterized.TestCase):
  def test_libraries_do_not_know_flags(self):
    for module in _modules(*_LIBRARIES):
      with self.subTest(module=module.name):
        self.assertEmpty(_flag_uses(module.path.read_text()))

  def test_only_entry_points_define_flags(self):
    for module in _modules(*_WITH_ENTRY_POINTS):
      if not module.has_main and module.name not in _MAY_HAVE_FLAGS:
        with self.subTest(module=module.name):
          self.assertEmpty(_flag_uses(module.path.read_text()))

  @parameterized.parameters(
    'from absl import flags',
    'from absl import app, flags as f',
    'import absl.flags',
    'from absl.flags import DEFINE_string',
    'def f():\n  from absl import app',
  )
  def test_use_of_flags_is_found(self, text):
    self.assertNotEmpty(_flag_uses(text))

  def test_logging_is_no_use_of_flags(self):
    self.assertEmpty(_flag_uses('from absl import logging\nflags = 1'))


def _flag_uses(text: str) -> list[str]:
  """Returns the imports of absl's modules of flags and entry points."""
  uses = []
  for node in ast.walk(ast.parse(text)):
    names = []
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      names = [f'{node.module}.{alias.name}' for alias in node.names]
    uses += [n for n in names if _is_allowed(n, {'absl.flags', 'absl.app'})]
  return uses


if __name__ == '__main__':
  absltest.main()
