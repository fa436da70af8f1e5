"""P@K and R@K of all measures on all probe sets, and the tree (Figure 4)."""

import pathlib

import numpy as np

from experiments import comparison, evaluation, figures
from experiments.study import Finding, Study
from toolkit_basics import files
from transferability import baselines, clustering


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes tables and curves for each probe set, and a tree."""
  oracle = study.require_oracle()
  rows, written, best = [], [], []
  for probe in study.settings.probes:
    run = study.run(probe)
    measured = comparison.measure(study, run)
    header, *found = comparison.table(measured, oracle)
    rows += [[pathlib.Path(probe).stem, *row] for row in found]
    curves = {name: m.score.curve for name, m in measured.items()}
    fixed = evaluation.baseline_scores(oracle, study.bank.groups)
    curves |= {name: score.curve for name, score in fixed.items()}
    stem = pathlib.Path(probe).stem
    bands = {study.method: measured[study.method].band()}
    for kind in ('precision', 'recall'):
      path = f'{kind}_{stem}.png'
      figures.precision_recall_curves(
        folder / path, curves, kind, bands if kind == 'precision' else None
      )
      written.append(path)
    order = sorted(found, key=lambda row: -row[header.index(_last(header))])
    best.append(
      f'{stem}: {order[0][0]} {order[0][header.index(_last(header))]:.3f}'
    )
    tree = clustering.task_similarity_tree(
      run.affinity(study.method), run.names
    )
    path = f'tree_{stem}.png'
    figures.task_tree(
      folder / path,
      tree,
      study.labels,
      study.groups,
      f'Task similarity tree: {figures.method_label(study.method)}, {stem}',
    )
    written.append(path)
  ceiling = baselines.symmetric_ceiling(oracle)
  files.write_csv(folder / 'measures.csv', [['probe', *header], *rows])
  files.write_csv(
    folder / 'baselines.csv',
    [
      ('baseline', 'k', 'precision', 'recall'),
      *(
        (name, int(k), float(p), float(r))
        for name, score in {
          **evaluation.baseline_scores(oracle, study.bank.groups),
          'best_symmetric': evaluation.Score(ceiling),
        }.items()
        for k, p, r in zip(
          score.curve.k, score.curve.precision, score.curve.recall, strict=True
        )
      ),
    ],
  )
  column = header.index(_last(header)) + 1
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
    (*written, 'measures.csv', 'baselines.csv'),
  )


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
