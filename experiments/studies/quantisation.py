"""How many bits of a map matter (rebuttal to reviewer 1)."""

import pathlib

import numpy as np

from experiments import figures
from experiments.studies import similarity_matrices
from experiments.study import Finding, Results, Run, Study
from transferability import resampling
from transferability.map_transforms import quantise

BITS = (1, 2, 4, 8, 16)
_PUBLISHED = {1: 0.56, 2: 0.71, 4: 0.85, 8: 0.96, 16: 0.99}
_IMAGES = 200


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `correlation.csv` and a figure of it."""
  run, results = study.run(), Results(folder)
  rows, lines = [], {}
  for method in study.settings.methods:
    whole = _affinity(run, method, None)
    correlations = []
    for bits in BITS:
      matrix = _affinity(run, method, bits)
      correlations.append(similarity_matrices.correlations(matrix, whole)[1])
      precision = np.nan
      if study.oracle is not None:
        score = resampling.score(matrix[None], run.names, study.oracle)
        precision = float(score.precision[0][:5][-1])
      rows.append((method, bits, correlations[-1], _PUBLISHED[bits], precision))
    lines[method] = correlations
  header = ('method', 'bits', 'spearman', 'published', 'P@5')
  results.table('correlation.csv', header, rows)
  results.draw(
    'correlation.png',
    figures.lines,
    BITS,
    {**lines, 'published': [_PUBLISHED[bits] for bits in BITS]},
    'Affinity from maps of few bits',
    'Bits per value',
    'Spearman with the affinity of the whole maps',
    log_scale=True,
  )
  found = ', '.join(f'{value:.2f}' for value in lines[study.method])
  return Finding(
    f'{figures.method_label(study.method)} at 1, 2, 4, 8, 16 bits: Spearman '
    f'{found} with the affinity of the whole maps (published: 0.56, 0.71, '
    '0.85, 0.96, 0.99).',
    (
      f'Correlation over pairs of networks, without the diagonal, of up to '
      f'{_IMAGES} images. The levels '
      'are evenly spaced between the ends of each map; the paper does not say '
      'how it quantises.',
    ),
    results.files,
  )


def _affinity(run: Run, method: str, bits: int | None) -> np.ndarray:
  """Returns the affinity of maps of so many bits, or of all there are."""

  def rounded(maps: np.ndarray) -> np.ndarray:
    flat = maps.reshape(len(maps), -1)
    return flat if bits is None else quantise(flat, bits)

  return run.cosines_of_changed(method, _IMAGES, rounded).mean(axis=0)
