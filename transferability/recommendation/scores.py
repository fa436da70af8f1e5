"""Scores of a candidate's features, by labels or by the target's features.

Features are maps [n, h, w, c] averaged over the cells of a coarse grid; [n, 1,
1, c] for a representation without places. Both scorers answer for any part of
the images, so that the images can be drawn anew.
"""

import abc
from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np
from scipy import linalg

from toolkit_basics import grids
from transferability import deviations, measures, similarity
from transferability.measures import ridge_probe, samples
from transferability.recommendation import labels as labels_lib
from transferability.recommendation.labels import TargetLabels
from transferability.similarity import registry

_MOST_FEATURES = 512  # Of an image, for measures of labels.
_MOST_OF_SIMILARITY = 8192
_PLACES = 16  # Of an image, where labels are of pixels.
_MOST_ROWS = 600  # Places that classes of pixels are scored on.
_PROBE = 'ridge_probe'
_PROBED = 32  # Channels that a probe of places sees, at most.
_PROBED_PLACES = 64
_PROBED_UNITS = 512  # Random ones, of a probe of places.


def coarser(features: np.ndarray, most: int) -> np.ndarray:
  """Returns features of so few cells that there are at most so many of them.

  Sides are halved until it fits, or one cell is left.
  """
  while features[0].size > most and max(features.shape[1:3]) > 1:
    for axis in (1, 2):
      size = features.shape[axis]
      if size > 1:
        features = grids.means_from(features, range(0, size, 2), axis)
  return features


def leading(features: np.ndarray, most: int) -> np.ndarray:
  """Returns at most so many principal components of channels [..., c]."""
  if features.shape[-1] <= most:
    return features
  flat = features.reshape(-1, features.shape[-1])
  centred = (flat - flat.mean(axis=0)) / deviations.unit(flat, axis=0)
  _, vectors = linalg.eigh(
    centred.T @ centred,
    subset_by_index=(centred.shape[1] - most, centred.shape[1] - 1),
  )
  return (centred @ vectors).reshape(*features.shape[:-1], most)


def neighbourhoods(features: np.ndarray) -> np.ndarray:
  """Returns each cell with the eight around it, [n, h, w, 9 c]."""
  height, width = features.shape[1:3]
  padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
  parts = [
    padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
  ]
  return np.concatenate(parts, axis=-1)


class Scorer(abc.ABC):
  """Scores features of the images."""

  # Of the images, [n], if they have any: the images are drawn within them.
  strata: np.ndarray | None = None
  _shared: dict[Any, Any] | None = None

  def share(self, known: dict[Any, Any]) -> None:
    """Keeps what concerns candidates in a memory that scorers share.

    Features must be the same objects for all of them, and live as long.
    """
    self._shared = known

  def _recall(self, key: Any, make: Callable[[], Any]) -> Any:
    if self._shared is None:
      return make()
    if key not in self._shared:
      self._shared[key] = make()
    return self._shared[key]

  @abc.abstractmethod
  def prepare(self, features: np.ndarray) -> Any:
    """Returns features of the first images as `score` takes them."""

  @abc.abstractmethod
  def score(self, measure: str, prepared: Any, rows: np.ndarray) -> float:
    """Returns the score of some images, larger is better.

    Args:
      measure: Its name.
      prepared: Of all images.
      rows: Which images.

    Raises:
      ValueError: If the measure is not defined for these features.
    """

  def draws(
    self,
    measure: str,
    prepared: Any,
    rows: np.ndarray,
    drawn: Sequence[np.ndarray],
  ) -> list[float]:
    """Returns the score of each draw of the images.

    Args:
      measure: Its name.
      prepared: Of all images.
      rows: Which images are known, ascending.
      drawn: Some of these, of each draw.
    """
    del rows  # What is fitted is fitted to each draw anew.
    return [self.score(measure, prepared, some) for some in drawn]


class ByLabels(Scorer):
  """Scores by labels of the target."""

  def __init__(self, labels: TargetLabels, seed: int = 0):
    self._labels, self._seed = labels, seed
    self._known: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    self.strata = labels.strata

  def prepare(self, features: np.ndarray) -> '_Prepared':
    def make() -> '_Prepared':
      return _Prepared(np.asarray(features, np.float64), self._seed)

    return self._recall(id(features), make)

  def _labels_of(self, what: Callable, grid: tuple[int, int]) -> np.ndarray:
    """Returns labels of places, [n, places, t]; computed once for a grid."""
    key = what.__name__, grid
    if key not in self._known:
      found = what(self._labels, *grid)
      self._known[key] = found.reshape(len(found), grid[0] * grid[1], -1)
    return self._known[key]

  def score(
    self, measure: str, prepared: '_Prepared', rows: np.ndarray
  ) -> float:
    if measure == _PROBE:
      errors, squares = self._probed(prepared, rows)
      return float(1 - errors.sum() / squares.sum())
    x, y, is_number = self._pairs(prepared, rows)
    if measure == 'logme':
      options = {'regression': True} if is_number else {}
      return measures.score(measure, features=x, labels=y, **options)
    if is_number:
      x, y = x[:_MOST_ROWS], labels_lib.quantised(y[:_MOST_ROWS, 0])
    sign = 1 if measures.info(measure).higher_is_better else -1
    return sign * measures.score(measure, features=x, labels=y)

  def draws(
    self,
    measure: str,
    prepared: '_Prepared',
    rows: np.ndarray,
    drawn: Sequence[np.ndarray],
  ) -> list[float]:
    """As of any scorer; a probe is fitted once, its errors are drawn."""
    if measure != _PROBE:
      return super().draws(measure, prepared, rows, drawn)
    errors, squares = self._probed(prepared, rows)
    places = [np.searchsorted(rows, some) for some in drawn]
    return [float(1 - errors[at].sum() / squares[at].sum()) for at in places]

  def _probed(
    self, prepared: '_Prepared', rows: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probe's errors on each image, and squares of its labels."""
    if self._labels.are_dense:
      y = self._labels_of(labels_lib.of_patches, prepared.grid)[rows]
      y = y[:, prepared.places(_PROBED_PLACES)]
      return prepared.probe(rows).errors(y.reshape(-1, y.shape[-1]))
    x, y, is_number = self._pairs(prepared, rows)
    targets = samples.check_targets(y, len(x), is_number)
    return ridge_probe.RidgeProbe(x).errors(targets)

  def _pairs(
    self, prepared: '_Prepared', rows: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns features [m, d], labels [m] or [m, t], if these are numbers."""
    labels = self._labels.at(rows)
    if labels.are_dense:
      x = prepared.sampled[rows]
      y = self._labels_of(labels_lib.of_cells, prepared.grid)[rows]
      y = y[:, prepared.places(_PLACES)]
      return x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), True
    x = prepared.pooled[rows]
    if labels.are_classes:
      present = np.unique(labels.values, return_inverse=True)[1]
      return x, present, False
    return x, labels_lib.standardised(labels.values), True


@dataclasses.dataclass(frozen=True, eq=False)
class _Prepared:
  """Features [n, h, w, c] as measures of labels take them, each made once."""

  features: np.ndarray
  seed: int
  probes: dict[bytes, ridge_probe.RidgeProbe] = dataclasses.field(
    default_factory=dict
  )

  @property
  def grid(self) -> tuple[int, int]:
    return self.features.shape[1:3]

  @functools.cached_property
  def pooled(self) -> np.ndarray:
    """Of images: [n, d]."""
    found = coarser(self.features, _MOST_FEATURES)
    return found.reshape(len(found), -1)

  def places(self, most: int) -> np.ndarray:
    """Returns which places are sampled."""
    number = self.grid[0] * self.grid[1]
    order = np.random.default_rng(self.seed).permutation(number)
    return np.sort(order[:most])

  def _at_places(self, features: np.ndarray, most: int) -> np.ndarray:
    flat = features.reshape(len(features), self.grid[0] * self.grid[1], -1)
    return flat[:, self.places(most)]

  @functools.cached_property
  def sampled(self) -> np.ndarray:
    """Of some places: [n, places, d]."""
    found = self.features
    if 9 * found.shape[-1] <= _MOST_FEATURES:
      found = neighbourhoods(found)
    return self._at_places(found, _PLACES)

  def probe(self, rows: np.ndarray) -> ridge_probe.RidgeProbe:
    """Returns a probe of some more places of some images."""
    key = rows.tobytes()
    if key not in self.probes:
      found = neighbourhoods(leading(self.features, _PROBED))
      x = self._at_places(found, _PROBED_PLACES)[rows]
      self.probes[key] = ridge_probe.RidgeProbe(
        x.reshape(-1, x.shape[-1]),
        hidden=_PROBED_UNITS,
        groups=np.repeat(np.arange(len(x)), x.shape[1]),
      )
    return self.probes[key]


class BySimilarity(Scorer):
  """Scores by the features of a network of the target."""

  def __init__(self, target: np.ndarray):
    self._known: dict[Any, Any] = {}  # Of the target, once for all candidates.
    self._target = self.prepare(target)

  def prepare(self, features: np.ndarray) -> np.ndarray:
    def make() -> np.ndarray:
      values = np.asarray(features, np.float64)
      return coarser(values, _MOST_OF_SIMILARITY)

    return self._recall(id(features), make)

  def score(
    self, measure: str, prepared: np.ndarray, rows: np.ndarray
  ) -> float:
    found = similarity.create(measure)

    def of(values: np.ndarray, what: str) -> Any:
      return found.prepare(registry.check(values[rows], what))

    key = measure, rows.tobytes()
    if key not in self._known:
      self._known[key] = of(self._target, 'the target')
    source = self._recall(
      (id(prepared), *key), lambda: of(prepared, 'the representation')
    )
    return found.bounded(self._known[key], source)
