"""A vectorised ray caster for rooms seen from inside.

Rays are scaled so that the ray parameter is the depth along the optical axis
(z-depth); every geometric label of a scene then comes for free and exact.

World axes: x and y span the floor, z points up, metres. Camera axes: x right,
y down, z forward.
"""

import dataclasses
import functools

import numpy as np

BOX, SPHERE, CYLINDER = 0, 1, 2

_FAR = np.float32(1e6)
_TINY = np.float32(1e-9)
_TOGETHER = 4096  # Rays whose numbers fit into a core's cache.


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole camera without lens distortion; angles in radians."""

  position: tuple[float, float, float]  # World coordinates, metres.
  yaw: float  # Heading; 0 looks along +x, counter-clockwise from above.
  pitch: float  # Positive looks up.
  roll: float  # Positive turns the camera clockwise.
  field_of_view: float  # Full angle, the same in both directions.

  def rotation(self) -> np.ndarray:
    """Returns [3, 3] whose columns are the camera's axes in the world."""
    cos_yaw, sin_yaw = np.cos(self.yaw), np.sin(self.yaw)
    cos_pitch, sin_pitch = np.cos(self.pitch), np.sin(self.pitch)
    forward = np.array([cos_pitch * cos_yaw, cos_pitch * sin_yaw, sin_pitch])
    right = np.array([sin_yaw, -cos_yaw, 0.0])
    down = np.cross(forward, right)
    cos_roll, sin_roll = np.cos(self.roll), np.sin(self.roll)
    return np.stack(
      [
        cos_roll * right + sin_roll * down,
        cos_roll * down - sin_roll * right,
        forward,
      ],
      axis=1,
    )

  def rays(self, size: int) -> np.ndarray:
    """Returns camera-frame rays [size * size, 3] through the pixel centres."""
    extent = np.tan(self.field_of_view / 2)
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * extent
    x, y = np.meshgrid(steps, steps)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    return rays.reshape(-1, 3).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Solids:
  """The convex solids of a scene, one row a solid."""

  shape: np.ndarray  # BOX, SPHERE or CYLINDER (upright, capped), int [K].
  center: np.ndarray  # Metres, float32 [K, 3].
  # Half extents in the solid's own axes, float32 [K, 3]; a sphere's radius
  # stands in all three, a cylinder's radius in the first two.
  half: np.ndarray
  yaw: np.ndarray  # Rotation about the vertical, radians, float32 [K].

  def select(self, shape: int) -> tuple[np.ndarray, 'Solids']:
    """Returns the row numbers of one shape, and those rows."""
    rows = np.flatnonzero(self.shape == shape)
    fields = dataclasses.fields(self)
    return rows, Solids(*(getattr(self, field.name)[rows] for field in fields))


@dataclasses.dataclass(frozen=True)
class Hits:
  """What each of P rays meets first."""

  depth: np.ndarray  # Ray parameter (z-depth for camera rays), float32 [P].
  solid: np.ndarray  # Row of the solid, or -1 for the room itself, int [P].
  # Of the room or a box: 2 * axis + (1 on the positive side); -1 on a curved
  # surface; caps of a cylinder are faces 4 and 5. int [P].
  face: np.ndarray
  point: np.ndarray  # World coordinates, float32 [P, 3].
  normal: np.ndarray  # Outward unit normal in the world, float32 [P, 3].
  local: np.ndarray  # The point in the solid's or room's axes, float32 [P, 3].


def _turned(vectors: np.ndarray, cos: np.ndarray, sin: np.ndarray):
  """Rotates [3, ...] about the vertical by minus the angle of cos and sin."""
  x, y, z = vectors
  u, v = cos * x + sin * y, cos * y - sin * x
  return np.stack([u, v, np.broadcast_to(z, u.shape)])


def _safe(divisor: np.ndarray) -> np.ndarray:
  """Keeps a divisor away from zero, on its side of it."""
  return np.copysign(np.maximum(np.abs(divisor), _TINY), divisor)


def _box_entry(origin, direction, half):
  """Slab test; all arguments [3, K, P] or broadcastable. Returns [K, P]."""
  inverse = 1 / _safe(direction)
  middle = -origin * inverse
  reach = np.abs(half * inverse)
  near = functools.reduce(np.maximum, middle - reach)
  far = functools.reduce(np.minimum, middle + reach)
  return np.where((far > near) & (near > 1e-4), near, _FAR)


def _sphere_entry(origin, direction, radius):
  a = (direction * direction).sum(axis=0)
  b = (origin * direction).sum(axis=0)
  c = (origin * origin).sum(axis=0) - radius * radius
  discriminant = b * b - a * c
  near = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
  return np.where((discriminant > 0) & (near > 1e-4), near, _FAR)


def _cylinder_entry(origin, direction, half):
  """An upright capped cylinder: the meet of a tube and a slab."""
  a = _safe((direction[:2] ** 2).sum(axis=0))
  b = (origin[:2] * direction[:2]).sum(axis=0)
  c = (origin[:2] ** 2).sum(axis=0) - half[0] ** 2
  discriminant = b * b - a * c
  root = np.sqrt(np.maximum(discriminant, 0))
  inverse = 1 / _safe(direction[2])
  middle = -origin[2] * inverse
  reach = np.abs(half[2] * inverse)
  near = np.maximum((-b - root) / a, middle - reach)
  far = np.minimum((-b + root) / a, middle + reach)
  hit = (discriminant > 0) & (far > near) & (near > 1e-4)
  return np.where(hit, near, _FAR)


_ENTRY = {BOX: _box_entry, CYLINDER: _cylinder_entry}


def entry_depths(
  origin: np.ndarray, direction: np.ndarray, solids: Solids
) -> np.ndarray:
  """Returns where each ray enters each solid, [K, P]; 1e6 where it misses.

  Rays start at `origin`, [1 or P, 3], and go in `direction`, [P, 3].
  """
  depths = np.full((len(solids.shape), len(direction)), _FAR, np.float32)
  origins = np.ascontiguousarray(origin.T)[:, None]
  headings = np.ascontiguousarray(direction.T)[:, None]
  for shape in (BOX, SPHERE, CYLINDER):
    rows, chosen = solids.select(shape)
    if not rows.size:
      continue
    for start in range(0, len(direction), _TOGETHER):
      part = slice(start, start + _TOGETHER)
      starts = origins if len(origin) == 1 else origins[..., part]
      depths[rows, part] = _entries(shape, chosen, starts, headings[..., part])
  return depths


def _entries(shape, solids, origin, heading) -> np.ndarray:
  """Returns `entry_depths` of solids of one shape; rays are [3, 1, P]."""
  offset = origin - solids.center.T[:, :, None]
  if shape == SPHERE:
    return _sphere_entry(offset, heading, solids.half[:, :1])
  turn = np.cos(solids.yaw)[:, None], np.sin(solids.yaw)[:, None]
  half = solids.half.T[:, :, None]
  return _ENTRY[shape](_turned(offset, *turn), _turned(heading, *turn), half)


def _least(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first row of the least in each column of [K, P], and it.

  As `argmin` does, which takes three times as long down the columns.
  """
  rows, least = np.zeros(values.shape[1], int), values[0].copy()
  for number, row in enumerate(values[1:], 1):
    rows[row < least] = number
    np.minimum(row, least, out=least)
  return rows, least


def room_exit(
  origin: np.ndarray, direction: np.ndarray, room: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns depth [P] and face [P] where rays leave the box [0, room].

  Rays start at `origin`, [1, 3], inside of it and go in `direction`, [P, 3].
  """
  target = np.where(np.signbit(direction), 0, room)
  depths = (target - origin) / _safe(direction)
  axis, depth = _least(np.ascontiguousarray(depths.T))
  rows = np.arange(len(direction))
  return depth, 2 * axis + ~np.signbit(direction[rows, axis])


def _surface(local: np.ndarray, half: np.ndarray, shape: np.ndarray):
  """Returns local normals [P, 3] and faces [P] of points on their solids."""
  rows = np.arange(len(local))
  scaled = local / half
  axis = np.abs(scaled).argmax(axis=1)
  cap = np.abs(scaled[:, 2]) >= np.hypot(scaled[:, 0], scaled[:, 1])
  axis = np.where(shape == CYLINDER, 2, axis)
  face = 2 * axis + (scaled[rows, axis] > 0)
  curved = (shape == SPHERE) | ((shape == CYLINDER) & ~cap)
  normal = np.zeros_like(local)
  normal[rows, axis] = np.sign(scaled[rows, axis])
  radial = scaled.copy()
  radial[shape == CYLINDER, 2] = 0
  length = np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), _TINY)
  normal = np.where(curved[:, None], radial / length, normal)
  return normal, np.where(curved, -1, face)


def cast(
  origin: np.ndarray, direction: np.ndarray, room: np.ndarray, solids: Solids
) -> Hits:
  """Returns what rays inside of a room, which spans [0, room], meet first.

  Rays start at `origin`, [3], and go in `direction`, float32 [P, 3], which may
  be of any length.
  """
  origin = np.asarray(origin, np.float32)[None]
  room = np.asarray(room, np.float32)
  depth, face = room_exit(origin, direction, room)
  entries = entry_depths(origin, direction, solids)
  depths = np.concatenate([entries, depth[None].astype(np.float32)])
  nearest, depth = _least(depths)
  inside = nearest < len(entries)
  solid = np.where(inside, nearest, -1)
  point = origin + direction * depth[:, None]

  local = point.copy()
  normal = np.zeros_like(point)
  walls = np.flatnonzero(~inside)
  wall_axis = face[walls] // 2
  normal[walls, wall_axis] = np.where(face[walls] % 2, -1, 1)

  hits = np.flatnonzero(inside)
  rows = nearest[hits]
  yaw = solids.yaw[rows]
  cos, sin = np.cos(yaw), np.sin(yaw)
  offset = point[hits] - solids.center[rows]
  local[hits] = _turned(offset.T, cos, sin).T
  own, face[hits] = _surface(local[hits], solids.half[rows], solids.shape[rows])
  normal[hits] = _turned(own.T, cos, -sin).T
  return Hits(depth, solid, face, point, normal, local)


def lit(
  point: np.ndarray, normal: np.ndarray, light: np.ndarray, solids: Solids
) -> np.ndarray:
  """Returns whether each point sees the light, bool [P]."""
  start = point + normal * np.float32(1e-3)
  blocked = entry_depths(start, light[None] - start, solids)
  return blocked.min(axis=0, initial=_FAR) >= 1
