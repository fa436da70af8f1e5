"""Tests of tables and of files that are whole or absent."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

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

  def test_rankings_come_back(self):
    rankings = {'a': ('b', 'c'), 'b': ('c', 'a')}
    files.write_rankings(self.path, rankings)
    self.assertEqual(files.read_rankings(self.path), rankings)

  @parameterized.parameters(
    ('source,rank_1\na,b\n', 'header'),
    ('target,rank_2\na,b\n', 'header'),
    ('target\na\n', 'header'),
    ('target,rank_1\na,b\na,c\n', 'two rows'),
    ('target,rank_1,rank_2\na,b\n', "target 'a'"),
    ('target,rank_1,rank_2\na,b,\n', "target 'a'"),
    ('target,rank_0,rank_1\na,b,c\n', 'rank_0'),
  )
  def test_a_malformed_ranking_is_refused(self, text, message):
    self.path.write_text(text)
    with self.assertRaisesRegex(ValueError, message):
      files.read_rankings(self.path)


if __name__ == '__main__':
  absltest.main()
