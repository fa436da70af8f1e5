"""Reads affinities, rankings, scores and trees off model spaces.

Everything is written as CSV, so that it can be recomputed elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
import contextlib
import dataclasses
import os
import pathlib

import numpy as np

from experiments import probing
from taskonomy_models import tasks
from taskonomy_models.bank import Bank
from toolkit_basics import files
from transferability import affinity as affinity_lib
from transferability import (
  baselines,
  clustering,
  ranking,
  ranking_files,
  resampling,
)
from transferability import oracle as oracle_lib
from transferability.model_space import Spaces

_SUMMARY_K = (1, 3, 5)
_INTERVALS = (
  *('precision', 'precision_low', 'precision_high', 'recall_low'),
  *('recall_high', 'p_value', 'p_within_groups'),
)
_NUM_DRAWS = 1000  # Of the images, for the intervals.


@dataclasses.dataclass(frozen=True)
class Score:
  """How well one ranking of sources agrees with the oracle.

  Attributes:
    curve: P@K and R@K.
    spearman: Mean rank correlation of a target's row; NaN for an expectation
      over random orders.
    draws: Scores over the bootstrap's draws of the images; None where the
      images have no part.
    p_values: For each K, the share of relabelled affinities with as high a
      P@K; None where there is no affinity.
    p_values_within_groups: The same where tasks change places within their
      group only; None if a source of the oracle has no group.
  """

  curve: ranking.PrecisionRecall
  spearman: float = np.nan
  draws: resampling.Draws | None = None
  p_values: np.ndarray | None = None
  p_values_within_groups: np.ndarray | None = None

  def columns(self) -> dict[str, np.ndarray]:
    """Returns P@K and R@K, with what is known of intervals and p-values.

    Each [K], by the name of its column in a table.
    """
    found = {'precision': self.curve.precision, 'recall': self.curve.recall}
    if self.draws is not None:
      for kind in ('precision', 'recall'):
        low, high = resampling.interval(getattr(self.draws, kind))
        found |= {f'{kind}_low': low, f'{kind}_high': high}
    if self.p_values is not None:
      found['p_value'] = self.p_values
    if self.p_values_within_groups is not None:
      found['p_within_groups'] = self.p_values_within_groups
    return found


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What model spaces say.

  Attributes:
    names: Of the models.
    affinities: By method, float64 [num_models, num_models].
    rankings: By method, for each target its sources, best first.
    trees: By method.
    tree_rand_index: By method, how well the tree's clusters are the groups of
      the models that have one; empty if none has.
    scores: By method, then by baseline; empty without an oracle.
    relevant: By target, its best sources by the oracle; empty without one.
    unscored: Models that have no part in the scores, as the oracle does not
      know them.
    protocol: Of the trees.
    resampled: Of measures that are no attribution method, where it is known,
      the affinity with its images drawn anew.
  """

  names: tuple[str, ...]
  affinities: Mapping[str, np.ndarray]
  rankings: Mapping[str, Mapping[str, tuple[str, ...]]]
  trees: Mapping[str, clustering.Tree]
  tree_rand_index: Mapping[str, float]
  scores: Mapping[str, Score] = dataclasses.field(default_factory=dict)
  relevant: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  unscored: tuple[str, ...] = ()
  protocol: str = 'paper'
  resampled: Mapping[str, resampling.Resampled] = dataclasses.field(
    default_factory=dict
  )

  def only(self, methods: Collection[str]) -> 'Evaluation':
    """Returns the part of some methods, without scores."""
    parts = {}
    for name in ('affinities', 'rankings', 'trees', 'tree_rand_index'):
      known = getattr(self, name)
      parts[name] = {m: known[m] for m in methods if m in known}
    return dataclasses.replace(self, **parts, scores={})


def load_oracle(
  bank: Bank, known_only: bool = False
) -> oracle_lib.Oracle | None:
  """Returns the bank's oracle for the models of the bank, if it has one.

  Args:
    bank: The models.
    known_only: Leave out models that the oracle does not know, and return None
      if no target, or fewer than two models, are left.

  Raises:
    ValueError: If it does not know a model of the bank.
  """
  if bank.oracle is None:
    return None
  oracle = oracle_lib.Oracle.load(bank.oracle, bank.oracle_affinity)
  names = bank.names
  if known_only:
    names = tuple(name for name in names if name in oracle.sources)
    if len(names) < 2 or not set(names) & set(oracle.targets):
      return None
  try:
    return oracle.restrict(names)
  except ValueError as error:
    raise ValueError(f'{bank.oracle}: {error}') from error


def baseline_scores(
  oracle: oracle_lib.Oracle, groups: Mapping[str, str]
) -> dict[str, Score]:
  """Returns the baselines and ceilings of an oracle, by name.

  `random`; `groups`, that knows the group of each task, if all have one;
  `other_targets`, the standing of a source for all other targets, if there are
  any;
  `constant_ranking`, one order of the sources for all targets, read off the
  oracle itself; `symmetrised_oracle`, what a symmetric measure as good as the
  oracle gets; `oracle`.
  """
  scores = {'random': Score(baselines.random_baseline(oracle), 0.0)}
  if set(oracle.sources) <= groups.keys():
    known = set(groups.values()) <= set(tasks.GROUP_PREFERENCE)
    preference = tasks.GROUP_PREFERENCE if known else None
    baseline = baselines.group_baseline(groups, oracle, preference)
    scores['groups'] = Score(baseline)
  symmetric = ranking.rank_sources(
    baselines.symmetrised_oracle(oracle), oracle.sources, oracle.targets
  )
  if len(oracle.targets) > 1:
    static = baselines.other_targets(oracle)
    scores['other_targets'] = Score(
      ranking.precision_recall(static, oracle),
      ranking.mean_spearman(static, oracle),
    )
  for name, rankings in (
    ('constant_ranking', baselines.constant_ranking(oracle)),
    ('symmetrised_oracle', symmetric),
    ('oracle', oracle.ranking),
  ):
    scores[name] = Score(
      ranking.precision_recall(rankings, oracle),
      ranking.mean_spearman(rankings, oracle),
    )
  return scores


def score(
  matrix: np.ndarray,
  names: Sequence[str],
  oracle: oracle_lib.Oracle,
  groups: Mapping[str, str] | None = None,
  resampled: resampling.Resampled | None = None,
) -> Score:
  """Scores an affinity, or any other similarity of models.

  Args:
    matrix: [num_models, num_models].
    names: Of the models; those that the oracle does not know have no part.
    oracle: All its sources must be among the models.
    groups: Of the models that have one.
    resampled: The same with its images drawn anew, if that is known.
  """
  known = [i for i, name in enumerate(names) if name in oracle.sources]
  names = [names[i] for i in known]
  matrix = matrix[np.ix_(known, known)]
  rankings = ranking.rank_sources(matrix, names, oracle.targets)
  draws = within = None
  if resampled is not None:
    drawn = resampled.part(known).drawn(_NUM_DRAWS)
    draws = resampling.score(drawn, names, oracle)
  if groups and set(oracle.sources) <= groups.keys():
    within = ranking.precision_p_values(matrix, names, oracle, groups=groups)
  return Score(
    ranking.precision_recall(rankings, oracle),
    ranking.mean_spearman(rankings, oracle),
    draws,
    ranking.precision_p_values(matrix, names, oracle),
    within,
  )


def evaluate(
  bank: Bank,
  spaces: Spaces,
  protocol: str = 'paper',
  similarities: Mapping[str, np.ndarray] | None = None,
  resampled: Mapping[str, resampling.Resampled] | None = None,
) -> Evaluation:
  """Evaluates model spaces of a bank's models, one a method.

  Args:
    bank: Its oracle and groups are used if it has them. Models that the oracle
      does not know have no part in the scores, but are ranked and are sources.
    spaces: By method; that of probes is no method, and left out.
    protocol: Of the tree, see `clustering.task_similarity_tree`.
    similarities: Other affinities of the models, by name, [num_models,
      num_models] with a unit diagonal, symmetric or with targets as rows; they
      follow the methods.
    resampled: Of these, where it is known, with their images drawn anew.
  """
  names, oracle = bank.names, load_oracle(bank, known_only=True)
  affinities, scores = {}, {}
  spaces, similarities = probing.of_maps(spaces), similarities or {}
  resampled = resampled or {}
  if taken := sorted(similarities.keys() & spaces.keys()):
    raise ValueError(f'{taken} are both methods and similarities.')
  for method in (*spaces, *similarities):
    drawable = resampled.get(method)
    if method in similarities:
      matrix = similarities[method]
    elif oracle is None:
      matrix = spaces[method].affinity(names)
    else:
      cosines = spaces[method].image_cosines(names)
      matrix = affinity_lib.mean_cosine(cosines)
      drawable = resampling.ImageMeans(cosines)
    affinities[method] = matrix
    if oracle is not None:
      scores[method] = score(matrix, names, oracle, bank.groups, drawable)
  if oracle is not None:
    scores |= baseline_scores(oracle, bank.groups)
  known = names if oracle is None else oracle.sources
  idle = set() if oracle is None else set(known) - set(oracle.targets)
  targets = [name for name in names if name not in idle]
  return dataclasses.replace(
    of_affinities(affinities, names, bank.groups, targets, protocol),
    scores=scores,
    relevant=relevant_sources(oracle),
    resampled=resampled,
    unscored=tuple(name for name in names if name not in known),
  )


def of_affinities(
  affinities: Mapping[str, np.ndarray],
  names: Sequence[str],
  groups: Mapping[str, str],
  targets: Sequence[str],
  protocol: str = 'paper',
) -> Evaluation:
  """Returns what follows from affinities alone: rankings and trees.

  Args:
    affinities: By method, [num_models, num_models].
    names: Of the models.
    groups: Of the models that have one.
    targets: Models to rank sources for.
    protocol: Of the trees.
  """
  trees = {
    # A tree knows no direction: of a directed measure the symmetric part.
    method: clustering.task_similarity_tree(
      (matrix + matrix.T) / 2, names, protocol
    )
    for method, matrix in affinities.items()
  }
  return Evaluation(
    names=tuple(names),
    affinities=affinities,
    rankings={
      method: ranking.rank_sources(matrix, names, targets)
      for method, matrix in affinities.items()
    },
    trees=trees,
    tree_rand_index={
      method: rand_index(tree, groups)
      for method, tree in trees.items()
      if groups
    },
    protocol=protocol,
  )


def relevant_sources(
  oracle: oracle_lib.Oracle | None,
) -> dict[str, tuple[str, ...]]:
  """Returns the best sources of each target; empty without an oracle."""
  targets = () if oracle is None else oracle.targets
  return {target: oracle.relevant(target) for target in targets}


def rand_index(tree: clustering.Tree, groups: Mapping[str, str]) -> float:
  """Returns how well a tree's clusters, as many as groups, are the groups.

  Models without a group are clustered with the others, but do not count.
  """
  known = [i for i, name in enumerate(tree.names) if name in groups]
  wanted = [groups[tree.names[i]] for i in known]
  found = tree.clusters(len(set(wanted)))[known]
  return clustering.adjusted_rand_index(found.tolist(), wanted)


def write_tables(evaluation: Evaluation, output: str | os.PathLike) -> None:
  """Writes affinity, distance, ranking, tree and precision_recall files."""
  output = pathlib.Path(output)
  names = evaluation.names
  for method, matrix in evaluation.affinities.items():
    csv = f'{method}.csv'
    affinity_lib.save_matrix(output / 'affinity' / csv, matrix, names)
    distance = affinity_lib.distance(matrix)
    affinity_lib.save_matrix(output / 'distance' / csv, distance, names)
    ranking_files.write(output / 'ranking' / csv, evaluation.rankings[method])
    tree = evaluation.trees[method]
    tree.save_linkage(output / 'tree' / csv)
    tree.save_newick(output / 'tree' / f'{method}.newick')
  if not evaluation.scores:
    for name in ('precision_recall', 'intervals', 'summary'):
      (output / f'{name}.csv').unlink(missing_ok=True)  # Of other networks.
    return
  files.write_csv(
    output / 'precision_recall.csv',
    curve_rows(evaluation.scores, ('precision', 'recall')),
  )
  # P@K with 95 % intervals over images and p-values over labels.
  intervals = curve_rows(evaluation.scores, _INTERVALS)
  files.write_csv(output / 'intervals.csv', intervals)
  files.write_csv(output / 'summary.csv', summary_rows(evaluation))


def at(values: np.ndarray, k: int) -> float:
  """Returns a curve's value at K, or NaN if there are fewer sources."""
  return float(values[k - 1]) if k <= len(values) else np.nan


def curve_rows(
  scores: Mapping[str, Score], names: Sequence[str]
) -> list[Sequence]:
  """Returns columns of `Score.columns`, a row for each K; NaN if unknown."""
  rows = [('method', 'k', *names)]
  for name, score in scores.items():
    known, nothing = score.columns(), np.full(len(score.curve.k), np.nan)
    columns = [known.get(column, nothing) for column in names]
    for k, *values in zip(score.curve.k, *columns, strict=True):
      rows.append([name, int(k), *map(float, values)])
  return rows


def summary_rows(evaluation: Evaluation) -> list[Sequence]:
  """Returns the summary table, a header first; NaN where nothing is known.

  P-values are those of P@5, or of the last K if there are fewer.
  """
  cells = [(f'P@{k}', 'precision', k) for k in _SUMMARY_K]
  cells += [('R@5', 'recall', 5)]
  cells += [(f'P@5_{end}', f'precision_{end}', 5) for end in ('low', 'high')]
  p_values = 'p_value', 'p_within_groups'
  header = ['method', *(cell[0] for cell in cells), 'spearman', *p_values]
  rows = [[*header, 'tree_rand_index']]
  for name, score in evaluation.scores.items():
    known = score.columns()
    last = min(5, len(score.curve.k))
    rows.append(
      [
        name,
        *(at(known.get(column, ()), k) for _, column, k in cells),
        score.spearman,
        *(at(known.get(column, ()), last) for column in p_values),
        evaluation.tree_rand_index.get(name, np.nan),
      ]
    )
  return rows


def summary_of(output: str | os.PathLike) -> str:
  """Returns what a finished run found, as text, from its tables.

  The scores of methods and baselines, or, without an oracle, the three best
  sources of each target.
  """
  output = pathlib.Path(output)
  if (output / 'summary.csv').exists():
    return table_text(output / 'summary.csv')
  texts = []
  for path in sorted((output / 'ranking').glob('*.csv')):
    rows = [row[:4] for row in files.read_csv(path)]
    texts.append(f'{path.stem}\n{format_table(rows)}')
  return '\n\n'.join(texts)


def table_text(path: str | os.PathLike) -> str:
  """Returns a CSV file, a header and a column of names first, as text."""
  header, *rows = files.read_csv(path)
  return format_table([header, *([r[0], *map(_number, r[1:])] for r in rows)])


def _number(cell: str) -> int | float | str:
  for kind in (int, float):
    with contextlib.suppress(ValueError):
      return kind(cell)
  return cell


def format_table(rows: Sequence[Sequence]) -> str:
  """Returns a table, a header first, as text with aligned columns.

  NaN becomes a dash, and a p-value (of a column `p` or `p_...`) that rounds to
  0 becomes <0.001; other small numbers keep two digits.
  """
  header, *others = rows

  def cell(column: str, value) -> str:
    if not isinstance(value, float):
      return str(value)
    if np.isnan(value):
      return '-'
    if not 0 < abs(value) < 0.001:
      return f'{value + 0.0:.3f}'  # Never -0.000.
    is_p_value = str(column).partition('_')[0] == 'p'
    return '<0.001' if is_p_value else f'{value:.2g}'

  texts = [[str(name) for name in header]]
  texts += [list(map(cell, header, row)) for row in others]
  widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
  lines = [
    '  '.join(
      text.ljust(width) if number == 0 else text.rjust(width)
      for number, (text, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in texts
  ]
  return '\n'.join(lines)
