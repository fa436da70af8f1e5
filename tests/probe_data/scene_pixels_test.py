"""Tests of the pixels that matter for a task."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import rooms, scene_labels, scene_pixels, scenes
from taskonomy_models import tasks

_SIZE = 32
_SEED = scenes.scene_seed('validation', 3)


class ScenePixelsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.rendering = scenes.render(rooms.sample(_SEED), 4 * _SIZE)
    cls.pixels = scene_pixels.of_rendering(cls.rendering, _SIZE)

  def test_every_task_has_some_and_none_counts_less_than_nothing(self):
    self.assertSameElements(self.pixels, [task.name for task in tasks.TASKS])
    for task, values in self.pixels.items():
      self.assertEqual(values.shape, (_SIZE, _SIZE), task)
      self.assertGreaterEqual(values.min(), 0, task)
      self.assertGreater(values.std(), 0, task)

  def test_scenes_have_the_pictures_of_the_probe_set(self):
    pictures, pixels = scene_pixels.of_scenes([_SEED], 2 * _SIZE)
    np.testing.assert_array_equal(pictures, scenes.images([_SEED], 2 * _SIZE))
    for task, values in self.pixels.items():
      np.testing.assert_array_equal(pixels[task][0], values)

  def test_pixels_of_space_do_not_depend_on_textures(self):
    bare = scenes.with_textures(rooms.sample(_SEED), 0)
    found = scene_pixels.of_rendering(scenes.render(bare, 4 * _SIZE), _SIZE)
    for task in ('edge3d', 'keypoint3d', 'rgb2sfnorm', 'room_layout'):
      np.testing.assert_array_equal(found[task], self.pixels[task], task)
    for task in ('edge2d', 'autoencoder'):
      self.assertFalse(np.allclose(found[task], self.pixels[task]), task)

  def test_corners_of_an_empty_room_are_where_its_normals_change(self):
    scene = rooms.sample(_SEED)
    empty = dataclasses.replace(
      scene,
      solids=dataclasses.replace(
        scene.solids,
        **{
          field.name: getattr(scene.solids, field.name)[:0]
          for field in dataclasses.fields(scene.solids)
        },
      ),
      owners=scene.owners[:0],
      objects=(),
    )
    rendering = scenes.render(empty, 128)
    corners = scene_pixels.room_corners(rendering) > 0
    normal = rendering.normal
    turns = np.zeros(corners.shape, bool)
    turns[:, 1:-1] |= np.abs(normal[:, 2:] - normal[:, :-2]).max(-1) > 0.1
    turns[1:-1] |= np.abs(normal[2:] - normal[:-2]).max(-1) > 0.1
    self.assertGreater(turns.mean(), 0.01)
    self.assertGreater((turns & corners).sum() / turns.sum(), 0.9)
    self.assertGreater((turns & corners).sum() / corners.sum(), 0.9)

  def test_objects_hide_corners(self):
    corners = scene_pixels.room_corners(self.rendering)
    self.assertEqual(corners[self.rendering.instance >= 0].max(), 0)

  def test_the_largest_object_is_one_of_the_objects(self):
    largest, all_objects = (
      self.pixels[name] for name in ('class_1000', 'class_places')
    )
    self.assertTrue(np.all(largest <= all_objects + 1e-6))
    self.assertGreater(largest.sum(), 0)

  def test_labels_that_are_edges_are_taken_as_they_are(self):
    labels = scene_labels.dense_labels(self.rendering, _SIZE)
    np.testing.assert_array_equal(
      self.pixels['edge3d'], labels['edge3d'][..., 0]
    )


if __name__ == '__main__':
  absltest.main()
