"""Do complex textures help (section 4.2.3)? From none to dense ones."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from experiments import evaluation, figures, pipeline
from experiments.study import Finding, Results, Run, Study
from probe_data import probe_sets, scenes
from transferability import hubs, ranking, resampling

DENSITIES = (0.0, 0.5, 1.0, 2.0, 4.0)
_IMAGES = 200
_DRAWS = 400
_FIRST = 5  # Places of a ranking in which a hub is counted.
_AT = f'P@{_FIRST}'
_ENDS = ('low', 'high')
_DRAWN = {  # Column and words of each figure.
  'precision.png': (_AT, _AT),
  'spread.png': ('spread', 'Spread of affinities'),
  'hubs.png': ('hub_skewness', 'Skewness of hubs'),
}
_HEADER = (
  *('density', 'measure', 'P@1', 'P@3', 'P@5', 'P@5_low', 'P@5_high'),
  *('spearman', 'spearman_low', 'spearman_high', 'p_value'),
  *('mean_affinity', 'spread', 'spread_low', 'spread_high'),
  *('hub_skewness', 'largest_hub'),
)


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `textures.csv`, curves over the density, and examples."""
  study.require_oracle()
  results, rows, runs = Results(folder), [], []
  for density in DENSITIES:
    run = _run(study, density)
    runs.append(run)
    rows += _rows(study, run, density)
  results.draw(
    'scenes.png',
    figures.map_grid,
    runs[0].probe.images[:4],
    np.stack([run.probe.images[:4] / 255.0 for run in runs]),
    [f'density {density:g}' for density in DENSITIES],
    '',
    title='The same scenes with textures from none to dense',
  )
  by_measure = {
    method: [dict(zip(_HEADER, r, strict=True)) for r in rows if r[1] == method]
    for method in study.settings.methods
  }
  for name, (column, what) in _DRAWN.items():
    results.draw(
      name,
      figures.lines,
      DENSITIES,
      {m: [row[column] for row in found] for m, found in by_measure.items()},
      f'{what} against the density of textures',
      'Density of textures (1: as the networks were trained on)',
      what,
      intervals={
        m: np.array(
          [[row[f'{column}_{end}'] for row in found] for end in _ENDS]
        )
        for m, found in by_measure.items()
        if f'{column}_low' in _HEADER
      },
    )
  results.table('textures.csv', _HEADER, rows)
  shown = by_measure[study.method]
  return Finding(
    f'{figures.method_label(study.method)}, textures of density '
    f'{DENSITIES[0]:g} to {DENSITIES[-1]:g}: P@{_FIRST} '
    f'{_listed(shown, _AT)}; spread of affinities {_listed(shown, "spread")}; '
    f'skewness of hubs {_listed(shown, "hub_skewness")}.',
    (
      f'The same {len(runs[0].probe)} scenes of the test split each time, with '
      'geometry, light, mean colours and cameras equal; the density is a '
      'factor of the frequency of every pattern. 0: no pattern at all; above '
      '1: solid surfaces have a pattern too. Density 1 is what the networks '
      'of the mini bank were trained on, so a change away from it is a change '
      'of the domain as well.',
      'Spread: standard deviation of the affinities of different networks. '
      f'Hubs: skewness, over sources, of the number of targets that have one '
      f'among their first {_FIRST}; largest: the share of targets that the '
      'most frequent one has. Intervals of 95 % over images by bootstrap.',
    ),
    results.files,
  )


def _listed(rows: Sequence[Mapping], column: str) -> str:
  return ', '.join(f'{row[column]:.3f}' for row in rows)


def _run(study: Study, density: float) -> Run:
  """Returns the run of all networks on the scenes of a density."""
  count = min(_IMAGES, study.settings.num_images)
  size = max(study.image_size)
  pictures, ids = scenes.probe_images(
    count, size, study.settings.seed, density=density
  )
  probe = probe_sets.load(
    pictures, num_images=count, image_size=study.image_size
  )
  probe = dataclasses.replace(probe, name=f'textures {density:g}', ids=ids)
  folder = study.output / 'runs' / f'textures-{density:g}'
  spaces = pipeline.project(
    study.bank, probe, study.projection(), folder, study.track
  )
  return Run(probe, spaces, study.bank.names, folder)


def _rows(study: Study, run: Run, density: float) -> list[tuple]:
  """Returns a row for each method."""
  oracle, rows = study.require_oracle(), []
  pairs = np.triu_indices(len(run.names), 1)
  for method in study.settings.methods:
    cosines, matrix = run.image_cosines(method), run.affinity(method)
    shares = resampling.weights(len(cosines), _DRAWS, study.settings.seed)
    score = evaluation.score(
      matrix, run.names, oracle, study.bank.groups, cosines
    )
    drawn = resampling.affinities(cosines, shares)
    spreads = drawn[:, pairs[0], pairs[1]].std(axis=1)
    ranked = ranking.rank_sources(matrix, run.names, oracle.targets)
    counts = hubs.occurrences(ranked, _FIRST)
    precision = score.curve.precision
    last = min(_FIRST, len(precision))
    known = score.columns()
    values = (
      *(evaluation.at(precision, k) for k in (1, 3)),
      precision[last - 1],
      *(known[f'precision_{end}'][last - 1] for end in ('low', 'high')),
      score.spearman,
      *resampling.interval(score.draws.spearman),
      known['p_value'][last - 1],
      matrix[pairs].mean(),
      matrix[pairs].std(),
      *resampling.interval(spreads),
      hubs.skewness(counts),
      max(counts.values()) / len(oracle.targets),
    )
    rows.append((density, method, *map(float, values)))
  return rows
