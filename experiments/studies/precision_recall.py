"""P@K and R@K of all measures on all probe sets, and the tree (Figure 4)."""

from collections.abc import Mapping
import pathlib

import numpy as np

from experiments import comparison, evaluation, figures
from experiments.study import Finding, Results, Run, Study
from transferability import baselines, clustering
from transferability.ranking import PrecisionRecall


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes tables and curves for each probe set, and a tree."""
  oracle, results = study.require_oracle(), Results(folder)
  scores = evaluation.baseline_scores(oracle, study.bank.groups)
  fixed = {name: score.curve for name, score in scores.items()}
  rows, best = [], []
  for probe in study.settings.probes:
    run, stem = study.run(probe), pathlib.Path(probe).stem
    measured = comparison.measure(study, run)
    header, *found = comparison.table(measured, oracle)
    rows += [[stem, *row] for row in found]
    _draw(results, study, run, stem, measured, fixed)
    column = header.index(_last(header))
    first = max(found, key=lambda row: row[column])
    best.append(f'{stem}: {first[0]} {first[column]:.3f}')
  results.table('measures.csv', ['probe', *header], rows)
  fixed['best_symmetric'] = baselines.symmetric_ceiling(oracle)
  results.table(
    'baselines.csv',
    ('baseline', 'k', 'precision', 'recall'),
    [
      (name, int(k), float(p), float(r))
      for name, curve in fixed.items()
      for k, p, r in zip(curve.k, curve.precision, curve.recall, strict=True)
    ],
  )
  column += 1
  own = [row for row in rows if row[1] == study.method]
  listed = ', '.join(f'{row[0]} {row[column]:.3f}' for row in own)
  return Finding(
    f'{_last(header)} of {figures.method_label(study.method)}: {listed}; best '
    f'of all measures: {"; ".join(best)}; chance '
    f'{float(baselines.random_baseline(oracle).precision[0]):.3f}.',
    (
      'Intervals over images (bootstrap for attribution, random halves for '
      'similarities of representations). The p-values relabel tasks, of all '
      'groups or within their group; 18 targets make 0.05 in P@5 five hits.',
      'DEPARA is gradient * input affinity + 0.25 times its edge similarity, '
      'the weight its authors tuned on Taskonomy images.',
      _comparison_note(rows, study.method, column),
    ),
    results.files,
  )


def _draw(
  results: Results,
  study: Study,
  run: Run,
  stem: str,
  measured: Mapping[str, comparison.MeasuredSimilarity],
  fixed: Mapping[str, PrecisionRecall],
) -> None:
  """Draws the curves of a probe set and the tree of the method."""
  own = {name: found.score.curve for name, found in measured.items()}
  bands = {study.method: measured[study.method].band()}
  for kind, ends in (('precision', bands), ('recall', None)):
    shown = {**own, **fixed}, kind, ends
    path = f'{kind}_{stem}.png'
    results.draw(path, figures.precision_recall_curves, *shown)
  method = study.method
  tree = clustering.task_similarity_tree(run.affinity(method), run.names)
  title = f'Task similarity tree: {figures.method_label(method)}, {stem}'
  shown = tree, study.labels, study.groups, title
  results.draw(f'tree_{stem}.png', figures.task_tree, *shown)


def _last(header: list) -> str:
  """Returns the name of P@K for the largest K of a table."""
  return [name for name in header if name[:2] == 'P@' and '_' not in name][-1]


def _comparison_note(rows: list, method: str, column: int) -> str:
  """Says where the method and the others stand apart by their intervals."""
  own = {row[0]: row for row in rows if row[1] == method}
  texts = []
  for row in rows:
    mine = own[row[0]]
    if row[1] in comparison.SIMILARITIES and np.isfinite(row[column]):
      if row[column + 1] > mine[column + 2]:
        texts.append(f'{row[1]} is above {method} on {row[0]}')
      elif row[column + 2] < mine[column + 1]:
        texts.append(f'{row[1]} is below {method} on {row[0]}')
  apart = '; '.join(texts) or 'none'
  return f'Similarities whose interval leaves out that of {method}: {apart}.'
