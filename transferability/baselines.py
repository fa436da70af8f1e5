"""What a ranking must be compared with before it means anything.

Random and group labels know nothing of the networks; the constant ranking and
the symmetrised oracles know the answer, but may not use all of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, sparse

from transferability.history import History, predict
from transferability.oracle import Oracle
from transferability.ranking import (
  PrecisionRecall,
  count_relevant,
  priority,
  ranks_of,
)

SYMMETRISATIONS = ('rank_mean', 'row_normalised_mean', 'raw_mean')

# For a target's group the groups to prefer, in this order; those in a tuple
# are preferred alike.
GroupPreference = Mapping[str, Sequence[str | tuple[str, ...]]]


def random_baseline(oracle: Oracle, num_relevant: int = 5) -> PrecisionRecall:
  """Returns the expectation for sources in random order, exactly."""
  groups = dict.fromkeys(oracle.sources, '')
  return group_baseline(groups, oracle, num_relevant=num_relevant)


def group_baseline(
  groups: Mapping[str, str],
  oracle: Oracle,
  preference: GroupPreference | None = None,
  num_relevant: int = 5,
) -> PrecisionRecall:
  """Returns what knowing only the tasks' groups gives.

  The expectation over random orders of equally preferred sources, exactly.

  Args:
    groups: Group of each source.
    oracle: The measured ranking.
    preference: For each group which groups to prefer, in order; those that
      are not listed come last, all alike. By default a target's own group
      comes first, and then the rest.
    num_relevant: How many of the oracle's best sources are relevant.
  """
  if missing := [name for name in oracle.sources if name not in groups]:
    raise ValueError(f'No group is known for {missing}.')
  count = count_relevant(oracle, num_relevant)
  hits = np.zeros(len(oracle.sources) - 1)
  for target in oracle.targets:
    own = groups[target]
    if preference is not None and own not in preference:
      raise ValueError(f'No preference is known for the group {own!r}.')
    tiers = _tiers(groups, (own,) if preference is None else preference[own])
    relevant = oracle.relevant(target, num_relevant)
    chances: list[float] = []
    for tier in tiers:
      members = [
        name for name in oracle.ranking[target] if groups[name] in tier
      ]
      share = sum(name in relevant for name in members) / max(1, len(members))
      chances += [share] * len(members)
    hits += np.cumsum(chances)
  return PrecisionRecall.from_hits(hits, len(oracle.targets), count)


def constant_ranking(oracle: Oracle) -> dict[str, tuple[str, ...]]:
  """Ranks sources in one order for all targets: by the oracle's priority.

  Sources of equal priority stand in the oracle's order of sources.
  """
  order = sorted(oracle.sources, key=priority(oracle).__getitem__)
  return {
    target: tuple(source for source in order if source != target)
    for target in oracle.targets
  }


def other_targets(oracle: Oracle) -> dict[str, tuple[str, ...]]:
  """Ranks sources for each target by their standing for all other targets.

  A static order that does not know the target, unlike `constant_ranking`.
  Sources that no other target ranks come last; equal ones stand in the order
  of the oracle's sources.
  """
  history = History.of_oracle(oracle)
  ranking = {}
  for target in oracle.targets:
    sources = [name for name in oracle.sources if name != target]
    found = predict(history, target, sources)
    order = np.argsort(-np.nan_to_num(found, nan=-np.inf), kind='stable')
    ranking[target] = tuple(sources[i] for i in order)
  return ranking


def symmetrised_oracle(oracle: Oracle, method: str = 'rank_mean') -> np.ndarray:
  """Returns a symmetric similarity of the oracle's sources, bigger is better.

  A ranking by it shows what symmetric measures lose. Where only one direction
  was measured, it counts alone; NaN where none was.

  Args:
    oracle: The measured ranking.
    method: Averages the ranks of both directions (`rank_mean`), or their
      affinities (`raw_mean`), or those after scaling each target's row to sum
      1 without the target itself (`row_normalised_mean`).

  Returns:
    float64 [sources, sources].
  """
  if method not in SYMMETRISATIONS:
    raise ValueError(f'{method!r} is none of {SYMMETRISATIONS}.')
  directed = oracle.affinity
  if method == 'rank_mean':
    directed = -ranks_of(oracle.ranking, oracle.targets, oracle.sources)
  square = _square(oracle, directed)
  if method == 'row_normalised_mean':
    square /= np.nansum(square, axis=1, keepdims=True)
  opposite = np.where(np.isfinite(square.T), square.T, square)
  return (np.where(np.isfinite(square), square, opposite) + opposite) / 2


def transposed_oracle(oracle: Oracle) -> np.ndarray:
  """Returns each affinity's opposite direction, if measured, else itself.

  float64 [sources, sources]; NaN where neither was measured.
  """
  square = _square(oracle, oracle.affinity)
  return np.where(np.isfinite(square.T), square.T, square)


def best_symmetric(
  oracle: Oracle, k: int, num_relevant: int = 5
) -> tuple[int, np.ndarray]:
  """Returns the proven optimum of P@k among all symmetric similarities.

  Each target chooses k sources. A symmetric matrix can realise the choice if
  and only if the one-sided choices (a chooses b, but not the other way round)
  form no cycle: along such arcs the similarity must rise. Integer programming
  finds the best choice; each target has a potential, which rises along arcs.

  Args:
    oracle: The measured ranking.
    k: Length of the ranked lists that count, 1 to num_sources - 1.
    num_relevant: How many of the oracle's best sources are relevant.

  Returns:
    Relevant sources among the first k, summed over targets, and a symmetric
    float64 [sources, sources] which attains it.
  """
  size, num_targets = len(oracle.sources), len(oracle.targets)
  if not 1 <= k < size:
    raise ValueError(f'P@{k} of {size} models; K is 1 to N - 1.')
  count_relevant(oracle, num_relevant)
  ranks = ranks_of(oracle.ranking, oracle.targets, oracle.sources)
  gain = (ranks > 0) & (ranks <= num_relevant)
  rows = np.array([oracle.sources.index(target) for target in oracle.targets])
  # The variables: which sources each target chooses, then the potentials.
  highest = np.ones((num_targets, size))
  highest[np.arange(num_targets), rows] = 0
  highest = np.append(highest, np.full(num_targets, num_targets - 1))
  result = optimize.milp(
    np.negative(np.append(gain, np.zeros(num_targets))),
    integrality=np.append(np.ones(gain.size), np.zeros(num_targets)),
    bounds=optimize.Bounds(0, highest),
    constraints=_symmetric_constraints(rows, size, k),
  )
  if result.status != 0:
    raise RuntimeError(f'The integer program was not solved: {result.message}')
  choice = result.x[: gain.size].reshape(gain.shape) > 0.5
  affinity = _realise(choice, rows, result.x[gain.size :])
  return int(np.sum(choice & gain)), affinity


def symmetric_ceiling(oracle: Oracle, num_relevant: int = 5) -> PrecisionRecall:
  """Returns the proven optimum of symmetric similarities at each K."""
  hits = [
    best_symmetric(oracle, k, num_relevant)[0]
    for k in range(1, len(oracle.sources))
  ]
  count = count_relevant(oracle, num_relevant)
  return PrecisionRecall.from_hits(hits, len(oracle.targets), count)


def _symmetric_constraints(
  rows: np.ndarray, size: int, k: int
) -> list[optimize.LinearConstraint]:
  """Returns that k sources are chosen, and that potentials rise along arcs."""
  n = len(rows)
  counts = sparse.hstack(
    [sparse.kron(sparse.eye(n), np.ones((1, size))), sparse.csr_array((n, n))]
  )
  a, b = np.nonzero(~np.eye(n, dtype=bool))
  # potential[b] - potential[a] >= 1 if a alone chooses; no bound otherwise.
  columns = [n * size + b, n * size + a, b * size + rows[a], a * size + rows[b]]
  values = np.repeat([1.0, -1.0, n, -n], len(a))
  arcs = sparse.csr_array(
    (values, (np.tile(np.arange(len(a)), 4), np.concatenate(columns))),
    shape=(len(a), n * (size + 1)),
  )
  constraints = [optimize.LinearConstraint(counts, k, k)]
  if len(a):
    constraints.append(optimize.LinearConstraint(arcs, 1 - n, np.inf))
  return constraints


def _realise(
  choice: np.ndarray, rows: np.ndarray, potential: np.ndarray
) -> np.ndarray:
  """Returns a symmetric matrix whose largest entries are the choices."""
  size = choice.shape[1]
  chooses = np.zeros((size, size), bool)
  chooses[rows] = choice
  height = np.zeros(size)
  height[rows] = 1 + potential
  # One-sided choices have the height of the one who chooses, which is above
  # that of those by whom it is chosen; mutual ones are above, others below.
  one_sided = np.where(chooses, height[:, None], 0)
  similarity = np.maximum(one_sided, one_sided.T)
  similarity[chooses & chooses.T] = size + 2
  passive = np.setdiff1d(np.arange(size), rows)
  similarity[:, passive] = np.where(chooses[:, passive], size + 2, 0)
  similarity[passive] = similarity[:, passive].T
  np.fill_diagonal(similarity, size + 3)
  return similarity


def _tiers(
  groups: Mapping[str, str], preferred: Sequence[str | tuple[str, ...]]
) -> list[set[str]]:
  """Returns sets of groups, best first; those not listed are the last one."""
  tiers = [{tier} if isinstance(tier, str) else set(tier) for tier in preferred]
  return [*tiers, set(groups.values()).difference(*tiers)]


def _square(oracle: Oracle, directed: np.ndarray | None) -> np.ndarray:
  """Spreads [targets, sources] over [sources, sources]; NaN elsewhere."""
  if directed is None:
    raise ValueError(
      'This needs the affinities of the oracle, but it has only a ranking.'
    )
  square = np.full((len(oracle.sources),) * 2, np.nan)
  square[[oracle.sources.index(target) for target in oracle.targets]] = directed
  np.fill_diagonal(square, np.nan)
  return square
