"""Tests that packages are fetched once, checked always, and never run."""

import json
import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

from taskonomy_models.zoo import packages
from taskonomy_models.zoo.packages import PackageError
from tests import package_testing

_CONTENT = {
  'a': package_testing.tgz({'package/x': b'a'}),
  'b': package_testing.whl({'x': b'b'}),
  'c': package_testing.tgz({'package/x': b'c'}),
}


class PackagesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.create_tempdir().full_path)
    self.shelf, self.folder = self.root / 'shelf', self.root / 'packages'
    self.a = package_testing.package('a', 'npm', _CONTENT['a'], name='@s/a')
    self.b = package_testing.package('b', 'pypi', _CONTENT['b'])
    self.c = package_testing.package('c', 'npm', _CONTENT['c'])
    self.programs('npm', 'pip')
    self.put({'@s/a@1.0': 'a-1.0.tgz', 'b==1.0': 'b-1.0.whl'})
    for package in (self.a, self.b, self.c):
      (self.shelf / package.file).write_bytes(_CONTENT[package.key])

  def programs(self, *names):
    path = self.root / f'bin-{"-".join(names)}'
    package_testing.write_programs(path, self.shelf, *names)
    patch = mock.patch.dict(os.environ, {'PATH': str(path)})
    patch.start()
    self.addCleanup(patch.stop)

  def put(self, table):
    (self.shelf / 'table.json').write_text(json.dumps(table))

  def calls(self):
    path = self.shelf / 'calls.txt'
    if not path.exists():
      return []
    return [json.loads(line) for line in path.read_text().splitlines()]

  def test_npm_and_pip_are_asked_for_one_version_and_may_run_nothing(self):
    for package in (self.a, self.b):
      path = packages.obtain(package, self.folder)
      self.assertEqual(path, self.folder / package.file)
      self.assertEqual(path.read_bytes(), _CONTENT[package.key])
    npm, pip = self.calls()
    self.assertEqual((npm[:2], npm[-1]), (['npm', 'pack'], '@s/a@1.0'))
    self.assertIn('--ignore-scripts', npm)
    self.assertEqual((pip[:2], pip[-1]), (['pip', 'download'], 'b==1.0'))
    self.assertContainsSubset({'--no-deps', '--only-binary=:all:'}, pip)

  def test_a_verified_file_is_not_fetched_again(self):
    packages.obtain(self.a, self.folder)
    packages.obtain(self.a, self.folder)
    self.assertLen(self.calls(), 1)

  def test_files_put_there_by_hand_need_no_program(self):
    self.folder.mkdir()
    (self.folder / self.a.file).write_bytes(_CONTENT['a'])
    with mock.patch.dict(os.environ, {'PATH': ''}):
      packages.obtain(self.a, self.folder)
    self.assertEmpty(self.calls())

  def test_a_wrong_file_that_is_there_is_neither_used_nor_replaced(self):
    self.folder.mkdir()
    path = self.folder / self.a.file
    path.write_bytes(_CONTENT['b'])
    with self.assertRaisesRegex(PackageError, f'{path} has the sha256.*Remove'):
      packages.obtain(self.a, self.folder)
    self.assertEqual(path.read_bytes(), _CONTENT['b'])
    self.assertEmpty(self.calls())

  def test_a_wrong_file_that_is_fetched_is_not_kept(self):
    self.put({'@s/a@1.0': 'c-1.0.tgz'})
    with self.assertRaisesRegex(
      PackageError, '"npm pack @s/a@1.0" fetched is not the known file'
    ):
      packages.obtain(self.a, self.folder)
    self.assertEmpty(list(self.folder.iterdir()))

  def test_the_last_line_of_a_program_that_fails_is_given(self):
    with self.assertRaisesRegex(PackageError, 'npm failed .1.: ERROR no net'):
      packages.obtain(self.c, self.folder)

  def test_a_missing_program_is_named(self):
    self.programs('npm')
    with self.assertRaisesRegex(PackageError, 'pip is not installed'):
      packages.obtain(self.b, self.folder)

  def test_one_package_that_fails_does_not_keep_the_others_back(self):
    found, failed = packages.obtain_all([self.c, self.a, self.b], self.folder)
    self.assertEqual(list(found), ['a', 'b'])
    self.assertEqual(list(failed), ['c'])

  def test_a_registry_that_fails_twice_is_not_asked_again(self):
    self.put({'b==1.0': 'b-1.0.whl'})
    more = [package_testing.package(key, 'npm', _CONTENT['c']) for key in 'def']
    found, failed = packages.obtain_all(
      [self.a, self.c, *more, self.b], self.folder
    )
    self.assertEqual(list(found), ['b'])
    self.assertEqual(list(failed), ['a', 'c', 'd', 'e', 'f'])
    self.assertLen(self.calls(), 3)
    self.assertIn('not tried', failed['d'])

  def test_by_hand_says_which_files_to_put_where(self):
    _, failed = packages.obtain_all([self.c, self.b], self.folder)
    text = packages.by_hand([self.c, self.b], failed, self.folder)
    self.assertIn(str(self.folder), text)
    self.assertIn('npm pack c@1.0', text)
    self.assertIn(self.c.file, text)
    self.assertIn('ERROR no network', text)
    self.assertNotIn('b==1.0', text)

  def test_nothing_is_left_of_a_fetch_that_was_interrupted(self):
    with (
      mock.patch.object(packages.os, 'replace', side_effect=KeyboardInterrupt),
      self.assertRaises(KeyboardInterrupt),
    ):
      packages.obtain(self.a, self.folder)
    self.assertEmpty(list(self.folder.iterdir()))


if __name__ == '__main__':
  absltest.main()
