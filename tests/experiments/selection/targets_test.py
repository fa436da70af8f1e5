"""Tests of target tasks: quantised numbers, classes, folders of images."""

import os
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from experiments.selection import targets
from probe_data import furniture
from tests import bank_testing


class QuantiseTest(parameterized.TestCase):
  @parameterized.parameters(2, 3, 10)
  def test_classes_have_equal_shares_of_the_training_values(self, classes):
    values = np.random.default_rng(0).permutation(120) ** 2.0
    labels = targets.quantise(values, classes, 120)
    np.testing.assert_array_equal(np.bincount(labels), 120 // classes)
    order = np.argsort(values)
    self.assertTrue((np.diff(labels[order]) >= 0).all())

  def test_test_values_do_not_move_the_limits(self):
    train = np.arange(30.0)
    alone = targets.quantise(train, 3, 30)
    both = targets.quantise(np.concatenate([train, np.full(90, 1e9)]), 3, 30)
    np.testing.assert_array_equal(both[:30], alone)
    np.testing.assert_array_equal(both[30:], 2)

  def test_equal_values_share_a_class_and_none_is_empty(self):
    labels = targets.quantise([0.0] * 50 + [1.0, 2.0, 3.0], 4, 50)
    np.testing.assert_array_equal(labels, 0)
    mixed = targets.quantise([0.0] * 40 + [1.0] * 10, 5, 50)
    self.assertEqual(set(mixed), set(range(mixed.max() + 1)))


class ClassificationTest(absltest.TestCase):
  def test_rare_classes_are_left_out_and_the_others_numbered(self):
    labels = np.array(
      [0] * 10 + [1] * 3 + [2] * 9 + [0] * 4 + [1] * 5 + [2] * 2
    )
    target = targets.classification('t', labels, 22)
    np.testing.assert_array_equal(labels[target.rows], target.labels * 2)
    self.assertEqual(target.num_classes, 2)
    self.assertNotIn(1, labels[target.rows])

  def test_one_class_is_no_target(self):
    with self.assertRaisesRegex(ValueError, '1 of 2 classes have 8 images'):
      targets.classification('t', np.array([0] * 30 + [1]), 20)

  def test_every_furniture_class_has_a_shape_and_none_has_its_own(self):
    largest = np.arange(len(furniture.CLASSES) + 1)
    shapes = targets._shapes(largest)
    self.assertEqual(set(shapes), {0, 1, 2, 3})
    self.assertEqual(np.sum(shapes == 3), 1)
    self.assertEqual(shapes[furniture.CLASSES.index('ball')], 2)


class ClassFoldersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    for seed, name in enumerate(('cats', 'dogs')):
      bank_testing.write_images(self.folder / 'data' / name, 12, seed=seed)

  def test_a_share_of_each_class_is_set_aside(self):
    data = targets.class_folders(self.folder / 'data', None, 100, (16, 16))
    target = data.targets['data']
    self.assertEqual(data.images.shape, (24, 16, 16, 3))
    test = target.labels[target.rows >= data.num_train]
    np.testing.assert_array_equal(np.bincount(test), [4, 4])

  def test_labels_are_those_of_the_folders(self):
    data = targets.class_folders(self.folder / 'data', None, 100, (20, 20))
    target = data.targets['data']
    own = targets.class_folders(
      self.folder / 'data', None, 100, (20, 20), seed=5
    )
    self.assertNotEqual(data.digest(), own.digest())
    for label in (0, 1):
      pictures = {i.tobytes() for i in data.images[target.labels == label]}
      other = own.images[own.targets['data'].labels == label]
      self.assertEqual(pictures, {image.tobytes() for image in other})

  def test_test_images_of_their_own_are_all_tested_on(self):
    bank_testing.write_images(self.folder / 'test' / 'cats', 3)
    bank_testing.write_images(self.folder / 'test' / 'dogs', 2)
    data = targets.class_folders(
      self.folder / 'data', self.folder / 'test', 100, (16, 16)
    )
    self.assertEqual(data.num_train, 24)
    self.assertLen(data.images, 29)

  def test_a_class_of_which_no_training_image_is_drawn_is_a_rare_one(self):
    for part, number in (('data', 1), ('test', 2)):
      bank_testing.write_images(self.folder / part / 'rare', number)
    for name in ('cats', 'dogs'):
      bank_testing.write_images(self.folder / 'test' / name, 2)
    for seed in range(10):
      data = targets.class_folders(
        *(self.folder / 'data', self.folder / 'test', 22, (16, 16)), seed=seed
      )
      target = data.targets['data']
      self.assertEqual(target.num_classes, 2)
      self.assertEqual(np.sum(target.rows >= data.num_train), 4)

  def test_what_is_no_folder_of_classes_is_refused(self):
    data = self.folder / 'data'
    with self.assertRaisesRegex(ValueError, 'no folder'):
      targets.class_folders(self.folder / 'none', None, 100, (16, 16))
    with self.assertRaisesRegex(ValueError, 'beside the folders of its class'):
      targets.class_folders(data / 'cats', None, 100, (16, 16))
    with self.assertRaisesRegex(ValueError, 'both `train_dir` and `test_dir`'):
      targets.class_folders(data, f'{data}/', 100, (16, 16))
    bank_testing.write_images(self.folder / 'test' / 'birds', 3)
    with self.assertRaisesRegex(ValueError, r"lacks: \['birds'\]"):
      targets.class_folders(data, self.folder / 'test', 100, (16, 16))


class ScenesTest(absltest.TestCase):
  def test_targets_follow_the_labels_of_the_scenes(self):
    folder = self.create_tempdir().full_path
    names = ('shape_class', 'mean_depth', 'camera_pitch', 'wall_distance')
    data = targets.scenes(folder, names[1:], 40, 12, (16, 16), num_classes=4)
    self.assertEqual(data.images.shape, (52, 16, 16, 3))
    for name in names[1:]:
      target = data.targets[name]
      self.assertEqual(target.num_classes, 4)
      for label in range(3):
        self.assertLessEqual(
          target.values[target.labels == label].max(),
          target.values[target.labels == label + 1].min(),
        )
    empty = self.create_tempdir().full_path
    with self.assertRaisesRegex(ValueError, "No target 'colour'; choose"):
      targets.scenes(empty, ('colour',), 40, 12, (16, 16))
    self.assertEmpty(os.listdir(empty))  # Nothing was rendered for it.


if __name__ == '__main__':
  absltest.main()
