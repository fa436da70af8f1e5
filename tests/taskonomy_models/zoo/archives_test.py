"""Tests that only what is asked for leaves an archive, and stays in place."""

import pathlib
import tarfile
from unittest import mock
import zipfile

from absl.testing import absltest, parameterized

from taskonomy_models.zoo import archives
from taskonomy_models.zoo.archives import ArchiveError
from tests import bank_testing, package_testing

_FILES = {
  'package/a.json': b'{}',
  'package/a-shard1.bin': b'one',
  'package/a-shard2.bin': b'two',
  'package/deep/a-shard3.bin': b'three',
  'package/install.js': b'evil()',
}


class ArchivesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.to = self.folder / 'a' / 'b' / 'to'

  def archive(self, content, name='p-1.0.tgz'):
    path = self.folder / name
    path.write_bytes(content)
    return path

  def extract(self, archive, *patterns):
    return archives.extract(archive, patterns, self.to)

  def assert_nothing_outside(self):
    written = {p for p in self.folder.rglob('*') if not p.is_dir()}
    inside = {p for p in written if p.is_relative_to(self.to)}
    self.assertEqual(len(written - inside), 1)  # The archive itself.

  @parameterized.parameters(
    ('p.tgz', package_testing.tgz), ('p.whl', package_testing.whl)
  )
  def test_only_matching_files_are_written(self, name, pack):
    archive = self.archive(pack(_FILES), name)
    self.extract(archive, 'package/a.json', 'package/a-shard*.bin')
    self.assertEqual(
      bank_testing.tree_bytes(self.to),
      {
        name: _FILES[name]
        for name in _FILES
        if 'deep' not in name and 'install' not in name
      },
    )

  @parameterized.parameters(
    ('p.tgz', package_testing.tgz), ('p.whl', package_testing.whl)
  )
  def test_missing_member_is_named_with_the_package(self, name, pack):
    archive = self.archive(pack(_FILES), name)
    with self.assertRaisesRegex(ArchiveError, f'{name} has no file package/b'):
      self.extract(archive, 'package/a.json', 'package/b*.bin')

  @parameterized.product(
    evil=['../evil', '../../evil', '/tmp/evil', 'x/../../evil', 'x/./evil'],
    pack=[package_testing.tgz, package_testing.whl],
  )
  def test_members_that_leave_the_folder_are_refused(self, evil, pack):
    name = 'p.tgz' if pack is package_testing.tgz else 'p.whl'
    archive = self.archive(pack({evil: b'evil', 'package/a': b'a'}), name)
    with self.assertRaisesRegex(ArchiveError, 'no plain file'):
      self.extract(archive, '*evil', '*/*evil', '*/*/*evil', '*/*/*/*evil')
    self.assert_nothing_outside()

  @parameterized.parameters('/etc/passwd', '../../../x', 'b')
  def test_links_are_refused(self, target):
    content = package_testing.tgz({}, package_testing.link('a', target))
    with self.assertRaisesRegex(ArchiveError, "'a' is no plain file"):
      self.extract(self.archive(content), 'a')

  def test_links_in_a_zip_are_refused(self):
    path = self.folder / 'p.whl'
    with zipfile.ZipFile(path, 'w') as archive:
      info = zipfile.ZipInfo('a')
      info.external_attr = 0o120777 << 16
      archive.writestr(info, '/etc/passwd')
    with self.assertRaisesRegex(ArchiveError, "'a' is no plain file"):
      self.extract(path, 'a')

  def test_devices_are_refused(self):
    device = tarfile.TarInfo('a')
    device.type = tarfile.CHRTYPE
    with self.assertRaisesRegex(ArchiveError, 'no plain file'):
      self.extract(self.archive(package_testing.tgz({}, device)), 'a')

  def test_a_link_and_then_a_file_through_it_writes_nothing_outside(self):
    content = package_testing.tgz(
      {}, package_testing.link('d', str(self.folder)), tarfile.TarInfo('d/f')
    )
    self.extract(self.archive(content), 'd/f')
    self.assert_nothing_outside()

  def test_a_name_that_occurs_twice_is_refused(self):
    content = package_testing.tgz(
      {'a': b'first'}, tarfile.TarInfo('a'), tarfile.TarInfo('b')
    )
    with self.assertRaisesRegex(ArchiveError, "'a' is there twice"):
      self.extract(self.archive(content), 'a')

  def test_more_bytes_than_allowed_are_not_written(self):
    archive = self.archive(package_testing.tgz({'a': bytes(2000)}))
    with (
      mock.patch.object(archives, '_MAX_BYTES', 1000),
      self.assertRaisesRegex(ArchiveError, 'too large'),
    ):
      self.extract(archive, 'a')

  @parameterized.product(
    name=['p.tgz', 'p.whl'], cut=[0, 10, 0.5, 0.9], flip=[False, True]
  )
  def test_damaged_archives_are_refused_by_name(self, name, cut, flip):
    pack = package_testing.tgz if name == 'p.tgz' else package_testing.whl
    content = bytearray(pack({'a': b'text ' * 5000, 'b': bytes(range(256))}))
    place = int(cut * len(content)) if cut < 1 else cut
    if flip:
      content[place] ^= 0xFF
    else:
      del content[place:]
    try:
      self.extract(self.archive(bytes(content), name), 'a', 'b')
    except ArchiveError as error:
      self.assertIn(name, str(error))
    else:  # Some bytes, such as the time of packing, do not matter.
      self.assertTrue(flip)
      self.assertEqual((self.to / 'a').read_bytes(), b'text ' * 5000)


if __name__ == '__main__':
  absltest.main()
