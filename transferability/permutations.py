"""Permutation tests over labellings: all different ones, or random ones."""

from collections.abc import Callable, Iterator
import dataclasses
import itertools
import math

import numpy as np

_MAX_EXACT = 20_000
_BLOCK = 256  # Labellings evaluated at once.

# From labels int [labellings, n] to values [labellings]; NaN where a labelling
# has nothing to compare.
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class PermutationOutcome:
  """What a permutation test found."""

  value: float  # Of the statistic; NaN if there is nothing to compare.
  expected: float  # Its mean over the labellings.
  p_value: float  # Share of labellings with at least this value, or NaN.
  labellings: int  # How many were evaluated, the observed one among them.
  is_exact: bool  # Whether these are all there are.


def test(
  statistic: Statistic,
  labels: np.ndarray,
  strata: np.ndarray,
  num_permutations: int,
  seed: int,
) -> PermutationOutcome:
  """Tests a statistic of labels against exchanging them within strata.

  If there are few different labellings, all of them are evaluated, else random
  ones and the observed one (Phipson and Smyth, 2010: so p is never 0). A
  labelling that has nothing to compare counts for the null hypothesis, against
  which large values of the statistic speak.

  Args:
    statistic: Of labellings.
    labels, strata: int [n].
    num_permutations: Random labellings, if there are too many for all.
    seed: Of the random labellings.
  """
  observed = float(statistic(labels[None])[0])
  is_exact = count_labellings(labels, strata) <= _MAX_EXACT
  if is_exact:
    drawn = all_labellings(labels, strata)
  else:
    drawn = random_labellings(labels, strata, num_permutations, seed)
  values = np.concatenate([statistic(block) for block in _blocks(drawn)])
  if not is_exact:
    values = np.append(values, observed)
  if math.isnan(observed):
    return PermutationOutcome(
      math.nan, math.nan, math.nan, len(values), is_exact
    )
  # Sums in another order than the observed one's may differ in the last bits.
  close = np.isclose(values, observed, rtol=1e-9, atol=1e-12)
  return PermutationOutcome(
    observed,
    float(np.nanmean(values)),
    float(np.mean(close | ~(values < observed))),
    len(values),
    is_exact,
  )


def count_labellings(labels: np.ndarray, strata: np.ndarray) -> int:
  """Returns how many different labellings there are, exactly."""
  total = 1
  for stratum in np.unique(strata):
    _, counts = np.unique(labels[strata == stratum], return_counts=True)
    total *= math.factorial(int(counts.sum()))
    for count in counts:
      total //= math.factorial(int(count))
  return total


def all_labellings(
  labels: np.ndarray, strata: np.ndarray
) -> Iterator[np.ndarray]:
  """Yields every different labelling once."""
  members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
  for arrangements in itertools.product(
    *(_arrangements(labels[where].tolist()) for where in members)
  ):
    labelling = labels.copy()
    for where, arrangement in zip(members, arrangements, strict=True):
      labelling[where] = arrangement
    yield labelling


def _arrangements(items: list[int]) -> Iterator[list[int]]:
  """Yields the different orders of items in which some are equal."""
  if not items:
    yield []
  for item in sorted(set(items)):
    rest = items.copy()
    rest.remove(item)
    for arrangement in _arrangements(rest):
      yield [item, *arrangement]


def random_labellings(
  labels: np.ndarray, strata: np.ndarray, number: int, seed: int
) -> Iterator[np.ndarray]:
  """Yields labellings; labels change places within their stratum only."""
  rng = np.random.default_rng(seed)
  members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
  for _ in range(number):
    labelling = labels.copy()
    for where in members:
      labelling[where] = rng.permutation(labels[where])
    yield labelling


def _blocks(labellings: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
  while block := list(itertools.islice(labellings, _BLOCK)):
    yield np.stack(block)
