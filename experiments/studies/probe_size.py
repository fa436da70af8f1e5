"""How many probe images are enough (paper, section 3.3)."""

from collections.abc import Sequence
import itertools
import pathlib

import numpy as np

from experiments import figures
from experiments.study import Finding, Results, Run, Study
from transferability import resampling
from transferability.oracle import Oracle

SIZES = (10, 25, 50, 100, 200, 400, 700, 1000)
_DRAWS = 200


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `sizes.csv` and two figures.

  Random subsets of the probe images, without replacement: the error of the
  affinity against that of all images, and P@K of each subset.
  """
  oracle, run, results = study.oracle, study.run(), Results(folder)
  total = len(run.image_cosines(study.method))
  sizes = [size for size in SIZES if size < total] + [total]
  k = min(5, len(run.names) - 1)
  found = {
    method: _rows(run, method, sizes, oracle, k, study.settings.seed)
    for method in study.settings.methods
  }
  header = ['method', 'images', 'rms_error', 'rms_error_over_spread']
  results.draw(
    'error.png',
    figures.lines,
    sizes,
    {method: [row[3] for row in rows] for method, rows in found.items()},
    'Error of the affinity from few images',
    'Images',
    'RMS error / standard deviation between pairs',
    log_scale=True,
  )
  if oracle is not None:
    header += [f'P@{k}', f'P@{k}_low', f'P@{k}_high']
    results.draw(
      'precision.png',
      figures.lines,
      sizes,
      {method: [row[4] for row in rows] for method, rows in found.items()},
      f'P@{k} from few images',
      'Images',
      f'P@{k}: mean and 95 % of {_DRAWS} subsets',
      intervals={
        method: np.transpose([row[5:] for row in rows])
        for method, rows in found.items()
      },
      log_scale=True,
    )
  results.table('sizes.csv', header, itertools.chain(*found.values()))
  few = min(100, total)
  error = next(row[3] for row in found[study.method] if row[1] >= few)
  return Finding(
    f'{figures.method_label(study.method)}: with {few} of {total} images the '
    f'error of the affinity is {error:.2f} of its spread between pairs.',
    (
      f'Means over {_DRAWS} random subsets of one run of {total} images; bands '
      'are 95 % of the subsets. Subsets of nearly all images resemble each '
      'other: the bands close by construction.',
    ),
    results.files,
  )


def _rows(
  run: Run,
  method: str,
  sizes: Sequence[int],
  oracle: Oracle | None,
  k: int,
  seed: int,
) -> list[list]:
  """Returns a row for each size: errors, and P@K if there is an oracle."""
  cosines, whole = run.image_cosines(method), run.affinity(method)
  spread = float(whole[np.triu_indices(len(whole), 1)].std())
  rows = []
  for size in sizes:
    draws = 1 if size == len(cosines) else _DRAWS
    shares = resampling.subsets(len(cosines), size, draws, seed)
    drawn = resampling.affinities(cosines, shares)
    error = float(np.sqrt(np.mean((drawn - whole) ** 2)))
    rows.append([method, size, error, error / spread])
    if oracle is not None:
      values = resampling.score(drawn, run.names, oracle).precision[:, k - 1]
      ends = resampling.interval(values)
      rows[-1] += map(float, (values.mean(), *ends))
  return rows
