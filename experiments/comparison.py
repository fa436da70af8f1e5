"""Measures that are compared on one probe set: attribution and similarities."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from experiments import evaluation, similarities
from experiments.similarities import DEPARA, EDGES, NODES
from experiments.study import Run, Study
from transferability import resampling
from transferability.oracle import Oracle

SIMILARITIES = ('svcca', 'cka', 'rsa', 'dds', EDGES)
_HALF_SAMPLES = 20


@dataclasses.dataclass(frozen=True)
class MeasuredSimilarity:
  """A measure of similarity between the networks of a run.

  Attributes:
    matrix: Symmetric [num_models, num_models].
    score: Against the oracle.
    spread: Standard deviations over the images of P@K, [K], and of the mean
      rank correlation.
  """

  matrix: np.ndarray
  score: evaluation.Score
  spread: tuple[np.ndarray, float]

  def interval(self, k: int) -> tuple[float, float]:
    """Returns the 95 % interval of P@K over images, within [0, 1]."""
    value = float(self.score.curve.precision[k - 1])
    margin = 1.96 * float(self.spread[0][k - 1])
    return max(0.0, value - margin), min(1.0, value + margin)

  def band(self) -> np.ndarray:
    """Returns the intervals of P@K for all K, [2, K]."""
    ends = [self.interval(int(k)) for k in self.score.curve.k]
    return np.transpose(ends)


def names(study: Study) -> tuple[str, ...]:
  """Returns the measures that `measure` compares."""
  methods = study.settings.methods
  depara_too = (DEPARA,) if NODES in methods else ()
  return (*methods, *SIMILARITIES, *depara_too)


def matrix(run: Run, name: str) -> np.ndarray:
  """Returns a measure of a run, symmetric [num_models, num_models]."""
  if name in run.spaces:
    return run.affinity(name)
  if name == DEPARA:
    return similarities.with_nodes(run.affinity(NODES), run.similarity(EDGES))
  return run.similarity(name)


def measure(study: Study, run: Run) -> dict[str, MeasuredSimilarity]:
  """Returns all measures of a run.

  The spread of an affinity is that of its bootstrap. A similarity of
  representations is no mean over images, and images that are drawn twice would
  be pairs of equal ones in it; it is computed anew on random halves of the
  images without replacement, which spread as far as the bootstrap of a mean.
  """
  oracle = study.require_oracle()
  halves = _halves(study, run)
  result = {}
  for name in names(study):
    values = matrix(run, name)
    resampled = None
    if name in run.spaces:
      resampled = resampling.ImageMeans(run.image_cosines(name))
    score = evaluation.score(
      values, run.names, oracle, study.bank.groups, resampled
    )
    draws = score.draws
    if draws is None:
      draws = resampling.score(halves[name], run.names, oracle)
    spread = draws.precision.std(axis=0), float(draws.spearman.std())
    result[name] = MeasuredSimilarity(values, score, spread)
  return result


def _halves(study: Study, run: Run) -> Mapping[str, np.ndarray]:
  """Returns each similarity on random halves of the images."""
  number = len(next(iter(run.representations.values())))
  half = max(4, number // 2)
  shares = resampling.subsets(
    number, min(half, number), _HALF_SAMPLES, study.settings.seed
  )
  found: dict[str, list[np.ndarray]] = {name: [] for name in SIMILARITIES}
  for row in study.track(shares, description='Random halves of the images'):
    chosen = np.flatnonzero(row)
    part = {name: x[chosen] for name, x in run.representations.items()}
    for name in SIMILARITIES:
      found[name].append(similarities.matrix(name, part))
  result = {name: np.stack(matrices) for name, matrices in found.items()}
  if NODES in run.spaces:
    nodes = resampling.affinities(run.image_cosines(NODES), shares)
    result[DEPARA] = similarities.with_nodes(nodes, result[EDGES])
  return result


def table(
  measured: Mapping[str, MeasuredSimilarity],
  oracle: Oracle,
  ks: Sequence[int] = (1, 3, 5),
) -> list[list]:
  """Returns P@K with intervals, correlations and p-values, a header first."""
  ks = [k for k in ks if k < len(oracle.sources)]
  header = ['measure']
  for k in ks:
    header += [f'P@{k}', f'P@{k}_low', f'P@{k}_high']
  header += ['spearman', 'spearman_sd', 'p_value', 'p_within_groups']
  rows = []
  for name, values in measured.items():
    row = [name]
    for k in ks:
      row += [float(values.score.curve.precision[k - 1]), *values.interval(k)]
    within = values.score.p_values_within_groups
    row += [
      float(values.score.spearman),
      values.spread[1],
      float(values.score.p_values[ks[-1] - 1]),
      np.nan if within is None else float(within[ks[-1] - 1]),
    ]
    rows.append(row)
  return [header, *rows]
