"""Tests that BUILD files and setup.py say what the modules import."""

import ast
import collections
from collections.abc import Set
import os
import pathlib
import re
import runpy
import sys
from typing import Any
from unittest import mock

from absl.testing import absltest, parameterized
import setuptools

from tests import image_testing, module_graph
from tests.module_graph import ROOT

_PACKAGES = tuple(p for p in module_graph.packages() if '.' not in p)
# Of modules that need more than a plain installation: the extras they name.
_EXTRAS = {
  'frozen_graphs.formats.onnx.file': ('onnx',),
  'frozen_graphs.formats.tflite.file': ('tflite',),
  'transferability.measures.estimators': ('measures',),
}


class BuildTest(parameterized.TestCase):
  """Of the BUILD file of each package, and of the root's."""

  @parameterized.parameters(*_PACKAGES)
  def test_library_is_the_folder_and_its_dependencies_are_the_imports(self, p):
    (library,) = _targets(ROOT / p / 'BUILD', 'py_library')
    self.assertEqual(library['name'], p)
    self.assertEqual(library['srcs'], ['**/*.py'])
    expected = _labels(module_graph.modules())[p]
    self.assertEqual(library['deps'], sorted(expected, key=_label_order))

  @parameterized.parameters(*_PACKAGES)
  def test_library_has_every_data_file(self, package):
    (library,) = _targets(ROOT / package / 'BUILD', 'py_library')
    found = set()
    for pattern in library.get('data', ()):
      if not pattern.startswith('//'):
        matches = (ROOT / package).glob(pattern.replace('**', '**/*'))
        found |= {path for path in matches if path.is_file()}
    self.assertEqual(found, set(_data_files(package)))

  def test_each_folder_of_tests_has_a_target(self):
    (folders,) = [
      ast.literal_eval(node.iter)
      for node in ast.walk(ast.parse((ROOT / 'tests' / 'BUILD').read_text()))
      if isinstance(node, ast.comprehension)
    ]
    inits = (ROOT / 'tests').glob('*/__init__.py')
    self.assertEqual(folders, sorted(init.parent.name for init in inits))


class SetupTest(absltest.TestCase):
  """Of setup.py, and of the lock for Bazel."""

  def test_every_imported_distribution_is_declared(self):
    declared = _declared_distributions()
    for module in module_graph.modules():
      groups = ['install_requires']
      if module.package == 'tests':
        groups.append('test')
      groups += _EXTRAS.get(module.name, ())
      allowed = set().union(*(declared[group] for group in groups))
      for name in module.imports:
        if module_graph.top(name) not in _PACKAGES:
          with self.subTest(module=module.name):
            self.assertIn(module_graph.distribution(name), allowed)

  def test_every_package_but_the_tests_and_benchmarks_is_installed(self):
    packages = {
      package
      for package in module_graph.packages()
      if module_graph.top(package) not in ('tests', 'benchmarks')
    }
    self.assertEqual(set(_setup_arguments()['packages']), packages)

  def test_every_data_file_is_installed(self):
    patterns = _setup_arguments()['package_data']
    for package in set(_PACKAGES) - {'tests'}:
      for path in _data_files(package):
        name = path.relative_to(ROOT / package)
        with self.subTest(package=package, file=str(name)):
          self.assertTrue(any(name.match(p) for p in patterns.get(package, ())))

  def test_lock_for_bazel_has_every_declared_distribution(self):
    lock = (ROOT / 'requirements_lock.txt').read_text()
    locked = set(re.findall(r'^([\w-]+)==', lock, re.MULTILINE))
    declared = _declared_distributions()
    self.assertContainsSubset(
      declared['install_requires'] | declared['test'], locked
    )

  def test_versions_of_linters_are_the_same_everywhere(self):
    hooks = (ROOT / '.pre-commit-config.yaml').read_text()
    dev = _setup_arguments()['extras_require']['dev']
    pins = re.findall(r"'([\w-]+==[\w.*]+)'", hooks)
    self.assertContainsSubset(pins, dev)
    buildifier = r'@bazel/buildifier@[\d.]+'
    self.assertEqual(
      re.findall(buildifier, hooks),
      re.findall(buildifier, (ROOT / '.ci' / 'run').read_text()),
    )


def _targets(path: pathlib.Path, kind: str) -> list[dict[str, Any]]:
  """Returns the attributes of a BUILD file's targets of a kind.

  A glob is the list of its patterns.
  """
  targets = []
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Call) and ast.unparse(node.func) == kind:
      text = {k.arg: ast.unparse(k.value) for k in node.keywords}
      targets.append(
        {
          name: eval(value, {'__builtins__': {}, 'glob': list})
          for name, value in text.items()
        }
      )
  return targets


def _labels(modules: tuple[module_graph.Module, ...]) -> dict[str, set[str]]:
  """Returns the labels that each package depends on."""
  imports = collections.defaultdict(set)
  for module in modules:
    imports[module.package] |= {module_graph.top(n) for n in module.imports}
  return {
    package: {_label(name, imports.keys()) for name in names - {package}}
    for package, names in imports.items()
  }


def _label(name: str, packages: Set[str]) -> str:
  if name in packages:
    return f'//{name}'
  return '@pip//' + module_graph.distribution(name).replace('-', '_')


def _label_order(label: str) -> tuple[bool, str]:
  return label.startswith('@'), label


def _data_files(package: str) -> list[pathlib.Path]:
  """Returns the files of a package that are no modules."""
  return [
    path
    for path in (ROOT / package).rglob('*')
    if path.is_file()
    and path.name != 'BUILD'
    and path.suffix not in ('.py', '.pyc')
  ]


def _setup_arguments() -> dict[str, Any]:
  """Returns what setup.py calls setuptools.setup with."""
  folder = os.getcwd()
  os.chdir(ROOT)  # Packages are looked for there.
  try:
    with mock.patch.object(setuptools, 'setup') as setup:
      runpy.run_path('setup.py')
  finally:
    os.chdir(folder)
  return setup.call_args.kwargs


def _declared_distributions() -> dict[str, set[str]]:
  """Returns the names in install_requires and in each extra of setup.py."""
  arguments = _setup_arguments()
  groups = {
    'install_requires': arguments['install_requires'],
    **arguments['extras_require'],
  }
  return {
    group: {re.match(r'[\w-]+', name).group() for name in requirements}
    for group, requirements in groups.items()
  }


class ModuleGraphTest(absltest.TestCase):
  """Of what the tests above and those of the layers are based on."""

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path)

  def _modules(self, files: dict[str, str]) -> tuple[module_graph.Module, ...]:
    for name, text in files.items():
      image_testing.write(self.root, name, text.encode())
    return module_graph.modules(self.root)

  def _imports(self, files: dict[str, str]) -> dict[str, set[str]]:
    return {m.name: set(m.imports) for m in self._modules(files)}

  def test_imports_and_labels_of_a_written_out_example(self):
    files = {
      'a/__init__.py': '',
      'a/one.py': 'import os\nimport numpy as np\nimport cv2\n',
      'a/two.py': 'from a import one\nfrom a.one import np\n',
      'a/b/__init__.py': '',
      'a/b/deep.py': 'import a.one\nfrom absl import app\n',
      'c/__init__.py': '',
      'c/run.py': (
        'from a import two\nfrom a.b import deep\n'
        "if __name__ == '__main__':\n  import tqdm\n"
      ),
      'loose/no_package.py': 'import c.run',
    }
    modules = self._modules(files)
    self.assertEqual(
      {m.name: set(m.imports) for m in modules},
      {
        'a': set(),
        'a.one': {'numpy', 'cv2'},
        'a.two': {'a.one'},
        'a.b': set(),
        'a.b.deep': {'a.one', 'absl'},
        'c': set(),
        'c.run': {'a.two', 'a.b.deep', 'tqdm'},
      },
    )
    self.assertEqual([m.name for m in modules if m.is_command()], ['c.run'])
    self.assertEqual(
      _labels(modules),
      {
        'a': {'@pip//absl_py', '@pip//numpy', '@pip//opencv_python'},
        'c': {'//a', '@pip//tqdm'},
      },
    )

  def test_relative_imports_are_followed(self):
    imports = self._imports(
      {
        'a/__init__.py': '',
        'a/one.py': '',
        'a/b/__init__.py': 'from . import two',
        'a/b/two.py': 'from . import three\nfrom .. import one\n',
        'a/b/three.py': 'from ..one import x\nfrom .two import y\n',
      }
    )
    self.assertEqual(imports['a.b'], {'a.b.two'})
    self.assertEqual(imports['a.b.two'], {'a.b.three', 'a.one'})
    self.assertEqual(imports['a.b.three'], {'a.b.two', 'a.one'})

  def test_imports_inside_of_functions_count_but_come_later(self):
    (module,) = self._modules(
      {'a/__init__.py': 'import tqdm\ndef f():\n  import tensorflow_hub as h\n'}
    )
    self.assertEqual(module.imports, {'tensorflow_hub', 'tqdm'})
    self.assertEqual(module.at_import, {'tqdm'})

  def test_renamed_distributions_are_not_of_the_standard_library(self):
    for name in module_graph.DISTRIBUTIONS:
      self.assertNotIn(name, sys.stdlib_module_names)
    self.assertEqual(module_graph.distribution('cv2'), 'opencv-python')
    self.assertEqual(module_graph.distribution('numpy'), 'numpy')


if __name__ == '__main__':
  absltest.main()
