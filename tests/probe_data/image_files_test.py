"""Tests of finding image files and of drawing a sample of them."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from probe_data import errors, image_files
from tests import image_testing

_TRUNCATED = image_testing.encode(image_testing.picture(), 'JPEG')[:-90]


class FindTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path

  def test_figures_of_a_run_in_the_folder_are_no_images_of_it(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    for name in ('a.png', 'b/c.png', 'b/run/run.json', 'b/run/figures/d.png'):
      (folder / name).parent.mkdir(parents=True, exist_ok=True)
      (folder / name).touch()
    self.assertEqual([*image_files.find(folder)], ['a.png', 'b/c.png'])
    self.assertLen(image_files.find(folder / 'b' / 'run'), 1)

  def test_images_of_all_folders_below_are_found(self):
    image_testing.write_pictures(
      self.folder, 'b.png', 'a/z.JPG', 'a/b/c.webp', 'no_image.txt'
    )
    found = image_files.find(self.folder)
    self.assertSameElements(found, ['a/b/c.webp', 'a/z.JPG', 'b.png'])
    self.assertEqual(found['a/z.JPG'], os.path.join(self.folder, 'a/z.JPG'))

  def test_extension_that_opencv_cannot_read_still_claims_an_image(self):
    image_testing.write(self.folder, 'phone.HEIC', b'ftypheic')
    self.assertIn('phone.HEIC', image_files.find(self.folder))

  def test_hidden_files_and_folders_are_passed_over(self):
    image_testing.write_pictures(
      self.folder, 'a.png', '._a.png', '.thumbnails/a.png'
    )
    self.assertSameElements(image_files.find(self.folder), ['a.png'])

  def test_linked_folders_are_followed_and_loops_are_not(self):
    elsewhere = self.create_tempdir().full_path
    image_testing.write_pictures(elsewhere, 'far.png')
    os.makedirs(os.path.join(self.folder, 'deep'))
    os.symlink(elsewhere, os.path.join(self.folder, 'deep', 'link'))
    os.symlink(self.folder, os.path.join(self.folder, 'deep', 'loop'))
    found = image_files.find(self.folder)
    self.assertSameElements(found, ['deep/link/far.png'])

  def test_folders_linked_in_circles_are_seen_once(self):
    names = [f'f{i}' for i in range(12)]
    for name in names:
      os.makedirs(os.path.join(self.folder, name))
    for name in names:  # 12! ways, if each is followed.
      for other in names:
        link = os.path.join(self.folder, name, f'to_{other}')
        os.symlink(os.path.join(self.folder, other), link)
    image_testing.write_pictures(self.folder, 'f5/a.png')
    self.assertLen(image_files.find(self.folder), 1)

  def test_link_to_itself_is_no_folder_and_does_not_stop_the_search(self):
    image_testing.write_pictures(self.folder, 'a.png')
    link = os.path.join(self.folder, 'loop')
    os.symlink(link, link)
    self.assertSameElements(image_files.find(self.folder), ['a.png'])

  def test_unreadable_folder_is_skipped_and_named(self):
    image_testing.write_pictures(self.folder, 'a.png', 'locked/b.png')
    scandir = os.scandir

    def locked(path):
      if str(path).endswith('locked'):
        raise PermissionError(13, 'Permission denied')
      return scandir(path)

    with (
      mock.patch.object(os, 'scandir', locked),
      self.assertLogs(level='WARNING') as logs,
    ):
      self.assertSameElements(image_files.find(self.folder), ['a.png'])
    self.assertIn('locked/: Permission denied', logs.output[0])

  def test_folders_may_be_nested_as_deep_as_the_system_allows(self):
    deep = self.folder
    for _ in range(1200):
      deep = os.path.join(deep, 'd')
      os.mkdir(deep)
    picture = os.path.join(deep, 'a.png')
    image_testing.write_pictures(deep, 'a.png')
    found = image_files.find(self.folder)
    os.remove(picture)
    while deep != self.folder:  # Too deep for who tidies up.
      os.rmdir(deep)
      deep = os.path.dirname(deep)
    self.assertSameElements(found.values(), [picture])

  def test_empty_folder_is_an_error_that_says_so(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'it holds no files'):
      image_files.find(self.folder)

  def test_folder_of_other_files_is_an_error_that_says_what_they_are(self):
    for name in ('a.csv', 'b.csv', 'README'):
      image_testing.write(self.folder, name, b'')
    with self.assertRaisesRegex(errors.ProbeSetError, 'csv: 2, none: 1'):
      image_files.find(self.folder)


class ReadListTest(absltest.TestCase):
  def _write(self, content: bytes):
    folder = self.create_tempdir().full_path
    return image_testing.write(folder, 'list.txt', content)

  def test_paths_are_relative_to_the_list(self):
    path = self._write(b'a.png\n\n  sub/b c.png\r\n/far/c.png')
    self.assertEqual(
      image_files.read_list(path),
      {
        'a.png': str(path.parent / 'a.png'),
        'sub/b c.png': str(path.parent / 'sub/b c.png'),
        '/far/c.png': '/far/c.png',
      },
    )

  def test_byte_order_mark_is_no_part_of_the_first_path(self):
    path = self._write(b'\xef\xbb\xbfa.png\n')
    self.assertSameElements(image_files.read_list(path), ['a.png'])

  def test_repeated_path_is_an_error_with_its_line(self):
    path = self._write(b'a.png\nb.png\na.png\n')
    with self.assertRaisesRegex(errors.ProbeSetError, "line 3 repeats 'a.png'"):
      image_files.read_list(path)

  def test_list_without_paths_or_of_bytes_is_an_error(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'lists no files'):
      image_files.read_list(self._write(b'\n \n'))
    with self.assertRaisesRegex(errors.ProbeSetError, 'not a text file'):
      image_files.read_list(self._write(b'\xff\xd8\xff'))


class SampleTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path

  def _sample(self, files, num_images=1000, on_bad_image='skip', **options):
    arguments = {
      'image_size': (8, 8),
      'seed': 0,
      'progress': lambda pictures, **_: pictures,
    }
    drawing = image_files.Drawing(
      num_images=num_images,
      on_bad_image=on_bad_image,
      **arguments | options,
    )
    return image_files.sample(files, drawing, 'here')

  def _files(self, num_good, num_bad=0):
    names = [f'{i:03d}.png' for i in range(num_good)]
    image_testing.write_pictures(self.folder, *names)
    for i in range(num_bad):
      image_testing.write(self.folder, f'{i:03d}_bad.jpg', _TRUNCATED)
    return image_files.find(self.folder)

  def test_all_are_taken_in_the_order_of_their_names_if_they_are_fewer(self):
    files = self._files(5)
    sample = self._sample(files)
    self.assertEqual(sample.names, tuple(sorted(files)))
    self.assertEqual(sample.pictures.shape, (5, 8, 8, 3))
    self.assertEqual(sample.skipped, ())

  def test_each_name_goes_with_its_picture(self):
    files = self._files(9)
    alone = {
      name: self._sample({name: path}).pictures[0]
      for name, path in files.items()
    }
    sample = self._sample(files, 6)
    for name, picture in zip(sample.names, sample.pictures, strict=True):
      np.testing.assert_array_equal(picture, alone[name], name)

  def test_sample_does_not_depend_on_the_order_of_the_file_system(self):
    files = self._files(30)
    backwards = dict(reversed(files.items()))
    self.assertEqual(
      self._sample(files, 10).names, self._sample(backwards, 10).names
    )

  def test_sample_depends_on_the_seed_and_nothing_else(self):
    files = self._files(30)
    first = self._sample(files, 10)
    again = self._sample(files, 10)
    other = self._sample(files, 10, seed=1)
    self.assertEqual(first.names, again.names)
    np.testing.assert_array_equal(first.pictures, again.pictures)
    self.assertNotEqual(first.names, other.names)

  def test_every_file_is_drawn_equally_often(self):
    files = self._files(6)
    counts = dict.fromkeys(files, 0)
    for seed in range(200):
      for name in self._sample(files, 3, seed=seed).names:
        counts[name] += 1
    self.assertBetween(min(counts.values()), 70, 100)  # 100 +- 7.1 expected.
    self.assertBetween(max(counts.values()), 100, 130)

  def test_unreadable_files_are_listed_and_others_drawn_in_their_place(self):
    files = self._files(20, num_bad=20)
    with self.assertLogs(level='WARNING') as logs:
      sample = self._sample(files, 15)
    self.assertLen(sample.names, 15)
    self.assertTrue(all('bad' not in name for name in sample.names))
    self.assertNotEmpty(sample.skipped)
    self.assertEqual(list(sample.skipped), sorted(sample.skipped))
    for name, reason in sample.skipped:
      self.assertIn('_bad.jpg', name)
      self.assertIn('truncated', reason)
    self.assertLen(logs.output, 1)
    self.assertIn(f'skipped {len(sample.skipped)} unreadable', logs.output[0])

  def test_readable_files_stay_in_the_sample_when_one_becomes_unreadable(self):
    files = self._files(30)
    before = self._sample(files, 10).names
    image_testing.write(self.folder, before[4], b'')
    after = self._sample(files, 10)
    self.assertContainsSubset(set(before) - {before[4]}, after.names)
    self.assertEqual(after.skipped, ((before[4], 'the file is empty'),))

  def test_error_lists_every_unreadable_file_of_the_draw(self):
    files = self._files(2, num_bad=3)
    with self.assertRaises(errors.ProbeSetError) as raised:
      self._sample(files, on_bad_image='error')
    for i in range(3):
      self.assertIn(f'{i:03d}_bad.jpg: JPEG file trunc', str(raised.exception))
    self.assertNotIn('\n', str(raised.exception))

  def test_long_list_of_unreadable_files_is_cut(self):
    files = self._files(1, num_bad=25)
    with self.assertRaisesRegex(errors.ProbeSetError, 'and 15 more'):
      self._sample(files, on_bad_image='error')

  def test_error_does_not_concern_files_outside_of_the_draw(self):
    files = self._files(1, num_bad=1)
    good = [seed for seed in range(10) if self._draws(files, '000.png', seed)]
    self.assertNotEmpty(good)
    self.assertLess(len(good), 10)

  def _draws(self, files, name, seed):
    try:
      sample = self._sample(files, 1, 'error', seed=seed)
    except errors.ProbeSetError:
      return False
    return sample.names == (name,)

  def test_no_readable_file_at_all_is_an_error_even_if_they_are_skipped(self):
    files = self._files(0, num_bad=2)
    with self.assertRaisesRegex(errors.ProbeSetError, 'no image that can be'):
      self._sample(files)

  def test_listed_file_that_is_missing_is_unreadable(self):
    files = self._files(2) | {'gone.png': '/nowhere/gone.png'}
    sample = self._sample(files)
    self.assertEqual(sample.skipped, (('gone.png', 'no such file'),))

  def test_name_that_is_not_utf8_becomes_text_that_can_be_written(self):
    path = os.path.join(os.fsencode(self.folder), b'caf\xe9.png')
    with open(path, 'wb') as file:
      file.write(image_testing.encode(image_testing.picture(), 'PNG'))
    sample = self._sample(image_files.find(self.folder))
    self.assertEqual(sample.names, ('caf\\xe9.png',))

  def test_progress_sees_every_picture_and_their_number(self):
    seen = []

    def progress(pictures, *, total, description):
      seen.append((total, description))
      for picture in pictures:
        seen.append(picture[0])
        yield picture

    sample = self._sample(self._files(6), 4, progress=progress)
    self.assertEqual(seen[0], (4, 'Decoding images'))
    self.assertCountEqual(seen[1:], sample.names)


if __name__ == '__main__':
  absltest.main()
