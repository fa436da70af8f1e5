"""Tests of the crops of photographs that Python packages carry."""

import importlib.util
import os
import re
from unittest import mock

from absl.testing import absltest, parameterized
import cv2
import numpy as np

from probe_data import errors, photographs


class CropsTest(parameterized.TestCase):
  def test_crops_are_distinct_and_of_the_size_asked_for(self):
    crops, ids = photographs.crops(200, (16, 24), 0)
    self.assertEqual(crops.shape, (200, 16, 24, 3))
    self.assertEqual(crops.dtype, np.uint8)
    self.assertLen(set(ids), 200)
    self.assertLen({crop.tobytes() for crop in crops}, 200)

  def test_box_that_was_drawn_before_is_drawn_again(self):
    boxes = [(0, 0, 9, 9)] * 8 + [(0, 1, 9, 9)]  # The first photograph twice.
    with mock.patch.object(photographs, '_random_box', side_effect=boxes):
      _, ids = photographs.crops(8, (4, 4), 0)
    self.assertEqual(ids[0], 'astronaut.png[y=0 x=0 h=9 w=9]')
    self.assertEqual(ids[7], 'astronaut.png[y=0 x=1 h=9 w=9]')

  def test_photographs_take_turns(self):
    _, ids = photographs.crops(21, (8, 8), 0)
    files = [re.sub(r'\[.*', '', name) for name in ids]
    self.assertLen(set(files), 7)
    self.assertEqual(files, files[:7] * 3)

  def test_fewer_crops_are_the_first_of_more(self):
    more, more_ids = photographs.crops(30, (8, 8), 5)
    fewer, fewer_ids = photographs.crops(11, (8, 8), 5)
    self.assertEqual(more_ids[:11], fewer_ids)
    np.testing.assert_array_equal(more[:11], fewer)

  def test_seed_changes_the_crops(self):
    _, ids = photographs.crops(7, (8, 8), 0)
    _, other_ids = photographs.crops(7, (8, 8), 1)
    self.assertEmpty(set(ids) & set(other_ids))

  def test_id_says_where_the_crop_is(self):
    crops, ids = photographs.crops(14, (32, 32), 0)
    for crop, name in zip(crops, ids, strict=True):
      file, *place = re.fullmatch(
        r'(.*)\[y=(\d+) x=(\d+) h=(\d+) w=(\d+)\]', name
      ).groups()
      top, left, height, width = map(int, place)
      self.assertEqual(height, width)
      (path,) = (p for p in photographs.paths() if p.endswith(file))
      photograph = cv2.imread(path)[..., ::-1]
      box = photograph[top : top + height, left : left + width]
      self.assertEqual(box.shape[:2], (height, width))
      expected = cv2.resize(box, (32, 32), interpolation=cv2.INTER_AREA)
      np.testing.assert_array_equal(crop, expected)

  @parameterized.parameters(((600, 600),), ((1, 64),), ((64, 1),), ((1, 1),))
  def test_unusual_sizes_work(self, image_size):
    crops, _ = photographs.crops(14, image_size, 0)
    self.assertEqual(crops.shape, (14, *image_size, 3))

  def test_more_crops_than_there_are_is_an_error(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'at most 70,000'):
      photographs.crops(70_001, (1, 1), 0)


class PathsTest(absltest.TestCase):
  def test_photographs_lie_inside_of_the_installed_packages(self):
    for package, path in zip(
      photographs.PHOTOGRAPHS, photographs.paths(), strict=True
    ):
      folder = importlib.util.find_spec(package[0]).submodule_search_locations
      self.assertTrue(os.path.isfile(path))
      self.assertStartsWith(path, folder[0])

  def test_missing_package_is_an_error_that_names_the_extra(self):
    with mock.patch.object(importlib.util, 'find_spec', return_value=None):
      with self.assertRaisesRegex(errors.ProbeSetError, r'skimage.*\[photos\]'):
        photographs.paths()

  def test_missing_photograph_is_an_error_that_names_it(self):
    with mock.patch.object(os.path, 'isfile', lambda path: 'cat' in path):
      with self.assertRaisesRegex(errors.ProbeSetError, 'china.jpg'):
        photographs.paths()


if __name__ == '__main__':
  absltest.main()
