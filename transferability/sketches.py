"""Points of few numbers: each map is sketched right after it is made.

A count sketch (Charikar, Chen and Farach-Colton, 2002) adds every number of a
map, with a random sign, to one of m sums: s_k = sum over p with h(p) = k of
r(p) x_p. Products of two sketches are those of the maps on average, with a
variance of at most (|x|^2 |y|^2 + <x, y>^2) / m. Sums and signs are the same
for all networks, and others for each image, so that errors of the images are
independent: those of an affinity over N images are about 1 / sqrt(m N).

The kernel over pixels of K probes is the sum of their outer products. Its
sketch is made without it: that of an outer product is the circular convolution
of two independent sketches of the row (Pagh, 2013), and sketches of sums are
sums of sketches.

For example, 256 numbers an image instead of 12,288 tell affinities over 1,000
images within 0.002 (one deviation), in a forty-eighth of the room.
"""

from collections.abc import Mapping
import re
from typing import Any

import numpy as np

from toolkit_basics import blas

FULL = 'full'
_LEAST, _MOST = 8, 2**20  # Numbers of an image.
_SKETCH = re.compile(r'sketch:([1-9][0-9]{0,6})')


def size_of(point: str) -> int | None:
  """Returns m of a kind of point, `full` or `sketch:m`; None if it is full.

  Raises:
    ValueError: If it is neither, or m is not between 8 and 2^20.
  """
  if point == FULL:
    return None
  found = _SKETCH.fullmatch(point)
  size = int(found.group(1)) if found else 0
  if not _LEAST <= size <= _MOST:
    raise ValueError(
      f'Unknown point {point!r}; choose full, or sketch:m with m numbers an '
      f'image, {_LEAST} to {_MOST}, as sketch:256.'
    )
  return size


def sketched(
  maps: np.ndarray, first: int, size: int, seed: int = 0
) -> np.ndarray:
  """Returns the sketches of maps of consecutive images.

  Args:
    maps: Real [n, ...].
    first: Index of the first image.
    size: m.
    seed: Of sums and signs.

  Returns:
    float64 [n, m].
  """
  found = np.zeros((len(maps), size))
  for number, values in enumerate(maps):
    image = first + number
    found[number] = sketched_rows(values.reshape(1, -1), image, size, seed)
  return found


def sketched_rows(
  rows: np.ndarray, image: int, size: int, seed: int = 0
) -> np.ndarray:
  """Returns sketches, float64 [k, m], of rows [k, d] about one image."""
  return _summed(rows, size, [seed, image])


def point_of(settings: Mapping[str, Any]) -> str:
  """Returns what a space with these settings keeps of each map."""
  return settings.get('point', FULL)


def of_kernel(
  rows: np.ndarray, image: int, size: int, seed: int = 0
) -> np.ndarray:
  """Returns the sketch of the attribution kernel of one image's probes.

  Args:
    rows: Of the probes, real [K, d], K at least 2.
    image: Its index.
    size: m.
    seed: Of sums and signs.

  Returns:
    float64 [m + 1]. The first m numbers are so long that the product of those
    of two networks is `subspaces.kernel` on average. The last one is 1, so that
    the length is known of a multiple too. All are 0 if no two rows have a
    product.
  """
  rows = np.asarray(rows, np.float64)
  count = len(rows)
  with blas.one_thread():
    squares = np.square(rows @ rows.T)
  others = squares.sum() - np.trace(squares)
  if others == 0:
    return np.zeros(size + 1)
  sides = [
    np.fft.rfft(_summed(rows, size, [seed, image, side])) for side in (1, 2)
  ]
  found = np.fft.irfft((sides[0] * sides[1]).sum(axis=0), size)
  scale = np.sqrt(others / (count * (count - 1)))
  return np.append(found / (count * scale), 1.0)


def kernels(rows: np.ndarray) -> np.ndarray:
  """Returns kernel affinities that sketches of one image tell.

  Args:
    rows: Multiples of what `of_kernel` returns, [networks, m + 1].

  Returns:
    float64 [networks, networks] with a unit diagonal, at most 1; an estimate
    may be less than 0.
  """
  points = kernel_points(rows)
  result = np.minimum(np.einsum('am,bm->ab', points, points), 1)
  np.fill_diagonal(result, 1)
  return result


def kernel_points(rows: np.ndarray) -> np.ndarray:
  """Returns sketches of kernels at their length, float64 [..., m].

  Args:
    rows: Multiples of what `of_kernel` returns, [..., m + 1].
  """
  rows = np.asarray(rows, np.float64)
  return rows[..., :-1] / rows[..., -1:]


def kernel_bound(size: int, images: int, length: float = 1.0) -> float:
  """Returns what the standard deviation of a kernel affinity is at most.

  sqrt((2 + 3^q) / (m N)) times the lengths of the sketched kernels, q = 2 for
  outer products (Avron, Nguyen and Woodruff, 2014).

  Args:
    size: m.
    images: N.
    length: Product of the lengths of two networks' kernels, at least 1. They
      are longer the fewer probes there are: probes are orthogonal to others,
      and not to themselves.
  """
  return length * np.sqrt(11 / (size * images))


def deviation(size: int, images: int, affinity: float = 0.0) -> float:
  """Returns about the standard deviation of an affinity told by sketches.

  Sketches are compared by their cosine, whose deviation for one image is
  (1 - affinity^2) / sqrt(m), as that of a correlation of m samples.

  Args:
    size: m.
    images: N.
    affinity: Of the networks.
  """
  return (1 - affinity**2) / np.sqrt(size * images)


def _summed(rows: np.ndarray, size: int, seed: list[int]) -> np.ndarray:
  """Returns count sketches, float64 [k, m], of rows [k, d]."""
  sums, signs = _drawn(rows.shape[1], size, seed)
  return np.stack(
    [np.bincount(sums, row * signs, size) for row in rows.astype(np.float64)]
  )


def _drawn(
  numbers: int, size: int, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns where each number of a map is added, and with which sign.

  Of raw random bits, which no version of NumPy draws otherwise.
  """
  source = np.random.PCG64(np.random.SeedSequence(seed))
  raw = source.random_raw(numbers)
  sums = (raw >> np.uint64(1)) % np.uint64(size)
  return sums.astype(np.intp), (raw & np.uint64(1)) * 2.0 - 1
