"""Tests of the procedural scenes."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import rooms, scenes


def _world(scene, rendering):
  """Points of a rendering in world coordinates, [S, S, 3]."""
  return rendering.point @ scene.camera.rotation().T + scene.camera.position


class ScenesTest(parameterized.TestCase):
  def test_the_same_seed_gives_the_same_bytes(self):
    first, names = scenes.probe_images(3, 32, seed=1)
    again, _ = scenes.probe_images(3, 32, seed=1)
    self.assertEqual(first.tobytes(), again.tobytes())
    self.assertLen(set(names), 3)

  def test_other_seeds_give_other_pictures(self):
    first, _ = scenes.probe_images(3, 32, seed=0)
    other, _ = scenes.probe_images(3, 32, seed=1)
    for one, two in zip(first, other, strict=True):
      self.assertGreater(np.abs(one.astype(int) - two).mean(), 5)

  def test_a_prefix_does_not_depend_on_how_many_are_asked_for(self):
    few, _ = scenes.probe_images(2, 32)
    more, _ = scenes.probe_images(4, 32)
    np.testing.assert_array_equal(few, more[:2])

  def test_textures_alone_change_with_their_density(self):
    scene = rooms.sample(scenes.scene_seed('test', 0))
    as_drawn = scenes.render(scene, 64)
    found = {}
    for density in (0, 0.5, 1, 2, 4):
      other = scenes.render(scenes.with_textures(scene, density), 64)
      for field in dataclasses.fields(other):
        if field.name != 'image':
          np.testing.assert_array_equal(
            getattr(other, field.name), getattr(as_drawn, field.name)
          )
      found[density] = other.image
    np.testing.assert_array_equal(found[1], as_drawn.image)
    changes = [np.abs(np.diff(found[d], axis=1)).mean() for d in (0, 1, 4)]
    self.assertLess(changes[0], 0.8 * changes[1])
    self.assertLess(changes[1], changes[2])
    for image in found.values():
      np.testing.assert_allclose(image.mean(), as_drawn.image.mean(), atol=0.05)

  def test_pictures_of_a_density_are_those_of_the_scenes(self):
    as_drawn, names = scenes.probe_images(2, 32)
    same, same_names = scenes.probe_images(2, 32, density=1.0)
    np.testing.assert_array_equal(same, as_drawn)
    self.assertEqual(same_names, names)
    bare, _ = scenes.probe_images(2, 32, density=0.0)
    self.assertFalse(np.array_equal(bare, as_drawn))

  def test_splits_share_no_scene(self):
    last = 999_999
    ranges = sorted(
      (scenes.scene_seed(split, 0), scenes.scene_seed(split, last, 99))
      for split in scenes.SPLITS
    )
    for (_, end), (start, _) in zip(ranges, ranges[1:], strict=False):
      self.assertLess(end, start)

  @parameterized.parameters(
    ('holiday', 0, 0), ('test', -1, 0), ('test', 1_000_000, 0), ('test', 0, 100)
  )
  def test_a_seed_out_of_range_is_refused(self, split, index, seed):
    with self.assertRaises(ValueError):
      scenes.scene_seed(split, index, seed)

  @parameterized.parameters(*range(8))
  def test_normals_are_those_of_the_points(self, seed):
    rendering = scenes.render(rooms.sample(seed), 96)
    right = rendering.point[1:-1, 2:] - rendering.point[1:-1, :-2]
    below = rendering.point[2:, 1:-1] - rendering.point[:-2, 1:-1]
    crossed = np.cross(below, right)
    crossed /= np.linalg.norm(crossed, axis=-1, keepdims=True)
    agree = (crossed * rendering.normal[1:-1, 1:-1]).sum(axis=-1)
    self.assertGreater(np.mean(agree > 0.999), 0.8)

  @parameterized.parameters(*range(6))
  def test_points_seen_by_one_camera_are_where_another_sees_them(self, seed):
    scene = rooms.sample(seed)
    turned = dataclasses.replace(
      scene.camera, yaw=scene.camera.yaw + 0.15, pitch=scene.camera.pitch + 0.05
    )
    here = scenes.render(scene, 96)
    there = scenes.render(dataclasses.replace(scene, camera=turned), 96)
    world = _world(scene, here).reshape(-1, 3)
    local = (world - turned.position) @ turned.rotation()
    extent = np.tan(turned.field_of_view / 2)
    pixel = (local[:, :2] / local[:, 2:] / extent + 1) / 2 * 96 - 0.5
    near = np.rint(pixel).astype(int)
    inside = ((near >= 0) & (near < 96)).all(axis=1) & (local[:, 2] > 0)
    self.assertGreater(inside.mean(), 0.5)
    seen = there.depth[near[inside, 1], near[inside, 0]]
    # The cameras share their centre, so nothing is hidden from one alone.
    relative = np.abs(seen / local[inside, 2] - 1)
    self.assertGreater(np.mean(relative < 0.03), 0.9)

  @parameterized.parameters(*range(6))
  def test_labels_are_where_their_surfaces_are(self, seed):
    scene = rooms.sample(seed)
    rendering = scenes.render(scene, 64)
    world = _world(scene, rendering)
    label = rendering.label
    floor = label == rooms.CLASSES.index('floor')
    ceiling = label == rooms.CLASSES.index('ceiling')
    np.testing.assert_allclose(world[floor][:, 2], 0, atol=1e-3)
    np.testing.assert_allclose(world[ceiling][:, 2], scene.room[2], atol=1e-3)
    furniture = label >= len(rooms.STUFF)
    np.testing.assert_array_equal(furniture, rendering.instance >= 0)
    for number, name in enumerate(scene.objects):
      own = label[rendering.instance == number]
      self.assertTrue((own == rooms.CLASSES.index(name)).all())

  def test_the_empty_room_is_never_nearer_than_what_stands_in_it(self):
    for seed in range(5):
      rendering = scenes.render(rooms.sample(seed), 32)
      self.assertTrue((rendering.wall_depth >= rendering.depth - 1e-4).all())
      room = rendering.instance < 0
      np.testing.assert_allclose(
        rendering.wall_depth[room], rendering.depth[room], rtol=1e-5
      )


if __name__ == '__main__':
  absltest.main()
