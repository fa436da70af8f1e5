"""Similarity measures by name; what each network costs is paid once."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toolkit_basics.registry import Registry
from transferability.measures import samples

# What a measure may be given of each network: `representations`, [n, d] or
# [n, h, w, c] of n images; `probes`, the maps of K random directions of the
# representation, [n, K, ...] of n images; `both`, a pair of these, which may be
# of different images.
TAKES = ('representations', 'probes', 'both')


@dataclasses.dataclass(frozen=True)
class Similarity:
  """A measure of two networks on the same images; fields are options."""

  name = ''  # Set when the measure is registered.
  symmetric = True  # Whether it is the same both ways.
  # Whether the first network is a target and the second one a source: how good
  # the source is for the target, which is not the same both ways.
  directed = False
  # What it is given of a network, see `TAKES`.
  takes = 'representations'
  # What it cannot fall below; it is at most 1, and 1 of a network and itself.
  lowest = -1.0
  cost = ''  # Operations for a network of n images and d features, and a pair.
  reference = ''  # Where it was published.
  # Of 'rotation', 'scale', 'shift' and 'column_scale' (a scale for each
  # feature) of either network's features, those that leave the score with
  # default options as it is.
  invariances = ()

  def prepare(self, x: np.ndarray) -> Any:
    """Returns what `compare` needs of one network.

    Args:
      x: float64, [n, d] or [n, h, w, c], finite; probes: float32 [n, K, P].
    """
    raise NotImplementedError

  def compare(self, first: Any, second: Any) -> float:
    """Returns the similarity of two prepared networks; more is more similar.

    By default the inner product of two arrays.
    """
    return float(np.vdot(first, second))

  def bounded(self, first: Any, second: Any) -> float:
    """Returns `compare` without what rounding adds beyond its bounds.

    Raises:
      ValueError: If it is not defined for the two.
    """
    value = float(self.compare(first, second))
    if not np.isfinite(value):
      raise ValueError(f'{self.name} is {value}: it is not defined here.')
    return min(max(value, self.lowest), 1.0)


_MEASURES: Registry[type[Similarity]] = Registry(
  'similarity', 'transferability.similarity'
)
register = _MEASURES.register_class
info = _MEASURES.get
create = _MEASURES.create


def names(*takes: str) -> tuple[str, ...]:
  """Returns the names of measures, sorted; all, or those that take `takes`."""
  chosen = takes or TAKES
  return tuple(n for n in sorted(_MEASURES) if info(n).takes in chosen)


def check_probes(x: ArrayLike, what: str = 'x') -> np.ndarray:
  """Returns the maps of directions as float32 [n, K, P].

  Raises:
    ValueError: If they have another shape, fewer than 2 directions, values that
      are not finite, or nothing but zeros for an image.
  """
  x = np.asarray(x)
  if x.ndim < 3 or 0 in x.shape or x.shape[1] < 2:
    raise ValueError(
      f'{what} has the shape {x.shape}; give maps of 2 or more directions of '
      'each image, [images, directions, ...].'
    )
  x = x.reshape(*x.shape[:2], -1).astype(np.float32)
  largest = np.abs(x).max(axis=(1, 2))
  if not np.isfinite(largest).all() or not largest.all():
    image = int(np.argmin(np.isfinite(largest) & (largest > 0)))
    raise ValueError(
      f'{what}: the maps of image {image} are all zero or not finite.'
    )
  return x / largest[:, None, None]


def _checked(measure: Similarity, x: Any, what: str) -> Any:
  if measure.takes == 'representations':
    return check(x, what)
  if measure.takes == 'probes':
    return check_probes(x, what)
  if not isinstance(x, tuple) or len(x) != 2:
    raise ValueError(
      f'{what} must be a pair, representations and maps of directions.'
    )
  return check(x[0], what), check_probes(x[1], what)


def _images(x: Any) -> int | tuple[int, ...]:
  """Returns how many images a checked network, or each part of it, has."""
  return tuple(map(len, x)) if isinstance(x, tuple) else len(x)


def check(x: ArrayLike, what: str = 'x') -> np.ndarray:
  """Returns a representation as float64 [n, d] or [n, h, w, c].

  Raises:
    ValueError: If it has another shape, fewer than 3 images, values that are
      not finite or whose squares overflow or vanish, or the same values for
      all images.
  """
  x = np.asarray(x)
  if x.ndim not in (2, 4) or 0 in x.shape:
    raise ValueError(
      f'{what} has the shape {x.shape}; give [images, features] or [images, '
      'height, width, channels].'
    )
  if len(x) < 3:
    raise ValueError(f'{what} has {len(x)} images; at least 3 are needed.')
  x = samples.check_features(x.reshape(len(x), -1), what).reshape(x.shape)
  if (x == x[:1]).all():
    raise ValueError(f'{what} is the same for all images.')
  return x


def score(name: str, x: ArrayLike, y: ArrayLike, **options) -> float:
  """Returns the similarity of two networks on the same images.

  Args:
    name: One of `names()`.
    x: [n, d1], or [n, h, w, c] of a convolutional layer; or what else the
      measure takes, see `TAKES`. Of the target, if the measure is directed.
    y: [n, d2], or [n, h, w, c]; row i belongs to the image of x's row i. Of the
      source, if the measure is directed.
    **options: Fields of the measure.

  Raises:
    ValueError: If an argument is wrong, or the measure is not defined for it.
  """
  measure = create(name, **options)
  x, y = _checked(measure, x, 'x'), _checked(measure, y, 'y')
  if _images(x) != _images(y):
    raise ValueError(f'x has {_images(x)} images and y has {_images(y)}.')
  return measure.bounded(_prepare(measure, x, 'x'), _prepare(measure, y, 'y'))


def _prepare(measure: Similarity, x: Any, what: str) -> Any:
  try:
    return measure.prepare(x)
  except ValueError as error:
    raise ValueError(f'{what}: {error}') from error


def prepare_all(
  name: str, representations: Mapping[str, ArrayLike], **options
) -> tuple[Any, dict[str, Any]]:
  """Returns a measure, and what it needs of each network.

  Args:
    name: One of `names()`.
    representations: See `matrix`.
    **options: Fields of the measure.

  Raises:
    ValueError: As `score`; the message names the network.
  """
  measure = create(name, **options)
  checked = {n: _checked(measure, x, n) for n, x in representations.items()}
  counts = {network: _images(x) for network, x in checked.items()}
  if len(set(counts.values())) > 1:
    raise ValueError(f'Networks saw different numbers of images: {counts}.')
  return measure, {n: _prepare(measure, x, n) for n, x in checked.items()}


def matrix(
  name: str, representations: Mapping[str, ArrayLike], **options
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the similarity of each pair of networks.

  What each network costs is paid once, and kept in memory for all of them.

  Args:
    name: One of `names()`.
    representations: By network; of the same images in the same order. Or what
      else the measure takes, see `TAKES`.
    **options: Fields of the measure.

  Returns:
    Names of the networks; float64 [networks, networks], the entry [i, j] the
    score of (i, j), the diagonal 1. Rows are targets and columns sources, if
    the measure is directed.

  Raises:
    ValueError: As `score`; the message names the network.
  """
  measure, prepared = prepare_all(name, representations, **options)
  networks = tuple(prepared)
  result = np.eye(len(networks))
  for i, first in enumerate(prepared.values()):
    for j, second in enumerate(prepared.values()):
      if j < i and measure.symmetric:
        result[i, j] = result[j, i]
      elif i != j:
        result[i, j] = measure.bounded(first, second)
  return networks, result
