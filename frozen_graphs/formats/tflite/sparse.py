"""Sparse weights of TensorFlow Lite, made dense.

A tensor's axes, and those of blocks within them, are nested in an order of
their own. Of an axis either all positions are there, or, below each position of
those before it, a list of some, as in compressed sparse rows
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs,
SparsityParameters).
"""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from frozen_graphs import budget

_DENSE = 0
# How lists of positions may be stored, by the number of the type.
_LISTS = {1: 'Int32Vector', 2: 'Uint16Vector', 3: 'Uint8Vector'}


def is_needed(sparsity: Any) -> bool:
  """Returns whether a tensor with a description is stored sparse."""
  return sparsity is not None and sparsity.DimMetadataLength() > 0


def dense(
  tflite: Any, sparsity: Any, shape: Sequence[int], values: np.ndarray
) -> np.ndarray:
  """Returns the tensor [*shape] of which some values are given.

  Args:
    tflite: The package.
    sparsity: The description.
    shape: Of the tensor.
    values: In the order of the description, one-dimensional.

  Raises:
    ValueError: If they contradict each other.
  """
  total = math.prod(shape)
  budget.active(lambda: values.nbytes).charge(
    'its sparse weights', size=total * (values.itemsize + 8)
  )
  order, blocks, levels = (
    [get(i) for i in range(number)]
    for get, number in (
      (sparsity.TraversalOrder, sparsity.TraversalOrderLength()),
      (sparsity.BlockMap, sparsity.BlockMapLength()),
      (sparsity.DimMetadata, sparsity.DimMetadataLength()),
    )
  )
  rank = len(shape)
  if sorted(order) != list(range(rank + len(blocks))) or (
    len(levels) != len(order) or not all(0 <= b < rank for b in blocks)
  ):
    raise ValueError('its axes are not in an order')
  parents, places = np.zeros(1, np.int64), []
  for level in levels:
    copies, place, parents = _below(tflite, level, parents, total)
    places = [each[copies] for each in places] + [place]
  if len(parents) != len(values):
    raise ValueError(f'it has {len(values)} values for {len(parents)} places')
  by_axis = dict(zip(order, places, strict=True))
  sizes = {
    axis: level.DenseSize() for axis, level in zip(order, levels, strict=True)
  }
  index = [by_axis[axis] for axis in range(rank)]
  for number, axis in enumerate(blocks, start=rank):
    index[axis] = index[axis] * sizes[number] + by_axis[number]
  if any(np.any((i < 0) | (i >= n)) for i, n in zip(index, shape, strict=True)):
    raise ValueError('a place is beyond its shape')
  result = np.zeros(shape, values.dtype)
  result[tuple(index)] = values
  return result


def _below(
  tflite: Any, level: Any, parents: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns what is at one level, for each of `parents` in turn.

  Returns:
    By how many-th parent, at which position, and at which place of the list of
    this level.
  """
  if level.Format() == _DENSE:
    size = level.DenseSize()
    counts = np.full(len(parents), size)
    _check_count(counts, most)
    place = np.tile(np.arange(size), len(parents))
    return (
      np.repeat(np.arange(len(parents)), size),
      place,
      np.repeat(parents, size) * size + place,
    )
  ends = _list(tflite, level.ArraySegmentsType(), level.ArraySegments())
  positions = _list(tflite, level.ArrayIndicesType(), level.ArrayIndices())
  if parents.max(initial=-1) + 1 >= len(ends):
    raise ValueError('a list of positions is too short')
  starts = ends[parents]
  counts = ends[parents + 1] - starts
  _check_count(counts, most)
  own = np.repeat(np.arange(len(parents)), counts)
  first = np.cumsum(counts) - counts
  children = starts[own] + np.arange(len(own)) - first[own]
  if np.any((children < 0) | (children >= len(positions))):
    raise ValueError('a list of positions is too short')
  return own, positions[children], children


def _check_count(counts: np.ndarray, most: int) -> None:
  if np.any(counts < 0) or int(counts.sum()) > most:
    raise ValueError('it has more places than its shape')


def _list(tflite: Any, kind: int, table: Any) -> np.ndarray:
  if kind not in _LISTS or table is None:
    raise ValueError('a list of positions is missing')
  numbers = getattr(tflite, _LISTS[kind])()
  numbers.Init(table.Bytes, table.Pos)
  if not numbers.ValuesLength():
    return np.zeros(0, np.int64)
  return numbers.ValuesAsNumpy().astype(np.int64)
