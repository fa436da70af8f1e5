"""Decodability: how well the source's representation predicts the target's."""

from collections.abc import Iterator
import dataclasses
import functools

import numpy as np
from scipy import linalg

from toolkit_basics import blas, grids
from transferability import random_units
from transferability.similarity.registry import Similarity, register

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_GRID = 8  # Cells a side, at most.
# Of each four images two are fitted, one chooses the penalty, one is scored.
_PARTS = ((0, 1), (2,), (3,))
_CONSTANT = 1e-9  # Of the largest channel's deviation.
_ROUNDING = 1e-12  # Of the largest eigenvalue.


def _parts(x: np.ndarray) -> list[np.ndarray]:
  """Returns rows [cells of the images, columns] to fit, choose and score."""
  which = np.arange(len(x)) % 4
  return [
    x[np.isin(which, part)].reshape(-1, x.shape[-1]).astype(np.float64)
    for part in _PARTS
  ]


def _standardised(x: np.ndarray) -> np.ndarray:
  """Returns channels of mean 0 and deviation 1 over the images to fit.

  Raises:
    ValueError: If all are constant there.
  """
  fitted, _, _ = _parts(x)
  deviation = fitted.std(axis=0)
  alive = deviation > _CONSTANT * max(deviation.max(), np.abs(fitted).max())
  if not alive.any():
    raise ValueError('The representation is the same for half of the images.')
  mean = fitted.mean(axis=0)
  return (x[..., alive] - mean[alive]) / deviation[alive]


def _leading(x: np.ndarray, most: int) -> np.ndarray:
  """Returns at most so many principal components of channels [..., c]."""
  if x.shape[-1] <= most:
    return x
  fitted, _, _ = _parts(x)
  return x @ _principal(fitted, most)[1]


def _principal(
  x: np.ndarray, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Returns eigenvalues [k] of x^T x and their vectors [columns, k].

  They are found in the smaller of x^T x and x x^T, which share all that are not
  0: few images of a wide network have far fewer rows than columns.

  Args:
    x: [rows, columns].
    most: Only so many of the largest; default: all.
  """
  is_wide = len(x) < x.shape[1]
  gram = x @ x.T if is_wide else x.T @ x
  largest = None if most is None else [max(0, len(gram) - most), len(gram) - 1]
  values, vectors = linalg.eigh(gram, subset_by_index=largest)
  values = np.maximum(values, 0)
  if not is_wide:
    return values, vectors
  kept = values > _ROUNDING * values[-1]
  return values[kept], x.T @ (vectors[:, kept] / np.sqrt(values[kept]))


def _neighbourhoods(x: np.ndarray, side: int) -> np.ndarray:
  """Returns [n, h, w, side^2 c]: the cells around each one, 0 outside."""
  height, width = x.shape[1:3]
  by_y, by_x = (side // 2 if size > 1 else 0 for size in (height, width))
  padded = np.pad(x, ((0, 0), (by_y, by_y), (by_x, by_x), (0, 0)))
  return np.concatenate(
    [
      padded[:, i : i + height, j : j + width]
      for i in range(2 * by_y + 1)
      for j in range(2 * by_x + 1)
    ],
    axis=-1,
  )


@dataclasses.dataclass(frozen=True, eq=False)
class _Design:
  """What a source is regressed on: its parts, and products of the columns."""

  parts: list[np.ndarray]

  @functools.cached_property
  def grams(self) -> list[np.ndarray]:
    return [x.T @ x / len(x) for x in self.parts]

  @functools.cached_property
  def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
    fitted = self.parts[0]
    if len(fitted) < fitted.shape[1]:
      values, vectors = _principal(fitted)
      return values / len(fitted), vectors
    values, vectors = linalg.eigh(self.grams[0])
    return np.maximum(values, 0), vectors

  def coefficients(self, products: np.ndarray) -> Iterator[np.ndarray]:
    """Yields ridge coefficients for each penalty, of X^T Y / N."""
    values, vectors = self.spectrum
    turned = vectors.T @ products
    for penalty in _PENALTIES:
      yield vectors @ (turned / (values + penalty)[:, None])


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
  """A target's representation, predicted from a source's.

  Attributes:
    score: R^2 on the images that are scored.
    x: The source on these, [images * cells, columns].
    y: The target on these, [images * cells, channels].
    coefficients: [columns, channels].
    grid: Cells of an image, its height and width.
  """

  score: float
  x: np.ndarray
  y: np.ndarray
  coefficients: np.ndarray
  grid: tuple[int, int]


def _by_image(rows: np.ndarray, height: int, width: int) -> np.ndarray:
  """Returns sums of squares of rows [images * cells, channels], [images]."""
  return np.square(rows).reshape(-1, height * width * rows.shape[1]).sum(axis=1)


class _Network:
  """A network's cells, as a target and as a source; made once a grid."""

  def __init__(self, values: np.ndarray, side: int, hidden: int):
    self.values, self._side, self._hidden = values, side, hidden
    self._targets: dict[tuple[int, int], list[np.ndarray]] = {}
    self._sources: dict[tuple[int, int], _Design] = {}

  def target(self, height: int, width: int) -> list[np.ndarray]:
    """Returns what is predicted of it, in three parts of the images."""
    grid = height, width
    if grid not in self._targets:
      self._targets[grid] = _parts(grids.cell_means(self.values, *grid))
    return self._targets[grid]

  def source(self, height: int, width: int) -> _Design:
    """Returns what others are predicted from."""
    grid = height, width
    if grid not in self._sources:
      cells = grids.cell_means(self.values, *grid)
      x = _standardised(_neighbourhoods(cells, self._side))
      if self._hidden:
        units = _standardised(random_units.hidden(x, self._hidden))
        x = np.concatenate([x, units], axis=-1)
      self._sources[grid] = _Design(_parts(x))
    return self._sources[grid]


@register(
  'decodability',
  symmetric=False,
  directed=True,
  lowest=0.0,
  cost='O(n f^2 + f^3) a network, O(n f c) a pair, f = 9 c',
  reference='This project, docs/beyond_the_mean.md',
  invariances=('scale', 'shift', 'column_scale'),
)
@dataclasses.dataclass(frozen=True)
class Decodability(Similarity):
  """How well a ridge regression predicts the target from the source.

  R^2 = 1 - sum (y - x b)^2 / sum y^2 over cells and channels of images that
  were not fitted on, in [0, 1] (0 if worse than the mean); higher is more
  similar. y are the target's channels in a cell, standardised, x the source's
  in the `neighbourhood` x `neighbourhood` cells around it. Of each four images
  in their order two are fitted, one chooses the penalty among 1e-4, 1e-3, ...,
  1 and one is scored; more than `num_images` are thinned out. The penalty is
  that of Hoerl and Kennard, Technometrics 1970. Directed: the first network is
  the target, the second the source. This project's own; the target's network
  stands in for its labels.

  Layers [n, h, w, c] are averaged over the larger grid's cells until both have
  one grid, of 8 x 8 cells at most; features [n, d] are one cell. More channels
  than `channels` are replaced by as many principal components. With `hidden`
  the regression also sees so many random units max(0, w x + b) of a
  neighbourhood, as of a readout whose hidden layer is not trained (Rahimi and
  Recht, NIPS 2008).
  """

  neighbourhood: int = 3  # Cells a side; odd.
  channels: int = 32
  num_images: int = 200  # At most; evenly spaced.
  hidden: int = 0

  def __post_init__(self):
    if self.neighbourhood < 1 or self.neighbourhood % 2 == 0:
      raise ValueError(
        f'neighbourhood is {self.neighbourhood}, but must be odd and positive.'
      )
    for name, least in (('channels', 1), ('num_images', 4), ('hidden', 0)):
      if (value := getattr(self, name)) < least:
        raise ValueError(f'{name} is {value}, but must be at least {least}.')

  @blas.one_thread()
  def prepare(self, x: np.ndarray) -> _Network:
    if len(x) < 4:
      raise ValueError(f'decodability needs 4 or more images, not {len(x)}.')
    count = min(len(x), self.num_images)
    x = x[np.arange(count) * len(x) // count]
    x = x[:, None, None] if x.ndim == 2 else x
    cells = grids.cell_means(x, _GRID, _GRID)
    cells = _leading(_standardised(cells), self.channels)
    return _Network(cells.astype(np.float32), self.neighbourhood, self.hidden)

  def num_scored(self, network: _Network) -> int:
    """Returns how many images of a prepared network are scored."""
    return len(range(3, len(network.values), 4))

  def compare(self, first: _Network, second: _Network) -> float:
    if np.array_equal(first.values, second.values):
      return 1.0
    return self.predict(first, second).score

  def compare_by_image(
    self, first: _Network, second: _Network
  ) -> tuple[float, np.ndarray, np.ndarray]:
    """Returns `compare`, and of each scored image the error and the square.

    The two are float64 [m], summed over its cells and channels: R^2 is 1 less
    the sum of the ones over that of the others.
    """
    if np.array_equal(first.values, second.values):
      grid = first.values.shape[1:3]
      squares = _by_image(first.target(*grid)[2], *grid)
      return 1.0, np.zeros_like(squares), squares
    found = self.predict(first, second)
    errors = found.y - found.x @ found.coefficients
    return (
      found.score,
      _by_image(errors, *found.grid),
      _by_image(found.y, *found.grid),
    )

  @blas.one_thread()  # Matrices of a few hundred columns.
  def predict(self, first: _Network, second: _Network) -> Prediction:
    """Returns the prediction of a target's representation by a source's.

    Args:
      first: The target, as `prepare` returns it.
      second: The source.

    Raises:
      ValueError: If the target is the same for all images it is scored on.
    """
    sizes = zip(first.values.shape[1:3], second.values.shape[1:3], strict=True)
    grid = tuple(map(min, sizes))
    target, source = first.target(*grid), second.source(*grid)
    products = [
      x.T @ y / len(x) for x, y in zip(source.parts, target, strict=True)
    ]
    total = [np.square(y).sum() / len(y) for y in target]
    coefficients = list(source.coefficients(products[0]))
    errors = np.array(
      [
        [
          squares - 2 * np.vdot(b, c) + np.vdot(b, gram @ b)
          for squares, c, gram in zip(
            total, products, source.grams, strict=True
          )
        ]
        for b in coefficients
      ]
    )
    chosen = np.argmin(errors[:, 1])
    if not total[2] > 0:
      raise ValueError('The target is the same for the images it is scored on.')
    return Prediction(
      1 - errors[chosen, 2] / total[2],
      source.parts[2],
      target[2],
      coefficients[chosen],
      grid,
    )
