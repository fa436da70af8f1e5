"""Networks without an oracle: two similarities, two trees (Figure 5)."""

import pathlib

import numpy as np

from experiments import evaluation, figures
from experiments.studies import similarity_matrices
from experiments.study import Finding, Results, Study
from transferability import affinity, clustering

_OTHER = 'svcca'


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes both matrices and trees, and how far the trees agree."""
  study, results = study.second, Results(folder)
  run = study.run()
  matrices = {
    study.method: run.affinity(study.method),
    _OTHER: run.similarity(_OTHER),
  }
  trees, labels, groups = {}, study.labels, study.groups
  for name, matrix in matrices.items():
    tree = clustering.task_similarity_tree(matrix, run.names)
    trees[name] = tree
    label = figures.method_label(name)
    shown = matrix, labels, tree.leaf_order, label, groups
    results.draw(f'affinity_{name}.png', figures.affinity_heat_map, *shown)
    shown = tree, labels, groups, f'Tree: {label}'
    results.draw(f'tree_{name}.png', figures.task_tree, *shown)
    affinity.save_matrix(folder / f'{name}.csv', matrix, run.names)
    tree.save_newick(folder / f'{name}.newick')
  first, second = trees.values()
  cophenetic = clustering.cophenetic_correlation(first, second)
  gamma = clustering.bakers_gamma(first, second)
  pearson, spearman, *_ = similarity_matrices.correlations(*matrices.values())
  rows = [
    ('cophenetic_correlation', cophenetic),
    ('bakers_gamma', gamma),
    ('pearson', pearson),
    ('spearman', spearman),
  ]
  if groups := study.bank.groups:
    rows += [
      (f'rand_index_{name}', evaluation.rand_index(tree, groups))
      for name, tree in trees.items()
    ]
  rows = [(name, float(np.round(value, 12))) for name, value in rows]
  results.table('agreement.csv', ('statistic', 'value'), rows)
  return Finding(
    f'Trees of {figures.method_label(study.method)} and SVCCA agree with a '
    f'cophenetic correlation of {cophenetic:.3f} and a gamma of {gamma:.3f}; '
    f'the matrices with Spearman {spearman:.3f}.',
    (
      'Of the second bank, or of the first if there is none. Cophenetic '
      'correlation: of the heights at which pairs of networks join. '
      "Baker's gamma: the same by ranks.",
    ),
    results.files,
  )
