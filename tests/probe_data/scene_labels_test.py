"""Tests of the labels of procedural scenes against their geometry."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import furniture, raycast, rooms, scene_labels, scenes


def _flat(image, **changes):
  """A rendering of a wall one metre away."""
  size = image.shape[0]
  camera = raycast.Camera((0, 0, 0), 0, 0, 0, float(rooms.FIELD_OF_VIEW))
  rays = camera.rays(size).reshape(size, size, 3)
  fields = dict(
    image=image.astype(np.float32),
    depth=np.ones((size, size), np.float32),
    normal=np.broadcast_to(np.float32([0, 0, -1]), rays.shape).copy(),
    point=rays,
    label=np.zeros((size, size), int),
    instance=np.full((size, size), -1),
    wall_depth=np.ones((size, size), np.float32),
  )
  return scenes.Rendering(**(fields | changes))


def _ball(radius=0.5, distance=2.0, size=128):
  """A scene of one ball straight ahead in a large room."""
  scene = rooms.sample(0)
  solids = raycast.Solids(
    np.array([raycast.SPHERE]),
    np.array([[2 + distance, 5, 1.5]], np.float32),
    np.full((1, 3), radius, np.float32),
    np.zeros(1, np.float32),
  )
  scene = dataclasses.replace(
    scene,
    room=np.array([10.0, 10.0, 3.0]),
    camera=raycast.Camera((2, 5, 1.5), 0, 0, 0, float(rooms.FIELD_OF_VIEW)),
    light=np.array([5.0, 5.0, 2.5]),
    decorations=(),
    solids=solids,
    owners=np.array([0]),
    objects=('ball',),
    looks=(*scene.looks[:6], scene.looks[0]),
  )
  return scene, scenes.render(scene, size)


class SceneLabelsTest(parameterized.TestCase):
  def test_every_task_of_the_paper_has_labels_of_its_shape(self):
    pictures, labels = scene_labels.labelled_images([0, 1], 32)
    self.assertEqual(pictures.shape, (2, 32, 32, 3))
    channels = dict(
      autoencoder=3, curvature=2, denoise=3, edge2d=1, edge3d=1, keypoint2d=1,
      keypoint3d=1, colorization=2, reshade=1, rgb2depth=1, rgb2mist=1,
      rgb2sfnorm=3, segment25d=4, segment2d=4, inpainting_whole=3,
    )  # fmt: skip
    for task, number in channels.items():
      self.assertEqual(labels[task].shape, (2, 16, 16, number), task)
    self.assertEqual(labels['segmentsemantic'].shape, (2, 16, 16))
    self.assertEqual(labels['room_layout'].shape, (2, 9))
    self.assertEqual(labels['vanishing_point'].shape, (2, 3))
    self.assertLen(labels, 20)
    for task, values in labels.items():
      self.assertTrue(np.isfinite(values.astype(float)).all(), task)

  @parameterized.parameters(*range(10, 16))
  def test_an_occlusion_edge_has_another_object_much_farther_beside_it(
    self, seed
  ):
    rendering = scenes.render(rooms.sample(seed), 96)
    edges = scene_labels.occlusion_edges(rendering)
    self.assertTrue(edges.any())
    for row, column in np.argwhere(edges):
      neighbours = [
        (row + i, column + j)
        for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= row + i < 96 and 0 <= column + j < 96
      ]
      jumps = [
        rendering.depth[n] > 1.06 * rendering.depth[row, column]
        and rendering.instance[n] != rendering.instance[row, column]
        for n in neighbours
      ]
      self.assertTrue(any(jumps))

  def test_a_room_without_objects_has_no_occlusion_edge(self):
    rendering = scenes.render(rooms.sample(3), 64)
    empty = dataclasses.replace(
      rendering, instance=np.full((64, 64), -1), depth=rendering.wall_depth
    )
    self.assertFalse(scene_labels.occlusion_edges(empty).any())

  @parameterized.parameters(0.4, 0.8)
  def test_a_ball_has_the_curvature_of_its_radius_and_a_wall_none(self, radius):
    _, rendering = _ball(radius)
    curvature = scene_labels.principal_curvatures(rendering)
    np.testing.assert_allclose(curvature[60:68, 60:68], 1 / radius, rtol=0.02)
    np.testing.assert_allclose(curvature[60:68, 12:20], 0, atol=1e-3)

  def test_depth_and_distance_are_log_metres(self):
    _, rendering = _ball(radius=0.5, distance=2.0)
    labels = scene_labels.dense_labels(rendering, 64)
    middle = (slice(31, 33),) * 2
    for task in ('rgb2depth', 'rgb2mist'):
      np.testing.assert_allclose(labels[task][middle], np.log(1.5), atol=0.01)
    corner = labels['rgb2mist'][0, 0] - labels['rgb2depth'][0, 0]
    extent = np.tan(rooms.FIELD_OF_VIEW / 2) * 127 / 128
    np.testing.assert_allclose(
      corner, np.log(np.sqrt(1 + 2 * extent**2)), atol=0.02
    )

  def test_shading_is_full_where_a_surface_faces_the_camera(self):
    _, rendering = _ball()
    shading = scene_labels.dense_labels(rendering, 64)['reshade']
    np.testing.assert_allclose(shading[31:33, 31:33], 1, atol=0.01)
    self.assertGreaterEqual(shading.min(), 0)

  def test_texture_edges_are_where_the_picture_changes(self):
    image = np.zeros((64, 64, 3))
    image[:, 32:] = 1
    edges = scene_labels.texture_edges(image.astype(np.float32))
    self.assertGreater(edges[32, 31], 0.3)
    self.assertLess(edges[:, :24].max(), 1e-6)

  def test_keypoints_are_corners_and_not_edges(self):
    image = np.zeros((64, 64, 3))
    image[32:, 32:] = 1
    keypoints = scene_labels.dense_labels(_flat(image), 32)['keypoint2d']
    corner, edge = keypoints[16, 16, 0], keypoints[28, 16, 0]
    self.assertGreater(corner, 5 * edge)

  def test_affinity_falls_where_a_contour_lies_between_two_pixels(self):
    image = np.zeros((64, 64, 3))
    image[:, 40:] = 1
    affinity = scene_labels.dense_labels(_flat(image), 64)['segment2d']
    right_2, right_5, down_2, down_5 = np.moveaxis(affinity, -1, 0)
    self.assertLess(right_2[32, 38], 0.1)
    self.assertLess(right_5[32, 31], 0.1)
    self.assertGreater(right_2[32, 31], 0.9)
    self.assertGreater(right_5[32, 46], 0.9)
    self.assertGreater(down_2[32, 20], 0.99)
    self.assertGreater(down_5[32, 20], 0.99)

  def test_geometry_separates_2_5d_segments_of_one_colour(self):
    grey = np.full((64, 64, 3), 0.5)
    depth = np.ones((64, 64), np.float32)
    depth[:, 32:] = 3
    rendering = _flat(grey, depth=depth)
    labels = scene_labels.dense_labels(rendering, 64)
    self.assertLess(labels['segment25d'][32, 30, 0], 0.2)
    self.assertGreater(labels['segment2d'][32, 30, 0], 0.99)

  @parameterized.parameters(0, 1, 2)
  def test_layout_is_the_distance_to_the_walls(self, seed):
    scene = rooms.sample(seed)
    layout = scene_labels.labels(scene, scenes.render(scene, 32), 16)
    layout = layout['room_layout']
    self.assertAlmostEqual(
      layout[7], np.log(scene.camera.position[2]), places=4
    )
    x, y, _ = scene.camera.position
    for number, degrees in enumerate(range(-30, 31, 10)):
      # To the right is clockwise from above.
      angle = scene.camera.yaw - np.deg2rad(degrees)
      length = 0.0
      while (
        0 < x + length * np.cos(angle) < scene.room[0]
        and 0 < y + length * np.sin(angle) < scene.room[1]
      ):
        length += 0.005
      self.assertAlmostEqual(np.exp(layout[number]), length, delta=0.01)

  def test_vanishing_points_do_not_tell_quarter_turns_apart(self):
    scene, rendering = _ball()
    turned = dataclasses.replace(
      scene,
      camera=dataclasses.replace(scene.camera, yaw=np.pi / 2),
    )
    np.testing.assert_allclose(
      scene_labels.labels(scene, rendering, 16)['vanishing_point'],
      scene_labels.labels(turned, rendering, 16)['vanishing_point'],
      atol=1e-6,
    )

  def test_the_object_class_is_that_of_the_largest_object(self):
    scene, rendering = _ball()
    labels = scene_labels.labels(scene, rendering, 16)
    self.assertEqual(labels['class_1000'], furniture.CLASSES.index('ball'))
    nothing = dataclasses.replace(rendering, instance=np.full((128, 128), -1))
    labels = scene_labels.labels(scene, nothing, 16)
    self.assertEqual(labels['class_1000'], scene_labels.NO_OBJECT)


if __name__ == '__main__':
  absltest.main()
