"""Two banks in one space (section 4.3): does it keep them apart?"""

import pathlib

import numpy as np

from experiments import figures
from experiments.study import Finding, Results, Study
from transferability import clustering, grouping

_NEAREST = 3


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes the affinity and the tree of both, and who is near whom.

  Raises:
    ValueError: If there is no second bank.
  """
  if study.settings.second_bank is None:
    raise ValueError(
      'Merged groups need a second bank: pass `second_bank`, for '
      'example of `python -m taskonomy_models.fetch_zoo`, or of `python -m '
      'taskonomy_models.keras_applications`.'
    )
  merged, results = study.merged, Results(folder)
  run, method = merged.run(), study.method
  matrix = run.affinity(method)
  number = len(study.bank.names)
  banks = study.bank.name, study.second.bank.name
  if banks[0] == banks[1]:
    banks = 'first', 'second'
  sides = [banks[i >= number] for i in range(len(matrix))]
  groups = [g or side for g, side in zip(merged.groups, sides, strict=True)]
  tree = clustering.task_similarity_tree(matrix, run.names)
  label = figures.method_label(method)
  shown = matrix, merged.labels, tree.leaf_order, label, groups
  results.draw('affinity.png', figures.affinity_heat_map, *shown)
  shown = tree, merged.labels, groups, f'Tree: {label}'
  results.draw('tree.png', figures.task_tree, *shown)
  tree.save_newick(folder / 'tree.newick')
  outcomes = {
    name: grouping.permutation_test(matrix, labels)
    for name, labels in (('bank', sides), ('group', groups))
  }
  results.table(
    'clusters.csv',
    ('labels', 'nearest_neighbour_rate', 'expected', 'p_value'),
    [(name, o.value, o.expected, o.p_value) for name, o in outcomes.items()],
  )
  results.table(
    'nearest.csv',
    ('model', 'side', 'rank', 'nearest_of_the_other', 'cosine'),
    _nearest(matrix, run.names, number),
  )
  results.matrix('affinity.csv', matrix, run.names)
  means = _means(matrix, number)
  bank, group = outcomes['bank'], outcomes['group']
  return Finding(
    f'Mean {label} affinity is {means[0]:.4f} within {sides[0]}, '
    f'{means[1]:.4f} within {sides[-1]}, {means[2]:.4f} between them. '
    f'{bank.value:.2f} of the networks have their nearest neighbour in their '
    f'own bank (chance {bank.expected:.2f}, p {bank.p_value:.4f}), '
    f'{group.value:.2f} in their own task group (chance {group.expected:.2f}, '
    f'p {group.p_value:.4f}).',
    (
      'All networks see the same images, and their maps are compared at '
      f'{" x ".join(map(str, merged.image_size))} pixels. Cosines of maps of '
      'very different networks are tiny: their order informs, the numbers do '
      'not. A network without a task group counts as one of its bank.',
    ),
    results.files,
  )


def _nearest(matrix: np.ndarray, names, number: int) -> list[tuple]:
  """Returns the nearest networks of the other bank, best first."""
  rows = []
  for i, name in enumerate(names):
    first = i < number
    others = np.arange(number, len(names)) if first else np.arange(number)
    order = others[np.argsort(-matrix[i, others], kind='stable')][:_NEAREST]
    rows += [
      (name, 'first' if first else 'second', rank, names[j], matrix[i, j])
      for rank, j in enumerate(order, start=1)
    ]
  return rows


def _means(matrix: np.ndarray, number: int) -> tuple[float, float, float]:
  """Returns the mean affinity within the first, the second, between them."""

  def within(part: np.ndarray) -> float:
    return float(part[np.triu_indices(len(part), 1)].mean())

  first, second = matrix[:number, :number], matrix[number:, number:]
  return within(first), within(second), float(matrix[:number, number:].mean())
