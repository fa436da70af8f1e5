"""Tests of folders in the layout of PASCAL VOC."""

import pathlib

from absl.testing import absltest
import numpy as np

from probe_data import shapes, voc
from tests import voc_testing


class VocTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def test_a_folder_is_read_as_it_was_written(self):
    data = shapes.draw(6, 0)
    voc_testing.write(self.folder, {'train': data})
    found = voc.load(self.folder, 'train', shapes.SIDE)
    self.assertEqual(tuple(found.classes), tuple(sorted(shapes.CLASSES)))
    order = [shapes.CLASSES.index(name) for name in found.classes]
    np.testing.assert_array_equal(found.labels, data.labels[:, order])
    renumbered = np.zeros(shapes.VOID + 1, np.uint8)
    for number, old in enumerate(order, start=1):
      renumbered[old + 1] = number
    np.testing.assert_array_equal(found.masks, renumbered[data.masks])
    changes = np.abs(found.images.astype(int) - data.images)  # By JPEG.
    self.assertLess(changes.mean(), 25)

  def test_pictures_without_masks_come_last_and_have_no_samples(self):
    data = shapes.draw(5, 1)
    voc_testing.write(self.folder, {'val': data}, masked=2)
    found = voc.load(self.folder, 'val', 32)
    self.assertEqual(found.has_mask.tolist(), [True] * 2 + [False] * 3)
    self.assertEqual(set(found.samples()[0].tolist()), {0, 1})
    self.assertLen(voc.load(self.folder, 'val', 32, limit=3), 3)

  def test_void_pixels_are_of_no_class(self):
    data = shapes.draw(1, 0)
    data.masks[0, :2] = shapes.VOID
    voc_testing.write(self.folder, {'val': data})
    found = voc.load(self.folder, 'val', 32)
    self.assertTrue((found.masks[0, :2] == shapes.VOID).all())

  def test_what_is_wrong_is_said(self):
    with self.assertRaisesRegex(ValueError, 'voc_dir'):
      voc.load(self.folder, 'train', 32)
    voc_testing.write(self.folder, {'train': shapes.draw(1, 0)})
    labels = self.folder / 'ImageSets' / 'Main' / 'disk_train.txt'
    for text, message in (('a 2', '1, 0 and -1'), ('a b c', '3 words')):
      labels.write_text(text)
      with self.assertRaisesRegex(ValueError, message):
        voc.load(self.folder, 'train', 32)

  def test_a_colour_of_no_class_is_refused(self):
    data = shapes.draw(1, 0)
    data.masks[0, 0, 0] = 77
    voc_testing.write(self.folder, {'train': data})
    with self.assertRaisesRegex(ValueError, 'colour'):
      voc.load(self.folder, 'train', 32)


if __name__ == '__main__':
  absltest.main()
