"""What helps: other maps, and what all networks share removed (no paper)."""

from collections.abc import Callable
import functools
import pathlib

import numpy as np

from experiments import figures
from experiments.study import Finding, Results, Run, Study
from transferability import affinity, map_transforms, resampling
from transferability.oracle import Oracle

TRANSFORMS = (
  map_transforms.NONE,
  'root',
  'grey',
  'absolute',
  'absolute+pooled',
)
_IMAGES = 200
_DRAWS = 400
_KS = (1, 3, 5)
_Removal = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _common_map(cosines: np.ndarray, shares: np.ndarray) -> np.ndarray:
  without = map_transforms.cosines_without_common_map(cosines)
  return resampling.affinities(without, shares)


def _hubs(cosines: np.ndarray, shares: np.ndarray) -> np.ndarray:
  drawn = resampling.affinities(cosines, shares)
  return np.stack([affinity.without_hubs(matrix) for matrix in drawn])


# From cosines [images, n, n] and shares [draws, images] to [draws, n, n].
REMOVALS: dict[str, _Removal] = {
  'nothing': resampling.affinities,
  'common map': _common_map,
  'hubs': _hubs,
}


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes a table of all variants, and a figure of one method's."""
  oracle, results = study.require_oracle(), Results(folder)
  ks = [k for k in _KS if k < len(oracle.sources)]
  header = ['probe', 'method', 'maps', 'removed']
  for name in (*(f'P@{k}' for k in ks), 'spearman'):
    header += [name, f'{name}_low', f'{name}_high']
  rows, shown = [], {}
  for probe in study.settings.probes:
    run, stem = study.run(probe), pathlib.Path(probe).stem
    for method in study.settings.methods:
      for transform in TRANSFORMS:
        found = _scores(run, method, transform, oracle, study.settings.seed)
        for removal, values in found.items():
          cells = [values[k - 1] for k in ks] + [values[-1]]
          rows.append((stem, method, transform, removal, *np.ravel(cells)))
          if method == study.method:
            label = f'{transform}, less {removal}'
            shown.setdefault(stem, {})[label] = float(values[ks[-1] - 1][0])
  results.table('remedies.csv', header, rows)
  results.draw(
    'remedies.png',
    figures.bars,
    list(next(iter(shown.values()))),
    {stem: list(values.values()) for stem, values in shown.items()},
    f'{figures.method_label(study.method)} outside the protocol of the paper',
    f'P@{ks[-1]}',
  )
  texts = [
    f'{stem} {values["none, less nothing"]:.3f}, less the common map '
    f'{values["none, less common map"]:.3f}, less hubs '
    f'{values["none, less hubs"]:.3f}'
    for stem, values in shown.items()
  ]
  return Finding(
    f'P@{ks[-1]} of {figures.method_label(study.method)}: {"; ".join(texts)}.',
    (
      'Common map: the mean over all networks of their unit maps, taken from '
      'each before the cosine. Hubs: the mean affinity of a source, taken from '
      'its column. Both look at the other networks, never at the oracle. '
      'Maps: see `transferability.map_transforms`.',
      f'Of up to {_IMAGES} images; intervals of 95 % over images by bootstrap, '
      'the same draws for all variants.',
    ),
    results.files,
  )


def _scores(
  run: Run, method: str, transform: str, oracle: Oracle, seed: int
) -> dict[str, np.ndarray]:
  """Returns, by what is removed, value, low and high end of each score.

  Returns:
    float64 [K + 1, 3]: P@1 ... P@K, and the mean rank correlation.
  """
  cosines = run.cosines_of_changed(
    method, _IMAGES, functools.partial(map_transforms.apply, transform)
  )
  # Every image once, then the draws.
  once = np.full((1, len(cosines)), 1 / len(cosines))
  drawn = resampling.weights(len(cosines), _DRAWS, seed)
  result = {}
  for name, remove in REMOVALS.items():
    affinities = remove(cosines, np.vstack([once, drawn]))
    scores = resampling.score(affinities, run.names, oracle)
    value, *others = np.column_stack([scores.precision, scores.spearman])
    result[name] = np.column_stack([value, resampling.interval(others).T])
  return result
