"""Probabilities about measured transfer, from scores.

A score is a noisy view of how well a candidate really transfers (Thurstone,
1927): what is measured is the score, in units of how far the candidates are
spread, plus noise. The noise has two parts: which images happened to be drawn,
of which there are draws, and how far the measure itself is from measured
transfer, whose size is calibrated on banks whose transfers were measured
(`calibration`). The chances of all candidates to be the best sum to one.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

NUM_SIMULATED = 4000
_ROUNDING = 1e-12  # A share of the largest score.


@dataclasses.dataclass(frozen=True)
class Noise:
  """How far a measure is from measured transfer.

  Attributes:
    scale: Of the noise, in units of `spread`.
    freedom: Degrees of freedom of Student's t; fewer are heavier tails.
  """

  scale: float
  freedom: float = 4.0


@dataclasses.dataclass(frozen=True)
class Chances:
  """Of the candidates, each float64 [n]; 0 where there is no score."""

  best: np.ndarray  # To be the best of all by measured transfer.
  among: np.ndarray  # To be among the best k.
  beats_first: np.ndarray  # To be better than the one that stands first.


def halves(
  num_images: int,
  num_draws: int,
  seed: int = 0,
  classes: ArrayLike | None = None,
) -> np.ndarray:
  """Returns random halves of the images, int64 [draws, about num_images / 2].

  The mean over half of n images, drawn without repetition, has the variance of
  a mean over n images drawn with it: half-sampling is a bootstrap in which no
  image stands twice, which measures of labels would take for evidence.

  Args:
    num_images: n, two or more.
    num_draws: How many halves.
    seed: Of the draws.
    classes: Of the images, [n]; each then keeps its share.
  """
  rng = np.random.default_rng(seed)
  if classes is None:
    classes = np.zeros(num_images, np.int64)
  classes = np.asarray(classes)
  drawn = []
  for _ in range(num_draws):
    order = rng.permutation(num_images)
    order = order[np.argsort(classes[order], kind='stable')]
    drawn.append(np.sort(order[::2]))
  return np.array(drawn)


def spread(scores: ArrayLike, level: ArrayLike | None = None) -> float:
  """Returns the unit in which differences of scores are read.

  The root mean square of what candidates are above their noise floor, or where
  none is known, the standard deviation of the scores.
  """
  scores = np.asarray(scores, np.float64)
  known = np.isfinite(scores)
  if not known.any():
    return 1.0
  above = scores - np.mean(scores[known])
  if level is not None:
    level = np.asarray(level, np.float64)
    above = np.where(np.isfinite(level), scores - level, above)
  above = above[np.isfinite(above)]
  found = float(np.sqrt(np.mean(above**2)))
  # Scores that are equal to their mean, or level, but for rounding: no unit.
  return found if found > _ROUNDING * np.abs(scores[known]).max() else 1.0


def simulate(
  scores: ArrayLike,
  draws: ArrayLike | None,
  unit: float,
  noise: Noise,
  k: int = 3,
  seed: int = 0,
  first: int | None = None,
) -> Chances:
  """Returns the chances of candidates.

  Args:
    scores: [n], larger is better; those that are not finite take no part.
    draws: [B, n], scores over draws of the images; None if there are none.
    unit: See `spread`.
    noise: Of the measure.
    k: Of `among`.
    seed: Of the simulation.
    first: Which candidate stands first; that of the highest score if None.
  """
  scores = np.asarray(scores, np.float64)
  taking = np.flatnonzero(np.isfinite(scores))
  zeros = np.zeros(len(scores))
  result = Chances(zeros, zeros.copy(), zeros.copy())
  if not len(taking):
    return result
  rng = np.random.default_rng(seed)
  found = np.repeat(scores[taking][None], NUM_SIMULATED, axis=0)
  drawn = np.asarray([] if draws is None else draws, np.float64)
  if len(drawn):
    drawn = drawn[:, taking]
    chosen = rng.integers(len(drawn), size=NUM_SIMULATED)
    found += (drawn - drawn.mean(axis=0))[chosen]
  found /= unit
  found += noise.scale * rng.standard_t(noise.freedom, found.shape)
  order = np.argsort(-found, axis=1)
  best = np.bincount(order[:, 0], minlength=len(taking))
  among = np.bincount(order[:, :k].ravel(), minlength=len(taking))
  leader = int(np.argmax(scores[taking]))
  if first is not None:
    leader = int(np.flatnonzero(taking == first)[0])
  beats = (found > found[:, [leader]]).mean(axis=0)
  result.best[taking] = best / NUM_SIMULATED
  result.among[taking] = among / NUM_SIMULATED
  result.beats_first[taking] = beats
  return result
