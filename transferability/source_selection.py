"""Which tasks to label, and what to transfer from them, within a budget.

Zamir et al. (CVPR 2018, section 3.4): given how well each transfer serves its
target, a Boolean integer program chooses the tasks that are learned from labels
and one transfer into each target, so that the budget of labels is kept and the
targets are served as well as can be. It is solved to proven optimality (up to
1e-6 of the largest value, the solver's tolerance).
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, sparse

from transferability.ranking_files import duplicates


@dataclasses.dataclass(frozen=True)
class Transfer:
  """A way to serve a target."""

  # Tasks whose representations it takes, one or more (the order of the
  # transfer); the target itself where it is learned from its labels.
  sources: tuple[str, ...]
  target: str  # What it serves.
  performance: float  # How well; any finite number, larger is better.

  def __post_init__(self):
    if not self.sources or len(set(self.sources)) < len(self.sources):
      raise ValueError(
        f'Sources of a transfer to {self.target!r} must be one or more, each '
        f'once, not {self.sources}.'
      )
    if not np.isfinite(self.performance):
      raise ValueError(
        f'The transfer from {self.sources} to {self.target!r} has the '
        f'performance {self.performance}.'
      )


@dataclasses.dataclass(frozen=True)
class SourceChoice:
  """An optimal choice."""

  sources: tuple[str, ...]  # To learn from labels, those in use only, sorted.
  transfers: Mapping[str, Transfer]  # For each target the one that serves it.
  value: float  # The sum of importance * performance.
  cost: float  # Of the labels of all sources.


def select_sources(
  transfers: Sequence[Transfer],
  budget: float,
  costs: Mapping[str, float] | None = None,
  importance: Mapping[str, float] | None = None,
) -> SourceChoice:
  """Chooses sources, and one transfer into each target.

  Targets are those of the transfers; all of them are served. Choices of equal
  value are decided for the cheaper labels.

  Args:
    transfers: What can be chosen.
    budget: What the labels of all sources may cost together.
    costs: Of the labels of a task; 1 for those that are not named, so that the
      budget is the number of sources.
    importance: Of a target, 0 or more; 1 for those that are not named.

  Raises:
    ValueError: If there are no transfers, one is there twice, a number is not
      finite or negative, or no choice serves all targets within the budget.
  """
  costs, importance = dict(costs or {}), dict(importance or {})
  _check(transfers, budget, costs, importance)
  targets = sorted({transfer.target for transfer in transfers})
  tasks = sorted({name for transfer in transfers for name in transfer.sources})
  prices = np.array([costs.get(task, 1.0) for task in tasks], np.float64)
  values = np.array(
    [importance.get(t.target, 1.0) * t.performance for t in transfers]
  )
  # Of the order of 1, as the tolerance of the solver is absolute.
  scaled = values / (np.abs(values).max() or 1.0)
  gains = np.concatenate([scaled, np.zeros(len(tasks))])
  spends = np.concatenate([np.zeros(len(transfers)), prices])
  serving = _serving(transfers, targets, tasks)
  # A sum of prices that should be the budget may be off by rounding.
  limit = budget + 1e-9 * max(1.0, budget)
  limited = [*serving, optimize.LinearConstraint(spends[None], -np.inf, limit)]
  best = _solve(gains, limited)
  if best is None:
    least = spends @ _solve(-spends, serving)
    raise ValueError(
      f'No choice serves all {len(targets)} targets with a budget of '
      f'{budget:g}; the cheapest labels for that cost {least:g}.'
    )
  # Of the choices that are as good, the cheapest.
  least = gains @ best - 1e-9
  as_good = optimize.LinearConstraint(gains[None], least, np.inf)
  cheaper = _solve(-spends, [*limited, as_good])
  if cheaper is not None and gains @ cheaper >= least:
    best = cheaper
  used = np.flatnonzero(best[: len(transfers)]).tolist()
  served = [transfers[i] for i in used]
  sources = sorted({name for transfer in served for name in transfer.sources})
  return SourceChoice(
    tuple(sources),
    {transfer.target: transfer for transfer in served},
    float(values[used].sum()),
    float(sum(costs.get(name, 1.0) for name in sources)),
  )


def first_order_transfers(
  affinity: ArrayLike,
  names: Sequence[str],
  targets: Sequence[str] | None = None,
  sources: Sequence[str] | None = None,
) -> list[Transfer]:
  """Returns the transfers from single tasks that an affinity rates.

  Args:
    affinity: [models, models], row: target, column: source; the diagonal says
      what learning a target from its own labels is worth.
    names: Of the models.
    targets: To be served; all models if None.
    sources: That may be labelled; all models if None.

  Raises:
    ValueError: If shapes do not fit, names repeat or are unknown.
  """
  affinity = np.asarray(affinity, np.float64)
  names = list(names)
  if affinity.shape != (len(names), len(names)):
    raise ValueError(
      f'An affinity of shape {affinity.shape} does not fit {len(names)} names.'
    )
  targets = names if targets is None else list(targets)
  sources = names if sources is None else list(sources)
  for given in (names, targets, sources):
    if repeated := duplicates(given):
      raise ValueError(f'{repeated} are named more than once.')
    if unknown := [name for name in given if name not in names]:
      raise ValueError(f'No models of these names: {unknown}; {names}.')
  return [
    Transfer(
      (source,),
      target,
      float(affinity[names.index(target), names.index(source)]),
    )
    for target in targets
    for source in sources
  ]


def _check(
  transfers: Sequence[Transfer],
  budget: float,
  costs: Mapping[str, float],
  importance: Mapping[str, float],
) -> None:
  if not transfers:
    raise ValueError('There are no transfers to choose from.')
  keys = [(frozenset(t.sources), t.target) for t in transfers]
  if len(set(keys)) < len(keys):
    first = next(key for i, key in enumerate(keys) if key in keys[:i])
    raise ValueError(
      f'The transfer from {sorted(first[0])} to {first[1]!r} is there twice.'
    )
  tasks = {name for t in transfers for name in (*t.sources, t.target)}
  for what, numbers in (('cost', costs), ('importance', importance)):
    for name, number in numbers.items():
      if name not in tasks:
        raise ValueError(f'{name!r} has a {what}, but is in no transfer.')
      if not (np.isfinite(number) and number >= 0):
        raise ValueError(f'The {what} of {name!r} is {number}; 0 or more.')
  if not (np.isfinite(budget) and budget >= 0):
    raise ValueError(f'The budget is {budget}; give 0 or more.')


def _serving(
  transfers: Sequence[Transfer], targets: Sequence[str], tasks: Sequence[str]
) -> list[optimize.LinearConstraint]:
  """Returns that each target is served once, and from sources that are chosen.

  The variables: whether each transfer is chosen, then whether each task is.
  """
  size = len(transfers) + len(tasks)
  pairs = [(i, name) for i, t in enumerate(transfers) for name in t.sources]
  serves = sparse.lil_array((len(targets), size))
  needs = sparse.lil_array((len(pairs), size))
  rows = {name: row for row, name in enumerate(targets)}
  columns = {name: len(transfers) + j for j, name in enumerate(tasks)}
  for i, transfer in enumerate(transfers):
    serves[rows[transfer.target], i] = 1
  for row, (i, name) in enumerate(pairs):
    needs[row, i], needs[row, columns[name]] = 1, -1
  return [
    optimize.LinearConstraint(serves.tocsr(), 1, 1),
    optimize.LinearConstraint(needs.tocsr(), -np.inf, 0),
  ]


def _solve(
  gains: np.ndarray, constraints: list[optimize.LinearConstraint]
) -> np.ndarray | None:
  """Returns which variables are chosen for the largest sum of gains, if any."""
  result = optimize.milp(
    -gains,
    integrality=np.ones(len(gains)),
    bounds=optimize.Bounds(0, 1),
    constraints=constraints,
    options={'mip_rel_gap': 0.0},
  )
  return None if result.x is None else np.round(result.x).astype(bool)
