"""How many probe images are enough (paper, section 3.3)."""

import pathlib

import numpy as np

from experiments import figures
from experiments.study import Finding, Study
from toolkit_basics import files
from transferability import resampling

SIZES = (10, 25, 50, 100, 200, 400, 700, 1000)
_DRAWS = 200


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `sizes.csv` and two figures.

  Random subsets of the probe images, without replacement: the error of the
  affinity against that of all images, and P@K of each subset.
  """
  oracle, run = study.oracle, study.run()
  rows, errors, precision, bands = [], {}, {}, {}
  for method in study.settings.methods:
    cosines = run.image_cosines(method)
    total = len(cosines)
    sizes = [size for size in SIZES if size < total] + [total]
    whole = run.affinity(method)
    spread = float(whole[np.triu_indices(len(whole), 1)].std())
    found, ends = [], []
    for size in sizes:
      draws = 1 if size == total else _DRAWS
      shares = resampling.subsets(total, size, draws, study.settings.seed)
      drawn = resampling.affinities(cosines, shares)
      error = float(np.sqrt(np.mean((drawn - whole) ** 2)))
      row = [method, size, error, error / spread]
      if oracle is not None:
        k = min(5, len(run.names) - 1)
        values = resampling.score(drawn, run.names, oracle).precision[:, k - 1]
        low, high = resampling.interval(values)
        row += [float(values.mean()), float(low), float(high)]
        found.append(float(values.mean()))
        ends.append((float(low), float(high)))
      rows.append(row)
      errors.setdefault(method, []).append(error / spread)
    precision[method], bands[method] = found, np.transpose(ends)
  header = ['method', 'images', 'rms_error', 'rms_error_over_spread']
  written = ['error.png']
  figures.lines(
    folder / 'error.png',
    sizes,
    errors,
    'Error of the affinity from few images',
    'Images',
    'RMS error / standard deviation between pairs',
    log_scale=True,
  )
  if oracle is not None:
    header += [f'P@{k}', f'P@{k}_low', f'P@{k}_high']
    figures.lines(
      folder / 'precision.png',
      sizes,
      precision,
      f'P@{k} from few images',
      'Images',
      f'P@{k}: mean and 95 % of {_DRAWS} subsets',
      intervals=bands,
      log_scale=True,
    )
    written.append('precision.png')
  files.write_csv(folder / 'sizes.csv', [header, *rows])
  few = min(100, total)
  error = next(
    row[3] for row in rows if row[0] == study.method and row[1] >= few
  )
  return Finding(
    f'{figures.method_label(study.method)}: with {few} of {total} images the '
    f'error of the affinity is {error:.2f} of its spread between pairs.',
    (
      f'Means over {_DRAWS} random subsets of one run of {total} images; bands '
      'are 95 % of the subsets. Subsets of nearly all images resemble each '
      'other: the bands close by construction.',
    ),
    (*written, 'sizes.csv'),
  )
