"""The proof: all measures of a bank on a probe set against its transfers."""

from collections.abc import Mapping

import numpy as np

from experiments.beyond import observing
from experiments.beyond.observing import Observed
from transferability import baselines, ranking
from transferability.oracle import Oracle

BASELINES = ('other_targets', 'constant_ranking', 'symmetrised_oracle')
_DRAWS = 2000  # Of the targets.
_DIFFERENCES = ('P@3', 'P@5', 'spearman')
OURS = ('spade', 'decodability', 'attribution_span', 'attribution_kernel')


def scores(
  observed: Observed, oracle: Oracle
) -> dict[str, dict[str, np.ndarray]]:
  """Returns by measure and score what each half says of each target.

  float64 [1 + halves, targets], the first of all images; baselines, which no
  image changes, have one row.
  """
  found = {
    name: observing.score(matrices, observed.names, oracle)
    for name, matrices in observed.matrices.items()
  }
  symmetric = baselines.symmetrised_oracle(oracle)
  rankings = {
    'other_targets': baselines.other_targets(oracle),
    'constant_ranking': baselines.constant_ranking(oracle),
    'symmetrised_oracle': ranking.rank_sources(
      symmetric, oracle.sources, oracle.targets
    ),
  }
  for name, order in rankings.items():
    matrix = observing.of_rankings(order, observed.names)
    found[name] = observing.score(matrix, observed.names, oracle)
  return found


def _spread(values: np.ndarray) -> float:
  """Returns the standard deviation over halves of a mean over targets."""
  drawn = values[1:].mean(axis=1)
  return float(drawn.std()) if len(drawn) else 0.0


def rows(
  observed: Observed, oracle: Oracle, groups: Mapping[str, str]
) -> list[list]:
  """Returns the scores of all measures, a header first.

  Intervals of 95 % over images; the p-value of P@5 is the share of relabelled
  networks, within their groups, with as many hits.
  """
  table: list[list] = [['measure']]
  for name in observing.SCORES:
    table[0] += [name, f'{name}_low', f'{name}_high']
  table[0].append('p_within_groups')
  for measure, found in scores(observed, oracle).items():
    row: list = [measure]
    for name in observing.SCORES:
      mean, spread = float(found[name][0].mean()), _spread(found[name])
      row += [mean, mean - 1.96 * spread, min(1.0, mean + 1.96 * spread)]
    p_value = np.nan
    if measure in observed.matrices and set(oracle.sources) <= groups.keys():
      p_value = ranking.precision_p_values(
        observed.matrices[measure][0], observed.names, oracle, groups=groups
      )[:5][-1]
    table.append([*row, float(p_value)])
  return table


def differences(observed: Observed, oracle: Oracle) -> list[list]:
  """Returns how far our measures are ahead of each other one, a header first.

  With intervals of 95 % over images, and over targets: other tasks might have
  been asked.
  """
  found = scores(observed, oracle)
  ends = ('difference', 'low', 'high', 'low_targets', 'high_targets')
  table: list[list] = [['ours', 'other', 'score', *ends]]
  rng = np.random.default_rng(0)
  count = len(oracle.targets)
  drawn = rng.integers(count, size=(_DRAWS, count))
  for ours in OURS:
    for other in found:
      if other == ours:
        continue
      for name in _DIFFERENCES:
        a, b = found[ours][name], found[other][name]
        gap = a - (b if len(b) > 1 else np.repeat(b, len(a), axis=0))
        mean, spread = float(gap[0].mean()), _spread(gap)
        low, high = np.quantile(gap[0][drawn].mean(axis=1), (0.025, 0.975))
        margin = 1.96 * spread
        ends = (mean, mean - margin, mean + margin, float(low), float(high))
        table.append([ours, other, name, *ends])
  return table
