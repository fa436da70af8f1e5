"""Pictures and exact geometry of procedural scenes.

`probe_data.rooms` draws the scenes; `probe_data.scene_labels` reads the labels
of the 20 Taskonomy tasks off the geometry.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import itertools

import cv2
import numpy as np

from probe_data import raycast, rooms, textures
from toolkit_basics import processes

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
_TOGETHER = 50  # Pictures that a process renders at once.


@dataclasses.dataclass(frozen=True)
class Rendering:
  """A picture and its geometry, S x S pixels, one sample at each's centre."""

  image: np.ndarray  # RGB in [0, 1], float32 [S, S, 3].
  depth: np.ndarray  # Along the optical axis, metres, float32 [S, S].
  normal: np.ndarray  # Unit, to the viewer, camera axes, float32 [S, S, 3].
  point: np.ndarray  # Camera axes, metres, float32 [S, S, 3].
  label: np.ndarray  # Index into `rooms.CLASSES`, int [S, S].
  instance: np.ndarray  # Object, or -1 for the room and what hangs on it.
  wall_depth: np.ndarray  # Depth of the empty room, metres, float32 [S, S].


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


def _texture_coordinates(hits: raycast.Hits) -> tuple[np.ndarray, np.ndarray]:
  """Metres along a face; around and up a curved surface."""
  x, y, z = hits.local.T
  radius = np.hypot(x, y)
  angle = np.arctan2(y, x) * np.maximum(radius, 0.1)
  axis = np.where(hits.face < 0, 3, hits.face // 2)
  u = np.choose(axis, [y, x, x, angle])
  v = np.choose(axis, [z, z, y, z])
  return u, v


def _surfaces(scene: rooms.Scene, hits: raycast.Hits) -> np.ndarray:
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


def _labels(scene: rooms.Scene) -> np.ndarray:
  """Returns the class of each of the scene's looks, [L]."""
  faces = ['wall'] * 4 + ['floor', 'ceiling']
  names = faces + [item.label for item in scene.decorations]
  names += [scene.objects[owner] for owner in scene.owners]
  return np.array([rooms.CLASSES.index(name) for name in names])


def _albedo(scene: rooms.Scene, hits: raycast.Hits, surface: np.ndarray):
  u, v = _texture_coordinates(hits)
  kinds = np.array([look.kind for look in scene.looks])[surface]
  scale = np.array([look.scale for look in scene.looks])[surface]
  share = np.zeros(len(surface))
  for kind in np.unique(kinds):
    rows = np.flatnonzero(kinds == kind)
    share[rows] = textures.pattern(
      kind, u[rows] * scale[rows], v[rows] * scale[rows]
    )
  first = np.array([look.first for look in scene.looks])[surface]
  second = np.array([look.second for look in scene.looks])[surface]
  return first + (second - first) * share[:, None]


def _irradiance(
  scene: rooms.Scene, hits: raycast.Hits, size: int
) -> np.ndarray:
  """Ambient light and a point light with shadows, [P].

  Shadow rays are cast for every second pixel in each direction.
  """
  light = scene.light.astype(np.float32)
  towards = light - hits.point
  distance = np.linalg.norm(towards, axis=1)
  cosine = (towards * hits.normal).sum(axis=1) / distance
  coarse = np.arange(size * size).reshape(size, size)[::2, ::2].ravel()
  sees = raycast.lit(
    hits.point[coarse], hits.normal[coarse], light, scene.solids
  )
  half = (size + 1) // 2
  sees = sees.reshape(half, half).astype(np.float32)
  sees = cv2.resize(sees, (size, size), interpolation=cv2.INTER_LINEAR).ravel()
  direct = sees * np.maximum(cosine, 0) * 2.2 / (1 + distance**2 / 4)
  sky = 0.8 + 0.2 * hits.normal[:, 2]
  return scene.ambient * sky + (1 - scene.ambient) * direct


def render(scene: rooms.Scene, size: int) -> Rendering:
  """Renders `size` x `size` samples, one at each pixel's centre."""
  rays, directions, hits = _seen(scene, size)
  rotation = scene.camera.rotation()
  origin = np.array(scene.camera.position, np.float32)
  wall_depth, _ = raycast.room_exit(origin[None], directions, scene.room)
  surface = _surfaces(scene, hits)
  owners = np.append(scene.owners, -1)
  square = (size, size)
  return Rendering(
    image=_colors(scene, hits, surface, size),
    depth=hits.depth.reshape(square),
    normal=(hits.normal @ rotation).reshape(*square, 3).astype(np.float32),
    point=(rays * hits.depth[:, None]).reshape(*square, 3),
    label=_labels(scene)[surface].reshape(square),
    instance=owners[hits.solid].reshape(square),
    wall_depth=wall_depth.reshape(square).astype(np.float32),
  )


def _seen(
  scene: rooms.Scene, size: int
) -> tuple[np.ndarray, np.ndarray, raycast.Hits]:
  """Returns rays of the camera, [P, 3], the same in the world, their hits."""
  rays = scene.camera.rays(size)
  directions = (rays @ scene.camera.rotation().T).astype(np.float32)
  origin = np.array(scene.camera.position, np.float32)
  hits = raycast.cast(origin, directions, scene.room, scene.solids)
  return rays, directions, hits


def _colors(
  scene: rooms.Scene, hits: raycast.Hits, surface: np.ndarray, size: int
) -> np.ndarray:
  """Returns RGB in [0, 1], float32 [size, size, 3]."""
  color = _albedo(scene, hits, surface)
  color *= _irradiance(scene, hits, size)[:, None]
  lamps = _labels(scene)[surface] == rooms.CLASSES.index('lamp')
  curved = hits.face < 0
  glow = lamps & curved
  color[glow] = np.maximum(color[glow], 0.85)
  image = np.clip(color, 0, 1) ** (1 / 1.8)
  return image.reshape(size, size, 3).astype(np.float32)


def picture(rendering: Rendering, size: int) -> np.ndarray:
  """Returns the picture, area-averaged to uint8 [size, size, 3]."""
  return _averaged(rendering.image, size)


def _averaged(image: np.ndarray, size: int) -> np.ndarray:
  image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
  return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _picture_of(scene: rooms.Scene, size: int) -> np.ndarray:
  """Returns `picture`, from 2 x 2 samples a pixel, without the labels."""
  _, _, hits = _seen(scene, 2 * size)
  colors = _colors(scene, hits, _surfaces(scene, hits), 2 * size)
  return _averaged(colors, size)


def with_textures(scene: rooms.Scene, density: float) -> rooms.Scene:
  """Returns a scene with denser textures, everything else equal.

  Args:
    scene: The scene.
    density: 0 for none, 1 for those it has; see `textures.with_density`.
  """
  looks = tuple(textures.with_density(look, density) for look in scene.looks)
  return dataclasses.replace(scene, looks=looks)


def images(seeds: Iterable[int], size: int, density: float = 1.0) -> np.ndarray:
  """Renders pictures from 2 x 2 samples a pixel, uint8 [N, size, size, 3].

  Args:
    seeds: Of the scenes.
    size: Side of the pictures.
    density: Of the textures, see `with_textures`.
  """

  def rendered(part: Sequence[int]) -> list[np.ndarray]:
    scenes = (with_textures(rooms.sample(seed), density) for seed in part)
    return [_picture_of(scene, size) for scene in scenes]

  seeds = list(seeds)
  parts = [seeds[i : i + _TOGETHER] for i in range(0, len(seeds), _TOGETHER)]
  workers = processes.chosen(0, len(parts))
  made = list(itertools.chain(*processes.results(rendered, parts, workers)))
  return np.stack(made) if made else np.zeros((0, size, size, 3), 'u1')


def probe_images(
  num_images: int, size: int, seed: int = 0, density: float = 1.0
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns pictures of the test split, and their names.

  uint8 RGB [num_images, size, size, 3]; `seed`, in [0, 100), chooses scenes,
  `density` is that of their textures, see `with_textures`.
  """
  seeds = [scene_seed('test', index, seed) for index in range(num_images)]
  names = tuple(f'scene-{value}' for value in seeds)
  return images(seeds, size, density), names
