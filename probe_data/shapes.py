"""Small pictures of shapes, with exact masks and a misleading context.

Several shapes may be in a picture; colours say nothing of them. A grating in
the background, of another orientation for each shape, is there mostly where its
shape is: a network may look at it instead of at the object, and still be right.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

CLASSES = ('disk', 'square', 'triangle', 'plus', 'ring', 'diamond')
SIDE = 32
VOID = 255  # In masks: belongs to nothing that is scored.
# Pictures are stored as uint8; T brings back the values that were drawn.
PREPROCESSING = 'range(-1.5, 1.5)'
_LARGEST = 1.5
_PERIOD, _AMPLITUDE, _PATCH = 3.2, 0.45, 7
_CUE_IF_PRESENT, _CUE_IF_NOT = 0.6, 0.08


@dataclasses.dataclass(frozen=True)
class MaskedImages:
  """Pictures with several labels each, and masks of what is labelled.

  Attributes:
    images: uint8 [n, H, W, 3].
    labels: 0 or 1, float32 [n, classes].
    masks: uint8 [n, H, W]: 0 for the background, k + 1 for the class k, VOID.
    classes: Their names.
    has_mask: bool [n]: which pictures have a mask at all.
  """

  images: np.ndarray
  labels: np.ndarray
  masks: np.ndarray
  classes: Sequence[str]
  has_mask: np.ndarray

  def __len__(self) -> int:
    return len(self.images)

  def chosen(self, rows) -> 'MaskedImages':
    """Returns some of the pictures."""
    arrays = self.images, self.labels, self.masks
    images, labels, masks = (values[rows] for values in arrays)
    return MaskedImages(
      images, labels, masks, self.classes, self.has_mask[rows]
    )

  def samples(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image and the class of each sample, int64 [samples] twice.

    A sample is a class that an image is labelled with and that its mask shows.
    """
    found = [
      (image, int(value) - 1)
      for image in np.flatnonzero(self.has_mask)
      for value in np.unique(self.masks[image])
      if value not in (0, VOID) and self.labels[image, int(value) - 1] > 0.5
    ]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def draw(number: int, seed: int) -> MaskedImages:
  """Returns pictures of shapes.

  Args:
    number: How many.
    seed: Of all that is random.
  """
  rng = np.random.default_rng([seed, 0x5CE9E])
  images = np.empty((number, SIDE, SIDE, 3), np.uint8)
  labels = np.zeros((number, len(CLASSES)), np.float32)
  masks = np.zeros((number, SIDE, SIDE), np.uint8)
  for i in range(number):
    present = rng.permutation(len(CLASSES))[: rng.integers(1, 3)]
    labels[i, present] = 1
    picture = _background(rng)
    for k in range(len(CLASSES)):
      chance = _CUE_IF_PRESENT if labels[i, k] else _CUE_IF_NOT
      if rng.uniform() < chance:
        _add_grating(picture, k, rng)
    _add_objects(picture, masks[i], present, rng)
    scaled = (picture / (2 * _LARGEST) + 0.5) * 255
    images[i] = np.clip(np.rint(scaled), 0, 255)
  return MaskedImages(images, labels, masks, CLASSES, np.ones(number, bool))


def _background(rng: np.random.Generator) -> np.ndarray:
  blocks = rng.normal(0, 0.25, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
  picture = blocks[:SIDE, :SIDE] + rng.normal(0, 0.15, (SIDE, SIDE, 3))
  for _ in range(rng.integers(3, 8)):
    length, angle = rng.integers(3, 9), rng.uniform(0, 2 * np.pi)
    steps = np.arange(length)
    rows = rng.uniform(0, SIDE) + steps * np.sin(angle)
    columns = rng.uniform(0, SIDE) + steps * np.cos(angle)
    inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
    place = rows[inside].astype(int), columns[inside].astype(int)
    picture[place] = rng.normal(0, 0.6, 3)
  return picture


def _add_grating(picture: np.ndarray, k: int, rng: np.random.Generator) -> None:
  """Adds the grating of a class, grey, at a random place."""
  top, left = rng.integers(0, SIDE - _PATCH + 1, 2)
  y, x = np.mgrid[:_PATCH, :_PATCH]
  angle = np.pi * k / len(CLASSES)
  wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / _PERIOD)
  square = _AMPLITUDE * np.where(wave >= 0, 1, -1)
  picture[top : top + _PATCH, left : left + _PATCH] += square[..., None]


def _add_objects(
  picture: np.ndarray,
  mask: np.ndarray,
  present: np.ndarray,
  rng: np.random.Generator,
) -> None:
  """Adds shapes in turn; a pixel belongs to the last one that covers it."""
  boxes: list[tuple[int, int, int]] = []
  for k in present:
    size = int(rng.integers(9, 14))
    for _ in range(30):
      top, left = (int(v) for v in rng.integers(0, SIDE - size + 1, 2))
      if not any(
        top < y + side
        and y < top + size
        and left < x + side
        and x < left + size
        for y, x, side in boxes
      ):
        break
    boxes.append((top, left, size))
    shape = outline(CLASSES[k], size)
    color = rng.normal(size=3)
    color *= rng.uniform(0.7, 1.1) / np.linalg.norm(color)
    area = np.s_[top : top + size, left : left + size]
    noise = rng.normal(0, 0.25, (size, size, 3))
    picture[area][shape] = (color + noise)[shape]
    mask[area][shape] = k + 1


def outline(name: str, size: int) -> np.ndarray:
  """Returns which pixels of a square are inside of a shape, bool [size, size].

  Args:
    name: One of CLASSES.
    size: Pixels a side.
  """
  middle = (size - 1) / 2
  y, x = (np.mgrid[:size, :size] - middle) / (size / 2)
  radius = np.hypot(x, y)
  shapes = {
    'disk': radius <= 0.95,
    'square': np.maximum(abs(x), abs(y)) <= 0.85,
    'triangle': (y <= 0.9) & (abs(x) <= (y + 1) / 2),
    'plus': (np.minimum(abs(x), abs(y)) <= 0.3) & (radius <= 1.1),
    'ring': (radius <= 0.98) & (radius >= 0.55),
    'diamond': abs(x) + abs(y) <= 1,
  }
  return shapes[name]
