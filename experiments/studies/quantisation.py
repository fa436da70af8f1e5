"""How many bits of a map matter (rebuttal to reviewer 1)."""

from collections.abc import Iterator
import pathlib

import numpy as np
from scipy import stats

from experiments import figures
from experiments.study import Finding, Results, Run, Study
from transferability import affinity, ranking
from transferability.map_transforms import quantise

BITS = (1, 2, 4, 8, 16)
_PUBLISHED = {1: 0.56, 2: 0.71, 4: 0.85, 8: 0.96, 16: 0.99}
_BLOCK = 50  # Images at once.
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
      correlations.append(_correlation(matrix, whole))
      precision = np.nan
      if study.oracle is not None:
        ranked = ranking.rank_sources(matrix, run.names, study.oracle.targets)
        curve = ranking.precision_recall(ranked, study.oracle)
        precision = float(curve.precision[min(5, len(curve.k)) - 1])
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
  total, count = 0.0, 0
  for rows in _blocks(run, method):
    rows = rows if bits is None else quantise(rows, bits)
    unit, bad = affinity.unit_rows(rows.reshape(-1, rows.shape[-1]))
    if bad:
      raise ValueError(f'{method}: a map of {bits} bits has no direction.')
    unit = unit.reshape(rows.shape).transpose(1, 0, 2)
    total = total + np.sum(unit @ unit.transpose(0, 2, 1), axis=0)
    count += len(unit)
  return total / count


def _blocks(run: Run, method: str) -> Iterator[np.ndarray]:
  """Yields float32 [models, images, map size]."""
  space = run.spaces[method]
  kept = run.some_images(method, _IMAGES)
  for start in range(0, len(kept), _BLOCK):
    block = kept[start : start + _BLOCK]
    yield np.stack(
      [np.asarray(space.rows(name)[block], np.float32) for name in run.names]
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
  pairs = np.triu_indices(len(first), 1)
  return float(stats.spearmanr(first[pairs], second[pairs]).statistic)
