"""Tests of reading files of others."""

import pathlib

from absl.testing import absltest

from frozen_graphs import bounded_files
from frozen_graphs.errors import GraphError


class BoundedFilesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, 'a.bin')
    self.path.write_bytes(b'12345')

  def test_a_file_of_just_that_size_is_read(self):
    self.assertEqual(bounded_files.read(self.path, 5), b'12345')

  def test_a_larger_file_is_refused_by_name(self):
    with self.assertRaisesRegex(GraphError, 'a.bin has 5 bytes, more than the'):
      bounded_files.read(self.path, 4)

  def test_an_absent_file_is_none_of_a_graph(self):
    with self.assertRaises(FileNotFoundError):
      bounded_files.read(self.path.with_name('b'), 4)


if __name__ == '__main__':
  absltest.main()
