"""Tests of tables and of files that are whole or absent."""

import hashlib
import os
import pathlib
import resource
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from toolkit_basics import files


class FilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path) / 'a.csv'

  def test_a_failed_write_leaves_the_old_file_and_nothing_else(self):
    files.write_atomically(self.path, b'old')
    with mock.patch.object(os, 'fsync', side_effect=OSError('disk full')):
      with self.assertRaises(OSError):
        files.write_atomically(self.path, b'new')
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertEqual(os.listdir(self.path.parent), ['a.csv'])

  def test_a_file_that_there_is_no_room_for_is_named(self):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    np.save(self.path.with_suffix('.npy'), np.zeros((3, 2)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, old[1]))
    try:
      with self.assertRaisesRegex(OSError, 'too large.*a.csv'):
        files.write_atomically(self.path, b'too much')
        files.write_atomically(self.path, b'too much now')
      with self.assertRaisesRegex(OSError, 'too large.*a.npy'):
        files.write_rows(self.path.with_suffix('.npy'), 1, np.ones((1, 2)))
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, old)
    self.assertEqual(self.path.read_bytes(), b'too much')

  def test_rows_are_written_in_their_place(self):
    path = self.path.with_suffix('.npy')
    np.save(path, np.zeros((4, 2), np.float32))
    files.write_rows(path, 1, np.arange(4).reshape(2, 2))
    np.testing.assert_array_equal(
      np.load(path), [[0, 0], [0, 1], [2, 3], [0, 0]]
    )

  def test_missing_folders_are_made(self):
    files.write_atomically(self.path.parent / 'b' / 'c', b'x')
    self.assertEqual((self.path.parent / 'b' / 'c').read_bytes(), b'x')

  def test_cells_with_commas_quotes_and_unicode_come_back(self):
    rows = [['a,b', '"c"', 'é'], ['1', '', '3']]
    files.write_csv(self.path, rows)
    self.assertEqual(files.read_csv(self.path), rows)
    self.assertNotIn(b'\r', self.path.read_bytes())

  def test_floats_are_written_in_shortest_round_trip_form(self):
    files.write_csv(self.path, [[0.1, 1 / 3, 1e-300, float('inf')]])
    self.assertEqual(
      self.path.read_text(), '0.1,0.3333333333333333,1e-300,inf\n'
    )

  def test_a_byte_order_mark_blank_lines_and_spaces_are_ignored(self):
    self.path.write_bytes(b'\xef\xbb\xbfa, b\r\n\r\n,\r\n1 ,2\r\n')
    self.assertEqual(files.read_csv(self.path), [['a', 'b'], ['1', '2']])

  @parameterized.parameters(b'', b'\n\n', b'\xff\xfe\x00')
  def test_what_is_no_table_is_refused_with_its_path(self, data):
    self.path.write_bytes(data)
    with self.assertRaisesRegex(ValueError, 'a.csv'):
      files.read_csv(self.path)

  def test_what_is_not_whole_has_a_hidden_name(self):
    with files.replacing(self.path) as file:
      file.write(b'half')
      self.assertEqual(
        os.listdir(self.path.parent), [f'.a.csv.{os.getpid()}.partial']
      )
    self.assertEqual(os.listdir(self.path.parent), ['a.csv'])

  def test_a_block_that_raises_leaves_no_file(self):
    with self.assertRaises(KeyError):
      with files.replacing(self.path) as file:
        file.write(b'half')
        raise KeyError
    self.assertEqual(os.listdir(self.path.parent), [])

  def test_a_file_of_just_the_size_allowed_is_read(self):
    self.path.write_bytes(b'12345')
    self.assertEqual(files.read_bounded(self.path, 5), b'12345')
    for error in (ValueError, UnicodeError):
      with self.assertRaisesRegex(error, 'a.csv has 5 bytes, more than the 4'):
        files.read_bounded(self.path, 4, error)
    with self.assertRaises(FileNotFoundError):
      files.read_bounded(self.path.with_name('b'), 4)

  def test_what_is_no_file_is_neither_read_nor_waited_for(self):
    os.mkfifo(self.path)
    with self.assertRaisesRegex(UnicodeError, 'no file, but a pipe'):
      files.read_bounded(self.path, 4, UnicodeError)
    with self.assertRaises(IsADirectoryError):
      files.read_bounded(self.path.parent, 4)

  def test_only_the_folder_itself_is_swept_where_that_is_wanted(self):
    inner = self.path.parent / 'inner' / '.b.7.partial'
    for path in (inner, self.path.with_name('.a.7.partial')):
      files.write_atomically(path, b'')
    files.sweep(self.path.parent, recursive=False)
    self.assertEqual(os.listdir(self.path.parent), ['inner'])
    files.sweep(self.path.parent)
    self.assertEmpty(os.listdir(inner.parent))

  def test_digest_is_that_of_files_and_bytes_in_turn(self):
    self.path.write_bytes(b'ab')
    expected = hashlib.sha256(b'ababcd').hexdigest()
    for path in (self.path, str(self.path)):
      self.assertEqual(files.sha256(path, b'ab', memoryview(b'cd')), expected)

  def test_json_comes_back_and_what_is_none_is_refused_with_its_path(self):
    files.write_json(self.path, {'a': [1, 'é']})
    self.assertEqual(files.read_json(self.path), {'a': [1, 'é']})
    self.path.write_text('[2]', encoding='utf-8-sig')  # As of Windows.
    self.assertEqual(files.read_json(self.path), [2])
    for data in (b'{', b'"\xff"', b'[{"a": 1, "b": {"a": 2}, "a": 3}]'):
      self.path.write_bytes(data)
      with self.assertRaisesRegex(ValueError, 'a.csv: not JSON'):
        files.read_json(self.path)
    self.path.write_text('[' * 100_000)
    with self.assertRaisesRegex(ValueError, 'a.csv: its JSON is nested'):
      files.read_json(self.path)


if __name__ == '__main__':
  absltest.main()
