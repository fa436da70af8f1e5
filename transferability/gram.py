"""Cosines of stored points, exactly reproducible, in bounded memory.

Entries of unit rows are rounded to multiples of 2^-26. As integers they are at
most 2^26, and by Cauchy-Schwarz every partial sum of products of two rows is
an integer of at most about 2^52: float64 adds these without rounding. So a
product does not depend on the BLAS, its threads, or the shape of the block
that it is computed in. A cosine moves by about 4e-9 for it, at random.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from toolkit_basics import blas
from transferability import points

_ONE = 2.0**26


def cosines(
  rows: Sequence[points.Point],
  columns: Sequence[points.Point],
  images: np.ndarray,
  memory_bytes: int,
) -> Iterator[np.ndarray]:
  """Yields the cosines of finished points of one space, image after image.

  float64 [rows, columns] in [-1, 1]; exactly 1 for equal points. About
  `memory_bytes` of memory are used.

  Raises:
    ModelSpaceError: If a stored row does not match its record.
  """
  same = [p.model for p in rows] == [p.model for p in columns]
  left = [_reader(point) for point in rows]
  right = left if same else [_reader(point) for point in columns]
  size, is_half = rows[0].shape[1], rows[0].dtype == np.float16
  step = max(1, memory_bytes // (8 * size * (len(left) + len(right))))
  for start in range(0, len(images), step):
    block = images[start : start + step]
    a = _whole_numbers(left, block, size, is_half)
    b = a if same else _whole_numbers(right, block, size, is_half)
    for x, y in zip(a, b, strict=True):
      with blas.one_thread():
        products = x @ y.T
      if same:
        norms = np.outer(products.diagonal(), products.diagonal())
      else:
        norms = np.outer(_squared_norms(x), _squared_norms(y))
      yield np.clip(products / np.sqrt(norms), -1, 1)


def stacks(
  models: Sequence[points.Point], images: np.ndarray
) -> Iterator[np.ndarray]:
  """Yields the rows of each image, float32 [models, row size].

  Raises:
    ModelSpaceError: If a stored row does not match its record.
  """
  readers = [_reader(point) for point in models]
  for image in images:
    yield np.stack([read(image) for read in readers]).astype(np.float32)


def block_size(num_models: int, row_size: int, memory_bytes: int) -> int:
  """Returns how many models may stand in a block's rows and in its columns."""
  fitting = memory_bytes // (2 * 8 * row_size)
  return max(1, min(num_models, fitting))


def _reader(point: points.Point) -> Callable[[int], np.ndarray]:
  """Returns what reads a row, which must match its record."""
  rows, records = point.rows(), point.records()

  def read(image: int) -> np.ndarray:
    if points.record(rows[image]) != records[image]:
      raise points.ModelSpaceError(
        f'The stored row of model {point.model!r}, image {image}, is corrupt. '
        'Resume the run that added the model, or remove it.'
      )
    return rows[image]

  return read


def _whole_numbers(
  readers: Sequence[Callable[[int], np.ndarray]],
  images: np.ndarray,
  size: int,
  is_half: bool,
) -> np.ndarray:
  """Returns float64 [images, models, row size], whole multiples of a unit.

  Of 2^-24 if rows are float16, as these all are; else of 1.
  """
  result = np.empty((len(images), len(readers), size))
  for j, read in enumerate(readers):
    for i, image in enumerate(images):
      result[i, j] = read(image)
  if is_half:
    return result
  result *= _ONE
  return np.rint(result, out=result)


def _squared_norms(rows: np.ndarray) -> np.ndarray:
  return np.einsum('nd,nd->n', rows, rows)
