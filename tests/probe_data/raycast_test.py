"""Tests of the ray caster against signed distances and geometry."""

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import raycast, rooms


def _signed_distance(points, shape, center, half, yaw):
  """Distance of points [N, 3] to one solid, negative inside."""
  offset = points - center
  cos, sin = np.cos(yaw), np.sin(yaw)
  x = cos * offset[:, 0] + sin * offset[:, 1]
  y = cos * offset[:, 1] - sin * offset[:, 0]
  z = offset[:, 2]
  if shape == raycast.SPHERE:
    return np.sqrt(x * x + y * y + z * z) - half[0]
  if shape == raycast.CYLINDER:
    gaps = np.stack([np.hypot(x, y) - half[0], np.abs(z) - half[2]])
  else:
    gaps = np.abs(np.stack([x, y, z])) - half[:, None]
  outside = np.linalg.norm(np.maximum(gaps, 0), axis=0)
  return outside + np.minimum(gaps.max(axis=0), 0)


def _scene_distance(points, room, solids):
  """Distance to the nearest surface of a room, negative inside a solid."""
  walls = np.minimum(points, room - points).min(axis=1)
  rows = zip(solids.shape, solids.center, solids.half, solids.yaw, strict=True)
  return np.minimum.reduce(
    [walls, *(_signed_distance(points, *row) for row in rows)]
  )


class RaycastTest(parameterized.TestCase):
  @parameterized.parameters(0, 1, 2, 3, 4, 5)
  def test_a_ray_ends_at_the_first_surface_it_meets(self, seed):
    scene = rooms.sample(seed)
    rays = scene.camera.rays(16) @ scene.camera.rotation().T
    origin = np.array(scene.camera.position)
    hits = raycast.cast(
      origin, rays.astype(np.float32), scene.room, scene.solids
    )
    at_end = _scene_distance(hits.point, scene.room, scene.solids)
    np.testing.assert_allclose(at_end, 0, atol=2e-3)
    for share in np.linspace(0.02, 0.98, 49):
      before = origin + rays * (hits.depth * share)[:, None]
      clearance = _scene_distance(before, scene.room, scene.solids)
      self.assertGreater(clearance.min(), -2e-3)

  @parameterized.parameters(6, 7, 8)
  def test_normals_are_the_gradient_of_the_distance(self, seed):
    scene = rooms.sample(seed)
    rays = (scene.camera.rays(24) @ scene.camera.rotation().T).astype('f4')
    hits = raycast.cast(
      np.array(scene.camera.position), rays, scene.room, scene.solids
    )
    step = 2e-3
    ahead = hits.point + step * hits.normal
    gain = _scene_distance(ahead, scene.room, scene.solids)
    # Except where another surface is nearer than the step.
    self.assertGreater(np.mean(np.abs(gain - step) < 3e-4), 0.97)
    np.testing.assert_allclose(
      np.linalg.norm(hits.normal, axis=1), 1, rtol=1e-5
    )
    self.assertTrue(((hits.normal * rays).sum(axis=1) < 1e-4).all())

  def test_a_camera_has_right_handed_orthonormal_axes(self):
    camera = raycast.Camera((0, 0, 0), 0.7, -0.2, 0.1, 1.2)
    rotation = camera.rotation()
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    self.assertAlmostEqual(np.linalg.det(rotation), 1)

  def test_a_level_camera_looks_along_its_yaw_with_down_below(self):
    rotation = raycast.Camera((0, 0, 0), np.pi / 2, 0, 0, 1.2).rotation()
    np.testing.assert_allclose(rotation[:, 2], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 1], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 0], [1, 0, 0], atol=1e-12)

  @parameterized.parameters(0.0, -0.0, 1e-12, -1e-12)
  def test_a_ray_along_an_axis_leaves_the_room_ahead(self, aside):
    depth, face = raycast.room_exit(
      np.array([[1.0, 2.0, 1.0]]),
      np.array([[-1.0, aside, aside]]),
      np.array([4.0, 4.0, 3.0]),
    )
    self.assertAlmostEqual(depth[0], 1)
    self.assertEqual(face[0], 0)

  def test_a_solid_between_point_and_light_casts_a_shadow(self):
    ball = raycast.Solids(
      np.array([raycast.SPHERE]),
      np.array([[0, 0, 1]], np.float32),
      np.full((1, 3), 0.2, np.float32),
      np.zeros(1, np.float32),
    )
    points = np.array([[0, 0, 0], [1, 0, 0]], np.float32)
    up = np.array([[0, 0, 1], [0, 0, 1]], np.float32)
    light = np.array([0, 0, 2], np.float32)
    np.testing.assert_array_equal(
      raycast.lit(points, up, light, ball), [False, True]
    )


if __name__ == '__main__':
  absltest.main()
