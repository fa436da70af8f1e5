"""Tests of the probe sets by name and by path."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import errors, images, probe_sets
from tests import image_testing


class _FolderTestCase(parameterized.TestCase):
  """Has a folder of its own, and neither environment nor cache folder."""

  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.cache = os.path.join(self.folder, 'cache')
    environment = {'XDG_CACHE_HOME': self.cache}
    self.enter_context(mock.patch.dict(os.environ, environment))
    os.environ.pop(probe_sets.ENVIRONMENT_VARIABLE, None)

  def path(self, name: str) -> str:
    return os.path.join(self.folder, name)


class LoadPathTest(_FolderTestCase):
  def test_folder_of_all_sorts_of_files_gives_its_images(self):
    picture = image_testing.picture(64, 90)
    for name, image, kind in (
      ('colour.jpg', picture, 'JPEG'),
      ('grey.jpg', picture[..., 0], 'JPEG'),
      ('alpha.png', np.dstack([picture, picture[..., 0]]), 'PNG'),
      ('tall.bmp', np.swapaxes(picture, 0, 1), 'BMP'),
      ('large.png', image_testing.picture(400, 300), 'PNG'),
    ):
      image_testing.write(
        self.folder, f'set/{name}', image_testing.encode(image, kind)
      )
    jpeg = image_testing.encode(picture, 'JPEG')
    image_testing.write(self.folder, 'set/text.jpg', b'not a picture at all')
    image_testing.write(self.folder, 'set/half.jpg', jpeg[: len(jpeg) // 2])
    image_testing.write(self.folder, 'set/zero.png', b'')
    loaded = probe_sets.load(self.path('set'), image_size=(32, 48))
    self.assertEqual(
      loaded.ids,
      ('alpha.png', 'colour.jpg', 'grey.jpg', 'large.png', 'tall.bmp'),
    )
    self.assertEqual(loaded.images.shape, (5, 32, 48, 3))
    self.assertEqual(loaded.images.dtype, np.uint8)
    self.assertEqual(
      [name for name, _ in loaded.skipped],
      ['half.jpg', 'text.jpg', 'zero.png'],
    )

  def test_list_of_files_gives_the_same_images_as_their_folder(self):
    image_testing.write_pictures(self.path('set'), 'b.png', 'a.png', 'c.png')
    image_testing.write(self.folder, 'set/files.txt', b'c.png\na.png\nb.png\n')
    by_folder = probe_sets.load(self.path('set'))
    by_list = probe_sets.load(self.path('set/files.txt'))
    self.assertEqual(by_list.ids, by_folder.ids)
    self.assertEqual(by_list.digest, by_folder.digest)

  def test_path_objects_are_accepted(self):
    image_testing.write_pictures(self.path('set'), 'a.png')
    loaded = probe_sets.load(pathlib.Path(self.path('set')))
    self.assertEqual(loaded.name, self.path('set'))

  def test_array_gives_its_images(self):
    array = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)
    np.save(self.path('images.npy'), array)
    everything = probe_sets.load(self.path('images.npy'), image_size=(8, 8))
    np.testing.assert_array_equal(everything.images, array)
    self.assertEqual(everything.ids[8], 'images.npy[8]')

  def test_array_is_sampled_in_its_order_and_resized(self):
    array = np.random.default_rng(0).integers(0, 256, (50, 20, 9, 3), np.uint8)
    np.save(self.path('images.npy'), array)

    def load(seed):
      return probe_sets.load(
        self.path('images.npy'), num_images=12, image_size=(4, 4), seed=seed
      )

    sample = load(0)
    indices = [int(name[11:-1]) for name in sample.ids]
    self.assertLen(set(indices), 12)
    self.assertEqual(indices, sorted(indices))
    for index, image in zip(indices, sample.images, strict=True):
      np.testing.assert_array_equal(image, images.fit(array[index], (4, 4)))
    self.assertEqual(sample.digest, load(0).digest)
    self.assertNotEqual(sample.ids, load(1).ids)

  @parameterized.named_parameters(
    ('floats', np.zeros((2, 4, 4, 3), np.float32), 'float32'),
    ('grey', np.zeros((2, 4, 4), np.uint8), r'uint8 \[2, 4, 4\]'),
    ('channels_first', np.zeros((2, 3, 4, 4), np.uint8), r'\[2, 3, 4, 4\]'),
    ('no_images', np.zeros((0, 4, 4, 3), np.uint8), 'no images'),
    ('objects', np.array([{}], object), 'not a readable .npy'),
  )
  def test_array_of_another_kind_is_an_error(self, array, message):
    np.save(self.path('images.npy'), array, allow_pickle=True)
    with self.assertRaisesRegex(errors.ProbeSetError, message):
      probe_sets.load(self.path('images.npy'))

  def test_damaged_array_files_are_an_error(self):
    np.save(self.path('whole.npy'), np.zeros((9, 9, 9, 3), np.uint8))
    data = pathlib.Path(self.path('whole.npy')).read_bytes()
    np.savez(self.path('archive'), a=np.zeros(3))
    archive = pathlib.Path(self.path('archive.npz')).read_bytes()
    for content in (b'', b'text', data[:40], data[:-1], archive):
      image_testing.write(self.folder, 'bad.npy', content)
      with self.assertRaisesRegex(errors.ProbeSetError, 'bad.npy is'):
        probe_sets.load(self.path('bad.npy'))

  def test_other_file_or_no_file_is_an_error_that_lists_the_choices(self):
    image_testing.write_pictures(self.folder, 'a.png')
    for name, message in (('a.png', 'neither a list'), ('gone', 'exists')):
      with self.assertRaisesRegex(errors.ProbeSetError, message) as raised:
        probe_sets.load(self.path(name))
      for registered in probe_sets.names():
        self.assertIn(registered, str(raised.exception))

  def test_empty_path_is_not_the_current_folder(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'is empty'):
      probe_sets.load('')
    with self.assertRaisesRegex(errors.ProbeSetError, 'is empty'):
      probe_sets.load('coco', probe_dir='')

  def test_home_folder_is_expanded(self):
    image_testing.write_pictures(self.path('set'), 'a.png')
    with mock.patch.dict(os.environ, {'HOME': self.folder}):
      self.assertEqual(probe_sets.load('~/set').ids, ('a.png',))

  def test_probe_dir_with_a_path_is_an_error(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'only for named'):
      probe_sets.load(self.folder, probe_dir=self.folder)


class LoadNamedTest(_FolderTestCase):
  def test_names_are_the_documented_ones(self):
    self.assertEqual(
      probe_sets.names(),
      ('taskonomy', 'indoor', 'coco', 'photos', 'noise', 'scenes'),
    )

  def test_probe_dir_itself_is_searched(self):
    image_testing.write_pictures(self.path('mine'), 'a.png', 'b/c.png')
    loaded = probe_sets.load('coco', probe_dir=self.path('mine'))
    self.assertEqual(loaded.ids, ('a.png', 'b/c.png'))
    self.assertEqual(loaded.name, 'coco')

  def test_folder_of_the_name_in_probe_dir_goes_before_the_rest_of_it(self):
    image_testing.write_pictures(
      self.path('mine'), 'coco/a.png', 'indoor/b.png', 'c.png'
    )
    loaded = probe_sets.load('coco', probe_dir=self.path('mine'))
    self.assertEqual(loaded.ids, ('a.png',))

  def test_probe_dir_goes_before_environment_and_that_before_the_cache(self):
    places = ('cache/attribution-transfer/probe_data', 'environment', 'mine')
    for place in places:
      image_testing.write_pictures(
        self.path(place), f'indoor/{place.split("/")[0]}.png'
      )

    def load(**options):
      return probe_sets.load('indoor', **options).ids

    self.assertEqual(load(), ('cache.png',))
    os.environ[probe_sets.ENVIRONMENT_VARIABLE] = self.path('environment')
    self.assertEqual(load(), ('environment.png',))
    self.assertEqual(load(probe_dir=self.path('mine')), ('mine.png',))

  @parameterized.parameters('taskonomy', 'indoor', 'coco')
  def test_absent_set_is_an_error_that_says_what_to_put_where(self, name):
    with self.assertRaises(errors.ProbeSetError) as raised:
      probe_sets.load(name)
    for part in (
      f'{self.cache}/attribution-transfer/probe_data/{name}',
      'cannot be downloaded',
      '`probe_dir=FOLDER`',
      probe_sets.ENVIRONMENT_VARIABLE,
      'about 1,000',
    ):
      self.assertIn(part, str(raised.exception))

  def test_probe_dir_that_is_missing_or_empty_is_an_error(self):
    with self.assertRaisesRegex(errors.ProbeSetError, 'gone.* is not a folder'):
      probe_sets.load('coco', probe_dir=self.path('gone'))
    os.mkdir(self.path('empty'))
    with self.assertRaisesRegex(errors.ProbeSetError, 'No image files'):
      probe_sets.load('coco', probe_dir=self.path('empty'))

  def test_photos_are_crops_with_the_seed_and_size(self):
    photos = probe_sets.load('photos', num_images=9, image_size=(8, 12))
    self.assertEqual(photos.images.shape, (9, 8, 12, 3))
    self.assertLen(set(photos.digests), 9)
    other = probe_sets.load('photos', num_images=9, image_size=(8, 12), seed=1)
    self.assertNotEqual(photos.digest, other.digest)

  def test_scenes_are_rendered_with_the_seed_and_cropped_to_the_size(self):
    renderer = mock.Mock()
    renderer.probe_images.side_effect = lambda num_images, size, seed: (
      np.full((num_images, size, size, 3), seed, np.uint8),
      tuple(map(str, range(num_images))),
    )
    package = sys.modules['probe_data']
    with (
      mock.patch.dict(sys.modules, {'probe_data.scenes': renderer}),
      mock.patch.object(package, 'scenes', renderer, create=True),
    ):
      scenes = probe_sets.load(
        'scenes', num_images=3, image_size=(6, 9), seed=7
      )
    renderer.probe_images.assert_called_once_with(3, 9, 7)
    np.testing.assert_array_equal(
      scenes.images, np.full((3, 6, 9, 3), 7, np.uint8)
    )
    self.assertEqual(scenes.ids, ('0', '1', '2'))

  @parameterized.parameters('photos', 'scenes')
  def test_probe_dir_with_a_made_set_is_an_error(self, name):
    with self.assertRaisesRegex(errors.ProbeSetError, 'no meaning'):
      probe_sets.load(name, probe_dir=self.folder)


class ProbeSetTest(_FolderTestCase):
  def _load(self, **options):
    image_testing.write_pictures(self.path('set'), 'a.png', 'b.png', 'c.png')
    return probe_sets.load(self.path('set'), **options)

  def test_digests_are_those_of_the_images(self):
    loaded = self._load()
    expected = [hashlib.sha256(i.tobytes()).hexdigest() for i in loaded.images]
    self.assertEqual(list(loaded.digests), expected)
    self.assertLen(set(loaded.digests), 3)

  def test_digest_of_the_set_tells_ids_and_images(self):
    loaded = self._load()
    content = json.dumps([loaded.ids, loaded.digests]).encode()
    self.assertEqual(loaded.digest, hashlib.sha256(content).hexdigest())
    os.rename(self.path('set/a.png'), self.path('set/A.png'))
    renamed = probe_sets.load(self.path('set'))
    self.assertNotEqual(renamed.digest, loaded.digest)

  def test_images_cannot_be_written_to(self):
    with self.assertRaisesRegex(ValueError, 'read-only'):
      self._load().images[0] = 0

  @parameterized.parameters(
    ({'num_images': 0}, 'num_images'),
    ({'num_images': 2.5}, 'num_images'),
    ({'num_images': True}, 'num_images'),
    ({'seed': -1}, 'seed'),
    ({'image_size': 64}, 'image_size'),
    ({'image_size': (64, 0)}, 'image_size'),
    ({'image_size': (10**6, 10**6)}, 'image_size'),
    ({'on_bad_image': 'ignore'}, "'skip', 'error'"),
  )
  def test_argument_without_meaning_is_an_error(self, options, message):
    with self.assertRaisesRegex(errors.ProbeSetError, message):
      self._load(**options)

  def test_progress_is_passed_on(self):
    progress = mock.Mock(side_effect=lambda pictures, **_: pictures)
    self._load(num_images=2, progress=progress)
    self.assertEqual(progress.call_args.kwargs['total'], 2)

  def test_same_set_in_another_process_has_the_same_digest(self):
    loaded = self._load(num_images=2, seed=3)
    code = (
      'import sys; from probe_data import probe_sets; '
      'print(probe_sets.load(sys.argv[1], num_images=2, seed=3).digest)'
    )
    output = subprocess.run(
      [sys.executable, '-c', code, self.path('set')],
      env=os.environ | {'PYTHONHASHSEED': '1', 'PYTHONPATH': os.getcwd()},
      capture_output=True,
      check=True,
      text=True,
    ).stdout
    self.assertEqual(output.strip(), loaded.digest)


class RegisterTest(absltest.TestCase):
  def test_name_cannot_be_registered_twice(self):
    with self.assertRaisesRegex(ValueError, "'coco' is there already"):
      probe_sets.register_probe_set('coco')(lambda request: None)


if __name__ == '__main__':
  absltest.main()
