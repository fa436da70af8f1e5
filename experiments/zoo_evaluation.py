"""What the spaces of heterogeneous networks say: do tasks stand together?

Of each method and map transform the affinity is read off twice: as it is, and
without the mean map of all networks; of other measures, as it is, and without
what networks have with all others on average. Then three questions are asked,
each with a permutation p-value:

  task             networks of one task group stand together
  other_family     ... even if networks of one architecture family are never
                   compared, and labels are exchanged within families
  architecture     within a task group, equal architectures stand together
  family           counter-test: of different task groups, networks of one
                   architecture family stand together

A network of which a question needs to know more has no part in it.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import os
import pathlib
from typing import Any

import numpy as np

from experiments import evaluation, figures
from experiments.evaluation import Evaluation
from taskonomy_models.bank import Bank
from taskonomy_models.zoo import table as zoo_bank
from toolkit_basics import files
from transferability import affinity as affinity_lib
from transferability import grouping, map_transforms
from transferability.model_space import ModelSpace, Spaces

REMOVED = 'common_removed'
HUBS_REMOVED = 'hubs_removed'
# Each question, and what it needs to know of a network besides its group.
QUESTIONS = {
  'task': None,
  'other_family': 'families',
  'architecture': 'architectures',
  'family': 'families',
}
_PRINTED = (
  ('task', 'nearest_neighbour_rate'),
  ('task', 'mean_average_precision'),
  ('other_family', 'mean_average_precision'),
  ('architecture', 'within_minus_between'),
  ('family', 'within_minus_between'),
)
_DRAWN = ('task', 'nearest_neighbour_rate')
_TREES = 'maps', 'clusters', 'adjusted_rand_index'
_KNOWN = ('architecture', 'input_shape', 'nodes', 'nonlinear')


@dataclasses.dataclass(frozen=True)
class Labels:
  """What is known of each network, in the order of the bank; None if not.

  Attributes:
    groups: Kinds of task.
    architectures: Equal for networks that differ in weights or size alone.
    families: Of the backbones.
  """

  groups: Sequence[str | None]
  architectures: Sequence[str | None]
  families: Sequence[str | None]

  @classmethod
  def of(cls, bank: Bank, rows: Mapping[str, zoo_bank.Row]) -> 'Labels':
    """Returns what a bank and its table say."""
    known = [rows.get(name) for name in bank.names]
    return cls(
      [encoder.group for encoder in bank.encoders],
      [row and row.architecture for row in known],
      [row and row.family for row in known],
    )

  def asked(self, question: str) -> tuple[list[int], dict[str, Any]]:
    """Returns which networks a question is about, and a test's arguments."""
    other = QUESTIONS[question]
    others = self.groups if other is None else getattr(self, other)
    rows = [
      i
      for i, both in enumerate(zip(self.groups, others, strict=True))
      if None not in both
    ]
    groups, others = (
      np.array([labels[i] for i in rows]) for labels in (self.groups, others)
    )
    same_group = groups[:, None] == groups
    if question == 'task':
      arguments = {'labels': groups}
    elif question == 'other_family':
      different = others[:, None] != others
      arguments = {'labels': groups, 'strata': others, 'pairs': different}
    else:
      pairs = same_group if question == 'architecture' else ~same_group
      arguments = {'labels': others, 'strata': groups, 'pairs': pairs}
    return rows, arguments


def table_of(bank: Bank) -> dict[str, zoo_bank.Row]:
  """Returns what a bank's `zoo.csv` says of its networks, if there is one."""
  folder = pathlib.Path(bank.folder)
  has_table = (folder / zoo_bank.TABLE).exists()
  return zoo_bank.read_table(folder) if has_table else {}


def evaluate(
  spaces: Spaces, bank: Bank, others: Mapping[str, np.ndarray] | None = None
) -> Evaluation:
  """Returns affinities, rankings and trees of all variants, then of others."""
  names, affinities = bank.names, {}
  for name, space in spaces.items():
    cosines = space.image_cosines(names)
    affinities[name] = space.affinity(names)
    if len(names) > 2:
      removed = map_transforms.cosines_without_common_map(cosines)
      affinities[f'{name}@{REMOVED}'] = removed.mean(0)
  for name, matrix in (others or {}).items():
    affinities[name] = matrix
    if len(names) > 2:
      affinities[f'{name}@{HUBS_REMOVED}'] = affinity_lib.centred(matrix)
  oracle = evaluation.load_oracle(bank, known_only=True)
  return dataclasses.replace(
    evaluation.of_affinities(affinities, names, bank.groups, names),
    relevant=evaluation.relevant_sources(oracle),
  )


def _symmetric(matrix: np.ndarray) -> np.ndarray:
  """Returns the symmetric part: who is near whom has no direction."""
  return (matrix + matrix.T) / 2


def _cluster_rows(
  result: Evaluation, labels: Labels, num_permutations: int, seed: int
) -> list[Sequence]:
  """Returns every test of every variant, a header first."""
  header = 'maps question statistic value expected p_value labellings is_exact'
  rows: list[Sequence] = [header.split()]
  for variant, matrix in result.affinities.items():
    for question in QUESTIONS:
      known, arguments = labels.asked(question)
      for statistic in grouping.statistics() if len(known) > 1 else ():
        outcome = grouping.permutation_test(
          _symmetric(matrix[np.ix_(known, known)]),
          statistic=statistic,
          num_permutations=num_permutations,
          seed=seed,
          **arguments,
        )
        rows.append(
          [variant, question, statistic, *dataclasses.astuple(outcome)]
        )
  return rows


def _group_rows(
  result: Evaluation, labels: Labels, num_permutations: int, seed: int
) -> list[Sequence]:
  """Returns how each task group stands in each variant, a header first."""
  fields = [field.name for field in dataclasses.fields(grouping.Group)]
  rows = [['maps', *fields]]
  known, arguments = labels.asked('task')
  for variant, matrix in result.affinities.items():
    for group in grouping.groups(
      _symmetric(matrix[np.ix_(known, known)]),
      arguments['labels'].tolist(),
      num_permutations,
      seed,
    ):
      rows.append([variant, *dataclasses.astuple(group)])
  return rows


def write(
  bank: Bank,
  spaces: Spaces,
  measured: Mapping[str, Mapping[str, float]],
  output: pathlib.Path,
  num_permutations: int,
  seed: int,
  others: Mapping[str, np.ndarray] | None = None,
) -> Evaluation:
  """Evaluates spaces and writes all tables.

  Those of `evaluation`, clusters.csv, groups.csv, trees.csv, networks.csv.

  Args:
    bank: The networks.
    spaces: By name.
    measured: Of each network the `images` that were explained, the `seconds`
      that took, and the activations that are `ruled`.
    output: Folder.
    num_permutations: Of each test.
    seed: Of the permutations.
    others: Other affinities, [networks, networks], by name.
  """
  rows = table_of(bank)
  labels = Labels.of(bank, rows)
  result = evaluate(spaces, bank, others)
  evaluation.write_tables(result, output)
  arguments = result, labels, num_permutations, seed
  number = len(set(labels.groups) - {None})
  indices = result.tree_rand_index.items()
  for name, table in (
    ('clusters', _cluster_rows(*arguments)),
    ('groups', _group_rows(*arguments)),
    ('trees', [_TREES, *((maps, number, index) for maps, index in indices)]),
    ('networks', _network_rows(bank, rows, spaces, measured)),
  ):
    files.write_csv(output / f'{name}.csv', table)
  return result


def _network_rows(
  bank: Bank,
  rows: Mapping[str, zoo_bank.Row],
  spaces: Spaces,
  measured: Mapping[str, Mapping[str, float]],
) -> list[Sequence]:
  """Returns the table of networks, a header first; see `write`."""
  pair = [spaces.get(name) for name in ('elrp', 'gradient_times_input')]
  table = [
    'network group architecture input nodes nonlinear ruled seconds_per_image '
    'cosine_elrp_gradient_times_input'.split()
  ]
  for encoder in bank.encoders:
    # Lost, or of no images, if the run stopped at the very end of the network.
    of_it = measured.get(encoder.name, {})
    row = rows.get(encoder.name)
    table.append(
      [
        encoder.name,
        encoder.group or '',
        *(getattr(row, field, '') for field in _KNOWN),
        of_it.get('ruled', ''),
        of_it.get('seconds', math.nan) / (of_it.get('images') or math.nan),
        _mean_cosine(*pair, encoder.name) if all(pair) else math.nan,
      ]
    )
  return table


def _mean_cosine(a: ModelSpace, b: ModelSpace, model: str) -> float:
  """Returns how much the maps of one model agree between two methods."""
  cosines = []
  for image in a.kept_images:
    x, y = (np.asarray(s.rows(model)[image], np.float64) for s in (a, b))
    cosines.append(x @ y / np.sqrt((x @ x) * (y @ y)))
  return float(np.mean(cosines))


def draw(output: str | os.PathLike) -> None:
  """Draws how well each variant finds tasks together: `figures/variants.png`.

  Args:
    output: Folder of a run that has its tables.
  """
  output = pathlib.Path(output)
  _, *rows = files.read_csv(output / 'clusters.csv')
  found = {
    row[0]: (float(row[3]), float(row[4]))
    for row in rows
    if tuple(row[1:3]) == _DRAWN
  }
  path = output / 'figures' / 'variants.png'
  if not found:
    path.unlink(missing_ok=True)
    return
  order = sorted(found, key=lambda name: -found[name][0])
  figures.bars(
    path,
    [figures.method_label(name) for name in order],
    {'measured': [found[name][0] for name in order]},
    'How often the nearest network does the same kind of task',
    'Share of networks',
    found[order[0]][1],
  )


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
