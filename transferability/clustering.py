"""The task similarity tree, and how well it matches known groups."""

from collections.abc import Sequence
import dataclasses
import re

import numpy as np
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial import distance

from toolkit_basics import files

PROTOCOLS = ('paper', 'released_code')


@dataclasses.dataclass(frozen=True)
class Tree:
  """A tree whose leaves are models.

  Attributes:
    linkage: SciPy's linkage matrix, float64 [num_models - 1, 4], its leaves in
      optimal order.
    names: Names of the models; leaf i is names[i].
  """

  linkage: np.ndarray
  names: tuple[str, ...]

  @property
  def leaf_order(self) -> tuple[int, ...]:
    """Indices of the models from left to right; neighbours are similar."""
    return tuple(int(i) for i in hierarchy.leaves_list(self.linkage))

  def clusters(self, n: int) -> np.ndarray:
    """Cuts the tree into exactly n clusters.

    Returns:
      int64 [num_models], labels 0, 1, ... in the order of first appearance.
    """
    size = len(self.names)
    if not 1 <= n <= size:
      raise ValueError(
        f'{n} clusters of {size} models; 1 to {size} can be had.'
      )
    members = [[i] for i in range(size)]
    for left, right in self.linkage[: size - n, :2].astype(int):
      members.append(members[left] + members[right])
      members[left] = members[right] = []
    clusters = sorted(cluster for cluster in map(sorted, members) if cluster)
    labels = np.empty(size, np.int64)
    for label, cluster in enumerate(clusters):
      labels[cluster] = label
    return labels

  def newick(self) -> str:
    """Returns the tree in Newick form.

    A node that joins two clusters at distance d stands at the height d / 2, so
    that the path between two leaves is as long as the distance at which they
    join. Names with other characters than letters, digits and _ . + @ - are
    quoted.
    """
    heights = [0.0] * len(self.names)
    texts = [_newick_label(name) for name in self.names]
    for left, right, joined, _ in self.linkage.tolist():
      height = joined / 2
      parts = [
        f'{texts[int(child)]}:{max(0.0, height - heights[int(child)])!r}'
        for child in (left, right)
      ]
      heights.append(height)
      texts.append(f'({",".join(parts)})')
    return texts[-1] + ';'

  def save_newick(self, path: files.Path) -> None:
    files.write_atomically(path, (self.newick() + '\n').encode())

  def save_linkage(self, path: files.Path) -> None:
    """Writes one row per merge, in SciPy's numbering.

    Node i < num_models is the model names[i]; merges make the nodes that
    follow. The names of children that are models are given as well.
    """
    names = [*self.names, *([''] * len(self.linkage))]
    rows = [
      [node, int(a), int(b), joined, int(count), names[int(a)], names[int(b)]]
      for node, (a, b, joined, count) in enumerate(
        self.linkage.tolist(), len(self.names)
      )
    ]
    header = 'node left right distance size left_name right_name'.split()
    files.write_csv(path, [header, *rows])


def task_similarity_tree(
  affinity: np.ndarray, names: Sequence[str], protocol: str = 'paper'
) -> Tree:
  """Clusters models by affinity.

  Args:
    affinity: Symmetric [num_models, num_models], unit diagonal.
    names: Names of the models, two or more.
    protocol: `paper`: average linkage on 1 - affinity. `released_code`: single
      linkage of the affinity's rows as points (Euclidean distance), which is
      what the authors' drawing script does.

  Raises:
    ValueError: If the affinity is not finite and symmetric.
  """
  affinity = np.asarray(affinity, np.float64)
  if affinity.shape != (len(names), len(names)) or len(names) < 2:
    raise ValueError(
      f'A tree needs two or more models; the affinity has shape '
      f'{affinity.shape}, and there are {len(names)} names.'
    )
  if not np.allclose(affinity, affinity.T, rtol=0, atol=1e-8):
    raise ValueError('A tree needs a finite, symmetric affinity.')
  if protocol == 'paper':
    distances = distance.squareform(1 - affinity, checks=False)
    method = 'average'
  elif protocol == 'released_code':
    distances = distance.pdist(affinity)
    method = 'single'
  else:
    raise ValueError(f'Protocol {protocol!r} is none of {PROTOCOLS}.')
  linkage = hierarchy.linkage(distances, method, optimal_ordering=True)
  return Tree(linkage, tuple(names))


def adjusted_rand_index(a: Sequence[object], b: Sequence[object]) -> float:
  """Returns how much two groupings agree (Hubert and Arabie, 1985).

  Returns:
    1 for the same grouping, 0 on average for random ones of the same sizes.
  """
  if len(a) != len(b) or not len(a):
    raise ValueError(f'Groupings of {len(a)} and {len(b)} models.')
  pairs = np.triu_indices(len(a), 1)
  groupings = np.array(list(a)), np.array(list(b))
  in_a, in_b = ((g[:, None] == g)[pairs] for g in groupings)
  expected = in_a.sum() * in_b.sum() / max(1, len(pairs[0]))
  largest = (in_a.sum() + in_b.sum()) / 2
  if largest == expected:  # All in one group, or each alone, in both.
    return 1.0
  return float(((in_a & in_b).sum() - expected) / (largest - expected))


def _newick_label(name: str) -> str:
  if re.fullmatch(r'[A-Za-z0-9_.+@-]+', name):
    return name
  return "'" + name.replace("'", "''") + "'"


def cophenetic_correlation(first: Tree, second: Tree) -> float:
  """Returns Pearson's correlation of the heights at which pairs join.

  Sokal and Rohlf (1962); 1 for trees of the same shape and heights.

  Raises:
    ValueError: If the trees are not of the same models in the same order.
  """
  return float(np.corrcoef(_heights(first, second))[0, 1])


def bakers_gamma(first: Tree, second: Tree) -> float:
  """Returns Spearman's correlation of the heights at which pairs join.

  Baker (1974) correlates the steps of the trees, of which the heights are a
  monotone function; equal ones have their mean rank.

  Raises:
    ValueError: If the trees are not of the same models in the same order.
  """
  return float(stats.spearmanr(*_heights(first, second)).statistic)


def _heights(first: Tree, second: Tree) -> list[np.ndarray]:
  if first.names != second.names or len(first.names) < 3:
    raise ValueError(
      f'Trees of {first.names} and {second.names} cannot be compared: they '
      'must be of the same three or more models.'
    )
  return [hierarchy.cophenet(tree.linkage) for tree in (first, second)]
