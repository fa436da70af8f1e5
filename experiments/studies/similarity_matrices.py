"""SVCCA against attribution, matrix against matrix (Figure 3)."""

import pathlib

import numpy as np
from scipy import stats

from experiments import comparison, figures
from experiments.study import Finding, Study
from toolkit_basics import files
from transferability import affinity, clustering, ranking

_OTHER = 'svcca'


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes both matrices, their difference, correlations and the CPC."""
  run = study.run()
  own = run.affinity(study.method)
  other = run.similarity(_OTHER)
  order = clustering.task_similarity_tree(own, run.names).leaf_order
  difference = normalised(own) - normalised(other)
  written = []
  for stem, matrix, title in (
    ('attribution', own, f'Affinity: {figures.method_label(study.method)}'),
    (_OTHER, other, 'SVCCA of the representations'),
    ('difference', difference, 'Attribution - SVCCA, each from 0 to 1'),
  ):
    figures.affinity_heat_map(
      folder / f'{stem}.png', matrix, study.labels, order, title, study.groups
    )
    affinity.save_matrix(folder / f'{stem}.csv', matrix, run.names)
    written.append(f'{stem}.png')
  rows = [
    (name, *correlations(own, comparison.matrix(run, name)))
    for name in comparison.names(study)
    if name != study.method
  ]
  files.write_csv(
    folder / 'correlation.csv',
    [
      (
        f'measure_against_{study.method}',
        'pearson',
        'spearman',
        'pearson_with_diagonal',
        'spearman_with_diagonal',
      ),
      *rows,
    ],
  )
  if study.oracle is not None:
    chosen = (study.method, *comparison.SIMILARITIES)
    curves = {
      name: ranking.correlation_priority_curve(
        normalised(comparison.matrix(run, name)), run.names, study.oracle
      )
      for name in chosen
    }
    places = np.arange(1, len(run.names))
    figures.lines(
      folder / 'correlation_priority_curve.png',
      places,
      curves,
      'Correlation-Priority Curve',
      'Rank of the source by measured transfer',
      'Mean similarity to the target, each from 0 to 1',
    )
    files.write_csv(
      folder / 'correlation_priority_curve.csv',
      [
        ('rank', *curves),
        *(
          (int(rank), *(float(curve[i]) for curve in curves.values()))
          for i, rank in enumerate(places)
        ),
      ],
    )
    written += ['correlation_priority_curve.png']
    written += ['correlation_priority_curve.csv']
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
    (*written, 'correlation.csv', 'attribution.csv', f'{_OTHER}.csv'),
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
    a, b = first[pairs], second[pairs]
    values.append(float(stats.pearsonr(a, b).statistic))
    values.append(float(stats.spearmanr(a, b).statistic))
  return tuple(values)
