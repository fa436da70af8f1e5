"""Tests of the model space: settings, models, images and affinities."""

import json
import os
import pathlib

from absl.testing import absltest, parameterized
import hypothesis
from hypothesis import strategies
import numpy as np

from tests import space_testing
from transferability import affinity as affinities
from transferability.model_space import (
  ModelSpace,
  ModelSpaceError,
  SettingsError,
)

_IMAGES, _SHAPE = 8, (5, 4, 3)


def _create(folder, **changes):
  options = {
    'settings': {'method': 'elrp', 'epsilon': 1e-4, 'size': (5, 4)},
    'image_ids': [f'{i}.jpg' for i in range(_IMAGES)],
    'image_digests': [f'{i:064x}' for i in range(_IMAGES)],
    'map_shape': _SHAPE,
  }
  return ModelSpace.create(folder, **(options | changes))


def _maps(count, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(count, _IMAGES, *_SHAPE)).astype(np.float32) + 0.3


def _add(space, name, maps, **manifest):
  writer = space.writer(name, manifest)
  writer.write(0, maps)
  writer.finish()


class ModelSpaceTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.space = _create(self.folder)

  def _fill(self, names='cab'):
    maps = _maps(len(names))
    for name, values in zip(names, maps, strict=True):
      _add(self.space, name, values)
    return maps

  def test_what_was_created_can_be_opened(self):
    space = ModelSpace(self.folder)
    self.assertEqual(
      space.settings, {'method': 'elrp', 'epsilon': 1e-4, 'size': [5, 4]}
    )
    self.assertEqual(space.image_ids[7], '7.jpg')
    self.assertEqual(space.image_digests[7], f'{7:064x}')
    self.assertEqual((space.map_shape, space.row_size), (_SHAPE, 60))
    self.assertEqual(space.dtype, np.float32)

  def test_models_are_listed_in_the_order_of_insertion(self):
    self._fill('cab')
    self.space.writer('open', {})
    self.assertEqual(self.space.models, ('c', 'a', 'b'))
    self.assertEqual(ModelSpace(self.folder).models, ('c', 'a', 'b'))
    self.assertEqual(self.space.unfinished, ('open',))

  def test_descriptors_tell_affinities(self):
    self._fill('cab')
    affinity = self.space.affinity()
    query, *others = map(self.space.descriptor, self.space.models)
    np.testing.assert_allclose(
      [query.affinity(other) for other in others], affinity[0, 1:], atol=0.04
    )
    np.testing.assert_array_equal(
      self.space.affinities_with('c', ['a', 'b']), affinity[0, 1:]
    )

  def test_the_manifest_comes_back(self):
    _add(self.space, 'a', _maps(1)[0], digest='x', tensors=('in', 'out'))
    self.assertEqual(
      self.space.manifest('a'), {'digest': 'x', 'tensors': ['in', 'out']}
    )

  def test_affinity_is_the_in_memory_affinity(self):
    maps = self._fill()
    result = self.space.affinity()
    np.testing.assert_allclose(
      result, space_testing.mean_cosines(maps), atol=1e-8
    )
    np.testing.assert_array_equal(result, result.T)
    np.testing.assert_array_equal(np.diag(result), 1)

  def test_half_precision_moves_affinities_very_little(self):
    space = _create(self.folder / 'half', dtype='float16')
    maps = _maps(3)
    for name, values in zip('abc', maps, strict=True):
      _add(space, name, values)
    self.assertEqual(space.rows('a').dtype, np.float16)
    np.testing.assert_allclose(
      space.affinity(), space_testing.mean_cosines(maps), atol=1e-4
    )

  def test_equal_and_opposite_models_have_exact_affinities(self):
    maps = _maps(1)[0]
    for name, scale in (('a', 1), ('b', 3.7), ('c', -1)):
      _add(self.space, name, maps * np.float32(scale))
    self.assertEqual(self.space.affinity(['a', 'c'])[0, 1], -1)
    self.assertAlmostEqual(self.space.affinity(['a', 'b'])[0, 1], 1, places=7)

  @hypothesis.settings(deadline=None, max_examples=15)
  @hypothesis.given(
    order=strategies.permutations('abcdef'), n=strategies.integers(1, 6)
  )
  def test_no_bit_depends_on_the_order_or_choice_of_models(self, order, n):
    if not self.space.models:
      self._fill('abcdef')
    everything = self.space.affinity(list('abcdef'))
    index = ['abcdef'.index(name) for name in order[:n]]
    np.testing.assert_array_equal(
      self.space.affinity(order[:n]), everything[np.ix_(index, index)]
    )

  def test_neighbours_are_the_sorted_row(self):
    self._fill('abcdef')
    row = self.space.affinity()[2]
    expected = sorted(zip('abcdef', row, strict=True), key=lambda x: -x[1])[1:]
    self.assertEqual(self.space.neighbours('c'), expected)
    self.assertEqual(self.space.neighbours('c', 2), expected[:2])
    self.assertEqual(self.space.neighbours('c', memory_bytes=1), expected)

  def test_a_lonely_model_has_no_neighbours(self):
    self._fill('a')
    self.assertEqual(self.space.neighbours('a'), [])

  def test_image_cosines_average_to_the_affinity(self):
    self._fill()
    cosines = self.space.image_cosines()
    self.assertEqual(cosines.shape, (_IMAGES, 3, 3))
    np.testing.assert_array_equal(
      affinities.mean_cosine(cosines), self.space.affinity()
    )

  def test_dropped_images_do_not_count_for_any_model(self):
    maps = self._fill()
    self.space.drop_images([2, 5])
    self.space.drop_images([5])
    _add(self.space, 'later', maps[0] + maps[1])
    kept = [0, 1, 3, 4, 6, 7]
    self.assertEqual(self.space.kept_images.tolist(), kept)
    space = ModelSpace(self.folder)
    self.assertEqual(space.dropped_images.tolist(), [2, 5])
    maps = np.concatenate([maps, [maps[0] + maps[1]]])[:, kept]
    np.testing.assert_allclose(
      space.affinity(), space_testing.mean_cosines(maps), atol=1e-8
    )
    self.assertLen(space.image_cosines(), 6)

  def test_images_that_do_not_exist_cannot_be_dropped(self):
    for image in (-1, _IMAGES):
      with self.assertRaisesRegex(ModelSpaceError, f'no image {image}'):
        self.space.drop_images([0, image])
    self.assertEqual(self.space.dropped_images.tolist(), [])

  def test_without_images_there_is_no_affinity(self):
    self._fill()
    self.space.drop_images(range(_IMAGES))
    with self.assertRaisesRegex(ModelSpaceError, 'all images are dropped'):
      self.space.affinity()

  def test_adding_and_removing_touch_no_file_of_another_model(self):
    def state():
      return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in self.folder.rglob('*')
        if path.is_file() and 'extra' not in path.parts
      }

    self._fill('ab')
    before, affinity = state(), self.space.affinity()
    _add(self.space, 'extra', _maps(1, seed=5)[0])
    self.assertEqual(self.space.models, ('a', 'b', 'extra'))
    np.testing.assert_array_equal(self.space.affinity()[:2, :2], affinity)
    self.space.remove('extra')
    self.assertEqual(state(), before)
    self.assertCountEqual(os.listdir(self.folder / 'models'), 'ab')
    self.assertEqual(self.space.models, ('a', 'b'))

  def test_a_model_can_be_added_again_after_its_removal(self):
    self._fill('ab')
    self.space.remove('a')
    _add(self.space, 'a', _maps(1)[0], other=True)
    self.assertEqual(self.space.models, ('b', 'a'))

  def test_rows_cannot_be_written_through_the_memory_map(self):
    self._fill('a')
    with self.assertRaises(ValueError):
      self.space.rows('a')[0] = 1

  @parameterized.parameters(
    ({'settings': {'method': 'saliency'}}, 'settings.epsilon'),
    (
      {'settings': {'method': 'elrp', 'epsilon': 0.01, 'size': (5, 4)}},
      'settings.epsilon is 0.0001, not 0.01',
    ),
    ({'map_shape': (5, 4, 1)}, r'map_shape\[2\] is 3, not 1'),
    ({'dtype': 'float16'}, "dtype is 'float32', not 'float16'"),
    (
      {'image_digests': ['f'] * _IMAGES},
      r"image_digests\[0\] is '0+', not 'f'",
    ),
    (
      {'image_ids': ['a'], 'image_digests': ['b']},
      'image_digests.*, not',
    ),
  )
  def test_other_settings_are_refused_by_name(self, changes, message):
    self._fill('a')
    before = (self.folder / 'space.json').read_bytes()
    with self.assertRaisesRegex(SettingsError, message):
      _create(self.folder, **changes)
    self.assertEqual((self.folder / 'space.json').read_bytes(), before)

  def test_the_same_settings_open_the_space_that_is_there(self):
    self._fill('a')
    self.assertEqual(_create(self.folder).models, ('a',))

  def test_a_model_computed_differently_is_refused_by_setting(self):
    _add(self.space, 'a', _maps(1)[0], preprocessing='range(0, 1)')
    with self.assertRaisesRegex(
      SettingsError, r"'a' was .*: preprocessing is 'range\(0, 1\)', not 'x'"
    ):
      self.space.writer('a', {'preprocessing': 'x'})

  @parameterized.parameters(
    '', '.', '..', '.hidden', 'a/b', '../a', 'a\\b', 'a\n', '-a', 'a ', 'a.',
    'é', 'x' * 129, 'a\0', 'c:d',
  )  # fmt: skip
  def test_a_name_that_cannot_be_a_folders_is_refused(self, name):
    with self.assertRaisesRegex(ModelSpaceError, 'cannot name a model'):
      self.space.writer(name, {})
    with self.assertRaisesRegex(ModelSpaceError, 'no model'):
      self.space.remove(name)

  @parameterized.parameters('a', '0', 'ResNet-50 v1.5', 'x' * 128, 'a@b+c=d')
  def test_usual_names_are_fine(self, name):
    _add(self.space, name, _maps(1)[0])
    self.assertEqual(self.space.models, (name,))

  def test_unknown_and_repeated_models_are_refused(self):
    self._fill('ab')
    for action in (
      lambda: self.space.affinity(['a', 'z']),
      lambda: self.space.neighbours('z'),
      lambda: self.space.remove('z'),
      lambda: self.space.rows('z'),
      lambda: self.space.manifest('z'),
    ):
      with self.assertRaisesRegex(ModelSpaceError, r"no model 'z'.*\['a', 'b'"):
        action()
    with self.assertRaisesRegex(ModelSpaceError, 'more than once'):
      self.space.affinity(['a', 'a'])

  def test_an_empty_space_has_no_affinity(self):
    with self.assertRaisesRegex(ModelSpaceError, 'no finished model'):
      self.space.affinity()

  @parameterized.parameters(
    {'image_ids': ['a']},
    {'image_ids': [], 'image_digests': []},
    {'dtype': 'int8'},
    {'map_shape': ()},
    {'map_shape': (4, 0)},
    {'settings': {'epsilon': float('nan')}},
  )
  def test_impossible_spaces_are_refused(self, **changes):
    with self.assertRaises(ValueError):
      _create(self.folder / 'new', **changes)
    self.assertFalse((self.folder / 'new').exists())

  def test_a_folder_without_a_space_is_an_error_that_says_so(self):
    with self.assertRaisesRegex(FileNotFoundError, 'no model space'):
      ModelSpace(self.folder / 'elsewhere')

  @parameterized.parameters(
    ('{', 'not the description'),
    ('[]', 'not the description'),
    ('{"format": 1}', 'not the description'),
    ('{"format": 2}', 'format 2; this version reads 1'),
  )
  def test_a_damaged_description_is_refused(self, text, message):
    (self.folder / 'space.json').write_text(text)
    with self.assertRaisesRegex(ModelSpaceError, f'space.json: {message}'):
      ModelSpace(self.folder)
    with self.assertRaisesRegex(ModelSpaceError, f'space.json: {message}'):
      _create(self.folder)

  def test_a_dtype_of_another_version_is_refused(self):
    path = self.folder / 'space.json'
    header = json.loads(path.read_text()) | {'dtype': 'sketch256'}
    path.write_text(json.dumps(header))
    with self.assertRaisesRegex(ModelSpaceError, "dtype 'sketch256'"):
      ModelSpace(self.folder)


if __name__ == '__main__':
  absltest.main()
