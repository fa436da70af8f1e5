"""The answer to 'which network should I transfer from', for people and JSON."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import importlib.util
import math
import os
from typing import Any

import numpy as np

from experiments import figures
from experiments.evaluation import format_table
from transferability import clustering, similarity
from transferability.recommendation import decision as decisions
from transferability.recommendation import scores
from transferability.recommendation.calibration import Calibration
from transferability.recommendation.decision import CandidateRow, Decision
from transferability.recommendation.situations import WAYS

_NUMBERS = {1: 'one', 2: 'two', 3: 'three'}
_TREE_FEATURES = 4096
TREE = 'cka'  # Of the tree that shows who sees images alike.


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs."""

  milliseconds: float  # Of an image's forward pass, on this machine.
  megabytes: float  # Of the graph with its weights.


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Recommendation:
  """Which network to transfer from, and how sure that is.

  `print` shows a paragraph and a table.

  Attributes:
    decision: The candidates in order; None if nothing can be told.
    names: Of all candidates.
    costs: By candidate that was looked at.
    calibration: What the chances are based on; None if nothing can be told.
    question: What was asked, in words.
    warnings: What should be known before the answer is used.
    features: By network, the target's too if it has one, [n, h, w, c].
    target: Name of the network of the target, or None.
    labels: Shown in figures, by network.
    groups: Of the networks that have one.
    report: Path of the page, or None.
  """

  decision: Decision | None
  names: tuple[str, ...]
  costs: Mapping[str, Cost]
  calibration: Calibration | None
  question: str
  warnings: tuple[str, ...] = ()
  features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  target: str | None = None
  labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
  groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
  report: str | None = None

  @property
  def best(self) -> str | None:
    """Name of the network to transfer from; None if that cannot be told."""
    return None if self.decision is None else self.decision.recommended

  @property
  def table(self) -> Any:
    """The rows, as a pandas DataFrame if pandas is installed, else a list."""
    rows = self.to_dict()['candidates']
    if importlib.util.find_spec('pandas') is None:
      return rows
    return importlib.import_module('pandas').DataFrame(rows)

  def to_dict(self) -> dict[str, Any]:
    """Returns everything as JSON can hold it: no NaN, None instead."""
    found = self.decision
    rows = [] if found is None else [self._entry(row) for row in found.rows]
    content = {
      'recommended': self.best,
      'cannot_be_told_apart': [] if found is None else list(found.tied),
      'answer': self.paragraph(),
      'question': self.question,
      'situation': 'nothing' if found is None else found.situation.name,
      'measure': None if found is None else found.situation.measures[0],
      'num_images': 0 if found is None else found.num_images,
      'k': 0 if found is None else found.k,
      'candidates': rows,
      'failed': {} if found is None else dict(found.faults),
      'warnings': list(self.warnings),
      'ways_to_tell': list(WAYS) if found is None else [],
      'calibration': self.calibration and dataclasses.asdict(self.calibration),
      'report': self.report,
    }
    return _without_nan(content)

  def _entry(self, row: CandidateRow) -> dict[str, Any]:
    found = {
      'rank': row.rank,
      'network': row.name,
      'score': row.score,
      'score_low': row.low,
      'score_high': row.high,
      'p_best': row.p_best,
      'p_among_best': row.p_among,
      'share_of_resamplings': row.share_among,
      'untrained_score': row.floor,
      'trained': row.trained,
      'is_untrained': row.is_untrained,
      'notes': list(row.notes),
      **row.others,
    }
    if row.name in self.costs:
      found['ms_per_image'] = self.costs[row.name].milliseconds
      found['megabytes'] = self.costs[row.name].megabytes
    return found

  def paragraph(self) -> str:
    """Returns the answer in words."""
    return ' '.join(self.sentences())

  def sentences(self) -> list[str]:
    """Returns the answer in words, the answer itself first."""
    if self.decision is None:
      return [
        f'Cannot tell: {self.question}.',
        'Nothing is known of the target but images, and a network that is good '
        'for other targets is a poor guess.',
        f'To be able to tell: {"; or ".join(WAYS)}.',
        *(f'Note: {warning}' for warning in self.warnings),
      ]
    return [
      *_first_words(self.decision),
      *_about_others(self.decision),
      _basis(self.decision, self.calibration),
      *(f'Note: {warning}' for warning in self.warnings),
    ]

  def legend(self) -> str:
    """Returns what the columns of the table mean."""
    if self.decision is None:
      return ''
    first, *beside = self.decision.situation.measures
    said = [
      f'{first}: the score that ranks, with its 95 % interval over draws of '
      'the images',
      f'best, best {self.decision.k}: chance to be so by measured transfer',
      'ms/image: a forward pass on this machine',
      'MB: the graph with its weights',
      'noise floor: no better than its own untrained twins',
    ]
    if beside:
      asked = ' and '.join(_several(beside))
      said.append(f'{asked} were asked too: see recommendation.json')
    return '; '.join(said) + '.'

  def plot_tree(self, path: str | os.PathLike) -> None:
    """Draws which networks see the images alike, as PNG and PDF.

    Raises:
      ValueError: If fewer than two networks were looked at.
    """
    names, matrix = self.similarities
    tree = clustering.task_similarity_tree(matrix, names)
    figures.task_tree(
      path,
      tree,
      [self.labels.get(name, name) for name in names],
      [self.groups.get(name) for name in names],
      'Who sees these images alike',
    )

  @functools.cached_property
  def similarities(self) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and linear CKA of their features on the images, [n, n]."""
    if len(self.features) < 2:
      raise ValueError(
        f'{len(self.features)} networks were looked at on images; a tree needs '
        'two or more.'
      )
    coarse = {
      name: scores.coarser(np.asarray(values, np.float64), _TREE_FEATURES)
      for name, values in self.features.items()
    }
    return similarity.matrix(TREE, coarse)

  def rows(self) -> list[Sequence[Any]]:
    """Returns the table as it is printed, a header first."""
    if self.decision is None:
      return [('network',), *((name,) for name in self.names)]
    k = self.decision.k
    settled = any(math.isfinite(row.trained) for row in self.decision.rows)
    header = ['rank', 'network', self.decision.situation.measures[0]]
    header += ['95 % interval', 'best']
    header += [f'best {k}'] if k > 1 else []
    header += ['trained'] if settled else []
    header += ['ms/image', 'MB', 'flags']
    return [
      header,
      *(self._printed(row, settled) for row in self.decision.rows),
    ]

  def _printed(self, row: CandidateRow, settled: bool) -> list[str]:
    cost = self.costs.get(row.name, Cost(math.nan, math.nan))
    interval = '-'
    if math.isfinite(row.low):
      interval = f'{row.low:.3f} to {row.high:.3f}'
    cells = [str(row.rank), row.name, f'{row.score:.3f}', interval]
    cells += [percent(row.p_best)]
    cells += [percent(row.p_among)] if self.decision.k > 1 else []
    if settled:
      cells.append(_or_dash(row.trained, '.3f'))
    cells += [_or_dash(cost.milliseconds, '.1f')]
    cells += [_or_dash(cost.megabytes, '.1f')]
    flags = ['noise floor'] if row.is_untrained else []
    flags += ['see note'] if row.notes else []
    return [*cells, ', '.join(flags) or '-']

  def __repr__(self) -> str:
    found = self.decision
    parts = [self.paragraph(), format_table(self.rows())]
    if found is not None and found.faults:
      parts.append('\n'.join(f'Failed: {why}' for why in found.faults.values()))
    if self.report:
      parts.append(f'Report: {self.report}')
    return '\n\n'.join(parts)


def percent(share: float) -> str:
  """Returns a chance for people: never 0 or 100 %, which nobody knows."""
  if share < 0.01:
    return '<1 %'
  return '>99 %' if share > 0.99 else f'{share:.0%}'.replace('%', ' %')


def _or_dash(value: float, form: str) -> str:
  return format(value, form) if math.isfinite(value) else '-'


def _first_words(found: Decision) -> list[str]:
  """Returns what is recommended, and how sure that is."""
  if found.recommended is None:
    if not found.rows:
      return ['Cannot tell: no candidate could be scored.']
    return [
      'Transfer from none of these: no candidate is better than an untrained '
      'network of its own architecture.'
    ]
  first = found.rows[0]
  able = [row for row in found.rows if not row.is_untrained]
  if len(found.rows) == 1:
    return [
      f'There is one candidate only, {first.name}: nothing to choose from, but '
      'it is better than an untrained network.'
      if math.isfinite(first.floor)
      else f'There is one candidate only, {first.name}.'
    ]
  if len(able) == 1:
    return [
      f'Transfer from {first.name}: it is the only candidate that is better '
      'than an untrained network.'
    ]
  if math.isfinite(first.trained):
    return [_settled(found)]
  words = f'best {_NUMBERS[found.k]}' if found.k > 1 else 'best'
  number, chance = len(found.rows), percent(first.p_best)
  sure = f'it is the best of {number} with a chance of {chance}'
  if found.k > 1:
    sure += f', and among the {words} with {percent(first.p_among)}'
  if math.isfinite(first.share_among):
    where = f'among the first {_NUMBERS[found.k]}' if found.k > 1 else 'first'
    sure += (
      f' ({percent(first.share_among)} of image resamplings put it {where})'
    )
  start = f'Transfer from {first.name}'
  if first.p_best < decisions.LITTLE:
    start = f'{first.name} is the best guess, and not more'
  return [f'{start}: {sure}.']


def _settled(found: Decision) -> str:
  trained = [row for row in found.rows if math.isfinite(row.trained)]
  listed = ', '.join(f'{row.name} {row.trained:.3f}' for row in trained)
  return (
    f'Transfer from {trained[0].name}: readouts were really trained from '
    f'{len(trained)} candidates, and reach {listed} on images that they were '
    'not trained on.'
  )


def _about_others(found: Decision) -> list[str]:
  said = []
  if found.tied:
    shown = ' and '.join(_several(found.tied))
    chances = ', '.join(
      percent(found.row(name).p_beats_first) for name in found.tied[:_MOST]
    )
    said.append(
      f'{shown} cannot be told apart from it (chance to be really better: '
      f'{chances}).'
    )
  weak = [row.name for row in found.rows if row.is_untrained]
  if weak and found.recommended is not None:
    verb = 'is' if len(weak) == 1 else 'are'
    said.append(
      f'{" and ".join(_several(weak))} {verb} no better than untrained '
      'networks.'
    )
  if found.faults:
    said.append(f'Failed: {" and ".join(_several(list(found.faults)))}.')
  return said


_MOST = 4  # Names that one sentence lists.


def _several(names: Sequence[str]) -> list[str]:
  """Returns parts to be joined by 'and'."""
  if len(names) > _MOST:
    return [', '.join(names[:_MOST]), f'{len(names) - _MOST} more']
  return [', '.join(names[:-1]), names[-1]] if len(names) > 1 else [*names]


def _basis(found: Decision, calibration: Calibration | None) -> str:
  """Returns what the answer is based on, and how far that was right before."""
  basis = f'Ranked by {found.situation.by}'
  if found.num_images:
    basis += f' on {found.num_images} images'
  if calibration is None or len(found.rows) < 2:
    return f'{basis}.'
  return (
    f'{basis}; where the truth is known ({calibration.bank}), a network within '
    f'5 % of the best stood first for {calibration.right} of '
    f'{calibration.num_cases} targets.'
  )


def _without_nan(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _without_nan(v) for key, v in value.items()}
  if isinstance(value, list | tuple):
    return [_without_nan(v) for v in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
