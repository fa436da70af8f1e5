"""Tests that BUILD files and setup.py say what the modules import."""

import os
import pathlib
import re
import runpy
import sys
from typing import Any
from unittest import mock

from absl.testing import absltest
import setuptools

from tests import build_files, image_testing

# Of modules that need more than a plain installation: the extras they name.
_EXTRAS = {
  'frozen_graphs.formats.onnx.file': ('onnx',),
  'frozen_graphs.formats.tflite.file': ('tflite',),
  'transferability.measures.estimators': ('measures',),
}


class CheckoutTest(absltest.TestCase):
  """Of the files of this project."""

  def test_targets_are_exactly_the_modules_and_their_imports(self):
    lines = build_files.differences()
    self.assertEmpty(
      lines, '\nRun python -m tests.build_files --write:\n' + '\n'.join(lines)
    )

  def test_every_imported_distribution_is_declared(self):
    declared = _declared_distributions()
    packages = set(build_files.packages())
    for module in build_files.modules():
      groups = ['install_requires']
      if module.package == 'tests':
        groups.append('test')
      groups += _EXTRAS.get(module.name, ())
      allowed = set().union(*(declared[group] for group in groups))
      for name in module.imports:
        if name.split('.')[0] not in packages:
          with self.subTest(module=module.name):
            self.assertIn(build_files.distribution(name), allowed)

  def test_every_package_but_the_tests_and_benchmarks_is_installed(self):
    packages = set(build_files.packages()) - {'tests', 'benchmarks'}
    self.assertEqual(set(_setup_arguments()['packages']), packages)

  def test_every_data_file_is_installed(self):
    patterns = _setup_arguments()['package_data']
    for package, rules in build_files.targets().items():
      folder = build_files.ROOT.joinpath(*package.split('.'))
      (data,) = (rule.data for rule in rules if rule.srcs == ('__init__.py',))
      for path in (p for pattern in data for p in folder.glob(pattern)):
        if path.is_file() and package != 'tests':
          name = path.relative_to(folder)
          with self.subTest(package=package, file=str(name)):
            self.assertTrue(
              any(name.match(p) for p in patterns.get(package, ()))
            )

  def test_lock_for_bazel_has_every_declared_distribution(self):
    lock = (build_files.ROOT / 'requirements_lock.txt').read_text()
    locked = set(re.findall(r'^([\w-]+)==', lock, re.MULTILINE))
    declared = _declared_distributions()
    self.assertContainsSubset(
      declared['install_requires'] | declared['test'], locked
    )


def _setup_arguments() -> dict[str, Any]:
  """Returns what setup.py calls setuptools.setup with."""
  folder = os.getcwd()
  os.chdir(build_files.ROOT)  # Packages are looked for there.
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


class _TreeTestCase(absltest.TestCase):
  """Has an empty folder to write modules into."""

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path)

  def write(self, files: dict[str, str]) -> None:
    for name, text in files.items():
      image_testing.write(self.root, name, text.encode())

  def targets(self, package: str) -> dict[str, build_files.Target]:
    return {rule.name: rule for rule in build_files.targets(self.root)[package]}


class TargetsTest(_TreeTestCase):
  def test_targets_of_a_written_out_example(self):
    self.write(
      {
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
        'c/two_test.py': (
          "from c import run\nimport a\nif __name__ == '__main__':\n  pass\n"
        ),
        'loose/no_package.py': 'import c.run',
      }
    )
    target = build_files.Target
    self.assertEqual(
      build_files.targets(self.root),
      {
        'a': (
          target('py_library', 'a', ('__init__.py',)),
          target(
            'py_library',
            'one',
            ('one.py',),
            ('@pip//numpy', '@pip//opencv_python'),
          ),
          target('py_library', 'two', ('two.py',), (':one',)),
        ),
        'a.b': (
          target('py_library', 'b', ('__init__.py',)),
          target(
            'py_library', 'deep', ('deep.py',), ('//a:one', '@pip//absl_py')
          ),
        ),
        'c': (
          target('py_library', 'c', ('__init__.py',)),
          target(
            'py_binary',
            'run',
            ('run.py',),
            ('//a:two', '//a/b:deep', '@pip//tqdm'),
          ),
          target('py_test', 'two_test', ('two_test.py',), (':run', '//a')),
        ),
      },
    )

  def test_relative_imports_are_followed(self):
    self.write(
      {
        'a/__init__.py': '',
        'a/one.py': '',
        'a/b/__init__.py': '',
        'a/b/two.py': 'from . import three\nfrom .. import one\n',
        'a/b/three.py': 'from ..one import x\nfrom .two import y\n',
      }
    )
    rules = self.targets('a.b')
    self.assertEqual(rules['two'].deps, (':three', '//a:one'))
    self.assertEqual(rules['three'].deps, (':two', '//a:one'))

  def test_imports_inside_of_functions_count(self):
    self.write(
      {
        'a/__init__.py': '',
        'a/one.py': 'def f():\n  import tensorflow_hub as hub\n',
      }
    )
    self.assertEqual(self.targets('a')['one'].deps, ('@pip//tensorflow_hub',))

  def test_data_belongs_to_the_package_and_its_modules_depend_on_it(self):
    self.write(
      {
        'a/__init__.py': '',
        'a/one.py': '',
        'a/graphs/x.pb': '',
        'a/table.csv': '',
        'a/BUILD': '',
        'a/__pycache__/one.pyc': '',
        'a/b/__init__.py': '',
      }
    )
    rules = self.targets('a')
    self.assertEqual(rules['a'].data, ('*.csv', 'graphs/**'))
    self.assertEqual(rules['a'].deps, ())
    self.assertEqual(rules['one'].data, ())
    self.assertEqual(rules['one'].deps, (':a',))


class DifferencesTest(_TreeTestCase):
  def setUp(self):
    super().setUp()
    self.write(
      {
        'a/__init__.py': '',
        'a/one.py': 'import numpy',
        'a/two.py': 'from a import one\nimport cv2, tqdm\n',
        'a/data/x.csv': '',
      }
    )
    build_files.write(self.root)

  def _differences(self) -> str:
    return '\n'.join(build_files.differences(self.root))

  def test_written_files_do_not_differ(self):
    self.assertEqual(self._differences(), '')

  def test_written_files_are_parsed_to_their_targets(self):
    text = (self.root / 'a/BUILD').read_text()
    self.assertEqual(
      build_files.parse(text), build_files.targets(self.root)['a']
    )

  def test_new_import_is_a_difference(self):
    self.write({'a/one.py': 'import numpy, scipy'})
    self.assertRegex(self._differences(), 'a/BUILD: one is .*pip//scipy')

  def test_import_that_is_gone_is_a_difference(self):
    self.write({'a/one.py': ''})
    self.assertIn('a/BUILD: one is', self._differences())

  def test_new_module_is_a_difference(self):
    self.write({'a/three.py': ''})
    self.assertIn('a/BUILD: three is None', self._differences())

  def test_module_that_is_gone_is_a_difference(self):
    (self.root / 'a/two.py').unlink()
    self.assertRegex(self._differences(), 'a/BUILD: two is .* must be None')

  def test_missing_file_is_a_difference(self):
    (self.root / 'a/BUILD').unlink()
    self.assertIn('a/BUILD: one is None', self._differences())

  def test_other_layout_is_a_difference(self):
    path = self.root / 'a/BUILD'
    path.write_text(path.read_text() + '\n')
    self.assertIn('not as it is written', self._differences())

  def test_unknown_attribute_is_an_error(self):
    with self.assertRaisesRegex(ValueError, 'py_library.*flaky'):
      build_files.parse('py_library(name = "a", srcs = [], flaky = 1)')


class DistributionTest(absltest.TestCase):
  def test_renamed_distributions_are_not_of_the_standard_library(self):
    for name in build_files.DISTRIBUTIONS:
      self.assertNotIn(name, sys.stdlib_module_names)

  def test_name_is_mapped_or_kept(self):
    self.assertEqual(build_files.distribution('cv2'), 'opencv-python')
    self.assertEqual(build_files.distribution('numpy'), 'numpy')


if __name__ == '__main__':
  absltest.main()
