"""Tests of how images and labels are read."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from experiments.recommending import labelled
from experiments.recommending.labelled import Reading
from tests import bank_testing, testing

_READING = Reading(100, (16, 16))


class ReadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.photos = self.folder / 'photos'
    for number, name in enumerate(('cat', 'dog')):
      bank_testing.write_images(self.photos / name, 3, 16, number)

  def _csv(self, *lines):
    path = self.folder / 'labels.csv'
    path.write_text('\n'.join(lines))
    return path

  def test_folders_are_classes(self):
    probe, labels = labelled.read(self.photos, 'folders', _READING)
    self.assertEqual(labels.names, ('cat', 'dog'))
    expected = [int(name.startswith('dog')) for name in probe.ids]
    self.assertEqual(labels.values.tolist(), expected)

  def test_csv_names_files_of_the_folder(self):
    rows = ['file,class', 'cat/000.png,7.5', 'dog/001.png,-1']
    probe, labels = labelled.read(self.photos, self._csv(*rows), _READING)
    self.assertEqual(probe.ids, ('cat/000.png', 'dog/001.png'))
    self.assertEqual(labels.values[:, 0].tolist(), [7.5, -1])
    path = self._csv('cat/000.png,a', 'cat/001.png,b')
    _, labels = labelled.read(self.photos, path, _READING)
    self.assertEqual(labels.names, ('a', 'b'))

  @parameterized.parameters('file', 'image.path', 'file name (v1.0)')
  def test_a_header_is_what_names_no_image(self, header):
    rows = [f'{header},score', 'cat/000.png,7.5', 'dog/001.png,-1']
    _, labels = labelled.read(self.photos, self._csv(*rows), _READING)
    self.assertEqual(labels.values[:, 0].tolist(), [7.5, -1])

  def test_files_that_are_not_there_do_not_make_classes_of_numbers(self):
    rows = ['cat/000.png,7.5', 'dog/001.png,-1', 'gone.png,unknown']
    with self.assertLogs(level='WARNING') as said:
      _, labels = labelled.read(self.photos, self._csv(*rows), _READING)
    self.assertEqual(labels.values[:, 0].tolist(), [7.5, -1])
    self.assertIn("1 of the 3 labelled files, such as 'gone.png'", *said.output)

  def test_names_that_python_takes_for_numbers_are_names(self):
    rows = ['cat/000.png,1_0', 'dog/001.png,10']
    _, labels = labelled.read(self.photos, self._csv(*rows), _READING)
    self.assertEqual(labels.names, ('10', '1_0'))

  def test_names_may_look_like_numbers_if_that_is_said(self):
    reading = Reading(100, (16, 16), kind='classes')
    rows = ['cat/000.png,1.5', 'dog/001.png,NA']
    _, labels = labelled.read(self.photos, self._csv(*rows), reading)
    self.assertEqual(labels.names, ('1.5', 'NA'))

  def test_arrays_and_lists_keep_their_order(self):
    images = testing.images(6, 16)
    probe, labels = labelled.read(images, list('ababab'), _READING)
    np.testing.assert_array_equal(probe.images, images)
    self.assertEqual(labels.values.tolist(), [0, 1] * 3)
    paths = [self.photos / 'dog' / '001.png', self.photos / 'cat' / '000.png']
    probe, labels = labelled.read(paths, [5.0, 6.0], _READING)
    expected = {str(paths[0]): 5.0, str(paths[1]): 6.0}
    by_name = dict(zip(probe.ids, labels.values[:, 0], strict=True))
    self.assertEqual(by_name, expected)
    of_paths = dict(zip(paths, (5.0, 6.0), strict=True))
    probe, labels = labelled.read(paths, of_paths, _READING)
    by_name = dict(zip(probe.ids, labels.values[:, 0], strict=True))
    self.assertEqual(by_name, expected)

  def test_drawn_images_take_their_labels_along(self):
    images = np.repeat(np.arange(20, dtype=np.uint8), 8 * 8 * 3)
    images = images.reshape(20, 8, 8, 3)
    reading = Reading(7, (8, 8), seed=3)
    probe, labels = labelled.read(images, np.arange(20.0), reading)
    self.assertLen(probe, 7)
    self.assertEqual(
      probe.images[:, 0, 0, 0].tolist(), labels.values[:, 0].tolist()
    )

  def test_without_labels_there_are_only_images(self):
    probe, labels = labelled.read(self.photos, None, _READING)
    self.assertLen(probe, 6)
    self.assertIsNone(labels)

  @parameterized.parameters(
    (['cat/9.png,a', 'cat/8.png,b'], "None of 2 labelled files.*'cat/9.png'"),
    (['file,class'], 'a header, but no labels'),
    (['cat/000.png,a,b'], 'row 1: .* 3 columns'),
    (['cat/000.png;a'], '1 columns.*comma'),
    (['cat/000.png,1.5', 'cat/001.png,'], "row 2: no label.*'cat/001.png'"),
    (['cat/000.png,a', ',b'], 'row 2: .* no file'),
    (
      ['cat/000.png,1.5', 'cat/001.png,NA', 'dog/000.png,2'],
      "label of 'cat/001.png' is 'NA', where other",
    ),
    (['cat/000.png,a', 'cat/000.png,b'], 'twice'),
  )
  def test_wrong_tables_are_refused(self, lines, message):
    with self.assertRaisesRegex(ValueError, message):
      labelled.read(self.photos, self._csv(*lines), _READING)

  def test_what_does_not_fit_is_refused(self):
    images = testing.images(4, 16)
    for pictures, labels, message in (
      (images, [1, 2], '2 labels for 4 images'),
      (['a.png', 'b.png', 'a.png'], [0, 1, 1], "'a.png' more than once"),
      (['a.png', 'b.png'], 5, '1 labels for 2 images'),
      (images, 'folders', 'needs a folder'),
      (images, ['a', 'b', 'a', np.nan], 'type object'),
      (images, 'no.csv', "no file 'no.csv' with `labels`"),
      (self.photos, [1, 2], 'give a CSV'),
      (images, {'a.png': 1}, 'need a folder, or a list'),
      (images, 5, '1 labels for 4 images'),
      (self.photos, {}, 'mapping of files is empty'),
      ([], [], '0 labels for 0 images'),
      (['a.png', 'a.png'], [1, 2], "'a.png' more than once"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        labelled.read(pictures, labels, _READING)
    bank_testing.write_images(self.photos, 1, 16)
    with self.assertRaisesRegex(ValueError, 'beside the folders'):
      labelled.read(self.photos, 'folders', _READING)

  def test_history_is_a_file_or_tuples(self):
    rows = [('depth', 'a', 0.5), ('depth', 'b', 1.0), ('edges', 'a', 2.0)]
    lines = ['target,network,score', *(','.join(map(str, r)) for r in rows)]
    for given in (self._csv(*lines), rows):
      found = labelled.read_history(given)
      self.assertEqual(found.targets, ('depth', 'edges'))
      np.testing.assert_array_equal(found.scores, [[0.5, 1], [2, np.nan]])
    for wrong, message in (
      (3, 'not iterable'),
      ([(1, 2)], 'values to unpack'),
      ([*rows, ('depth', 'a', 9)], "'a' has two scores for 'depth'"),
      ([*rows, ('edges', 'b', np.nan)], "'b' has the score nan for 'edges'"),
      ([], 'there are none'),
    ):
      with self.assertRaisesRegex(
        ValueError, f'history must be the path .*{message}'
      ):
        labelled.read_history(wrong)


if __name__ == '__main__':
  absltest.main()
