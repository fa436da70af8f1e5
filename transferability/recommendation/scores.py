"""Scores of a candidate's features, by labels or by the target's features.

Features are maps [n, h, w, c] averaged over the cells of a coarse grid; [n, 1,
1, c] for a representation without places. Both scorers answer for any part of
the images, so that the images can be drawn anew.
"""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit_basics import grids
from transferability import measures, similarity
from transferability.recommendation import labels as labels_lib
from transferability.recommendation.labels import TargetLabels
from transferability.similarity import registry

_MOST_FEATURES = 512  # Of an image, for measures of labels.
_MOST_OF_SIMILARITY = 8192
_PLACES = 16  # Of an image, where labels are of pixels.
_MOST_ROWS = 600  # Places that classes of pixels are scored on.


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

  @abc.abstractmethod
  def prepare(self, features: np.ndarray) -> np.ndarray:
    """Returns features of the first images as `score` takes them."""

  @abc.abstractmethod
  def score(
    self, measure: str, prepared: np.ndarray, rows: np.ndarray
  ) -> float:
    """Returns the score of some images, larger is better.

    Args:
      measure: Its name.
      prepared: Of all images.
      rows: Which images.

    Raises:
      ValueError: If the measure is not defined for these features.
    """


class ByLabels(Scorer):
  """Scores by labels of the target."""

  def __init__(self, labels: TargetLabels, seed: int = 0):
    self._labels, self._seed = labels, seed
    self._known: dict[tuple[int, int], np.ndarray] = {}
    self.strata = labels.strata

  def prepare(self, features: np.ndarray) -> np.ndarray:
    """Returns [n, d], or of labels of pixels [n, places, d]."""
    features = np.asarray(features, np.float64)
    if not self._labels.are_dense:
      return coarser(features, _MOST_FEATURES).reshape(len(features), -1)
    height, width = features.shape[1:3]
    if 9 * features.shape[-1] <= _MOST_FEATURES:
      features = neighbourhoods(features)
    flat = features.reshape(len(features), height * width, -1)
    places = self._places(height, width)
    cells = self._cells(height, width)[: len(flat)]
    both = np.concatenate([flat[:, places], cells[:, places]], axis=-1)
    self._width = cells.shape[-1]
    return both

  def _cells(self, height: int, width: int) -> np.ndarray:
    """Returns the labels of cells, [n, places, t]; computed once for a grid."""
    if (height, width) not in self._known:
      cells = labels_lib.of_cells(self._labels, height, width)
      flat = cells.reshape(len(cells), height * width, -1)
      self._known[height, width] = flat
    return self._known[height, width]

  def _places(self, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(self._seed)
    return np.sort(rng.permutation(height * width)[:_PLACES])

  def score(
    self, measure: str, prepared: np.ndarray, rows: np.ndarray
  ) -> float:
    x, y, is_number = self._pairs(prepared[rows], self._labels.at(rows))
    if measure == 'logme':
      options = {'regression': True} if is_number else {}
      if is_number:
        y = labels_lib.standardised(y) if not self._labels.are_dense else y
      return measures.score(measure, features=x, labels=y, **options)
    if is_number:
      x, y = x[:_MOST_ROWS], labels_lib.quantised(y[:_MOST_ROWS, 0])
    sign = 1 if measures.info(measure).higher_is_better else -1
    return sign * measures.score(measure, features=x, labels=y)

  def _pairs(
    self, prepared: np.ndarray, labels: TargetLabels
  ) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns features [m, d], labels [m] or [m, t], if these are numbers."""
    if labels.are_dense:
      flat = prepared.reshape(-1, prepared.shape[-1])
      return flat[:, : -self._width], flat[:, -self._width :], True
    if labels.are_classes:
      present = np.unique(labels.values, return_inverse=True)[1]
      return prepared, present, False
    return prepared, labels.values, True


class BySimilarity(Scorer):
  """Scores by the features of a network of the target."""

  def __init__(self, target: np.ndarray):
    self._known: dict[Any, Any] = {}  # Of the target, once for all candidates.
    self._shared: dict[Any, Any] | None = None
    self._target = self.prepare(target)

  def share(self, known: dict[Any, Any]) -> None:
    """Keeps what concerns candidates in a memory that scorers share.

    Features must be the same objects for all of them, and live as long.
    """
    self._shared = known

  def prepare(self, features: np.ndarray) -> np.ndarray:
    def make() -> np.ndarray:
      values = np.asarray(features, np.float64)
      return coarser(values, _MOST_OF_SIMILARITY)

    return self._recall(id(features), make)

  def _recall(self, key: Any, make: Callable[[], Any]) -> Any:
    if self._shared is None:
      return make()
    if key not in self._shared:
      self._shared[key] = make()
    return self._shared[key]

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
