"""Choices of sources by affinities, judged by measured transfers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import os
import pathlib
import re

import numpy as np

from experiments import evaluation, figures
from experiments.transfer_affinities import ORACLE, label
from taskonomy_models.bank import Bank
from toolkit_basics import files
from transferability import deviations, similarity, transfer_graph
from transferability.oracle import Oracle
from transferability.ranking_files import duplicates
from transferability.source_selection import SourceChoice, Transfer

HIGHER_ORDER = 'higher_order.csv'  # In the folder of a bank.
COLUMNS = ('target', 'sources', 'loss')
_BETWEEN = '+'  # Sources, in a table.
_HEADER = (
  *('affinity', 'order', 'budget', 'sources', 'quality', 'best_of_sources'),
  *('optimum', 'blind', 'lost'),
)

# By target and sources.
Losses = Mapping[tuple[str, tuple[str, ...]], float]


@dataclasses.dataclass(frozen=True)
class Choice:
  """What is to be chosen, and from what.

  Attributes:
    oracle: Names targets and sources.
    truth: Measured transfers.
    allowed: Those that may be chosen.
    targets: To be served.
    sources: That may be labelled.
    order: Of the transfers.
    budget: Of the graph that is drawn.
  """

  oracle: Oracle
  truth: transfer_graph.Judge
  allowed: tuple[Transfer, ...]
  targets: tuple[str, ...]
  sources: tuple[str, ...]
  order: int
  budget: int

  @classmethod
  def of(
    cls,
    oracle: Oracle,
    measured: Losses,
    *,
    order: int,
    budget: int,
    targets: Sequence[str] | None,
    sources: Sequence[str] | None,
  ) -> 'Choice':
    """Makes a question of measured affinities or, if there are any, losses.

    Raises:
      ValueError: If a name is unknown or given twice, the budget exceeds the
        sources, or they do not serve all targets.
    """
    targets = tuple(targets or oracle.targets)
    sources = tuple(sources or oracle.sources)
    for what, given, known in (
      ('target', targets, oracle.targets),
      ('source', sources, oracle.sources),
    ):
      if unknown := sorted(set(given) - set(known)):
        raise ValueError(
          f'No measured {what} is named {unknown[0]!r}; choose from '
          f'{", ".join(known)}.'
        )
      if repeated := duplicates(given):
        raise ValueError(f'Give each {what} once, not {repeated}.')
    if budget > len(sources):
      raise ValueError(
        f'A budget of {budget} exceeds the {len(sources)} sources.'
      )
    if order > 1:
      _check_names(oracle, measured)
      transfers = transfer_graph.transfers_of_losses(measured)
    else:
      affinity = oracle.affinity
      own = np.equal.outer(np.array(oracle.targets), np.array(oracle.sources))
      # Taskonomy's are ratios; that of a target's own network may be missing.
      if (affinity > 0)[~own].all():
        affinity = np.log(np.where(affinity > 0, affinity, np.nan))
      transfers = transfer_graph.transfers_of_affinity(
        affinity, oracle.targets, oracle.sources, own_is_measured=True
      )
    allowed = transfer_graph.restrict(transfers, order, targets, sources)
    served = {transfer.target for transfer in allowed}
    if unserved := [target for target in targets if target not in served]:
      raise ValueError(
        f'No transfer to {unserved[0]!r} was measured from '
        f'{", ".join(sources)}; name other `targets` or `sources`.'
      )
    truth = transfer_graph.Judge(transfers)
    return cls(oracle, truth, tuple(allowed), targets, sources, order, budget)


def _check_names(oracle: Oracle, measured: Losses) -> None:
  """Raises ValueError if losses are of networks that an oracle lacks."""
  targets = {target for target, _ in measured}
  sources = {name for _, names in measured for name in names}
  unknown = sorted(
    (targets - set(oracle.targets)) | (sources - set(oracle.sources))
  )
  if unknown:
    raise ValueError(
      f'`higher_order` names {unknown[0]!r}, which is no network with measured '
      f'transfers; these are {", ".join(oracle.sources)}.'
    )


def higher_order(order: int, path: str | None, bank: Bank | None) -> Losses:
  """Returns measured losses of transfers from one source or several.

  Raises:
    ValueError: If they are asked for and there are none.
  """
  if order == 1:
    if path:
      raise ValueError(
        '`higher_order` is of several sources at once; pass `order=2` or '
        '`order=3`.'
      )
    return {}
  if path:
    return read_losses(path)
  path = bank and os.path.join(bank.folder, HIGHER_ORDER)
  if not path or not os.path.isfile(path):
    raise ValueError(
      'Transfers from several sources at once were not measured here; measure '
      'them with `python -m experiments.measure_higher_order` and pass the '
      'table as `higher_order`, or pass `order=1`.'
    )
  return read_losses(path)


def read_losses(path: files.Path) -> dict[tuple[str, tuple[str, ...]], float]:
  """Reads a table with the columns target, sources (a+b), loss.

  Raises:
    ValueError: If the file has other columns, a loss is no number above 0, or
      a transfer is there twice.
    OSError: If it cannot be read.
  """
  header, *rows = files.read_csv(path)
  if tuple(header) != COLUMNS:
    raise ValueError(
      f'{path}: the columns must be {", ".join(COLUMNS)}, not '
      f'{", ".join(header)}.'
    )
  found: dict[tuple[str, tuple[str, ...]], float] = {}
  for number, row in enumerate(rows, start=2):
    try:
      target, sources, text = row
      loss = float(text)
    except ValueError:
      loss = np.nan
    if not 0 < loss < np.inf:
      raise ValueError(
        f'{path}, row {number}: {row} is no target, sources (a+b) and loss '
        'above 0.'
      )
    transfer = target, tuple(sources.split(_BETWEEN))
    if transfer in found:
      raise ValueError(f'{path}, row {number}: {row} is there twice.')
    found[transfer] = loss
  return found


def write_losses(path: files.Path, losses: Losses) -> None:
  """Writes what `read_losses` reads."""
  rows = [
    (target, _BETWEEN.join(sources), float(loss))
    for (target, sources), loss in losses.items()
  ]
  files.write_csv(path, [COLUMNS, *rows])


def write(
  question: Choice,
  chosen: Sequence[str],
  affinities: Mapping[str, np.ndarray],
  represented: Mapping[str, np.ndarray],
  groups: Mapping[str, str],
  output: str | os.PathLike,
  track: Callable[..., Iterable],
) -> None:
  """Writes `quality.csv`, `graph_<affinity>.csv` and the figures.

  Args:
    question: What is chosen.
    chosen: Names of affinities, `oracle` among them or not.
    affinities: The others, [targets, sources] of the oracle.
    represented: By network, for similarities to several sources at once.
    groups: Of tasks, for colours.
    output: Folder.
    track: Shows progress.
  """
  output = pathlib.Path(output)
  rows, curves = [], {}
  budgets = range(1, len(question.sources) + 1)
  optima = {
    b: transfer_graph.choose(question.allowed, b, question.truth)
    for b in track(budgets, description='Optimal choices')
  }
  for name in track(chosen, description='Choosing sources'):
    transfers, order = question.allowed, question.order
    if name != ORACLE:
      transfers, order = _guessed(question, name, affinities[name], represented)
    curves[name] = []
    for budget in budgets:
      choice = optima[budget]
      if name != ORACLE:
        choice = transfer_graph.choose(transfers, budget)
      row = _row(question, name, order, budget, choice, optima[budget])
      rows.append(row)
      curves[name].append(row[4])
      if budget == question.budget:
        _draw(question, name, choice, groups, output)
  files.write_csv(output / 'quality.csv', [_HEADER, *rows])
  blind = [row[7] for row in rows[: len(budgets)]]
  figures.lines(
    output / 'figures' / 'quality.png',
    list(budgets),
    {**{label(name): y for name, y in curves.items()}, 'random': blind},
    'Quality of transfer for a budget of labelled sources',
    'Sources that are trained with labels',
    'Quality (1: each target by its best source; 0: by any)',
  )


def _guessed(
  question: Choice,
  name: str,
  affinity: np.ndarray,
  represented: Mapping[str, np.ndarray],
) -> tuple[list[Transfer], int]:
  """Returns the transfers that an affinity rates, and their order.

  Several sources at once are rated by a similarity to their joint
  representation; other affinities know single sources only.
  """
  oracle = question.oracle
  single = transfer_graph.transfers_of_affinity(
    affinity, oracle.targets, oracle.sources
  )
  found = transfer_graph.restrict(single, 1, question.targets, question.sources)
  joint = [t for t in question.allowed if len(t.sources) > 1]
  if not joint or name not in similarity.names('representations'):
    return found, 1
  values = dict(zip(oracle.targets, affinity, strict=True))
  for transfer in joint:
    target = transfer.target
    others = np.array([source != target for source in oracle.sources])
    row = values[target][others]
    score = similarity.score(
      name, represented[target], together(represented, transfer.sources)
    )
    performance = float((score - row.mean()) / deviations.unit(row, None)[0])
    found.append(dataclasses.replace(transfer, performance=performance))
  return found, question.order


def together(
  represented: Mapping[str, np.ndarray], sources: Sequence[str]
) -> np.ndarray:
  """Returns sources' representations side by side, their channels scaled.

  [n, h, w, c] of all channels; each source's have a mean variance of 1.
  """
  parts = [np.asarray(represented[name], np.float32) for name in sources]
  side = min(part.shape[1] for part in parts)
  if any(part.shape[1:3] != (side, side) for part in parts):
    raise ValueError(
      f'Representations of {list(sources)} differ in height and width: '
      f'{[part.shape[1:3] for part in parts]}.'
    )
  scaled = []
  for part in parts:
    centred = part - part.mean(axis=(0, 1, 2))
    scaled.append(centred / (np.sqrt((centred**2).mean()) or 1.0))
  return np.concatenate(scaled, axis=-1)


def _row(
  question: Choice,
  name: str,
  order: int,
  budget: int,
  choice: SourceChoice,
  optimum: SourceChoice,
) -> list[object]:
  quality = question.truth.judge(choice, question.order)
  best = question.truth.judge(optimum, question.order).chosen
  blind = question.truth.blind(question.targets, question.sources, budget)
  return [
    *(label(name), order, budget, ' '.join(choice.sources)),
    *(quality.chosen, quality.best, best, blind, best - quality.chosen),
  ]


def _draw(
  question: Choice,
  name: str,
  choice: SourceChoice,
  groups: Mapping[str, str],
  output: pathlib.Path,
) -> None:
  """Writes the graph of a choice as a table and as a figure."""
  safe = re.sub(r'[^\w.-]', '_', label(name))
  rows = [('target', 'sources', 'affinity', 'quality')]
  for target, transfer in choice.transfers.items():
    quality = question.truth.quality_of(target, transfer.sources)
    used = _BETWEEN.join(transfer.sources)
    rows.append((target, used, transfer.performance, quality))
  files.write_csv(output / f'graph_{safe}.csv', rows)
  quality = question.truth.judge(choice, question.order)
  figures.transfer_graph(
    output / 'figures' / f'graph_{safe}.png',
    {t: transfer.sources for t, transfer in choice.transfers.items()},
    {t: transfer.performance for t, transfer in choice.transfers.items()},
    groups,
    f'{len(choice.sources)} labelled sources for {len(question.targets)} '
    f'targets, chosen by {label(name)}',
    f'Measured quality {quality.chosen:.2f}; thickness: affinity. Squares: '
    'sources; rings: targets with labels of their own.',
  )


def text(output: str | os.PathLike) -> str:
  """Returns the quality that each affinity gives, as text.

  `mean` over all budgets, `lost` against the optimum, and `served_best`: the
  mean if targets were served by the best of the sources that it chose.
  """
  _, *rows = files.read_csv(pathlib.Path(output) / 'quality.csv')
  table: list[list[object]] = [
    [
      *('affinity', 'order', 'quality_at_2', 'at_4', 'at_8', 'mean', 'lost'),
      'served_best',
    ]
  ]
  for name in dict.fromkeys(row[0] for row in rows):
    own = [row for row in rows if row[0] == name]
    at = {int(row[2]): float(row[4]) for row in own}
    means = [float(np.mean([float(r[c]) for r in own])) for c in (4, 8, 5)]
    found = [at.get(budget, np.nan) for budget in (2, 4, 8)]
    table.append([name, int(own[0][1]), *found, *means])
  of_one = [row for row in rows if row[0] == rows[0][0]]
  at = {int(row[2]): float(row[7]) for row in of_one}
  blind = [at.get(budget, np.nan) for budget in (2, 4, 8)]
  mean, best = (float(np.mean([float(r[c]) for r in of_one])) for c in (7, 6))
  table.append(['random, served best', 1, *blind, mean, best - mean, mean])
  return evaluation.format_table(table)
