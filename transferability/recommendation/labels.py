"""Labels of any kind, as the measures take them."""

import dataclasses
import functools

import numpy as np
from numpy.typing import ArrayLike

from toolkit_basics import grids
from transferability import deviations

KINDS = ('classes', 'numbers')
_CLASSES_OF_NUMBERS = 10
_MOST_CLASSES = 20  # Whole numbers of more values are numbers, if nothing says.
_DIRECTIONS = 4  # Of dense labels.
_SIDE = 32  # Pixels of dense labels that a probe predicts.
_MOST_OUTPUTS = 64  # Of a place.


@dataclasses.dataclass(frozen=True, eq=False)
class TargetLabels:
  """Of n images.

  Attributes:
    values: Classes, int64 [n] or of pixels [n, h, w], each from 0 to C - 1; or
      numbers, float64 [n, t] or of pixels [n, h, w, t].
    names: Of the classes; empty for numbers.
  """

  values: np.ndarray
  names: tuple[str, ...] = ()

  def __len__(self) -> int:
    return len(self.values)

  @property
  def are_classes(self) -> bool:
    return self.values.dtype.kind == 'i'

  @property
  def are_dense(self) -> bool:
    return self.values.ndim > 2

  @property
  def described(self) -> str:
    """In words, such as '5 classes'."""
    if self.are_classes:
      number = f'{int(self.values.max()) + 1} classes'
    else:
      width = self.values.shape[-1]
      number = f'{width} numbers' if width > 1 else 'a number'
    return f'{number} a pixel' if self.are_dense else number

  @functools.cached_property
  def strata(self) -> np.ndarray | None:
    """The classes of the images, if an image has one."""
    return self.values if self.are_classes and not self.are_dense else None

  def at(self, rows: np.ndarray) -> 'TargetLabels':
    """Returns the labels of some images."""
    return TargetLabels(self.values[rows], self.names)


def of(values: ArrayLike, kind: str | None = None) -> TargetLabels:
  """Returns labels; what they are is told by their type, or by `kind`.

  Args:
    values: Of each image a class (any text, or whole numbers of at most 20
      values) or a number, [n]; several numbers [n, t]; or of each pixel a
      class [n, h, w] or numbers [n, h, w, t].
    kind: 'classes' or 'numbers', if the type should not decide.

  Raises:
    ValueError: If they are neither, all the same, missing, or not finite.
  """
  if kind not in (None, *KINDS):
    raise ValueError(f'label_kind must be one of {KINDS}, not {kind!r}.')
  values = as_array(values)
  if values.ndim not in (1, 2, 3, 4) or not values.size:
    raise ValueError(
      f'Labels of the shape {values.shape}; give [n], [n, numbers], or of '
      'pixels [n, height, width] or [n, height, width, numbers].'
    )
  numeric = values.dtype.kind in 'iufb'
  if not numeric and values.dtype.kind not in 'US':
    raise ValueError(
      f'Labels of the type {values.dtype}; give texts, whole numbers or '
      'numbers.'
    )
  _check_known(values, numeric)
  if kind is None:
    kind = 'classes' if look_like_classes(values) else 'numbers'
  if kind == 'numbers':
    return _numbers(values, numeric)
  names, classes = np.unique(values, return_inverse=True)
  if len(names) < 2:
    raise ValueError(
      f'All labels are {str(names[0])!r}; nothing is to be told apart.'
    )
  shape = values.shape[:1] if values.shape[1:] == (1,) else values.shape
  classes = np.asarray(classes, np.int64).reshape(shape)
  if classes.ndim not in (1, 3):
    raise ValueError(
      f'Classes of the shape {classes.shape}; give [n] or [n, height, width].'
    )
  return TargetLabels(classes, tuple(map(str, names)))


def of_predictions(values: np.ndarray) -> TargetLabels:
  """Returns what a network predicts as labels: numbers, of pixels or of images.

  Args:
    values: Of the cells of a grid, [n, h, w, t]; of an image if it has one.

  Raises:
    ValueError: If they are all the same, or not finite.
  """
  is_of_images = values.shape[1:3] == (1, 1)
  return of(values[:, 0, 0] if is_of_images else values, 'numbers')


def as_array(values: ArrayLike) -> np.ndarray:
  """Returns labels as an array; of texts in an array of objects, as texts.

  A list in which NaN stands among texts keeps its objects, so that it is
  refused: NumPy would make a class of it.
  """
  array = np.asarray(values)
  if array.dtype.kind == 'U' and isinstance(values, list | tuple):
    objects = np.asarray(values, object)
    if any(isinstance(v, float) and v != v for v in objects.flat):
      return objects
  if array.dtype == object and all(isinstance(v, str) for v in array.flat):
    return array.astype(str)
  return array


def _check_known(values: np.ndarray, numeric: bool) -> None:
  """Raises ValueError if a label is missing."""
  if numeric and not np.isfinite(values).all():
    raise ValueError('Labels are not finite.')
  if not numeric and (values == values.dtype.type()).any():
    first = int(np.argmax((values == values.dtype.type()).ravel()))
    raise ValueError(f'The label at position {first} is empty.')


def look_like_classes(values: np.ndarray) -> bool:
  """Returns whether labels are texts, or whole numbers of few values."""
  if values.dtype.kind in 'US':
    return True
  whole = values.dtype.kind in 'iub'
  return whole and len(np.unique(values)) <= _MOST_CLASSES


def _numbers(values: np.ndarray, numeric: bool) -> TargetLabels:
  if not numeric:
    raise ValueError(
      f'Labels such as {str(values.ravel()[0])!r} are no numbers, but '
      "label_kind is 'numbers'."
    )
  values = values.astype(np.float64)
  if np.ptp(values) == 0:
    raise ValueError(
      f'All labels are {values.flat[0]:g}; nothing is to be told apart.'
    )
  if values.ndim in (1, 3):
    values = values[..., None]
  return TargetLabels(values)


def quantised(values: ArrayLike) -> np.ndarray:
  """Returns one of at most ten classes of equal size for each number, [n].

  Huang et al. (ICML 2022) score regression targets by such labels.
  """
  values = np.asarray(values, np.float64)
  limits = class_limits(values, _CLASSES_OF_NUMBERS)
  return np.unique(
    np.searchsorted(limits, values, side='right'), return_inverse=True
  )[1]


def class_limits(values: np.ndarray, num_classes: int) -> np.ndarray:
  """Returns the least values of all classes of equal size but the first.

  The least of all values is none of them: numbers that are mostly 0 have a
  class for 0, and others.

  Args:
    values: [n].
    num_classes: At most; equal values fall into one class.

  Returns:
    float64, ascending.
  """
  limits = np.quantile(values, np.arange(1, num_classes) / num_classes)
  above = values[values > values.min()]
  return np.unique(np.maximum(limits, above.min()) if len(above) else limits)


def of_cells(labels: TargetLabels, height: int, width: int) -> np.ndarray:
  """Returns dense labels as numbers of cells, float64 [n, height, width, t].

  Numbers of a cell are averaged, and classes become their shares of it; of
  many columns the few principal directions are kept, with their variances.
  """
  values = labels.values
  if labels.are_classes:
    values = np.eye(int(values.max()) + 1)[values]
  rows, columns = (
    np.arange(cells) * size // cells
    for cells, size in zip((height, width), values.shape[1:3], strict=True)
  )
  sums = np.add.reduceat(values, rows, axis=1)
  sums = np.add.reduceat(sums, columns, axis=2)
  ones = np.ones((*values.shape[1:3], 1))
  counts = np.add.reduceat(np.add.reduceat(ones, rows, 0), columns, 1)
  cells = sums / counts
  flat = _principal(cells.reshape(-1, cells.shape[-1]), _DIRECTIONS)
  return flat.reshape(*cells.shape[:3], -1)


def of_patches(labels: TargetLabels, height: int, width: int) -> np.ndarray:
  """Returns the labels within cells, float64 [n, height, width, t].

  Each cell has those of its pixels, as a readout of the cell would give them,
  at about 32 x 32 pixels an image whatever the grid, so that grids compare; a
  class of a pixel is 1 in its place and 0 elsewhere. Of many columns the
  principal directions are kept.
  """
  values = labels.values
  inside = [max(1, round(_SIDE / cells)) for cells in (height, width)]
  sides = [n * cells for n, cells in zip(inside, (height, width), strict=True)]
  if labels.are_classes:
    values = np.eye(int(values.max()) + 1)[values]
  values = grids.cell_means(values, *sides)
  for axis, side in enumerate(sides, start=1):  # Of fewer pixels than that.
    size = values.shape[axis]
    values = np.take(values, np.arange(side) * size // side, axis=axis)
  shape = (len(values), height, inside[0], width, inside[1], -1)
  patches = values.reshape(shape).transpose(0, 1, 3, 2, 4, 5)
  flat = patches.reshape(len(values) * height * width, -1)
  found = _principal(flat, _MOST_OUTPUTS)
  return found.reshape(len(values), height, width, -1)


def _principal(flat: np.ndarray, most: int) -> np.ndarray:
  """Returns columns [n, t] as numbers of mean 0 and variance 1 in all.

  Of more than `most`, the principal directions are kept, with their variances.
  """
  flat = flat - flat.mean(axis=0)
  if flat.shape[1] > most:
    _, vectors = np.linalg.eigh(flat.T @ flat)
    flat = flat @ vectors[:, ::-1][:, :most]
  scale = np.sqrt((flat**2).sum() / len(flat)) or 1.0
  return flat / scale


def standardised(values: np.ndarray) -> np.ndarray:
  """Returns numbers [n, t] of mean 0 and, where they differ, deviation 1."""
  return (values - values.mean(axis=0)) / deviations.unit(values, axis=0)
