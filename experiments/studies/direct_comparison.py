"""Affinity against the oracle's own affinity (reviewer 4, point 1)."""

import pathlib

import numpy as np

from experiments import comparison, figures
from experiments.studies.similarity_matrices import pair_correlations
from experiments.study import Finding, Results, Study
from transferability import baselines, resampling
from transferability.affinity import without_hubs
from transferability.oracle import Oracle

_DRAWS = 1000


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `correlation.csv` and a scatter plot for each method."""
  oracle, run, results = study.require_oracle(), study.run(), Results(folder)
  form = 'rank_mean' if oracle.affinity is None else 'row_normalised_mean'
  truth, pairs = oracle_pairs(oracle, run.names, form)
  rows = []
  for method in study.settings.methods:
    cosines = run.image_cosines(method)
    shares = resampling.weights(len(cosines), _DRAWS, study.settings.seed)
    drawn = resampling.affinities(cosines, shares)
    values = run.affinity(method)
    for name, matrix, draws in (
      (method, values, drawn),
      (
        f'{method}, hubs removed',
        _without_hubs(values),
        np.stack([_without_hubs(draw) for draw in drawn]),
      ),
    ):
      found = pair_correlations(matrix[pairs], truth)
      low, high = resampling.interval(
        np.array([pair_correlations(draw[pairs], truth) for draw in draws])
      )
      rows.append((name, *found, low[0], high[0], low[1], high[1]))
    results.draw(
      f'{method}.png',
      figures.scatter,
      run.affinity(method)[pairs],
      truth,
      f'{figures.method_label(method)} against measured transfer',
      'Affinity of attribution maps',
      f'Symmetrised oracle ({form.replace("_", " ")})',
    )
  for name in comparison.SIMILARITIES:
    found = pair_correlations(comparison.matrix(run, name)[pairs], truth)
    rows.append((name, *found, *[np.nan] * 4))
  by_name = {row[0]: row for row in rows}
  shown, beside = by_name[study.method], by_name['svcca']
  header = 'method pearson spearman pearson_low pearson_high spearman_low'
  results.table('correlation.csv', [*header.split(), 'spearman_high'], rows)
  return Finding(
    f'{figures.method_label(study.method)} against the symmetrised oracle over '
    f'{len(truth)} pairs: Pearson {shown[1]:.3f} [{shown[3]:.3f}, '
    f'{shown[4]:.3f}], Spearman {shown[2]:.3f} [{shown[5]:.3f}, '
    f'{shown[6]:.3f}]; SVCCA: {beside[1]:.3f}, {beside[2]:.3f}.',
    (
      f'The oracle is made symmetric by its {form.replace("_", " ")}; pairs of '
      'networks without the diagonal, where at least one direction was '
      'measured. Intervals over images, of affinities alone. Removing hubs '
      '(the mean affinity of a network to all others) is outside the paper.',
    ),
    results.files,
  )


def _without_hubs(matrix: np.ndarray) -> np.ndarray:
  """Returns `without_hubs`, the mean of both directions."""
  left = without_hubs(matrix)
  return (left + left.T) / 2


def oracle_pairs(
  oracle: Oracle, names: tuple[str, ...], form: str
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
  """Returns the symmetrised oracle of each measured pair, and the pairs.

  The pairs are indices into `names`, of which the oracle's sources are a
  permutation.
  """
  symmetric = baselines.symmetrised_oracle(oracle, form)
  order = [oracle.sources.index(name) for name in names]
  symmetric = symmetric[np.ix_(order, order)]
  upper = np.triu(np.isfinite(symmetric), 1)
  pairs = np.nonzero(upper)
  return symmetric[pairs], pairs
