"""Properties that hold for any networks, by random examples.

Shapes are small and examples few, as each is a law: what breaks one does so on
nearly every example.
"""

import pathlib
import tempfile

from absl.testing import absltest
from hypothesis import given, settings, strategies
from hypothesis.extra import numpy as arrays
import numpy as np

from tests import bank_testing
from transferability import clustering, ranking
from transferability.model_space import ModelSpace
from transferability.oracle import Oracle

_NAMES = tuple('abcdefg')
_few = settings(max_examples=10, deadline=None, derandomize=True)
_seeds = strategies.integers(0, 2**32 - 1)
# Of networks, images and entries of a map; a map is never zero by chance.
_sizes = strategies.tuples(
  strategies.integers(2, 5),
  strategies.integers(1, 5),
  strategies.integers(2, 9),
)


def _maps(size, seed):
  """Returns maps of networks, alike to some degree, [networks, images, n]."""
  rng = np.random.default_rng(seed)
  return rng.normal(size=size) + rng.normal() * rng.normal(size=size[1:])


def _space(maps, names=_NAMES, dtype='float32', folder=None):
  """Returns a space of maps, in a folder of its own."""
  folder = folder or tempfile.mkdtemp()
  space = ModelSpace.create(
    folder,
    settings={},
    image_ids=[str(i) for i in range(maps.shape[1])],
    image_digests=[str(i) for i in range(maps.shape[1])],
    map_shape=maps.shape[2:],
    dtype=dtype,
  )
  for name, rows in zip(names, maps, strict=False):
    writer = space.writer(name, {})
    writer.write(0, rows)
    writer.finish()
  return space


def _affinity(maps, **options):
  with tempfile.TemporaryDirectory() as folder:
    return _space(maps, folder=folder, **options).affinity()


class AffinityTest(absltest.TestCase):
  @_few
  @given(_sizes, _seeds, strategies.sampled_from(['float16', 'float32']))
  def test_it_is_a_matrix_of_mean_cosines(self, size, seed, dtype):
    found = _affinity(_maps(size, seed), dtype=dtype)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)
    self.assertLessEqual(np.abs(found).max(), 1)
    self.assertGreaterEqual(np.linalg.eigvalsh(found).min(), -1e-12)

  @_few
  @given(_sizes, _seeds, strategies.floats(1e-6, 1e6))
  def test_the_scale_of_a_network_and_of_its_images_is_no_matter(
    self, size, seed, scale
  ):
    maps = _maps(size, seed)
    scales = np.random.default_rng(seed).uniform(0.1, 10, (*size[:2], 1))
    np.testing.assert_allclose(
      _affinity(maps * scales * scale), _affinity(maps), atol=1e-6
    )

  @_few
  @given(_sizes, _seeds)
  def test_the_order_of_images_is_no_matter(self, size, seed):
    maps = _maps(size, seed)
    order = np.random.default_rng(seed).permutation(size[1])
    np.testing.assert_allclose(
      _affinity(maps[:, order]), _affinity(maps), rtol=0, atol=1e-14
    )

  @_few
  @given(_sizes, _seeds)
  def test_networks_in_another_order_permute_it_to_the_last_bit(
    self, size, seed
  ):
    maps = _maps(size, seed)
    order = np.random.default_rng(seed).permutation(size[0])
    names = [_NAMES[i] for i in order]
    np.testing.assert_array_equal(
      _affinity(maps[order], names=names),
      _affinity(maps)[np.ix_(order, order)],
    )

  @_few
  @given(_sizes, _seeds)
  def test_a_network_that_comes_and_goes_leaves_every_byte(self, size, seed):
    maps = _maps(size, seed)
    with tempfile.TemporaryDirectory() as folder:
      space = _space(maps[:-1], folder=folder)
      before = bank_testing.tree_bytes(pathlib.Path(folder))
      writer = space.writer('new', {})
      writer.write(0, maps[-1])
      self.assertEqual(space.unfinished + space.models[-1:], ('new',))
      space.remove('new')
      self.assertEqual(bank_testing.tree_bytes(pathlib.Path(folder)), before)


def _matrices(least=2):
  """Returns random matrices, whose entries may be equal."""
  return strategies.integers(least, 7).flatmap(
    lambda n: arrays.arrays(
      np.float64, (n, n), elements=strategies.sampled_from(np.arange(9) / 8)
    )
  )


def _oracle(matrix, names):
  rankings = ranking.rank_sources(matrix, names, names)
  return Oracle(names, names, rankings)


class RankingTest(absltest.TestCase):
  @_few
  @given(_matrices(), _seeds)
  def test_each_target_ranks_all_others_once_and_permutes(self, matrix, seed):
    # Without ties, which the order of networks decides.
    matrix = matrix + np.random.default_rng(seed).uniform(0, 1e-3, matrix.shape)
    names = _NAMES[: len(matrix)]
    found = ranking.rank_sources(matrix, names, names)
    for target, sources in found.items():
      self.assertCountEqual((target, *sources), names)
      row = [matrix[names.index(target), names.index(s)] for s in sources]
      self.assertEqual(row, sorted(row, reverse=True))
    order = np.random.default_rng(seed).permutation(len(names))
    permuted = [names[i] for i in order]
    self.assertEqual(
      ranking.rank_sources(matrix[np.ix_(order, order)], permuted, names), found
    )

  @_few
  @given(_matrices(3), _matrices(3), strategies.integers(1, 6))
  def test_precision_and_recall_count_the_same_hits(self, one, other, relevant):
    size = min(len(one), len(other))
    names = _NAMES[:size]
    rankings = ranking.rank_sources(one[:size, :size], names, names)
    oracle = _oracle(other[:size, :size], names)
    found = ranking.precision_recall(rankings, oracle, relevant)
    number = min(relevant, size - 1)
    np.testing.assert_allclose(found.precision * found.k, found.recall * number)
    self.assertTrue(np.all((found.precision >= 0) & (found.precision <= 1)))
    self.assertTrue(np.all(np.diff(found.hits) >= 0))
    self.assertAlmostEqual(found.recall[-1], 1)
    self.assertAlmostEqual(found.precision[-1], number / (size - 1))
    itself = ranking.precision_recall(oracle.ranking, oracle, relevant)
    np.testing.assert_allclose(itself.precision[:number], 1)


class TreeTest(absltest.TestCase):
  @_few
  @given(strategies.integers(2, 7), _seeds)
  def test_it_does_not_depend_on_the_order_of_networks(self, size, seed):
    maps = _maps((size, 3, 8), seed)
    rows = maps / np.linalg.norm(maps, axis=-1, keepdims=True)
    matrix = np.einsum('anx,bnx->ab', rows, rows) / 3
    np.fill_diagonal(matrix, 1)
    order = np.random.default_rng(seed).permutation(size)
    trees = [
      clustering.task_similarity_tree(
        matrix[np.ix_(o, o)], [_NAMES[i] for i in o]
      )
      for o in (np.arange(size), order)
    ]
    merged = [_merges(tree) for tree in trees]
    self.assertEqual([sets for sets, _ in merged[0]], [s for s, _ in merged[1]])
    np.testing.assert_allclose(*([d for _, d in each] for each in merged))


def _merges(tree):
  """Returns which networks come together, and at which distance."""
  sets = [frozenset([name]) for name in tree.names]
  found = []
  for left, right, distance, _ in tree.linkage:
    sets.append(sets[int(left)] | sets[int(right)])
    found.append((tuple(sorted(sets[-1])), distance))
  return found


if __name__ == '__main__':
  absltest.main()
