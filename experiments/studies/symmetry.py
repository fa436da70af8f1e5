"""What a symmetric matrix can lose (reviewer 4, point 3).

Transfer is not symmetric, an affinity is. How much precision that costs is
known exactly: the best symmetric matrix is an integer program.
"""

import pathlib

import numpy as np
from scipy.sparse import csgraph

from experiments import figures
from experiments.study import Finding, Results, Study
from transferability import baselines, ranking
from transferability.oracle import Oracle
from transferability.ranking import PrecisionRecall


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `precision.csv`, `cycles.csv` and a figure."""
  oracle, results = study.require_oracle(), Results(folder)
  curves = ceilings(oracle)
  columns = ('k', 'hits', 'precision', 'recall')
  results.table(
    'precision.csv',
    ('predictor', *columns),
    [
      (name, *map(float, row))
      for name, curve in curves.items()
      for row in zip(*(getattr(curve, c) for c in columns), strict=True)
    ],
  )
  last = ranking.count_relevant(oracle, 5)
  cycles = one_sided_cycles(oracle, last)
  results.table(
    'cycles.csv',
    ('k', 'mutual_pairs', 'one_sided_pairs', 'tasks_in_a_one_sided_cycle'),
    [(last, *pair_counts(oracle, last), _named(cycles))],
  )
  results.draw(
    'precision.png',
    figures.lines,
    curves['oracle'].k,
    {name: curve.precision for name, curve in curves.items()},
    'What symmetry costs',
    'K',
    'P@K',
  )
  best, mean = curves['best symmetric'], curves['rank mean']
  hits = curves['oracle'].hits[last - 1]
  return Finding(
    f'The best symmetric matrix loses {hits - best.hits[last - 1]:.0f} of '
    f'{hits:.0f} hits at K = {last} '
    f'(P@{last} {best.precision[last - 1]:.3f}); averaging the oracle with its '
    f'transpose by ranks gives {mean.precision[last - 1]:.3f}.',
    (
      'Proven optimum of a 0-1 program at every K. A symmetric matrix can '
      "realise the targets' choices of sources if and only if the one-sided "
      'choices form no cycle; tasks in such cycles are listed.',
      f'Cycles at K = {last}: {_named(cycles) or "none"}.',
    ),
    results.files,
  )


def ceilings(oracle: Oracle) -> dict[str, PrecisionRecall]:
  """Returns P@K of the oracle, its symmetric forms and the best symmetric one.

  Forms that need the oracle's affinities are left out if it has none.
  """
  forms = {'rank mean': baselines.symmetrised_oracle(oracle)}
  if oracle.affinity is not None:
    forms['row-normalised mean'] = baselines.symmetrised_oracle(
      oracle, 'row_normalised_mean'
    )
    forms['raw mean'] = baselines.symmetrised_oracle(oracle, 'raw_mean')
    forms['transposed'] = baselines.transposed_oracle(oracle)
  curves = {'best symmetric': baselines.symmetric_ceiling(oracle)}
  for name, matrix in forms.items():
    ranked = ranking.rank_sources(matrix, oracle.sources, oracle.targets)
    curves[name] = ranking.precision_recall(ranked, oracle)
  curves['random'] = baselines.random_baseline(oracle)
  curves['oracle'] = ranking.precision_recall(oracle.ranking, oracle)
  return curves


def _choices(oracle: Oracle, k: int) -> np.ndarray:
  """Returns which target has which other target among its k best sources."""
  best = [oracle.ranking[target][:k] for target in oracle.targets]
  return np.array([[name in few for name in oracle.targets] for few in best])


def pair_counts(oracle: Oracle, k: int) -> tuple[int, int]:
  """Returns how many pairs of targets choose each other, and how many not."""
  chosen = _choices(oracle, k)
  mutual = int(np.sum(chosen & chosen.T) // 2)
  return mutual, int(np.sum(chosen & ~chosen.T))


def one_sided_cycles(oracle: Oracle, k: int) -> list[tuple[str, ...]]:
  """Returns the sets of targets that one-sided choices lead around in.

  No symmetric matrix gives all members of a set exactly their k best sources.
  With k the number of relevant sources, that is a lost hit at K = k.
  """
  chosen = _choices(oracle, k)
  _, parts = csgraph.connected_components(
    chosen & ~chosen.T, connection='strong'
  )
  names = np.array(oracle.targets)
  members = [tuple(names[parts == part].tolist()) for part in np.unique(parts)]
  return [part for part in members if len(part) > 1]


def _named(cycles: list[tuple[str, ...]]) -> str:
  return '; '.join(' '.join(cycle) for cycle in cycles)
