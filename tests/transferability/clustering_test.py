"""Tests of the task similarity tree and of its agreement with groups."""

import itertools
import math
import pathlib
import re

from absl.testing import absltest, parameterized
import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial import distance
from sklearn import metrics

from tests import space_testing
from toolkit_basics import files
from transferability import clustering


def _affinity(size=9, seed=0):
  maps = np.random.default_rng(seed).normal(size=(size, 4, 30)) + 0.5
  return space_testing.mean_cosines(maps)


def _names(size=9):
  return [f'task_{i}' for i in range(size)]


def _parse_newick(text):
  """Returns {leaf: {ancestor: length of the path}}, by a plain reader."""
  tokens = re.findall(r"'(?:[^']|'')*'|[(),;]|:[^(),;]+|[^(),:;]+", text)
  paths, nodes, last = {}, [], ()
  counter = itertools.count()
  members = {}
  for token in tokens:
    if token == '(':
      nodes.append(next(counter))
      members[nodes[-1]] = []
    elif token == ')':
      last = members[nodes.pop()]
      if nodes:
        members[nodes[-1]] += last
    elif token.startswith(':'):
      for leaf in last:
        paths[leaf].append((nodes[-1], float(token[1:])))
    elif token not in ',;':
      leaf = token
      if token.startswith("'"):
        leaf = token[1:-1].replace("''", "'")
      paths[leaf], last = [], [leaf]
      members[nodes[-1]].append(leaf)
  result = {}
  for leaf, steps in paths.items():
    total, result[leaf] = 0.0, {}
    for node, length in steps:
      total += length
      result[leaf][node] = total
  return result


def _path_length(parsed, a, b):
  common = parsed[a].keys() & parsed[b].keys()
  return min(parsed[a][node] + parsed[b][node] for node in common)


class TreeTest(parameterized.TestCase):
  def test_the_papers_tree_is_scipys_average_linkage(self):
    affinity = _affinity()
    tree = clustering.task_similarity_tree(affinity, _names())
    condensed = distance.squareform(1 - affinity, checks=False)
    np.testing.assert_array_equal(
      tree.linkage,
      hierarchy.linkage(condensed, 'average', optimal_ordering=True),
    )

  def test_the_released_tree_is_single_linkage_of_the_rows(self):
    affinity = _affinity()
    tree = clustering.task_similarity_tree(affinity, _names(), 'released_code')
    np.testing.assert_array_equal(
      tree.linkage,
      hierarchy.linkage(affinity, 'single', optimal_ordering=True),
    )

  def test_the_leaf_order_is_a_permutation_with_near_neighbours(self):
    affinity = _affinity(7)
    tree = clustering.task_similarity_tree(affinity, _names(7))
    self.assertCountEqual(tree.leaf_order, range(7))
    plain = hierarchy.linkage(
      distance.squareform(1 - affinity, checks=False), 'average'
    )

    def length(order):
      return sum(1 - affinity[i, j] for i, j in itertools.pairwise(order))

    self.assertLessEqual(
      length(tree.leaf_order), length(hierarchy.leaves_list(plain)) + 1e-12
    )

  @parameterized.parameters('paper', 'released_code')
  def test_the_order_of_models_does_not_change_the_tree(self, protocol):
    affinity, names = _affinity(), np.array(_names())
    order = np.random.default_rng(0).permutation(9)
    trees = [
      clustering.task_similarity_tree(affinity, names, protocol),
      clustering.task_similarity_tree(
        affinity[np.ix_(order, order)], names[order], protocol
      ),
    ]
    a, b = (
      distance.squareform(hierarchy.cophenet(tree.linkage)) for tree in trees
    )
    np.testing.assert_allclose(a[np.ix_(order, order)], b, atol=1e-12)

  @parameterized.parameters('paper', 'released_code')
  def test_paths_in_the_newick_tree_are_the_joining_distances(self, protocol):
    names = ['plain', 'a b', "it's", 'x,y', '(z)', 'q:1;', 'u_v', 'é', '[w]']
    tree = clustering.task_similarity_tree(_affinity(), names, protocol)
    parsed = _parse_newick(tree.newick())
    self.assertCountEqual(parsed, names)
    joined = distance.squareform(hierarchy.cophenet(tree.linkage))
    for i, j in itertools.combinations(range(9), 2):
      self.assertAlmostEqual(
        _path_length(parsed, names[i], names[j]), joined[i, j]
      )

  def test_the_newick_form_of_two_models(self):
    affinity = np.array([[1, 0.5], [0.5, 1]])
    tree = clustering.task_similarity_tree(affinity, ['a', 'b c'])
    self.assertEqual(tree.newick(), "(a:0.25,'b c':0.25);")

  @parameterized.parameters(*range(1, 10))
  def test_clusters_are_scipys_and_exactly_as_many(self, n):
    tree = clustering.task_similarity_tree(_affinity(), _names())
    labels = tree.clusters(n)
    self.assertLen(set(labels), n)
    self.assertEqual(list(dict.fromkeys(labels.tolist())), list(range(n)))
    expected = hierarchy.fcluster(tree.linkage, n, 'maxclust')
    self.assertEqual(metrics.adjusted_rand_score(expected, labels), 1)

  def test_ties_still_give_exactly_as_many_clusters(self):
    tree = clustering.task_similarity_tree(np.eye(5), _names(5))
    for n in range(1, 6):
      self.assertLen(set(tree.clusters(n)), n)

  @parameterized.parameters(0, 10)
  def test_impossible_numbers_of_clusters_are_refused(self, n):
    tree = clustering.task_similarity_tree(_affinity(), _names())
    with self.assertRaisesRegex(ValueError, f'{n} clusters of 9'):
      tree.clusters(n)

  def test_files_hold_the_tree(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    tree = clustering.task_similarity_tree(_affinity(4), _names(4))
    tree.save_newick(folder / 'a.newick')
    self.assertEqual((folder / 'a.newick').read_text(), tree.newick() + '\n')
    tree.save_linkage(folder / 'a.csv')
    header, *rows = files.read_csv(folder / 'a.csv')
    self.assertEqual(header[:5], ['node', 'left', 'right', 'distance', 'size'])
    read = [[float(cell) for cell in row[1:5]] for row in rows]
    np.testing.assert_array_equal(read, tree.linkage)
    for row in rows:
      for node, name in zip(row[1:3], row[5:7], strict=True):
        self.assertEqual(name, f'task_{node}' if int(node) < 4 else '')

  def test_what_gives_no_tree_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'two or more'):
      clustering.task_similarity_tree(np.ones((1, 1)), ['a'])
    for value in (0.9, np.nan):
      affinity = _affinity(3)
      affinity[0, 1] = value
      with self.assertRaisesRegex(ValueError, 'symmetric'):
        clustering.task_similarity_tree(affinity, _names(3))
    with self.assertRaisesRegex(ValueError, "'median'"):
      clustering.task_similarity_tree(_affinity(3), _names(3), 'median')


class AgreementTest(parameterized.TestCase):
  @parameterized.parameters(*range(20))
  def test_the_adjusted_rand_index_is_scikit_learns(self, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 1 + seed % 5, (2, 15))
    self.assertAlmostEqual(
      clustering.adjusted_rand_index(a.tolist(), b.tolist()),
      metrics.adjusted_rand_score(a, b),
      places=12,
    )

  @parameterized.parameters(('aaa', 'bbb'), ('abc', 'xyz'), ('a', 'b'))
  def test_equal_trivial_groupings_agree(self, a, b):
    self.assertEqual(clustering.adjusted_rand_index(a, b), 1)

  def test_random_groupings_agree_by_chance_only(self):
    rng = np.random.default_rng(0)
    values = [
      clustering.adjusted_rand_index(*rng.integers(0, 3, (2, 20)).tolist())
      for _ in range(2000)
    ]
    error = np.std(values) / math.sqrt(2000)
    self.assertLess(abs(np.mean(values)), 4 * error)

  def test_what_does_not_fit_is_refused(self):
    with self.assertRaisesRegex(ValueError, '2 and 3 models'):
      clustering.adjusted_rand_index('ab', 'abc')


class TwoTreesTest(absltest.TestCase):
  def _trees(self):
    rng = np.random.default_rng(0)
    trees = []
    for _ in range(2):
      values = rng.uniform(size=(7, 7))
      trees.append(
        clustering.task_similarity_tree((values + values.T) / 2, 'abcdefg')
      )
    return trees

  def test_a_tree_agrees_with_itself(self):
    first, _ = self._trees()
    self.assertAlmostEqual(clustering.cophenetic_correlation(first, first), 1)
    self.assertAlmostEqual(clustering.bakers_gamma(first, first), 1)

  def test_heights_at_which_pairs_join_are_compared(self):
    first, second = self._trees()
    heights = []
    for tree in (first, second):
      members = {i: {i} for i in range(7)}
      joined = {}
      for step, (a, b, height, _) in enumerate(tree.linkage):
        for i in members[int(a)]:
          for j in members[int(b)]:
            joined[frozenset((i, j))] = height
        members[7 + step] = members[int(a)] | members[int(b)]
      heights.append([joined[pair] for pair in sorted(joined, key=sorted)])
    self.assertAlmostEqual(
      clustering.cophenetic_correlation(first, second),
      np.corrcoef(heights)[0, 1],
    )
    heights = np.array(heights)
    below = (heights[:, None] < heights[:, :, None]).sum(axis=2)
    ranks = below + (heights[:, None] == heights[:, :, None]).sum(axis=2) / 2
    self.assertAlmostEqual(
      clustering.bakers_gamma(first, second), np.corrcoef(ranks)[0, 1]
    )

  def test_trees_of_other_models_are_refused(self):
    first, _ = self._trees()
    other = clustering.task_similarity_tree(np.eye(7), 'abcdefh')
    with self.assertRaisesRegex(ValueError, 'cannot be compared'):
      clustering.bakers_gamma(first, other)

  def test_three_models_are_the_fewest_that_can_be_compared(self):
    affinity = np.array([[1, 0.8, 0.1], [0.8, 1, 0.2], [0.1, 0.2, 1]])
    three = clustering.task_similarity_tree(affinity, 'abc')
    two = clustering.task_similarity_tree(affinity[:2, :2], 'ab')
    self.assertAlmostEqual(clustering.bakers_gamma(three, three), 1)
    with self.assertRaisesRegex(ValueError, 'three or more'):
      clustering.cophenetic_correlation(two, two)


if __name__ == '__main__':
  absltest.main()
