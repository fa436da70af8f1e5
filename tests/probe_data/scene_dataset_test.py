"""Tests of the data sets of labelled scenes."""

import os
import tempfile

from absl.testing import absltest
import numpy as np

from probe_data import scene_dataset, scene_labels, scenes


class SceneDatasetTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = folder.name
    # More than one chunk, by two processes.
    cls.data = scene_dataset.build(cls.folder, 'transfer', 103, 16, workers=2)

  def test_every_scene_stands_in_its_row(self):
    for index in (0, 99, 100, 102):
      seed = scenes.scene_seed('transfer', index)
      images, labels = scene_labels.labelled_images([seed], 16)
      np.testing.assert_array_equal(self.data['image'][index], images[0])
      for task, values in labels.items():
        np.testing.assert_array_equal(self.data[task][index], values[0], task)

  def test_a_data_set_that_is_there_is_not_rendered_again(self):
    path = os.path.join(
      self.folder,
      scene_dataset.folder_name('transfer', 103, 16),
      'image.npy',
    )
    before = os.stat(path).st_mtime_ns
    again = scene_dataset.build(self.folder, 'transfer', 103, 16)
    self.assertEqual(os.stat(path).st_mtime_ns, before)
    np.testing.assert_array_equal(again['image'], self.data['image'])

  def test_one_that_was_cut_off_is_rendered_anew(self):
    name = scene_dataset.folder_name('test', 2, 16)
    os.makedirs(os.path.join(self.folder, f'.{name}.partial'))
    data = scene_dataset.build(self.folder, 'test', 2, 16)
    self.assertEqual(data['image'].shape, (2, 16, 16, 3))
    self.assertNotIn(f'.{name}.partial', os.listdir(self.folder))

  def test_data_cannot_be_changed_by_accident(self):
    with self.assertRaises(ValueError):
      self.data['image'][0] = 0


if __name__ == '__main__':
  absltest.main()
