"""Do complex textures help (section 4.2.3)? From none to dense ones."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from attribution.probes import Probes
from experiments import evaluation, figures, pipeline, similarities
from experiments.study import Finding, Results, Run, Study
from probe_data import probe_sets, scenes
from transferability import hubs, ranking, resampling

DENSITIES = (0.0, 0.5, 1.0, 2.0, 4.0)
_IMAGES = 200
_DRAWS = 400
_FIRST = 5  # Places of a ranking in which a hub is counted.
_AT = f'P@{_FIRST}'
_OURS = similarities.DEFAULT[0]
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
  by_measure: dict[str, list[dict]] = {}
  for row in rows:
    named = dict(zip(_HEADER, row, strict=True))
    by_measure.setdefault(row[1], []).append(named)
  _draw(results, by_measure)
  results.table('textures.csv', _HEADER, rows)
  shown, ours = by_measure[study.method], by_measure[_OURS]
  return Finding(
    f'{figures.method_label(study.method)}, textures of density '
    f'{DENSITIES[0]:g} to {DENSITIES[-1]:g}: P@{_FIRST} '
    f'{_listed(shown, _AT)}; spread of affinities {_listed(shown, "spread")}; '
    f'skewness of hubs {_listed(shown, "hub_skewness")}. '
    f'{figures.method_label(_OURS)}: P@{_FIRST} {_listed(ours, _AT)}.',
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
      'most frequent one has. Intervals of 95 % over images by bootstrap, for '
      'measures that are means over images.',
    ),
    results.files,
  )


def _draw(results: Results, by_measure: Mapping[str, list[dict]]) -> None:
  """Draws each column of `_DRAWN` over the density."""
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
  projection = dataclasses.replace(study.projection(), probes=Probes())
  spaces = pipeline.project(study.bank, probe, projection, folder, study.track)
  return Run(probe, spaces, study.bank.names, folder)


def _measured(
  study: Study, run: Run
) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
  """Yields each measure, its matrix, and those of the images if it has any."""
  for method in study.settings.methods:
    yield method, run.affinity(method), run.image_cosines(method)
  chosen = similarities.DEFAULT
  images = similarities.image_scores(chosen, run.names, run.spaces)
  found = similarities.matrices(chosen, run.representations, run.spaces, images)
  for name, matrix in found.items():
    yield name, matrix, images.get(name)


def _rows(study: Study, run: Run, density: float) -> list[tuple]:
  """Returns a row for each measure."""
  oracle, rows = study.require_oracle(), []
  off_diagonal = ~np.eye(len(run.names), dtype=bool)
  nothing = np.full(2, np.nan)
  for measure, matrix, images in _measured(study, run):
    resampled = None if images is None else resampling.ImageMeans(images)
    score = evaluation.score(
      matrix, run.names, oracle, study.bank.groups, resampled
    )
    ranked = ranking.rank_sources(matrix, run.names, oracle.targets)
    counts = hubs.occurrences(ranked, _FIRST)
    precision, known = score.curve.precision, score.columns()
    last = min(_FIRST, len(precision))
    rho, spread = nothing, nothing
    if images is not None:
      shares = resampling.weights(len(images), _DRAWS, study.settings.seed)
      drawn = resampling.affinities(images, shares)
      spread = resampling.interval(drawn[:, off_diagonal].std(axis=1))
      rho = resampling.interval(score.draws.spearman)
    values = (
      *(evaluation.at(precision, k) for k in (1, 3)),
      precision[last - 1],
      *(
        evaluation.at(known.get(f'precision_{end}', ()), last) for end in _ENDS
      ),
      score.spearman,
      *rho,
      known['p_value'][last - 1],
      matrix[off_diagonal].mean(),
      matrix[off_diagonal].std(),
      *spread,
      hubs.skewness(counts),
      max(counts.values()) / len(oracle.targets),
    )
    rows.append((density, measure, *map(float, values)))
  return rows
