"""Tables and figures of what a selection found."""

from collections.abc import Mapping, Sequence
import os
import pathlib

import numpy as np

from experiments import evaluation, figures
from experiments import report as pages
from experiments.report_answer import Answer
from experiments.selection import static_lists, study
from experiments.selection.features import Features
from experiments.selection.label_free import Near
from experiments.selection.study import Outcome
from toolkit_basics import files
from transferability import agreement, resampling
from transferability.agreement import Agreement
from transferability.scoring import EPSILONS

Table = list[tuple[object, ...]]  # A header first.
_NOTE = (
  'measured: the performance of the readout, larger is better. Beside it are '
  'scores of measures that only look at features and labels; they have units '
  'of their own.'
)
LABELS = 'labels'  # The family of the label-based measures.
_MAX_LINES = 8  # Cases that a figure tells apart.
# Stand beside candidates, as docs/choosing_a_measure.md advises.
_BESIDE = ('logme', 'h_score_shrinkage', 'parc')
_BASELINES = (study.OTHER_TARGETS, study.ANOTHER_SEED, static_lists.IMAGENET)


def write(
  outcomes: Sequence[Outcome],
  features: Mapping[str, Features],
  output: str | os.PathLike,
  num_draws: int,
  beside: Sequence[Near] = (),
) -> None:
  """Writes all tables and figures.

  `scores.csv`, `agreement.csv`, `summary.csv`, `epsilon.csv`, `seconds.csv`,
  and `history.csv`, what was measured (see `transferability.history`);
  `figures/<case>.png`, `figures/summary.png`, `figures/epsilon_<form>.png`.

  Args:
    outcomes: Of all cases.
    features: Of all candidates.
    output: Folder.
    num_draws: Of the bootstrap.
    beside: The families that were compared beside the label-based measures.
  """
  output = pathlib.Path(output)
  families = {name: one.family for one in beside for name in one.measures}
  compared = {o.case.name: study.compare(o, num_draws) for o in outcomes}
  files.write_csv(output / 'scores.csv', score_rows(outcomes))
  rows = [agreement.header(['case', 'measure', 'family'])]
  for case, found in compared.items():
    rows += [
      agreement.rows_of_table([case, name, _family(name, families)], one)
      for name, one in found.items()
      if one is not None
    ]
  files.write_csv(output / 'agreement.csv', rows)
  summary = summarise(compared, families)
  files.write_csv(output / 'summary.csv', summary)
  sweep = epsilon_rows(outcomes)
  files.write_csv(output / 'epsilon.csv', sweep)
  seconds = second_rows(outcomes, features, beside)
  files.write_csv(output / 'seconds.csv', seconds)
  study.measured(outcomes).save(output / 'history.csv')
  _draw(outcomes, compared, summary, sweep, output / 'figures')


def _family(name: str, families: Mapping[str, str]) -> str:
  if _is_baseline(name):
    return static_lists.BASELINE
  return families.get(name, LABELS)


def _is_baseline(name: str) -> bool:
  return name in _BASELINES or name.startswith(static_lists.HISTORY)


def score_rows(outcomes: Sequence[Outcome]) -> list[list[object]]:
  """Returns performance and scores of each case and candidate."""
  measures = list(dict.fromkeys(name for o in outcomes for name in o.scores))
  rows = [['case', 'candidate', 'performance', *measures]]
  for outcome in outcomes:
    for name, value in zip(outcome.candidates, outcome.truth, strict=True):
      scores = [
        float(outcome.scores.get(measure, {}).get(name, np.nan))
        for measure in measures
      ]
      rows.append([outcome.case.name, name, float(value), *scores])
  return rows


def summarise(
  compared: Mapping[str, Mapping[str, Agreement | None]],
  families: Mapping[str, str] | None = None,
) -> list[list[object]]:
  """Returns the mean over cases of each measure, best weighted tau first.

  `cases` is how many a measure is defined for and the mean of; `tau_common` the
  mean weighted tau over those that all measures are defined for, NaN if there
  are none: only that is to be compared between measures of different cases.
  `tau_low` and `tau_high` are a 95 % interval of the mean over cases, the
  candidates of each drawn anew. `regret` is the performance of the best
  candidate less that of the one with the best score, in its own unit.

  Returns:
    Rows, a header first.
  """
  rows = []
  names = list(dict.fromkeys(n for found in compared.values() for n in found))
  shared = [
    case
    for case, found in compared.items()
    if all(_is_defined(found.get(n)) for n in names if not _is_baseline(n))
  ]
  for name in names:
    by_case = {
      case: found[name]
      for case, found in compared.items()
      if _is_defined(found.get(name))
    }
    found = list(by_case.values())
    if not found:
      continue
    common = [
      by_case[case].values['weighted_tau'] for case in shared if case in by_case
    ]
    means = [
      float(_mean_of_defined([one.values[statistic] for one in found]))
      for statistic in agreement.STATISTICS
    ]
    drawn = np.ma.masked_invalid([one.draws for one in found]).mean(axis=0)
    low, high = resampling.interval(drawn.compressed())
    best = float(np.mean([one.best_found for one in found]))
    regret = float(np.mean([one.regret for one in found]))
    family = _family(name, families or {})
    rows.append(
      [
        *(name, family, len(found), *means, float(low), float(high)),
        float(np.mean(common)) if common else np.nan,
        best,
        regret,
      ]
    )
  rows.sort(key=lambda row: -row[5])
  header = ['measure', 'family', 'cases', *agreement.STATISTICS]
  header += ['tau_low', 'tau_high', 'tau_common', 'best_found', 'regret']
  return [header, *rows]


def _mean_of_defined(values: Sequence) -> np.ndarray:
  """Returns the mean over the first axis without NaN, NaN if all are."""
  mean = np.ma.masked_invalid(values).mean(axis=0)
  return np.ma.filled(np.ma.asanyarray(mean, float), np.nan)


def _is_defined(found: Agreement | None) -> bool:
  return found is not None and np.isfinite(found.values['weighted_tau'])


def epsilon_rows(outcomes: Sequence[Outcome]) -> list[list[object]]:
  """Returns the agreement of TransRate by form and epsilon, a header first."""
  rows = [['case', 'form', 'epsilon', *agreement.STATISTICS, 'regret']]
  for outcome in outcomes:
    for form, by_epsilon in outcome.sweep.items():
      for epsilon, scores in by_epsilon.items():
        # No interval is shown, so that two draws are enough.
        found = agreement.compare(outcome.vector(scores), outcome.truth, 2)
        values = [found.values[name] for name in agreement.STATISTICS]
        label = outcome.case.name, form, epsilon
        rows.append([*label, *values, found.regret])
  return rows


def second_rows(
  outcomes: Sequence[Outcome],
  features: Mapping[str, Features],
  beside: Sequence[Near] = (),
) -> list[list[object]]:
  """Returns what everything took: what, of what, seconds; a header first."""
  rows: list[list[object]] = [['what', 'of', 'seconds']]
  total = sum(found.seconds for found in features.values())
  rows.append(
    ['feature extraction', 'all candidates and images, once', float(total)]
  )
  names = list(dict.fromkeys(n for o in outcomes for n in o.seconds))
  mean = {
    name: float(np.mean([o.seconds[name] for o in outcomes])) for name in names
  }
  training = mean.pop('training')
  rows += [
    [name, 'all candidates of a target, features given', value]
    for name, value in sorted(mean.items(), key=lambda item: item[1])
  ]
  for one in beside:
    rows += [[name, *seconds] for name, seconds in one.seconds.items()]
  rows.append(['training', 'all candidates of a target, all seeds', training])
  return rows


def _draw(
  outcomes: Sequence[Outcome],
  compared: Mapping[str, Mapping[str, Agreement | None]],
  summary: list[list[object]],
  sweep: list[list[object]],
  folder: pathlib.Path,
) -> None:
  for outcome in outcomes:
    found = compared[outcome.case.name]
    shown = [name for name, one in found.items() if one is not None]
    figures.scatter_panels(
      folder / f'{outcome.case.name}.png',
      {name: outcome.vector(outcome.scores[name]) for name in shown},
      outcome.truth,
      {
        name: f'weighted tau {found[name].values["weighted_tau"]:.2f}'
        for name in shown
      },
      f'Scores and measured performance: {outcome.case.name}',
      'Measured performance',
      outcome.candidates,
    )
  _, *rows = summary
  figures.bars(
    folder / 'summary.png',
    [f'{row[0]} ({row[1]})' for row in rows],
    {'weighted tau': [row[5] for row in rows]},
    'Agreement with measured performance, mean over cases',
    'Weighted tau',
    0.0,
  )
  _, *cells = sweep
  cases = [outcome.case.name for outcome in outcomes]
  values = {tuple(row[:3]): row[5] for row in cells}
  for form in dict.fromkeys(row[1] for row in cells):
    by_case = {
      case: [values[case, form, e] for e in EPSILONS]
      for case in cases
      if (case, form, EPSILONS[0]) in values  # Not defined for all, perhaps.
    }
    shown = {'mean': _mean_of_defined(list(by_case.values())).tolist()}
    if 1 < len(by_case) <= _MAX_LINES:
      shown |= by_case
    figures.lines(
      folder / f'epsilon_{form}.png',
      EPSILONS,
      shown,
      f'TransRate depends on epsilon ({form} form)',
      'epsilon',
      'Weighted tau',
      log_scale=True,
    )


def text(output: str | os.PathLike, best_first: bool = False) -> str:
  """Returns the summary and the seconds of a finished run, as text.

  Args:
    output: Of the run.
    best_first: Whether the candidates of each case stand above, the best by
      measured performance first.
  """
  output = pathlib.Path(output)
  tables = [
    evaluation.table_text(output / name)
    for name in ('summary.csv', 'seconds.csv')
  ]
  if best_first:
    tables = [*candidates_text(output), *tables]
  return '\n\n'.join(tables)


def diverged_text(diverged: Mapping[str, Mapping[str, str]]) -> str:
  """Returns a line that says what training diverged, empty if none did.

  Args:
    diverged: By case and candidate, what it reached.
  """
  said = [
    f'{name} for {case} ({reached})'
    for case, found in diverged.items()
    for name, reached in found.items()
  ]
  if not said:
    return ''
  return (
    'Training diverged, and counts as a guess (R^2 -1, or an accuracy of 1 / '
    f'classes): {", ".join(said)}.\n'
  )


def candidates_text(output: pathlib.Path) -> list[str]:
  """Returns for each case its candidates, the best first, as text."""
  return [
    f'{_advice(case, rows)}\n{evaluation.format_table(rows)}'
    for case, rows in _candidates(output).items()
  ]


def _advice(case: str, rows: Table) -> str:
  """Returns which network to take, or which of the best that are equal."""
  measured = {row[1]: row[2] for row in rows[1:]}
  best = [n for n, one in measured.items() if one == max(measured.values())]
  if len(best) == len(measured) > 1:
    return f'{case}: all networks reach the same; none is to be preferred.'
  equal = ', which reach the same' if len(best) > 1 else ''
  return f'{case}: transfer from {" or ".join(best)}{equal}.'


def write_page(output: pathlib.Path, settings: Mapping[str, object]) -> None:
  """Writes `report.html`: the network to take, and how measures did.

  Args:
    output: Of a run whose tables and figures are written.
    settings: Of the run.
  """
  cases, folder = _candidates(output), output / 'figures'
  pictures = {
    'Agreement of each measure with training.': folder / 'summary.png',
    **{
      f'{case}: scores and measured performance, a dot for each network.': (
        folder / f'{case}.png'
      )
      for case in cases
    },
  }
  networks = {row[1] for _, *rows in cases.values() for row in rows}
  targets = f'{len(cases)} {"target" if len(cases) == 1 else "targets"}'
  pages.write(
    output / 'report.html',
    pages.Shown(
      'Which network to take',
      f'{len(networks)} networks, {targets}.',
      _answer(cases, files.read_csv(output / 'summary.csv')),
      settings=settings,
      pictures=pictures,
    ),
  )


def _answer(cases: Mapping[str, Table], summary: list[list[str]]) -> Answer:
  """Returns which network to take for each case, and why."""
  said = [_advice(case, rows) for case, rows in cases.items()]
  more = [
    'The networks of each target stand in the order of what a readout, really '
    'trained from each, reached on images that it was not trained on.'
  ]
  if named := [row[0] for row in summary[1:] if row[1] == LABELS][:3]:
    more.append(
      f'Without training, {", ".join(named)} order the networks most like '
      'that; summary.csv has all measures.'
    )
  header = next(iter(cases.values()))[0]
  table: Table = [('target', *header)]
  for case, (_, *rows) in cases.items():
    table += [(case, *row) for row in rows]
  return Answer([' '.join(said), *more], table, _NOTE)


def _candidates(output: pathlib.Path) -> dict[str, Table]:
  """Returns for each case its candidates, a header first, then the best."""
  header, *rows = files.read_csv(output / 'scores.csv')
  shown = [name for name in _BESIDE if name in header[3:]]
  shown = shown or header[3 : 3 + len(_BESIDE)]
  columns = [header.index(name) for name in shown]
  found = {}
  for case in dict.fromkeys(row[0] for row in rows):
    ranked = sorted(
      (row for row in rows if row[0] == case), key=lambda row: -float(row[2])
    )
    table = [
      (rank, row[1], float(row[2]), *(float(row[c]) for c in columns))
      for rank, row in enumerate(ranked, start=1)
    ]
    header_of_case = ('rank', 'network', 'measured', *shown)
    found[case] = [header_of_case, *table]
  return found
