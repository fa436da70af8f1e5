"""The directed transfer graph of a budget: who serves whom, and how well.

Taskonomy's last step (Zamir et al., CVPR 2018, section 3.4), on affinities of
any origin: sources are chosen by an affinity that may be a guess, and judged by
measured transfers. Quality is 1 where each target is served by its best single
source (several at once may be better), and 0 where sources are as good as one
drawn blindly.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from transferability import deviations
from transferability.source_selection import (
  SourceChoice,
  Transfer,
  select_sources,
)

# By how many deviations a network serves its own target better than the best
# other one, where that was not measured; and up to how much more, the better it
# serves other targets. Without that, all targets whose best other source is
# chosen would gain alike from labels, and the solver would draw among them.
_OWN, _OWN_MORE = 1.0, 0.01


@dataclasses.dataclass(frozen=True)
class Quality:
  """What a choice of sources is really worth; means over targets."""

  chosen: float  # Targets served as the choice says.
  best: float  # Targets served by the best of the chosen sources.


def transfers_of_affinity(
  affinity: ArrayLike,
  targets: Sequence[str],
  sources: Sequence[str],
  *,
  own_is_measured: bool = False,
) -> list[Transfer]:
  """Returns the transfers that an affinity rates, targets made comparable.

  Args:
    affinity: [targets, sources], larger is better, of any scale a row: rows
      are brought to mean 0 and deviation 1 of the other networks' entries.
    targets: Names of the rows.
    sources: Names of the columns.
    own_is_measured: Whether the entry of a target's own network says how well
      that serves it. Similarities do not: it is set one deviation above the
      row's largest, and by up to a hundredth more for sources that serve other
      targets well.

  Raises:
    ValueError: If shapes do not fit, or an entry that is used is not finite.
  """
  values = np.array(affinity, np.float64)
  if values.shape != (len(targets), len(sources)):
    raise ValueError(
      f'Affinities of shape {values.shape} do not fit {len(targets)} targets '
      f'and {len(sources)} sources.'
    )
  for target, row in zip(targets, values, strict=True):
    others = np.array([name != target for name in sources])
    if not np.isfinite(row[others]).all() or others.sum() < 2:
      raise ValueError(
        f'The affinities of target {target!r} to other networks must be two or '
        f'more finite numbers, not {row[others]}.'
      )
    row -= row[others].max()  # Then equal ones are 0, and so is their mean.
    scale = deviations.unit(row[others], None)
    row -= row[others].mean()
    row /= scale
  if not own_is_measured:
    _set_own(values, np.equal.outer(np.array(targets), np.array(sources)))
  return [
    Transfer((source,), target, float(value))
    for target, row in zip(targets, values, strict=True)
    for source, value in zip(sources, row, strict=True)
    if np.isfinite(value)
  ]


def _set_own(values: np.ndarray, own: np.ndarray) -> None:
  """Sets the entries of networks that were trained for the target.

  Args:
    values: float64 [targets, sources], rows of mean 0 and deviation 1.
    own: bool [targets, sources], where these entries are.
  """
  served = np.where(own, 0, values).sum(axis=0) / np.maximum(
    (~own).sum(axis=0), 1
  )
  ranks = np.argsort(np.argsort(served, kind='stable'), kind='stable')
  more = _OWN_MORE * ranks / len(ranks)
  best = np.where(own, -np.inf, values).max(axis=1, keepdims=True)
  values[own] = (best + _OWN + more)[own]


def transfers_of_losses(
  losses: Mapping[tuple[str, tuple[str, ...]], float],
) -> list[Transfer]:
  """Returns the transfers of measured losses, from one source or several.

  Performance is -log(loss), less its mean and in units of its deviation over
  the single sources of the target other than its own network.

  Args:
    losses: By target and sources; above 0.
  """
  scales = {}
  for target in dict.fromkeys(target for target, _ in losses):
    single = [
      -np.log(loss)
      for (name, sources), loss in losses.items()
      if name == target and len(sources) == 1 and sources != (target,)
    ]
    if len(single) < 2:
      raise ValueError(
        f'{len(single)} losses of single sources for the target {target!r}; '
        'two or more are needed to scale them.'
      )
    scales[target] = np.mean(single), float(deviations.unit(single, None)[0])
  return [
    Transfer(
      sources,
      target,
      float((-np.log(loss) - scales[target][0]) / scales[target][1]),
    )
    for (target, sources), loss in losses.items()
  ]


def restrict(
  transfers: Sequence[Transfer],
  order: int,
  targets: Sequence[str] | None = None,
  sources: Sequence[str] | None = None,
) -> list[Transfer]:
  """Returns those from at most so many sources, of these names (None: all)."""
  return [
    transfer
    for transfer in transfers
    if len(transfer.sources) <= order
    and (targets is None or transfer.target in targets)
    and (sources is None or set(transfer.sources) <= set(sources))
  ]


class Judge:
  """Measured transfers, as a judge of choices."""

  def __init__(self, transfers: Sequence[Transfer]):
    """Takes all transfers that were measured, of any order."""
    self._values = {(t.target, frozenset(t.sources)): t for t in transfers}
    single: dict[str, list[float]] = {}
    best: dict[str, float] = {}
    for transfer in transfers:
      target, value = transfer.target, transfer.performance
      if len(transfer.sources) == 1:
        if transfer.sources != (target,):
          single.setdefault(target, []).append(value)
        best[target] = max(best.get(target, -np.inf), value)
    self._blind = {target: float(np.mean(v)) for target, v in single.items()}
    self._span = {t: (best[t] - self._blind[t]) or 1.0 for t in self._blind}

  @property
  def targets(self) -> tuple[str, ...]:
    return tuple(self._blind)

  def normalised(self) -> list[Transfer]:
    """Returns the transfers with performances that add up to the quality."""
    return [
      dataclasses.replace(t, performance=self._quality(t))
      for t in self._values.values()
    ]

  def _quality(self, transfer: Transfer) -> float:
    target = transfer.target
    value = transfer.performance - self._blind[target]
    return value / self._span[target]

  def quality_of(self, target: str, sources: Sequence[str]) -> float:
    """Returns what a transfer is worth, NaN if it was not measured."""
    found = self._values.get((target, frozenset(sources)))
    return np.nan if found is None else self._quality(found)

  def judge(self, choice: SourceChoice, order: int = 1) -> Quality:
    """Returns the quality of a choice; of what was not measured, NaN.

    Args:
      choice: What is judged.
      order: Of the transfers that `best` looks at.
    """
    chosen = [
      self.quality_of(target, transfer.sources)
      for target, transfer in choice.transfers.items()
    ]
    targets = tuple(choice.transfers)
    best = self._best(targets, set(choice.sources), order)
    return Quality(float(np.mean(chosen)), best)

  def _best(
    self, targets: Sequence[str], sources: set[str], order: int
  ) -> float:
    best = dict.fromkeys(targets, -np.inf)
    for (target, used), transfer in self._values.items():
      if target in best and len(used) <= order and used <= sources:
        best[target] = max(best[target], self._quality(transfer))
    values = list(best.values())
    return float(np.mean(values)) if np.isfinite(values).all() else np.nan

  def blind(
    self,
    targets: Sequence[str],
    sources: Sequence[str],
    budget: int,
    num_draws: int = 200,
    seed: int = 0,
  ) -> float:
    """Returns the mean `best` quality of sources that are drawn blindly."""
    rng = np.random.default_rng(seed)
    drawn = [
      self._best(
        targets, set(rng.choice(sources, budget, replace=False).tolist()), 1
      )
      for _ in range(num_draws)
    ]
    return float(np.mean(drawn))


def choose(
  transfers: Sequence[Transfer], budget: float, truth: Judge | None = None
) -> SourceChoice:
  """Returns the optimal choice by transfers, or by the truth itself.

  Args:
    transfers: What can be chosen.
    budget: How many sources may be labelled.
    truth: If given, performances are replaced by measured quality: no choice
      within the budget is better.
  """
  if truth is not None:
    allowed = {(t.target, frozenset(t.sources)) for t in transfers}
    transfers = [
      t
      for t in truth.normalised()
      if (t.target, frozenset(t.sources)) in allowed
    ]
  return select_sources(transfers, budget)
