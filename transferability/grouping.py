"""Do models of one label stand together? Statistics with permutation tests.

A statistic looks at an affinity matrix and at labels of the models; its p-value
is the share of labellings that reach at least its value (see permutations.py).

Two ways to ask a narrower question:
  * strata: labels are exchanged only between models of one stratum. With tasks
    as strata and architectures as labels, the test is whether an architecture
    matters beyond the task.
  * pairs: only some pairs of models are compared at all. Without the pairs of
    one architecture family, the test is whether tasks stand together whatever
    the architecture.
"""

from collections.abc import Callable, Hashable, Sequence
import dataclasses
import math

import numpy as np

from toolkit_basics.registry import Registry
from transferability import permutations
from transferability.permutations import PermutationOutcome, Statistic

# From (affinity, pairs) to a statistic of labellings.
_STATISTICS: Registry[Callable[[np.ndarray, np.ndarray], Statistic]] = Registry(
  'statistic'
)
statistics = _STATISTICS.names


@_STATISTICS.register('nearest_neighbour_rate')
def nearest_neighbour_rate(affinity: np.ndarray, pairs: np.ndarray):
  """Share of models whose most similar other one has their label.

  Over models that have another one of their label to be compared with. Of
  equally similar models the first counts.
  """
  candidates = np.where(pairs, affinity, -np.inf)
  nearest = np.argmax(candidates, axis=1)

  def value(labels: np.ndarray) -> np.ndarray:
    same = labels[:, :, None] == labels[:, None, :]
    counted = (same & pairs).any(axis=2)
    hits = (labels[:, nearest] == labels) & counted
    return _ratio(hits.sum(axis=1), counted.sum(axis=1))

  return value


@_STATISTICS.register('mean_average_precision')
def mean_average_precision(affinity: np.ndarray, pairs: np.ndarray):
  """Mean over models of the average precision of their ranking.

  A model's others are ranked by affinity; those of its label are relevant.
  Over models that have a relevant one.
  """
  order = np.argsort(-np.where(pairs, affinity, -np.inf), axis=1, kind='stable')
  ranked = np.take_along_axis(pairs, order, axis=1)
  places = np.arange(1, len(affinity) + 1)

  def value(labels: np.ndarray) -> np.ndarray:
    relevant = (labels[:, order] == labels[:, :, None]) & ranked
    precision = np.cumsum(relevant, axis=2) / places
    number = relevant.sum(axis=2)
    average = _ratio((precision * relevant).sum(axis=2), number)
    return _ratio(np.nansum(average, axis=1), (number > 0).sum(axis=1))

  return value


@_STATISTICS.register('within_minus_between')
def within_minus_between(affinity: np.ndarray, pairs: np.ndarray):
  """Mean affinity of pairs of one label, less that of all other pairs."""
  rows, columns = np.nonzero(np.triu(pairs, 1))
  values = affinity[rows, columns]

  def value(labels: np.ndarray) -> np.ndarray:
    same = labels[:, rows] == labels[:, columns]
    within = _ratio(same @ values, same.sum(axis=1))
    return within - _ratio(~same @ values, (~same).sum(axis=1))

  return value


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  return np.divide(a, b, out=np.full(b.shape, np.nan), where=b > 0)


def permutation_test(
  affinity: np.ndarray,
  labels: Sequence[Hashable],
  statistic: str = 'nearest_neighbour_rate',
  *,
  strata: Sequence[Hashable] | None = None,
  pairs: np.ndarray | None = None,
  num_permutations: int = 9999,
  seed: int = 0,
) -> PermutationOutcome:
  """Tests whether models of one label stand together.

  Args:
    affinity: Symmetric [n, n]; the diagonal does not matter.
    labels: Of the models.
    statistic: One of `statistics()`.
    strata: Labels are exchanged within a stratum; None: between all models.
    pairs: Symmetric bool [n, n], which models are compared; None: all.
    num_permutations: Random labellings, if there are too many for all.
    seed: Of the random labellings.

  Raises:
    ValueError: If the shapes do not fit, or the statistic is unknown.
  """
  affinity, pairs = _checked(affinity, len(labels), pairs)
  chosen = _STATISTICS.get(statistic)
  codes = _codes(labels)
  groups = _codes(strata) if strata is not None else np.zeros_like(codes)
  if len(groups) != len(codes):
    raise ValueError(f'{len(groups)} strata for {len(codes)} models.')
  value = chosen(affinity, pairs)
  return permutations.test(value, codes, groups, num_permutations, seed)


def _checked(
  affinity: np.ndarray, number: int, pairs: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
  affinity = np.asarray(affinity, np.float64)
  if affinity.shape != (number, number) or number < 2:
    raise ValueError(
      f'An affinity of shape {affinity.shape} does not fit {number} labels.'
    )
  if pairs is None:
    pairs = np.ones(affinity.shape, bool)
  pairs = np.asarray(pairs, bool) & ~np.eye(number, dtype=bool)
  if pairs.shape != affinity.shape or (pairs != pairs.T).any():
    raise ValueError(f'Pairs of shape {pairs.shape} are not symmetric [n, n].')
  if not np.isfinite(affinity[pairs]).all():
    raise ValueError('The affinity of a pair to be compared is not finite.')
  return affinity, pairs


def _codes(labels: Sequence[Hashable]) -> np.ndarray:
  """Returns labels as numbers, in the order of first appearance."""
  numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
  return np.array([numbers[label] for label in labels], np.int64)


@dataclasses.dataclass(frozen=True)
class Group:
  """How one label's models stand together."""

  label: Hashable
  size: int  # Number of its models.
  within: float  # Mean affinity of its pairs; NaN for one model.
  between: float  # Mean affinity of its models with all others.
  nearest_neighbour_rate: float  # Share whose nearest is of the label.
  mean_average_precision: float  # Of its models' rankings.
  p_value: float  # Of within - between, over choices of as many models.


def groups(
  affinity: np.ndarray,
  labels: Sequence[Hashable],
  num_permutations: int = 9999,
  seed: int = 0,
) -> list[Group]:
  """Returns how each label's models stand together, in order of appearance."""
  affinity, pairs = _checked(affinity, len(labels), None)
  result = []
  for label in dict.fromkeys(labels):
    inside = np.array([other == label for other in labels])
    # Every other model by itself: only pairs of this label count as equal.
    alone = np.where(inside, -1, np.arange(len(labels)))[None]
    scores = {
      name: float(_STATISTICS.get(name)(affinity, pairs)(alone)[0])
      for name in ('nearest_neighbour_rate', 'mean_average_precision')
    }
    own = pairs & inside[:, None] & inside
    others = pairs & (inside[:, None] ^ inside)
    outcome = permutations.test(
      _own_minus_others(affinity, pairs),
      inside.astype(np.int64),
      np.zeros(len(labels), np.int64),
      num_permutations,
      seed,
    )
    result.append(
      Group(
        label,
        int(inside.sum()),
        affinity[own].mean() if own.any() else math.nan,
        affinity[others].mean() if others.any() else math.nan,
        **scores,
        p_value=outcome.p_value,
      )
    )
  return result


def _own_minus_others(affinity: np.ndarray, pairs: np.ndarray) -> Statistic:
  """Mean affinity among the models labelled 1, less that with all others."""
  values = np.where(pairs, affinity, 0)

  def value(labels: np.ndarray) -> np.ndarray:
    chosen = (labels == 1).astype(float)
    size = chosen.sum(axis=1)
    own = np.einsum('pi,ij,pj->p', chosen, values, chosen, optimize=True)
    others = chosen @ values.sum(axis=1) - own
    within = _ratio(own, size * (size - 1))
    return within - _ratio(others, size * (chosen.shape[1] - size))

  return value
