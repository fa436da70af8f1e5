"""SVCCA against attribution, matrix against matrix (Figure 3)."""

import pathlib

import numpy as np
from scipy import stats

from experiments import comparison, figures
from experiments.study import Finding, Results, Run, Study
from transferability import clustering, ranking

_OTHER = 'svcca'


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes both matrices, their difference, correlations and the CPC."""
  run, results = study.run(), Results(folder)
  own = run.affinity(study.method)
  other = run.similarity(_OTHER)
  order = clustering.task_similarity_tree(own, run.names).leaf_order
  difference = normalised(own) - normalised(other)
  for stem, matrix, title in (
    ('attribution', own, f'Affinity: {figures.method_label(study.method)}'),
    (_OTHER, other, 'SVCCA of the representations'),
    ('difference', difference, 'Attribution - SVCCA, each from 0 to 1'),
  ):
    shown = matrix, study.labels, order, title, study.groups
    results.draw(f'{stem}.png', figures.affinity_heat_map, *shown)
    results.matrix(f'{stem}.csv', matrix, run.names)
  rows = [
    (name, *correlations(own, comparison.matrix(run, name)))
    for name in comparison.names(study)
    if name != study.method
  ]
  kinds = ('pearson', 'spearman')
  header = [*kinds, *(f'{kind}_with_diagonal' for kind in kinds)]
  header = [f'measure_against_{study.method}', *header]
  results.table('correlation.csv', header, rows)
  if study.oracle is not None:
    _write_priority_curves(results, study, run)
  found = next(row[1:] for row in rows if row[0] == _OTHER)
  return Finding(
    f'{figures.method_label(study.method)} against SVCCA: Pearson '
    f'{found[0]:.3f}, Spearman {found[1]:.3f} over pairs; with the diagonal '
    f'{found[2]:.3f} and {found[3]:.3f} (published: 0.939 and 0.660, not said '
    'whether with the diagonal).',
    (
      'SVCCA takes channels as features and places as samples, as google/svcca '
      'does for convolutional layers: flattened, the 2,048 units of the '
      "paper's encoders outnumber its 1,000 images, where every score is near "
      '1.',
      'A good measure falls along the Correlation-Priority Curve: similar to '
      'the best sources, not to the worst.',
    ),
    results.files,
  )


def _write_priority_curves(results: Results, study: Study, run: Run) -> None:
  curves = {
    name: ranking.correlation_priority_curve(
      normalised(comparison.matrix(run, name)), run.names, study.oracle
    )
    for name in (study.method, *comparison.SIMILARITIES)
  }
  places = np.arange(1, len(run.names))
  results.draw(
    'correlation_priority_curve.png',
    figures.lines,
    places,
    curves,
    'Correlation-Priority Curve',
    'Rank of the source by measured transfer',
    'Mean similarity to the target, each from 0 to 1',
  )
  results.table(
    'correlation_priority_curve.csv',
    ('rank', *curves),
    [
      (rank, *map(float, row))
      for rank, row in enumerate(zip(*curves.values(), strict=True), start=1)
    ],
  )


def normalised(matrix: np.ndarray) -> np.ndarray:
  """Returns a matrix with its entries off the diagonal moved to [0, 1]."""
  pairs = ~np.eye(len(matrix), dtype=bool)
  low, high = matrix[pairs].min(), matrix[pairs].max()
  result = (matrix - low) / ((high - low) or 1)
  np.fill_diagonal(result, 1)
  return result


def correlations(
  first: np.ndarray, second: np.ndarray
) -> tuple[float, float, float, float]:
  """Returns Pearson and Spearman over pairs, then with the diagonal too."""
  values = []
  for offset in (1, 0):
    pairs = np.triu_indices(len(first), offset)
    values += pair_correlations(first[pairs], second[pairs])
  return tuple(values)


def pair_correlations(
  first: np.ndarray, second: np.ndarray
) -> tuple[float, float]:
  """Returns Pearson's and Spearman's correlation."""
  return (
    float(stats.pearsonr(first, second).statistic),
    float(stats.spearmanr(first, second).statistic),
  )
