"""Procedural indoor scenes: rooms of six types, furnished and lit.

A scene is drawn from one integer seed and nothing else. `render` gives its
picture and its exact geometry; `probe_data.scene_labels` reads the labels of
the 20 Taskonomy tasks off that geometry.
"""

from collections.abc import Iterable
import dataclasses

import cv2
import numpy as np

from probe_data import raycast

STUFF = ('wall', 'floor', 'ceiling', 'window', 'door', 'picture', 'rug')
FURNITURE = (
  'bed',
  'sofa',
  'table',
  'chair',
  'cabinet',
  'bookshelf',
  'lamp',
  'plant',
  'ball',
  'sink',
)
CLASSES = STUFF + FURNITURE
ROOM_TYPES = (
  'bedroom',
  'living_room',
  'kitchen',
  'bathroom',
  'office',
  'corridor',
)

# Disjoint ranges of scene seeds. Choices are made on `validation`; `test` is
# for reported numbers only.
SPLITS = {
  'train': 0,
  'transfer': 100_000_000,
  'validation': 200_000_000,
  'test': 300_000_000,
}
_SPLIT_LENGTH = 100_000_000
_SEED_STRIDE = 1_000_000

FIELD_OF_VIEW = np.deg2rad(70)

_SOLID, _CHECKER, _STRIPES, _NOISE, _WOOD, _BRICK = range(6)

# Hue (degrees), saturation and value of a room type's walls and floor, its
# floor textures, and how likely each class of furniture is.
_ROOMS = {
  'bedroom': (
    ((20, 0.25, 0.85), (28, 0.50, 0.50), (_WOOD, _NOISE)),
    dict(bed=5, cabinet=2, lamp=2, bookshelf=1, chair=1, plant=1),
  ),
  'living_room': (
    ((45, 0.30, 0.88), (24, 0.55, 0.42), (_WOOD, _STRIPES)),
    dict(sofa=5, table=2, lamp=2, plant=2, bookshelf=2, ball=1),
  ),
  'kitchen': (
    ((75, 0.22, 0.88), (12, 0.50, 0.60), (_CHECKER, _BRICK)),
    dict(cabinet=5, sink=3, table=3, chair=3, plant=1),
  ),
  'bathroom': (
    ((200, 0.30, 0.88), (205, 0.25, 0.70), (_CHECKER, _SOLID)),
    dict(sink=5, cabinet=2, plant=1, lamp=1),
  ),
  'office': (
    ((150, 0.12, 0.80), (220, 0.22, 0.42), (_NOISE, _STRIPES)),
    dict(table=4, chair=4, bookshelf=3, cabinet=1, lamp=2, plant=1),
  ),
  'corridor': (
    ((0, 0.04, 0.78), (0, 0.06, 0.35), (_BRICK, _SOLID)),
    dict(plant=3, ball=2, cabinet=1, chair=1, lamp=1),
  ),
}

# Hue, saturation, value and texture of each class: colour follows from the
# class, so that colorization is a task that can be learned.
_LOOKS = {
  'window': (205, 0.35, 0.95, _SOLID),
  'door': (22, 0.60, 0.42, _WOOD),
  'picture': (300, 0.55, 0.60, _CHECKER),
  'rug': (350, 0.60, 0.50, _STRIPES),
  'bed': (220, 0.45, 0.80, _STRIPES),
  'sofa': (5, 0.60, 0.55, _NOISE),
  'table': (28, 0.60, 0.50, _WOOD),
  'chair': (30, 0.55, 0.40, _WOOD),
  'cabinet': (35, 0.30, 0.75, _SOLID),
  'bookshelf': (18, 0.65, 0.35, _BRICK),
  'lamp': (52, 0.45, 1.00, _SOLID),
  'plant': (115, 0.65, 0.45, _NOISE),
  'ball': (340, 0.80, 0.80, _CHECKER),
  'sink': (190, 0.05, 0.95, _SOLID),
}


@dataclasses.dataclass(frozen=True)
class Look:
  """A procedural texture: two linear RGB colours in [0, 1] and a pattern."""

  kind: int
  scale: float
  first: tuple[float, float, float]
  second: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Decoration:
  """A rectangle on a face of the room; `low` and `high` are 3-D corners."""

  label: str
  face: int
  low: tuple[float, float, float]
  high: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Scene:
  """A furnished room and a camera in it.

  Attributes:
    room_type: One of ROOM_TYPES.
    room: Extent in metres, [3].
    camera: Where the picture is taken from.
    light: Position of the point light, metres, [3].
    ambient: Share of light that has no direction, in [0, 1].
    decorations: Rectangles on the faces.
    solids: Parts of the furniture.
    owners: Object number of each part, int [K].
    objects: Class of each object, one of FURNITURE.
    looks: Textures of the 6 faces, the decorations and the parts, in order.
  """

  room_type: str
  room: np.ndarray
  camera: raycast.Camera
  light: np.ndarray
  ambient: float
  decorations: tuple[Decoration, ...]
  solids: raycast.Solids
  owners: np.ndarray
  objects: tuple[str, ...]
  looks: tuple[Look, ...]


@dataclasses.dataclass(frozen=True)
class Rendering:
  """A picture and its geometry, S x S pixels, one sample at a pixel's centre.

  Attributes:
    image: RGB in [0, 1], float32 [S, S, 3].
    depth: Along the optical axis, metres, float32 [S, S].
    normal: Unit, towards the viewer, camera axes, float32 [S, S, 3].
    point: Camera axes, metres, float32 [S, S, 3].
    label: Index into CLASSES, int [S, S].
    instance: Object number, or -1 for the room and what hangs on it.
    wall_depth: Depth of the empty room, metres, float32 [S, S].
  """

  image: np.ndarray
  depth: np.ndarray
  normal: np.ndarray
  point: np.ndarray
  label: np.ndarray
  instance: np.ndarray
  wall_depth: np.ndarray


def scene_seed(split: str, index: int, seed: int = 0) -> int:
  """Returns the seed of image `index` of a split.

  Args:
    split: One of SPLITS.
    index: In [0, 1e6).
    seed: In [0, 100); each gives other scenes.

  Raises:
    ValueError: If the split is unknown or a number is out of range.
  """
  if split not in SPLITS:
    raise ValueError(f'Unknown split {split!r}; choose from {sorted(SPLITS)}.')
  if not 0 <= index < _SEED_STRIDE:
    raise ValueError(f'Scene index {index} is not in [0, {_SEED_STRIDE}).')
  if not 0 <= seed < _SPLIT_LENGTH // _SEED_STRIDE:
    raise ValueError(
      f'Seed {seed} of the scenes is not in '
      f'[0, {_SPLIT_LENGTH // _SEED_STRIDE}).'
    )
  return SPLITS[split] + seed * _SEED_STRIDE + index


# --- Drawing a scene ---------------------------------------------------------


def _rgb(hue, saturation, value) -> np.ndarray:
  """HSV (degrees, [0, 1], [0, 1]) to RGB in [0, 1]."""
  offsets = (np.array([5, 3, 1]) + hue / 60) % 6
  ramp = np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
  return value * (1 - saturation * ramp)


def _look(rng, hue, saturation, value, kind) -> Look:
  hue = hue + rng.normal(0, 8)
  saturation = np.clip(saturation + rng.normal(0, 0.06), 0, 1)
  value = np.clip(value + rng.normal(0, 0.07), 0.1, 1)
  contrast = rng.uniform(0.45, 0.8)
  return Look(
    kind,
    float(rng.uniform(0.7, 1.5)),
    tuple(_rgb(hue, saturation, value)),
    tuple(_rgb(hue + rng.normal(0, 10), saturation, value * contrast)),
  )


def _room_looks(rng, room_type) -> list[Look]:
  wall, floor, kinds = _ROOMS[room_type][0]
  paper = int(rng.choice([_SOLID, _SOLID, _NOISE, _STRIPES, _BRICK]))
  walls = _look(rng, *wall, paper)
  return [
    walls,
    walls,
    walls,
    walls,
    _look(rng, *floor, int(rng.choice(kinds))),
    _look(rng, wall[0], wall[1] * 0.3, 0.93, _SOLID),
  ]


def _decorations(rng, room) -> list[Decoration]:
  """Draws windows, doors, pictures and a rug."""
  chosen = []
  for face in range(4):
    label = rng.choice(
      ['window', 'door', 'picture', ''], p=[0.3, 0.2, 0.3, 0.2]
    )
    if not label:
      continue
    along = 1 - face // 2
    width, bottom, height = {
      'window': (rng.uniform(0.8, 1.8), rng.uniform(0.8, 1.1), 1.2),
      'door': (rng.uniform(0.8, 1.0), 0.0, 2.05),
      'picture': (rng.uniform(0.5, 1.2), rng.uniform(1.1, 1.5), 0.7),
    }[label]
    start = rng.uniform(0.1, max(room[along] - width - 0.1, 0.2))
    low, high = np.zeros(3), np.zeros(3)
    low[face // 2] = high[face // 2] = room[face // 2] * (face % 2)
    low[along], high[along] = start, start + width
    low[2], high[2] = bottom, bottom + height
    chosen.append(Decoration(str(label), face, tuple(low), tuple(high)))
  if rng.random() < 0.5:
    middle = room[:2] / 2 + rng.normal(0, 0.4, 2)
    half = rng.uniform(0.5, 1.2, 2)
    low, high = [*(middle - half), 0.0], [*(middle + half), 0.0]
    chosen.append(Decoration('rug', 4, tuple(low), tuple(high)))
  return chosen


def _box(x, y, z, half_x, half_y, half_z):
  return raycast.BOX, (x, y, z), (half_x, half_y, half_z)


def _sphere(x, y, z, radius):
  return raycast.SPHERE, (x, y, z), (radius, radius, radius)


def _cylinder(x, y, z, radius, half_z):
  return raycast.CYLINDER, (x, y, z), (radius, radius, half_z)


def _furniture(rng, label) -> list[tuple]:
  """Returns parts (shape, centre, half extents) standing at the origin.

  The object faces its own +x.
  """
  u = rng.uniform
  if label == 'bed':
    length, width, height = u(0.9, 1.05), u(0.5, 0.9), u(0.2, 0.3)
    return [
      _box(0, 0, height, length, width, height),
      _box(-length, 0, u(0.4, 0.6), 0.05, width, 0.6),
      _box(-length * 0.7, 0, 2 * height + 0.07, 0.2, width * 0.7, 0.07),
    ]
  if label == 'sofa':
    depth, width, height = u(0.35, 0.45), u(0.7, 1.1), u(0.18, 0.24)
    return [
      _box(0, 0, height, depth, width, height),
      _box(-depth, 0, 0.42, 0.12, width, 0.42),
      _box(0, width, 0.3, depth, 0.1, 0.3),
      _box(0, -width, 0.3, depth, 0.1, 0.3),
    ]
  if label == 'table':
    height, depth, width = u(0.35, 0.4), u(0.35, 0.5), u(0.5, 0.9)
    leg = 0.9
    return [
      _box(0, 0, 2 * height, depth, width, 0.03),
      *(
        _cylinder(x * depth * leg, y * width * leg, height, 0.035, height)
        for x in (-1, 1)
        for y in (-1, 1)
      ),
    ]
  if label == 'chair':
    seat, half = u(0.2, 0.24), u(0.2, 0.25)
    return [
      _box(0, 0, 2 * seat, half, half, 0.03),
      _cylinder(0, 0, seat, 0.05, seat),
      _box(-half, 0, 2 * seat + 0.25, 0.03, half, 0.25),
    ]
  if label == 'cabinet':
    half_z, width = u(0.4, 0.95), u(0.35, 0.7)
    return [
      _box(0, 0, half_z, 0.27, width, half_z),
      _sphere(0.29, 0.08, half_z, 0.04),
      _sphere(0.29, -0.08, half_z, 0.04),
    ]
  if label == 'bookshelf':
    half_z = u(0.7, 1.0)
    return [_box(0, 0, half_z, 0.16, u(0.35, 0.6), half_z)]
  if label == 'lamp':
    half_z = u(0.55, 0.75)
    return [
      _cylinder(0, 0, half_z, 0.03, half_z),
      _sphere(0, 0, 2 * half_z, u(0.15, 0.22)),
    ]
  if label == 'plant':
    pot, radius = u(0.12, 0.2), u(0.22, 0.4)
    return [
      _cylinder(0, 0, pot, 0.15, pot),
      _sphere(0, 0, 2 * pot + radius * 0.9, radius),
      _sphere(0.1, 0.1, 2 * pot + radius * 1.7, radius * 0.6),
    ]
  if label == 'ball':
    radius = u(0.15, 0.35)
    return [_sphere(0, 0, radius, radius)]
  half_z = u(0.3, 0.38)  # A sink.
  return [
    _cylinder(0, 0, half_z, 0.12, half_z),
    _box(0, 0, 2 * half_z + 0.06, 0.25, u(0.25, 0.4), 0.08),
  ]


def _place(
  rng, room, parts, camera, taken
) -> tuple[float, float, float] | None:
  """Returns x, y and yaw of a free spot, or None after some trials.

  An object stands with its back to a wall (2 of 3) or anywhere.
  """
  radius = max(
    np.hypot(*center[:2]) + np.hypot(*half[:2]) for _, center, half in parts
  )
  margin = min(radius * 0.8, room[:2].min() / 2 - 0.05)
  for _ in range(12):
    spot = rng.uniform(margin, room[:2] - margin)
    yaw = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.67:
      face = rng.integers(4)
      axis, side = face // 2, face % 2
      depth = max(half[0] - center[0] for _, center, half in parts)
      spot[axis] = depth + 0.03 if not side else room[axis] - depth - 0.03
      yaw = (0, np.pi, np.pi / 2, -np.pi / 2)[face] + rng.normal(0, 0.05)
    if np.hypot(*(spot - camera[:2])) < radius + 0.35:
      continue
    if all(np.hypot(*(spot - t[:2])) > 0.75 * (radius + t[2]) for t in taken):
      taken.append((*spot, radius))
      return float(spot[0]), float(spot[1]), float(yaw)
  return None


def _camera(rng, room) -> raycast.Camera:
  """Draws a camera that has some of the room in front of it."""
  yaw = rng.integers(4) * np.pi / 2 + rng.uniform(-np.pi / 4, np.pi / 4)
  heading = np.array([np.cos(yaw), np.sin(yaw)])
  middle = room[:2] / 2 + rng.uniform(-0.15, 0.15, 2) * room[:2]
  reach = np.where(heading > 0, middle, room[:2] - middle)
  back = (reach / np.maximum(np.abs(heading), 1e-6)).min()
  position = middle - heading * back * rng.uniform(0.35, 0.85)
  return raycast.Camera(
    position=(*map(float, position), float(rng.uniform(1.0, 1.8))),
    yaw=float(yaw),
    pitch=float(rng.normal(-0.12, 0.12)),
    roll=float(rng.normal(0, 0.04)),
    field_of_view=float(FIELD_OF_VIEW),
  )


def sample(seed: int) -> Scene:
  """Draws a scene; the same seed always gives the same one."""
  rng = np.random.default_rng(seed)
  room_type = ROOM_TYPES[rng.integers(len(ROOM_TYPES))]
  room = np.array([rng.uniform(3, 6), rng.uniform(3, 6), rng.uniform(2.4, 3.1)])
  if room_type == 'corridor':
    room[:2] = rng.permutation([rng.uniform(1.8, 2.4), rng.uniform(5, 8)])
  elif room_type == 'bathroom':
    room[:2] *= 0.75
  camera = _camera(rng, room)
  looks = _room_looks(rng, room_type)
  decorations = _decorations(rng, room)
  looks += [_look(rng, *_LOOKS[item.label]) for item in decorations]

  odds = _ROOMS[room_type][1]
  labels, weights = list(odds), np.array(list(odds.values()), float)
  drawn = rng.choice(
    labels, size=rng.integers(5, 12), p=weights / weights.sum()
  )
  parts, owners, objects, taken = [], [], [], []
  for label in map(str, drawn):
    own = _furniture(rng, label)
    spot = _place(rng, room, own, np.array(camera.position), taken)
    if spot is None:
      continue
    x, y, yaw = spot
    cos, sin = np.cos(yaw), np.sin(yaw)
    look = _look(rng, *_LOOKS[label])
    for shape, (u, v, z), half in own:
      center = (x + cos * u - sin * v, y + sin * u + cos * v, z)
      parts.append((shape, center, half, yaw))
      owners.append(len(objects))
      looks.append(look)
    objects.append(label)
  shapes, centers, halves, yaws = (
    zip(*parts, strict=True) if parts else [()] * 4
  )
  solids = raycast.Solids(
    np.array(shapes, int),
    np.array(centers, np.float32).reshape(-1, 3),
    np.array(halves, np.float32).reshape(-1, 3),
    np.array(yaws, np.float32),
  )
  light = rng.uniform([0.25, 0.25, 0.82], [0.75, 0.75, 0.95]) * room
  return Scene(
    room_type,
    room,
    camera,
    light,
    float(rng.uniform(0.35, 0.6)),
    tuple(decorations),
    solids,
    np.array(owners, int),
    tuple(objects),
    tuple(looks),
  )


# --- Rendering a scene -------------------------------------------------------


def _hash_noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Value noise in [0, 1] on an integer lattice, interpolated linearly."""

  def corner(i, j):
    mixed = np.sin(i * 127.1 + j * 311.7) * 43758.5453
    return mixed - np.floor(mixed)

  i, j = np.floor(u), np.floor(v)
  s, t = u - i, v - j
  top = corner(i, j) * (1 - s) + corner(i + 1, j) * s
  bottom = corner(i, j + 1) * (1 - s) + corner(i + 1, j + 1) * s
  return top * (1 - t) + bottom * t


def _pattern(kind: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Returns how much of the second colour a point takes, in [0, 1]."""
  if kind == _CHECKER:
    return ((np.floor(u * 3) + np.floor(v * 3)) % 2).astype(float)
  if kind == _STRIPES:
    return (np.floor(u * 6) % 2).astype(float)
  if kind == _NOISE:
    return _hash_noise(u * 9, v * 9)
  if kind == _WOOD:
    return 0.5 + 0.5 * np.sin(14 * u + 5 * _hash_noise(u * 3, v * 1.5))
  if kind == _BRICK:
    row = np.floor(v * 5)
    along = (u * 2.5 + 0.5 * (row % 2)) % 1
    return ((along < 0.06) | ((v * 5) % 1 < 0.12)).astype(float)
  return np.zeros(u.shape)


def _texture_coordinates(hits: raycast.Hits) -> tuple[np.ndarray, np.ndarray]:
  """Metres along a face; around and up a curved surface."""
  x, y, z = hits.local.T
  radius = np.hypot(x, y)
  angle = np.arctan2(y, x) * np.maximum(radius, 0.1)
  axis = np.where(hits.face < 0, 3, hits.face // 2)
  u = np.choose(axis, [y, x, x, angle])
  v = np.choose(axis, [z, z, y, z])
  return u, v


def _surfaces(scene: Scene, hits: raycast.Hits) -> np.ndarray:
  """Returns which of the scene's looks each pixel shows, [P]."""
  room = hits.solid < 0
  first_part = 6 + len(scene.decorations)
  surface = np.where(room, hits.face, first_part + hits.solid)
  for number, item in enumerate(scene.decorations):
    on = room & (hits.face == item.face)
    for axis in range(3):
      if axis != item.face // 2:
        on &= (hits.point[:, axis] >= item.low[axis]) & (
          hits.point[:, axis] <= item.high[axis]
        )
    surface[on] = 6 + number
  return surface


def _labels(scene: Scene) -> np.ndarray:
  """Returns the class of each of the scene's looks, [L]."""
  faces = ['wall'] * 4 + ['floor', 'ceiling']
  names = faces + [item.label for item in scene.decorations]
  names += [scene.objects[owner] for owner in scene.owners]
  return np.array([CLASSES.index(name) for name in names])


def _albedo(scene: Scene, hits: raycast.Hits, surface: np.ndarray):
  u, v = _texture_coordinates(hits)
  kinds = np.array([look.kind for look in scene.looks])[surface]
  scale = np.array([look.scale for look in scene.looks])[surface]
  share = np.zeros(len(surface))
  for kind in np.unique(kinds):
    rows = np.flatnonzero(kinds == kind)
    share[rows] = _pattern(kind, u[rows] * scale[rows], v[rows] * scale[rows])
  first = np.array([look.first for look in scene.looks])[surface]
  second = np.array([look.second for look in scene.looks])[surface]
  return first + (second - first) * share[:, None]


def _irradiance(scene: Scene, hits: raycast.Hits, size: int) -> np.ndarray:
  """Ambient light and a point light with shadows, [P].

  Shadow rays are cast for every second pixel in each direction.
  """
  light = scene.light.astype(np.float32)
  towards = light - hits.point
  distance = np.linalg.norm(towards, axis=1)
  cosine = (towards * hits.normal).sum(axis=1) / distance
  coarse = np.zeros((size, size), bool)
  coarse[::2, ::2] = True
  coarse = coarse.ravel()
  sees = raycast.lit(
    hits.point[coarse], hits.normal[coarse], light, scene.solids
  )
  half = (size + 1) // 2
  sees = sees.reshape(half, half).astype(np.float32)
  sees = cv2.resize(sees, (size, size), interpolation=cv2.INTER_LINEAR).ravel()
  direct = sees * np.maximum(cosine, 0) * 2.2 / (1 + distance**2 / 4)
  sky = 0.8 + 0.2 * hits.normal[:, 2]
  return scene.ambient * sky + (1 - scene.ambient) * direct


def render(scene: Scene, size: int) -> Rendering:
  """Renders `size` x `size` samples, one at each pixel's centre."""
  rotation = scene.camera.rotation()
  rays = scene.camera.rays(size)
  directions = (rays @ rotation.T).astype(np.float32)
  origin = np.array(scene.camera.position, np.float32)
  hits = raycast.cast(origin, directions, scene.room, scene.solids)
  wall_depth, _ = raycast.room_exit(origin[None], directions, scene.room)
  surface = _surfaces(scene, hits)
  color = _albedo(scene, hits, surface)
  color *= _irradiance(scene, hits, size)[:, None]
  lamps = _labels(scene)[surface] == CLASSES.index('lamp')
  curved = hits.face < 0
  glow = lamps & curved
  color[glow] = np.maximum(color[glow], 0.85)
  image = np.clip(color, 0, 1) ** (1 / 1.8)
  owners = np.append(scene.owners, -1)
  square = (size, size)
  return Rendering(
    image=image.reshape(*square, 3).astype(np.float32),
    depth=hits.depth.reshape(square),
    normal=(hits.normal @ rotation).reshape(*square, 3).astype(np.float32),
    point=(rays * hits.depth[:, None]).reshape(*square, 3),
    label=_labels(scene)[surface].reshape(square),
    instance=owners[hits.solid].reshape(square),
    wall_depth=wall_depth.reshape(square).astype(np.float32),
  )


def picture(rendering: Rendering, size: int) -> np.ndarray:
  """Returns the picture, area-averaged to uint8 [size, size, 3]."""
  image = cv2.resize(
    rendering.image, (size, size), interpolation=cv2.INTER_AREA
  )
  return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def images(seeds: Iterable[int], size: int) -> np.ndarray:
  """Renders pictures from 2 x 2 samples a pixel, uint8 [N, size, size, 3]."""
  rendered = [picture(render(sample(seed), 2 * size), size) for seed in seeds]
  return np.stack(rendered) if rendered else np.zeros((0, size, size, 3), 'u1')


def probe_images(
  num_images: int, size: int, seed: int = 0
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns pictures of the test split and the name of each.

  Args:
    num_images: How many.
    size: Side in pixels.
    seed: Which scenes, in [0, 100).

  Returns:
    uint8 RGB [num_images, size, size, 3], and their names.
  """
  seeds = [scene_seed('test', index, seed) for index in range(num_images)]
  return images(seeds, size), tuple(f'scene-{value}' for value in seeds)
