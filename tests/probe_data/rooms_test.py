"""Tests of how rooms are drawn."""

from absl.testing import absltest
import numpy as np

from probe_data import furniture, rooms, scenes


class RoomsTest(absltest.TestCase):
  def test_every_room_type_and_class_occurs(self):
    drawn = [rooms.sample(seed) for seed in range(300)]
    self.assertEqual(
      {scene.room_type for scene in drawn}, set(rooms.ROOM_TYPES)
    )
    found = {name for scene in drawn for name in scene.objects}
    found |= {item.label for scene in drawn for item in scene.decorations}
    self.assertEqual(found | {'wall', 'floor', 'ceiling'}, set(rooms.CLASSES))

  def test_cameras_stand_in_the_room_and_outside_its_furniture(self):
    for seed in range(100):
      scene = rooms.sample(seed)
      position = np.array(scene.camera.position)
      self.assertTrue((position > 0.05).all())
      self.assertTrue((position < scene.room - 0.05).all())
      self.assertGreater(scenes.render(scene, 8).depth.min(), 0.02)

  def test_a_seed_fixes_the_room(self):
    first, again, other = rooms.sample(7), rooms.sample(7), rooms.sample(8)
    np.testing.assert_array_equal(first.room, again.room)
    np.testing.assert_array_equal(first.solids.center, again.solids.center)
    self.assertEqual(first.looks, again.looks)
    self.assertFalse(np.array_equal(first.room, other.room))

  def test_every_surface_has_a_look(self):
    for seed in range(20):
      scene = rooms.sample(seed)
      parts = len(scene.solids.shape)
      self.assertLen(scene.looks, 6 + len(scene.decorations) + parts)
      self.assertLen(scene.owners, parts)

  def test_objects_of_a_class_look_alike_and_unlike_others(self):
    colors = {name: [] for name in furniture.CLASSES}
    for seed in range(200):
      scene = rooms.sample(seed)
      looks = scene.looks[6 + len(scene.decorations) :]
      for look, owner in zip(looks, scene.owners, strict=True):
        colors[scene.objects[owner]].append(look.first)
    plants, beds = np.array(colors['plant']), np.array(colors['bed'])
    self.assertTrue((plants.argmax(axis=1) == 1).all())  # Green.
    self.assertGreater(np.mean(beds.argmax(axis=1) == 2), 0.95)  # Blue.


if __name__ == '__main__':
  absltest.main()
