"""Ranking of sources by affinity, and how good a ranking is.

The protocol of the paper's section 4.2.3: for each target the other models are
ranked by affinity; relevant are the oracle's five best sources. The target
itself is excluded by index, never by its position in the order.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from transferability import permutations
from transferability.oracle import Oracle, ranking_from_affinity, row_spearman
from transferability.ranking_files import Rankings


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
  """P@K and R@K for K = 1, 2, ..., pooled over targets."""

  k: np.ndarray  # int64 [n], the values of K.
  # float64 [n], relevant sources among the first K, summed over targets; not
  # whole for an expectation.
  hits: np.ndarray
  precision: np.ndarray  # float64 [n], hits / (targets * K).
  recall: np.ndarray  # float64 [n], hits / (targets * relevant of each).

  @classmethod
  def from_hits(
    cls, hits: ArrayLike, num_targets: int, num_relevant: int = 5
  ) -> 'PrecisionRecall':
    """Makes the curves of the hits at K = 1, 2, ... along the last axis."""
    hits = np.asarray(hits, np.float64)
    k = np.arange(1, hits.shape[-1] + 1)
    precision = hits / (num_targets * k)
    return cls(k, hits, precision, hits / (num_targets * num_relevant))


def rank_sources(
  affinity: np.ndarray, names: Sequence[str], targets: Sequence[str]
) -> dict[str, tuple[str, ...]]:
  """Ranks all other models for each target, the most similar first.

  Equal affinities stand in the order of `names`.

  Args:
    affinity: [num_models, num_models]; the diagonal is ignored, and so are
      rows of models that are no target.
    names: Names of the models.
    targets: Names of the models to rank sources for.

  Raises:
    ValueError: If an affinity is not finite, or a target is no model.
  """
  rows = _target_rows(affinity, names, targets)
  return ranking_from_affinity(rows, targets, names)


def precision_recall(
  rankings: Rankings, oracle: Oracle, num_relevant: int = 5
) -> PrecisionRecall:
  """Compares rankings with the oracle at K = 1, ..., num_models - 1.

  Args:
    rankings: All other sources of each target, best first. Targets that the
      oracle does not have are ignored; all of the oracle's must be there.
    oracle: The measured ranking, of the same models (see `Oracle.restrict`).
    num_relevant: How many of the oracle's best sources are relevant; all if
      there are fewer.
  """
  _check_rankings(rankings, oracle)
  hits = np.zeros(len(oracle.sources) - 1)
  for target in oracle.targets:
    relevant = oracle.relevant(target, num_relevant)
    hits += np.cumsum([name in relevant for name in rankings[target]])
  return PrecisionRecall.from_hits(
    hits, len(oracle.targets), count_relevant(oracle, num_relevant)
  )


def count_relevant(oracle: Oracle, num_relevant: int) -> int:
  """Returns the number of relevant sources of each target."""
  if num_relevant < 1:
    raise ValueError(f'{num_relevant} relevant sources; at least 1 is needed.')
  return min(num_relevant, len(oracle.sources) - 1)


def spearman(rankings: Rankings, oracle: Oracle) -> dict[str, float]:
  """Returns the rank correlation with the oracle of each target's row."""
  _check_rankings(rankings, oracle)
  return {
    target: row_spearman(oracle.ranking[target], rankings[target])
    for target in oracle.targets
  }


def mean_spearman(rankings: Rankings, oracle: Oracle) -> float:
  """Returns the mean over targets; NaN for fewer than two sources each."""
  return float(np.mean(list(spearman(rankings, oracle).values())))


def priority(oracle: Oracle) -> dict[str, float]:
  """Returns each source's mean rank over the targets; lower is better.

  A target counts as its own source of rank 0, as in the paper (footnote 4).
  """
  ranks: dict[str, list[int]] = {source: [] for source in oracle.sources}
  for target in oracle.targets:
    for rank, source in enumerate((target, *oracle.ranking[target])):
      ranks[source].append(rank)
  return {
    source: float(np.mean(row)) if row else float('nan')
    for source, row in ranks.items()
  }


def correlation_priority_curve(
  affinity: np.ndarray, names: Sequence[str], oracle: Oracle
) -> np.ndarray:
  """Returns the mean affinity of the oracle's p-th best source to its target.

  The Correlation-Priority Curve of section 4.2.2, as a plain mean over the
  oracle's targets. A good measure falls with p.

  Args:
    affinity: [num_models, num_models], of any measure of similarity.
    names: Names of the models; each source of the oracle must be one.
    oracle: The measured ranking.

  Returns:
    float64 [num_sources - 1], for p = 1, 2, ...
  """
  rows = _target_rows(affinity, names, oracle.targets)
  index = {name: i for i, name in enumerate(names)}
  if missing := [name for name in oracle.sources if name not in index]:
    raise ValueError(f'Sources of the oracle that are no models: {missing}.')
  return np.mean(
    [
      row[[index[source] for source in oracle.ranking[target]]]
      for target, row in zip(oracle.targets, rows, strict=True)
    ],
    axis=0,
  )


def precision_p_values(
  affinity: np.ndarray,
  names: Sequence[str],
  oracle: Oracle,
  *,
  num_relevant: int = 5,
  groups: Mapping[str, str] | None = None,
  num_permutations: int = 10_000,
  seed: int = 0,
) -> np.ndarray:
  """Returns how often shuffled task labels agree with the oracle as well.

  The tasks are relabelled: rows and columns of the affinity are permuted
  together, which keeps its whole structure but who is who.

  Args:
    affinity: [num_models, num_models].
    names: Names of the models, the same as the oracle's sources.
    oracle: The measured ranking.
    num_relevant: How many of the oracle's best sources are relevant.
    groups: If given, tasks change places within their group only: the p-values
      then say whether the affinity knows more than the groups.
    num_permutations: Number of random relabellings.
    seed: Seed of the relabellings.

  Returns:
    float64 [num_models - 1], for K = 1, 2, ...: (1 + relabellings whose P@K is
    at least as high) / (1 + num_permutations).
  """
  truth = true_ranks(oracle, names)
  relevant = (truth > 0) & (truth <= count_relevant(oracle, num_relevant))
  predicted = ranks_of(rank_sources(affinity, names, names), names, names)
  rows = np.array([list(names).index(target) for target in oracle.targets])
  observed = _hits(relevant, predicted[rows])
  labels = ['' if groups is None else groups[name] for name in names]
  as_good = np.zeros(len(observed))
  for order in permutations.random_labellings(
    np.arange(len(names)), np.array(labels), num_permutations, seed
  ):
    relabelled = predicted[np.ix_(order[rows], order)]
    as_good += _hits(relevant, relabelled) >= observed
  return (1 + as_good) / (1 + num_permutations)


def _hits(relevant: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Returns the relevant sources among the first K = 1, ..., N - 1."""
  counts = np.bincount(predicted[relevant], minlength=predicted.shape[1])
  return np.cumsum(counts[1:])


def ranks_of(
  rankings: Rankings, targets: Sequence[str], sources: Sequence[str]
) -> np.ndarray:
  """Returns ranks 1, 2, ... as int64 [targets, sources]; 0 for the target."""
  index = {name: i for i, name in enumerate(sources)}
  ranks = np.zeros((len(targets), len(sources)), np.int64)
  for row, target in zip(ranks, targets, strict=True):
    for rank, source in enumerate(rankings[target], 1):
      row[index[source]] = rank
  return ranks


def true_ranks(oracle: Oracle, names: Sequence[str]) -> np.ndarray:
  """Returns the oracle's ranks [targets, names], which must be its sources."""
  if sorted(names) != sorted(oracle.sources):
    raise ValueError(
      f'The models {sorted(names)} are not the sources of the oracle '
      f'{sorted(oracle.sources)}.'
    )
  return ranks_of(oracle.ranking, oracle.targets, names)


def _target_rows(
  affinity: np.ndarray, names: Sequence[str], targets: Sequence[str]
) -> np.ndarray:
  affinity = np.asarray(affinity, np.float64)
  if affinity.shape != (len(names), len(names)):
    raise ValueError(
      f'An affinity of shape {affinity.shape} does not fit {len(names)} models.'
    )
  if unknown := [target for target in targets if target not in names]:
    raise ValueError(f'Targets that are no models: {unknown}; {list(names)}.')
  return affinity[[list(names).index(target) for target in targets]]


def _check_rankings(rankings: Rankings, oracle: Oracle) -> None:
  for target in oracle.targets:
    if target not in rankings:
      raise ValueError(f'No ranking for the target {target!r} of the oracle.')
    row, truth = rankings[target], oracle.ranking[target]
    if sorted(row) != sorted(truth):
      raise ValueError(
        f'The ranking for target {target!r} holds {sorted(row)}, but the '
        f'oracle ranks {sorted(truth)}. Oracle.restrict may help.'
      )
