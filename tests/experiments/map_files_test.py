"""Tests of the files that keep attribution maps as they are."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments.map_files import MapFile


class MapFileTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / 'elrp' / 'a.npy'
    self.maps = np.random.default_rng(0).normal(size=(7, 4, 5, 3))
    self.maps = self.maps.astype(np.float32)

  def _file(self):
    """Returns the file as a process sees it that has just started."""
    return MapFile(self.path, 7)

  def test_two_processes_that_begin_at_once_lose_no_maps(self):
    first, second = self._file(), self._file()
    made = first._make

    def late(shape):
      second.write(4, self.maps[4:])  # After the first found no file.
      made(shape)

    with mock.patch.object(first, '_make', late):
      first.write(0, self.maps[:4])
    first.finish()
    np.testing.assert_array_equal(np.load(self.path), self.maps)
    self.assertEqual(os.listdir(self.path.parent), ['a.npy'])

  def test_file_holds_the_maps_in_any_order_of_writing(self):
    file = self._file()
    for start in (4, 0, 2, 6):
      file.write(start, self.maps[start : start + 2])
    file.finish()
    found = np.load(self.path)
    self.assertEqual(found.dtype, np.float32)
    np.testing.assert_array_equal(found, self.maps)
    self.assertEqual(os.listdir(self.path.parent), ['a.npy'])

  def test_file_has_its_name_only_when_it_is_finished(self):
    file = self._file()
    self.assertFalse(file.is_started)
    file.write(0, self.maps)
    self.assertFalse(self.path.exists())
    self.assertTrue(self._file().is_started)
    file.finish()
    self.assertTrue(self.path.exists())

  def test_another_process_goes_on(self):
    self._file().write(0, self.maps[:4])
    second = self._file()
    second.write(4, self.maps[4:])
    second.finish()
    np.testing.assert_array_equal(np.load(self.path), self.maps)

  def test_finished_file_can_be_finished_again(self):
    file = self._file()
    file.write(0, self.maps)
    file.finish()
    before = os.stat(self.path).st_mtime_ns
    self._file().finish()
    self.assertEqual(os.stat(self.path).st_mtime_ns, before)

  def test_part_of_a_finished_file_can_be_written_anew(self):
    file = self._file()
    file.write(0, self.maps)
    file.finish()
    again = self._file()
    again.write(2, -self.maps[2:4])
    again.finish()
    found = np.load(self.path)
    np.testing.assert_array_equal(found[2:4], -self.maps[2:4])
    np.testing.assert_array_equal(found[4:], self.maps[4:])

  def test_what_a_kill_left_while_the_file_was_made_is_no_start(self):
    self.path.parent.mkdir()
    (self.path.parent / '.a.npy.new').write_bytes(b'\x93NUMPY')
    file = self._file()
    self.assertFalse(file.is_started)
    file.write(0, self.maps)
    file.finish()
    np.testing.assert_array_equal(np.load(self.path), self.maps)
    self.assertEqual(os.listdir(self.path.parent), ['a.npy'])


if __name__ == '__main__':
  absltest.main()
