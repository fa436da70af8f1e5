"""Intervals of differences between methods, paired by seed and by image.

Runs of several seeds vary twice: a seed has its own data, weights and batches,
and a test set is a sample. A draw takes seeds with replacement, and of each of
them images with replacement; both methods get the same ones.
"""

from collections.abc import Callable, Sequence
import functools

import numpy as np

# From how often each image was drawn, [draws, images], to a value of each draw.
Statistic = Callable[[np.ndarray], np.ndarray]
_LEVELS = (2.5, 97.5)


def weighted_mean(values: np.ndarray, images: np.ndarray) -> Statistic:
  """Returns the statistic that is the mean over samples.

  Args:
    values: Of the samples; NaN where there is none, [samples].
    images: The number of each one's image.
  """
  known = np.isfinite(values)
  values, images = values[known], images[known]

  def statistic(counts: np.ndarray) -> np.ndarray:
    weights = counts[:, images]
    with np.errstate(invalid='ignore'):
      return weights @ values / weights.sum(axis=1)

  return statistic


def weighted_map(labels: np.ndarray, scores: np.ndarray) -> Statistic:
  """Returns the statistic that is the mean over classes of average precision.

  Args:
    labels: 0 or 1, [images, classes].
    scores: Of that shape; equal scores share a threshold.
  """
  orders = np.argsort(-scores, axis=0, kind='stable')
  ordered = -np.take_along_axis(scores, orders, axis=0).T
  ends = [np.searchsorted(each, each, 'right') - 1 for each in ordered]

  def statistic(counts: np.ndarray) -> np.ndarray:
    found = []
    for label, order, end in zip(labels.T > 0.5, orders.T, ends, strict=True):
      weights = counts[:, order].astype(np.float64)
      hits = weights * label[order]
      with np.errstate(invalid='ignore', divide='ignore'):
        precision = np.cumsum(hits, axis=1) / np.cumsum(weights, axis=1)
        precision = np.nan_to_num(precision[:, end])
        found.append((hits * precision).sum(1) / hits.sum(1))
    return np.nanmean(found, axis=0)  # Classes without a positive are left out.

  return statistic


def paired_interval(
  first: Sequence[Statistic],
  second: Sequence[Statistic],
  images: int,
  draws: int = 1000,
  seed: int = 0,
) -> tuple[float, float, float]:
  """Returns the mean difference first - second, and its 95 % interval.

  Args:
    first: The statistic of each seed's run of one method.
    second: Those of the other, for the same seeds.
    images: How many there are of each seed.
    draws: How often seeds and images are drawn.
    seed: Of the draws.

  Raises:
    ValueError: If the two have different numbers of seeds.
  """
  if len(first) != len(second) or not first:
    raise ValueError(f'{len(first)} and {len(second)} runs are no pairs.')
  once = np.ones((1, images), np.int64)
  pairs = list(zip(first, second, strict=True))
  mean = float(np.mean([(a(once) - b(once))[0] for a, b in pairs]))
  chosen, every = _drawn(len(pairs), images, draws, seed)
  total = np.zeros(draws)
  for place, counts in enumerate(every):
    for number, (a, b) in enumerate(pairs):
      rows = chosen[:, place] == number
      if rows.any():
        total[rows] += a(counts[rows]) - b(counts[rows])
  known = total[np.isfinite(total)] / len(pairs)
  if not len(known):
    return mean, np.nan, np.nan
  low, high = np.percentile(known, _LEVELS)
  return mean, float(low), float(high)


@functools.lru_cache(maxsize=2)
def _drawn(
  seeds: int, images: int, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns which seeds are drawn, and how often each image: the same for all.

  Shapes [draws, seeds] and [seeds, draws, images].
  """
  rng = np.random.default_rng(seed)
  chosen = rng.integers(seeds, size=(draws, seeds))
  even = np.full(images, 1 / images)
  counts = [rng.multinomial(images, even, draws) for _ in range(seeds)]
  return chosen, np.stack(counts)
