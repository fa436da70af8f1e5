"""Procedural indoor scenes: rooms of six types, furnished and lit.

A scene is drawn from one integer seed and nothing else.
"""

import dataclasses

import numpy as np

from probe_data import furniture, raycast, textures
from probe_data.textures import Look

STUFF = ('wall', 'floor', 'ceiling', 'window', 'door', 'picture', 'rug')
CLASSES = STUFF + furniture.CLASSES
FIELD_OF_VIEW = np.deg2rad(70)

# Hue (degrees), saturation and value of a room type's walls and floor, its
# floor textures, and how likely each class of furniture is.
_ROOMS = {
  'bedroom': (
    ((20, 0.25, 0.85), (28, 0.50, 0.50), (textures.WOOD, textures.NOISE)),
    dict(bed=5, cabinet=2, lamp=2, bookshelf=1, chair=1, plant=1),
  ),
  'living_room': (
    ((45, 0.30, 0.88), (24, 0.55, 0.42), (textures.WOOD, textures.STRIPES)),
    dict(sofa=5, table=2, lamp=2, plant=2, bookshelf=2, ball=1),
  ),
  'kitchen': (
    ((75, 0.22, 0.88), (12, 0.50, 0.60), (textures.CHECKER, textures.BRICK)),
    dict(cabinet=5, sink=3, table=3, chair=3, plant=1),
  ),
  'bathroom': (
    ((200, 0.30, 0.88), (205, 0.25, 0.70), (textures.CHECKER, textures.SOLID)),
    dict(sink=5, cabinet=2, plant=1, lamp=1),
  ),
  'office': (
    ((150, 0.12, 0.80), (220, 0.22, 0.42), (textures.NOISE, textures.STRIPES)),
    dict(table=4, chair=4, bookshelf=3, cabinet=1, lamp=2, plant=1),
  ),
  'corridor': (
    ((0, 0.04, 0.78), (0, 0.06, 0.35), (textures.BRICK, textures.SOLID)),
    dict(plant=3, ball=2, cabinet=1, chair=1, lamp=1),
  ),
}
ROOM_TYPES = tuple(_ROOMS)
_WALLPAPERS = np.array(
  [textures.SOLID] * 2 + [textures.NOISE, textures.STRIPES, textures.BRICK]
)

# Hue, saturation, value and texture of each class: colour follows from the
# class, so that colorization is a task that can be learned.
_LOOKS = {
  'window': (205, 0.35, 0.95, textures.SOLID),
  'door': (22, 0.60, 0.42, textures.WOOD),
  'picture': (300, 0.55, 0.60, textures.CHECKER),
  'rug': (350, 0.60, 0.50, textures.STRIPES),
  'bed': (220, 0.45, 0.80, textures.STRIPES),
  'sofa': (5, 0.60, 0.55, textures.NOISE),
  'table': (28, 0.60, 0.50, textures.WOOD),
  'chair': (30, 0.55, 0.40, textures.WOOD),
  'cabinet': (35, 0.30, 0.75, textures.SOLID),
  'bookshelf': (18, 0.65, 0.35, textures.BRICK),
  'lamp': (52, 0.45, 1.00, textures.SOLID),
  'plant': (115, 0.65, 0.45, textures.NOISE),
  'ball': (340, 0.80, 0.80, textures.CHECKER),
  'sink': (190, 0.05, 0.95, textures.SOLID),
}


@dataclasses.dataclass(frozen=True)
class Decoration:
  """A rectangle on a face of the room; `low` and `high` are 3-D corners."""

  label: str
  face: int
  low: tuple[float, float, float]
  high: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Scene:
  """A furnished room and a camera in it."""

  room_type: str  # One of ROOM_TYPES.
  room: np.ndarray  # Extent in metres, [3].
  camera: raycast.Camera  # Where the picture is taken from.
  light: np.ndarray  # Position of the point light, metres, [3].
  ambient: float  # Share of light that has no direction, in [0, 1].
  decorations: tuple[Decoration, ...]  # Rectangles on the faces.
  solids: raycast.Solids  # Parts of the furniture.
  owners: np.ndarray  # Object number of each part, int [K].
  objects: tuple[str, ...]  # Class of each, one of `furniture.CLASSES`.
  looks: tuple[Look, ...]  # Of the 6 faces, the decorations and the parts.


def _room_looks(rng, room_type) -> list[Look]:
  wall, floor, kinds = _ROOMS[room_type][0]
  walls = textures.draw_look(rng, *wall, int(rng.choice(_WALLPAPERS)))
  return [
    *[walls] * 4,
    textures.draw_look(rng, *floor, int(rng.choice(kinds))),
    textures.draw_look(rng, wall[0], wall[1] * 0.3, 0.93, textures.SOLID),
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
  looks += [
    textures.draw_look(rng, *_LOOKS[item.label]) for item in decorations
  ]

  odds = _ROOMS[room_type][1]
  labels, weights = list(odds), np.array(list(odds.values()), float)
  drawn = rng.choice(
    labels, size=rng.integers(5, 12), p=weights / weights.sum()
  )
  parts, owners, objects, taken = [], [], [], []
  for label in map(str, drawn):
    own = furniture.draw_parts(rng, label)
    spot = _place(rng, room, own, np.array(camera.position), taken)
    if spot is None:
      continue
    x, y, yaw = spot
    cos, sin = np.cos(yaw), np.sin(yaw)
    look = textures.draw_look(rng, *_LOOKS[label])
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
