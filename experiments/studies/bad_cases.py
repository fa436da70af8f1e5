"""Which targets are ranked badly, and whether their oracle means anything.

Reviewer 2 asked for the failures. A target whose sources all transfer about
equally well has a ranking by chance, which nobody can predict.
"""

from collections.abc import Mapping, Sequence
import pathlib

import numpy as np
from scipy import stats

from experiments import figures
from experiments.study import Finding, Results, Run, Study
from transferability import baselines, ranking, resampling
from transferability.affinity import load_table
from transferability.oracle import Oracle

_K = 5
_SPREAD_HEADER = ['best_loss', 'median_loss', 'spread', 'gap_after_relevant']


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `targets.csv` and a figure."""
  oracle, run, results = study.require_oracle(), study.run(), Results(folder)
  spread = oracle_spread(study)
  k = min(_K, len(run.names) - 1)
  header = ['target', 'method', f'P@{k}', 'low', 'high', 'spearman', 'worst']
  rows, precision = [], {}
  for method in study.settings.methods:
    found = _rows(run, method, oracle, k)
    rows += [(*row, *spread.get(row[0], ())) for row in found]
    precision[method] = [row[2] for row in found]
  header += _SPREAD_HEADER if spread else []
  results.table('targets.csv', header, rows)
  labels = dict(zip(study.bank.names, study.labels, strict=True))
  results.draw(
    'targets.png',
    figures.bars,
    [labels[target] for target in oracle.targets],
    precision,
    f'Precision of single targets, P@{k}',
    f'P@{k}',
    baseline=float(baselines.random_baseline(oracle).precision[k - 1]),
  )
  shown = precision[study.method]
  order = np.argsort(shown, kind='stable')
  worst = ', '.join(
    f'{labels[oracle.targets[i]]} {shown[i]:.1f}' for i in order[:3]
  )
  return Finding(
    f'{figures.method_label(study.method)}, worst targets by P@{k}: {worst}.',
    (
      'One target has one query: its interval over images says how firm the '
      'ranking is, not whether the target is typical.',
      *_loss_notes(oracle.targets, spread, precision[study.method]),
    ),
    results.files,
  )


def _rows(run: Run, method: str, oracle: Oracle, k: int) -> list[tuple]:
  """Returns for each target what a method makes of it."""
  ranked = ranking.rank_sources(run.affinity(method), run.names, oracle.targets)
  correlation = ranking.spearman(ranked, oracle)
  cosines = run.image_cosines(method)
  drawn = resampling.affinities(cosines, resampling.weights(len(cosines), 1000))
  rows = []
  for target in oracle.targets:
    alone = oracle.only(target)
    hits = ranking.precision_recall(ranked, alone).precision[k - 1]
    draws = resampling.score(drawn, run.names, alone).precision[:, k - 1]
    ends = map(float, resampling.interval(draws))
    relevant = oracle.relevant(target)
    wrong = ' '.join(n for n in ranked[target][:k] if n not in relevant)
    row = (target, method, float(hits), *ends, correlation[target], wrong)
    rows.append(row)
  return rows


def oracle_spread(study: Study) -> dict[str, tuple[float, ...]]:
  """Returns how far apart the losses of each target's transfers are.

  Best and median loss; the spread, (median - best) / median; and the gap
  between the last relevant source and the next, as a share of median - best.
  """
  if study.bank.oracle_losses is None:
    return {}
  losses, targets, sources = load_table(study.bank.oracle_losses)
  result = {}
  for target, row in zip(targets, losses, strict=True):
    others = [j for j, source in enumerate(sources) if source != target]
    ordered = np.sort(row[others])
    best, median = float(ordered[0]), float(np.median(ordered))
    relevant = min(_K, len(ordered) - 1)
    gap = float(ordered[relevant] - ordered[relevant - 1])
    scale = (median - best) or np.nan
    result[target] = best, median, (median - best) / median, gap / scale
  return result


def _loss_notes(
  targets: Sequence[str],
  spread: Mapping[str, tuple[float, ...]],
  precision: Sequence[float],
) -> tuple[str, ...]:
  if not set(targets) <= set(spread) or len(targets) < 3:
    return ()
  values = [spread[target][2] for target in targets]
  rho = stats.spearmanr(values, precision)
  flattest = targets[int(np.argmin(values))]
  return (
    'Spread is how much lower the best loss is than the median one. Spearman '
    f"between a target's spread and its precision: {rho.statistic:.2f} "
    f'(p = {rho.pvalue:.2f}). The flattest target is {flattest} (the best '
    f'source is {min(values):.0%} better than the median one).',
  )
