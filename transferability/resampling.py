"""How far a result depends on which probe images happened to be drawn.

An affinity is a mean over images, so drawing the images again, with
replacement, is a weighted mean of what each image says (Efron's bootstrap).
All measures that are given the same seed see the same draws, so that they can
be compared draw by draw.
"""

import abc
from collections.abc import Sequence
import dataclasses

import numpy as np

from transferability import ranking
from transferability.oracle import Oracle, rank_correlation

_BLOCK_BYTES = 2**27


@dataclasses.dataclass(frozen=True)
class Draws:
  """Scores of an affinity for each draw of the images."""

  precision: np.ndarray  # float64 [draws, K], P@K for K = 1, 2, ...
  recall: np.ndarray  # float64 [draws, K].
  spearman: np.ndarray  # [draws], mean rank correlation with the oracle's rows.


def weights(num_images: int, num_draws: int, seed: int = 0) -> np.ndarray:
  """Returns each draw's share of every image, float64 [draws, images].

  Raises:
    ValueError: If there is no image, or no draw is asked for.
  """
  if num_images < 1 or num_draws < 1:
    raise ValueError(
      f'{num_draws} draws of {num_images} images; both must be 1 or more.'
    )
  rng = np.random.default_rng(seed)
  shares = np.full(num_images, 1 / num_images)
  return rng.multinomial(num_images, shares, num_draws) / num_images


def subsets(
  num_images: int, size: int, num_draws: int, seed: int = 0
) -> np.ndarray:
  """Returns shares of random subsets, without replacement, as `weights` does.

  Raises:
    ValueError: If the subsets would be empty or larger than the whole.
  """
  if not 1 <= size <= num_images or num_draws < 1:
    raise ValueError(
      f'{num_draws} subsets of {size} of {num_images} images cannot be drawn.'
    )
  rng = np.random.default_rng(seed)
  result = np.zeros((num_draws, num_images))
  for row in result:
    row[rng.choice(num_images, size, replace=False)] = 1 / size
  return result


def affinities(image_cosines: np.ndarray, shares: np.ndarray) -> np.ndarray:
  """Returns the affinity of each draw.

  Args:
    image_cosines: [images, num_models, num_models], as
      `ModelSpace.image_cosines` returns.
    shares: [draws, images], as `weights` returns.

  Returns:
    float64 [draws, num_models, num_models].
  """
  flat = np.asarray(image_cosines, np.float64).reshape(len(image_cosines), -1)
  if shares.shape[1] != len(flat):
    raise ValueError(
      f'Draws from {shares.shape[1]} images do not fit {len(flat)} images.'
    )
  return (shares @ flat).reshape(len(shares), *image_cosines.shape[1:])


class Resampled(abc.ABC):
  """An affinity whose images can be drawn anew."""

  @property
  @abc.abstractmethod
  def size(self) -> int:
    """How many numbers it holds."""

  @abc.abstractmethod
  def drawn(self, num_draws: int, seed: int = 0) -> np.ndarray:
    """Returns it for each draw, float64 [draws, num_models, num_models]."""

  @abc.abstractmethod
  def part(self, models: Sequence[int]) -> 'Resampled':
    """Returns it for some of the models, by index."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageMeans(Resampled):
  """A mean over images.

  Attributes:
    values: What each image says, [images, num_models, num_models].
  """

  values: np.ndarray

  @property
  def size(self) -> int:
    return self.values.size

  def drawn(self, num_draws: int, seed: int = 0) -> np.ndarray:
    return affinities(self.values, weights(len(self.values), num_draws, seed))

  def part(self, models: Sequence[int]) -> 'ImageMeans':
    return ImageMeans(self.values[:, models][:, :, models])


@dataclasses.dataclass(frozen=True, eq=False)
class ImageErrors(Resampled):
  """What a prediction explains: 1 - errors / squares, both summed over images.

  The prediction itself stays as it is: what the images that it was fitted on
  have to do with it is not in the draws.

  Attributes:
    errors: Of each image, [images, num_models, num_models].
    squares: The same without a prediction.
  """

  errors: np.ndarray
  squares: np.ndarray

  @property
  def size(self) -> int:
    return 2 * self.errors.size

  def drawn(self, num_draws: int, seed: int = 0) -> np.ndarray:
    shares = weights(len(self.errors), num_draws, seed)
    errors = affinities(self.errors, shares)
    squares = affinities(self.squares, shares)
    found = np.ones_like(errors)
    np.divide(errors, squares, out=found, where=squares > 0)
    return np.clip(1 - found, 0, 1)

  def part(self, models: Sequence[int]) -> 'ImageErrors':
    rows = np.ix_(range(len(self.errors)), models, models)
    return ImageErrors(self.errors[rows], self.squares[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class MeanOfResampled(Resampled):
  """The mean of several, whose images are drawn each by itself."""

  parts: Sequence[Resampled]

  @property
  def size(self) -> int:
    return sum(part.size for part in self.parts)

  def drawn(self, num_draws: int, seed: int = 0) -> np.ndarray:
    found = [
      part.drawn(num_draws, seed + number)
      for number, part in enumerate(self.parts)
    ]
    return np.mean(found, axis=0)

  def part(self, models: Sequence[int]) -> 'MeanOfResampled':
    return MeanOfResampled([part.part(models) for part in self.parts])


def score(
  drawn: np.ndarray,
  names: Sequence[str],
  oracle: Oracle,
  num_relevant: int = 5,
) -> Draws:
  """Compares each draw's ranking with the oracle; see `ranking`.

  Args:
    drawn: [draws, num_models, num_models], affinities.
    names: Names of the models, the same as the oracle's sources.
    oracle: The measured ranking.
    num_relevant: How many of the oracle's best sources are relevant.
  """
  if drawn.shape[1:] != (len(names),) * 2:
    raise ValueError(
      f'Affinities of shape {drawn.shape[1:]} do not fit {list(names)}.'
    )
  count = ranking.count_relevant(oracle, num_relevant)
  truth = ranking.true_ranks(oracle, names)
  rows = [list(names).index(target) for target in oracle.targets]
  step = max(1, _BLOCK_BYTES // (8 * len(rows) * len(names)))
  hits, correlations = [], []
  for start in range(0, len(drawn), step):
    values = drawn[start : start + step, rows]
    values[:, np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(-values, axis=-1, kind='stable')[..., :-1]
    # The oracle's ranks of the sources, the most similar source first.
    ranked = np.take_along_axis(truth[None], order, axis=-1)
    hits.append(np.cumsum(ranked <= count, axis=-1).sum(axis=1))
    correlations.append(rank_correlation(ranked - 1).mean(axis=1))
  curves = ranking.PrecisionRecall.from_hits(
    np.concatenate(hits), len(rows), count
  )
  return Draws(curves.precision, curves.recall, np.concatenate(correlations))


def interval(values: np.ndarray, level: float = 0.95) -> np.ndarray:
  """Returns the percentile interval of draws, float64 [2, ...]: low, high."""
  if not 0 < level < 1:
    raise ValueError(f'A level of {level}; it must lie in (0, 1).')
  tail = (1 - level) / 2
  return np.quantile(values, [tail, 1 - tail], axis=0)
