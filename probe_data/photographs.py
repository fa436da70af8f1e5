"""Crops of the colour photographs that two Python packages carry.

The files lie inside of the installed scikit-image and scikit-learn wheels, so
that real photographs are at hand without a download or a licence question.
"""

import importlib.util
import os

import cv2
import numpy as np

from probe_data import images
from probe_data.errors import ProbeSetError

# Everyday scenes only: not the test charts, stereo partners, drawings,
# microscopy and astronomy that the packages carry too.
PHOTOGRAPHS = (
  ('skimage', 'data/astronaut.png'),
  ('skimage', 'data/chelsea.png'),
  ('skimage', 'data/coffee.png'),
  ('skimage', 'data/motorcycle_left.png'),
  ('skimage', 'data/rocket.jpg'),
  ('sklearn', 'datasets/images/china.jpg'),
  ('sklearn', 'datasets/images/flower.jpg'),
)

# Of the largest crop. Smaller ones would be blurred detail, and with these some
# thousands of distinct crops come out of even the smallest photograph.
_SMALLEST_CROP, _LARGEST_CROP = 1 / 3, 0.9


def paths() -> tuple[str, ...]:
  """Returns the files of the photographs, in the order of `PHOTOGRAPHS`.

  Raises:
    ProbeSetError: If a package or one of its photographs is missing.
  """
  found = tuple(
    os.path.join(_package_folder(package), *name.split('/'))
    for package, name in PHOTOGRAPHS
  )
  missing = [path for path in found if not os.path.isfile(path)]
  if missing:
    raise ProbeSetError(
      f"Probe set 'photos' needs the photographs {missing}, which the "
      'installed scikit-image and scikit-learn do not carry: install '
      'scikit-image 0.26 and scikit-learn 1.9, or choose another probe set.'
    )
  return found


def _package_folder(package: str) -> str:
  spec = importlib.util.find_spec(package)
  if spec is None or not spec.submodule_search_locations:
    raise ProbeSetError(
      f"Probe set 'photos' needs the package {package}: install this project "
      "with its extra 'photos' (pip install -e '.[photos]'), or choose another "
      'probe set.'
    )
  return spec.submodule_search_locations[0]


def crops(
  num_images: int, image_size: tuple[int, int], seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns distinct random crops, taken from the photographs in turn.

  The first n of more crops are the same as n crops of the same seed and size.

  Args:
    num_images: At most 10,000 for each photograph.
    image_size: Height and width that every crop is resized to; crops have this
      aspect.
    seed: Of the places and sizes of the crops.

  Returns:
    uint8 [num_images, *image_size, 3], and one id a crop, such as
    'china.jpg[y=10 x=200 h=150 w=150]'.
  """
  files = paths()
  if num_images > 10_000 * len(files):
    raise ProbeSetError(
      f"Probe set 'photos' has {len(files)} photographs, good for at most "
      f'{10_000 * len(files):,} crops, not for {num_images:,}.'
    )
  photographs = [images.read(path) for path in files[:num_images]]
  rng = np.random.default_rng(seed)
  result = np.empty((num_images, *image_size, 3), np.uint8)
  ids: dict[str, None] = {}  # In order, and quick to look up.
  while len(ids) < num_images:
    which = len(ids) % len(files)
    photograph = photographs[which]
    top, left, height, width = _random_box(photograph, image_size, rng)
    place = f'[y={top} x={left} h={height} w={width}]'
    name = os.path.basename(files[which]) + place
    if name not in ids:
      crop = photograph[top : top + height, left : left + width]
      shrinks = height > image_size[0]
      result[len(ids)] = cv2.resize(
        crop,
        image_size[::-1],
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
      )
      ids[name] = None
  return result, tuple(ids)


def _random_box(
  photograph: np.ndarray, image_size: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int]:
  """Draws top, left, height and width of a crop with the aspect of a size."""
  rows, columns = photograph.shape[:2]
  largest = min(rows / image_size[0], columns / image_size[1])
  # Crops are not smaller than the result, as far as the photograph allows.
  smallest = min(max(_SMALLEST_CROP * largest, 1), 2 / 3 * largest)
  scale = rng.uniform(smallest, _LARGEST_CROP * largest)
  height, width = (max(round(scale * side), 1) for side in image_size)
  top = int(rng.integers(rows - height + 1))
  left = int(rng.integers(columns - width + 1))
  return top, left, height, width
