"""The noise floor: what a candidate's score would be if it had learned nothing.

Every candidate is scored beside its own randomised twins: the same graph, its
weights permuted within each tensor. For a network of random weights the two
cannot be told apart, as permuting what is independent changes nothing; so its
score is one more draw of the twins' distribution, and whether it is one is a
test of one value against a few: a prediction interval of Student's t. Twins are
few, so that half of the variance is taken from those of the other candidates
(as moderated t statistics do; Smyth, 2004).
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_CHANCE = 0.005  # That an untrained network passes, one-sided.
_LEAST = 2  # Twins of which a score is needed to speak of a floor.


@dataclasses.dataclass(frozen=True)
class Floor:
  """What untrained networks score.

  Attributes:
    level: Mean of a candidate's twins, float64 [n]; NaN where it is unknown.
    threshold: What a trained network must exceed, float64 [n].
    is_below: Whether a candidate does not exceed it, bool [n].
  """

  level: np.ndarray
  threshold: np.ndarray
  is_below: np.ndarray


def find_by_all(own: ArrayLike, twins: ArrayLike) -> Floor:
  """Returns the floor of each candidate by several measures.

  A candidate is below if it exceeds its twins by none of them. Each of F
  measures lets an untrained network pass with a chance of 1 / F of the whole.

  Args:
    own: Scores [F, n], as `find`.
    twins: Scores [F, n, K].

  Returns:
    Level and threshold are those of the first measure.
  """
  chance = _CHANCE / len(np.asarray(own))
  pairs = zip(np.asarray(own), np.asarray(twins), strict=True)
  each = [find(mine, theirs, chance) for mine, theirs in pairs]
  below = np.all([found.is_below for found in each], axis=0)
  return dataclasses.replace(each[0], is_below=below)


def find(own: ArrayLike, twins: ArrayLike, chance: float = _CHANCE) -> Floor:
  """Returns the floor of each candidate.

  Args:
    own: Scores [n], on the images that the twins saw; NaN where there is none.
    twins: Scores [n, K] of K twins each; NaN where a twin has none, as one
      whose representation is dead.
    chance: That an untrained network passes, one-sided.
  """
  own = np.asarray(own, np.float64)
  twins = np.asarray(twins, np.float64).reshape(len(own), -1)
  known = np.isfinite(twins)
  counts = known.sum(axis=1)
  sums = np.where(known, twins, 0).sum(axis=1)
  enough = counts >= _LEAST
  level = np.where(enough, sums / np.maximum(counts, 1), np.nan)
  squares = np.where(known, (twins - level[:, None]) ** 2, 0).sum(axis=1)
  freedom = np.maximum(counts - 1, 1)
  variance = np.where(enough, squares / freedom, np.nan)
  if not enough.any():
    return Floor(level, level, np.zeros(len(own), bool))
  pooled = (variance + np.nanmedian(variance)) / 2
  quantile = stats.t.ppf(1 - chance, 2 * freedom)
  spread = np.sqrt(pooled * (1 + 1 / np.maximum(counts, 1)))
  threshold = level + quantile * spread
  with np.errstate(invalid='ignore'):
    is_below = own <= threshold
  return Floor(level, threshold, is_below)
