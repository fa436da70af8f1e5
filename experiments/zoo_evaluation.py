"""What the spaces of heterogeneous networks say: do tasks stand together?

Of each method and map transform the affinity is read off twice: as it is, and
without the mean map of all networks. Then three questions are asked, each with
a permutation p-value:

  task             networks of one task group stand together
  other_family     ... even if networks of one architecture family are never
                   compared, and labels are exchanged within families
  architecture     within a task group, equal architectures stand together
  family           counter-test: of different task groups, networks of one
                   architecture family stand together
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses
import os
import pathlib

import numpy as np

from experiments import evaluation
from experiments.evaluation import Evaluation
from toolkit_basics import files
from transferability import clustering, grouping, map_transforms, ranking
from transferability.model_space import ModelSpace

REMOVED = 'common_removed'
QUESTIONS = ('task', 'other_family', 'architecture', 'family')
_PRINTED = (
  ('task', 'nearest_neighbour_rate'),
  ('task', 'mean_average_precision'),
  ('other_family', 'mean_average_precision'),
  ('architecture', 'within_minus_between'),
  ('family', 'within_minus_between'),
)


@dataclasses.dataclass(frozen=True)
class Labels:
  """What is known of each network, in the order of the bank.

  Attributes:
    groups: Kinds of task.
    architectures: Equal for networks that differ in weights or size alone;
      None if unknown.
    families: Of the backbones; None if unknown.
  """

  groups: Sequence[str]
  architectures: Sequence[str] | None = None
  families: Sequence[str] | None = None

  def question(self, name: str) -> dict | None:
    """Returns the arguments of a test, or None where nothing is known."""
    groups = np.asarray(self.groups)
    same_group = groups[:, None] == groups
    if name == 'task':
      return {'labels': self.groups}
    if name == 'architecture' and self.architectures is not None:
      return {
        'labels': self.architectures,
        'strata': self.groups,
        'pairs': same_group,
      }
    if self.families is None:
      return None
    families = np.asarray(self.families)
    if name == 'other_family':
      return {
        'labels': self.groups,
        'strata': self.families,
        'pairs': families[:, None] != families,
      }
    if name == 'family':
      return {
        'labels': self.families,
        'strata': self.groups,
        'pairs': ~same_group,
      }
    return None


def affinities(
  spaces: Mapping[str, ModelSpace], names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields name and matrix of each variant; all from one pass over a space."""
  for name, space in spaces.items():
    cosines = space.image_cosines(names)
    yield name, space.affinity(names)
    if len(names) > 2:
      removed = map_transforms.cosines_without_common_map(cosines).mean(0)
      yield f'{name}@{REMOVED}', removed


def evaluate(
  spaces: Mapping[str, ModelSpace], names: Sequence[str], labels: Labels
) -> Evaluation:
  """Returns affinities, rankings and trees of all variants."""
  matrices = dict(affinities(spaces, names))
  trees = {
    variant: clustering.task_similarity_tree(matrix, names)
    for variant, matrix in matrices.items()
  }
  number = len(set(labels.groups))
  return Evaluation(
    names=tuple(names),
    affinities=matrices,
    rankings={
      variant: ranking.rank_sources(matrix, names, names)
      for variant, matrix in matrices.items()
    },
    trees=trees,
    tree_rand_index={
      variant: clustering.adjusted_rand_index(
        tree.clusters(number), labels.groups
      )
      for variant, tree in trees.items()
    },
    scores={},
  )


def only(result: Evaluation, variants: Collection[str]) -> Evaluation:
  """Returns the evaluation of some variants."""

  def some(values: Mapping) -> dict:
    return {variant: values[variant] for variant in variants}

  return dataclasses.replace(
    result,
    affinities=some(result.affinities),
    rankings=some(result.rankings),
    trees=some(result.trees),
    tree_rand_index=some(result.tree_rand_index),
  )


def cluster_rows(
  result: Evaluation, labels: Labels, num_permutations: int, seed: int
) -> list[Sequence]:
  """Returns every test of every variant, a header first."""
  rows = [
    [
      'maps',
      'question',
      'statistic',
      'value',
      'expected',
      'p_value',
      'labellings',
      'is_exact',
    ]
  ]
  for variant, matrix in result.affinities.items():
    for question in QUESTIONS:
      arguments = labels.question(question)
      for statistic in grouping.statistics() if arguments else ():
        outcome = grouping.permutation_test(
          matrix,
          statistic=statistic,
          num_permutations=num_permutations,
          seed=seed,
          **arguments,
        )
        rows.append(
          [variant, question, statistic, *dataclasses.astuple(outcome)]
        )
  return rows


def group_rows(
  result: Evaluation, labels: Labels, num_permutations: int, seed: int
) -> list[Sequence]:
  """Returns how each task group stands in each variant, a header first."""
  fields = [field.name for field in dataclasses.fields(grouping.Group)]
  rows = [['maps', *fields]]
  for variant, matrix in result.affinities.items():
    for group in grouping.groups(matrix, labels.groups, num_permutations, seed):
      rows.append([variant, *dataclasses.astuple(group)])
  return rows


def write(
  result: Evaluation,
  labels: Labels,
  output: str | os.PathLike,
  num_permutations: int,
  seed: int,
) -> None:
  """Writes the tables of `evaluation`, clusters.csv, groups.csv, trees.csv."""
  output = pathlib.Path(output)
  evaluation.write_tables(result, output)
  arguments = result, labels, num_permutations, seed
  files.write_csv(output / 'clusters.csv', cluster_rows(*arguments))
  files.write_csv(output / 'groups.csv', group_rows(*arguments))
  files.write_csv(
    output / 'trees.csv',
    [
      ('maps', 'clusters', 'adjusted_rand_index'),
      *(
        (variant, len(set(labels.groups)), index)
        for variant, index in result.tree_rand_index.items()
      ),
    ],
  )


def mean_cosine(a: ModelSpace, b: ModelSpace, model: str) -> float:
  """Returns how much the maps of one model agree between two methods."""
  cosines = []
  for image in a.kept_images:
    x, y = (np.asarray(s.rows(model)[image], np.float64) for s in (a, b))
    cosines.append(x @ y / np.sqrt((x @ x) * (y @ y)))
  return float(np.mean(cosines))


def summary_of(output: str | os.PathLike) -> str:
  """Returns the tests of a finished run, as text: a row for each variant."""
  _, *rows = files.read_csv(pathlib.Path(output) / 'clusters.csv')
  cells = {tuple(row[:3]): row[3:6] for row in rows}
  table = [['maps']]
  for question, statistic in _PRINTED:
    short = ''.join(word[0] for word in statistic.split('_'))
    table[0] += [f'{question}:{short}', 'expected', 'p']
  for variant in dict.fromkeys(row[0] for row in rows):
    line = [variant]
    for question, statistic in _PRINTED:
      values = cells.get((variant, question, statistic), ['nan'] * 3)
      line += map(float, values)
    table.append(line)
  return evaluation.format_table(table)
