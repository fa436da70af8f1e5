"""Procedural textures: two colours and a pattern."""

import dataclasses

import numpy as np

SOLID, CHECKER, STRIPES, NOISE, WOOD, BRICK = range(6)


@dataclasses.dataclass(frozen=True)
class Look:
  """A procedural texture: two linear RGB colours in [0, 1] and a pattern."""

  kind: int
  scale: float
  first: tuple[float, float, float]
  second: tuple[float, float, float]


# Share of the second colour that a pattern has on average.
_MEAN_SHARE = {
  CHECKER: 0.5,
  STRIPES: 0.5,
  NOISE: 0.5,
  WOOD: 0.5,
  BRICK: 1 - (1 - 0.06) * (1 - 0.12),
}


def with_density(look: Look, density: float) -> Look:
  """Returns a texture with finer or coarser patterns, its mean colour kept.

  Args:
    look: The texture.
    density: Factor of the pattern's frequency: 1 changes nothing; 0 leaves the
      mean colour alone; above 1 solid surfaces get noise of their two colours
      too, about the colour that they had (as far as colours go).
  """
  if density == 1:
    return look
  first, second = np.array(look.first), np.array(look.second)
  if density == 0 and look.kind != SOLID:
    mean = first + (second - first) * _MEAN_SHARE[look.kind]
    return dataclasses.replace(look, kind=SOLID, first=tuple(mean))
  kind = look.kind
  if density > 1 and kind == SOLID:
    kind, half = NOISE, (first - second) / 2
    half = np.minimum(half, np.minimum(1 - first, first))
    first, second = first + half, first - half
  return Look(kind, look.scale * density, tuple(first), tuple(second))


def _rgb(hue, saturation, value) -> np.ndarray:
  """HSV (degrees, [0, 1], [0, 1]) to RGB in [0, 1]."""
  offsets = (np.array([5, 3, 1]) + hue / 60) % 6
  ramp = np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
  return value * (1 - saturation * ramp)


def draw_look(
  rng: np.random.Generator,
  hue: float,
  saturation: float,
  value: float,
  kind: int,
) -> Look:
  """Returns a texture about a colour (degrees, [0, 1], [0, 1])."""
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


def pattern(kind: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Returns how much of the second colour a point takes, in [0, 1]."""
  if kind == CHECKER:
    return ((np.floor(u * 3) + np.floor(v * 3)) % 2).astype(float)
  if kind == STRIPES:
    return (np.floor(u * 6) % 2).astype(float)
  if kind == NOISE:
    return _hash_noise(u * 9, v * 9)
  if kind == WOOD:
    return 0.5 + 0.5 * np.sin(14 * u + 5 * _hash_noise(u * 3, v * 1.5))
  if kind == BRICK:
    row = np.floor(v * 5)
    along = (u * 2.5 + 0.5 * (row % 2)) % 1
    return ((along < 0.06) | ((v * 5) % 1 < 0.12)).astype(float)
  return np.zeros(u.shape)
