"""Tests of the transfer oracle, and of Taskonomy's way to derive it."""

import importlib.resources
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from tests import taskonomy_testing
from transferability import affinity as affinities
from transferability import oracle as oracle_lib
from transferability import ranking_files
from transferability.oracle import Oracle


def _oracle(seed=0, targets=4, sources=6):
  names = tuple('abcdefgh'[:sources])
  values = np.random.default_rng(seed).random((targets, sources))
  return Oracle.from_affinity(values, names[:targets], names)


class TaskonomyTest(absltest.TestCase):
  def test_it_has_18_targets_and_20_sources_in_canonical_order(self):
    oracle = Oracle.taskonomy()
    self.assertEqual(oracle.sources, tuple(taskonomy_testing.GROUPS))
    self.assertEqual(
      set(oracle.sources) - set(oracle.targets),
      {'colorization', 'inpainting_whole'},
    )
    self.assertLen(oracle.targets, 18)

  def test_relevant_sources_are_those_of_the_paper(self):
    oracle = Oracle.taskonomy()
    self.assertEqual(
      oracle.relevant('curvature'),
      ('rgb2sfnorm', 'rgb2depth', 'keypoint3d', 'rgb2mist', 'reshade'),
    )
    self.assertEqual(
      oracle.relevant('class_places'),
      (
        'class_1000',
        'segmentsemantic',
        'edge3d',
        'curvature',
        'keypoint3d',
      ),
    )

  def test_the_packaged_ranking_follows_from_the_packaged_affinities(self):
    oracle = Oracle.taskonomy()
    folder = importlib.resources.files('transferability') / 'data'
    with importlib.resources.as_file(folder / 'ranking_18x20.csv') as path:
      published = ranking_files.read(path)
    derived = oracle_lib.ranking_from_affinity(
      oracle.affinity, oracle.targets, oracle.sources
    )
    self.assertEqual(derived, published)

  def test_values_are_those_of_the_release(self):
    oracle = Oracle.taskonomy()
    self.assertEqual(oracle.affinity[0, 0], 0.0016705106942917307)
    self.assertEqual(oracle.affinity[1, 19], 0.0051021559104530954)


class FormTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / 'oracle.csv'

  def test_an_oracle_comes_back(self):
    oracle = _oracle()
    oracle.save(self.path, self.folder / 'affinity.csv')
    loaded = Oracle.load(self.path, self.folder / 'affinity.csv')
    self.assertEqual(loaded, oracle)
    np.testing.assert_array_equal(loaded.affinity, oracle.affinity)

  def test_a_ranking_alone_comes_back(self):
    oracle = _oracle()
    oracle.save(self.path)
    loaded = Oracle.load(self.path)
    self.assertEqual(loaded.ranking, oracle.ranking)
    self.assertIsNone(loaded.affinity)
    with self.assertRaisesRegex(ValueError, 'no affinities'):
      loaded.save(self.path, self.folder / 'affinity.csv')

  def test_the_form_with_the_target_as_rank_0_is_read_too(self):
    self.path.write_text('target,rank_0,rank_1,rank_2\na,a,c,b\n')
    self.assertEqual(Oracle.load(self.path).ranking, {'a': ('c', 'b')})

  def test_an_oracle_of_one_target_is_enough(self):
    self.path.write_text('target,rank_1,rank_2\nb,c,a\n')
    oracle = Oracle.load(self.path)
    self.assertEqual(oracle.targets, ('b',))
    self.assertCountEqual(oracle.sources, 'abc')
    self.assertEqual(oracle.relevant('b'), ('c', 'a'))

  @parameterized.parameters(
    ('a,a,b', "'a' is ranked as a source of itself"),
    ('a,b,b', r"ranks \['b'\] more than once"),
    ('a,b,c\nb,a,d', r"'a' does not rank \['d'\]"),
  )
  def test_a_row_that_is_no_ranking_is_refused(self, rows, message):
    self.path.write_text(f'target,rank_1,rank_2\n{rows}\n')
    with self.assertRaisesRegex(ValueError, f'oracle.csv.*{message}'):
      Oracle.load(self.path)

  def test_affinities_that_contradict_the_ranking_are_refused(self):
    oracle = _oracle()
    oracle.save(self.path, self.folder / 'affinity.csv')
    affinities.save_matrix(
      self.folder / 'affinity.csv',
      -oracle.affinity,
      oracle.sources,
      oracle.targets,
    )
    with self.assertRaisesRegex(ValueError, "'a' does not follow"):
      Oracle.load(self.path, self.folder / 'affinity.csv')

  def test_affinities_of_other_tasks_are_refused(self):
    _oracle().save(self.path)
    _oracle(sources=5).save(
      self.folder / 'other.csv', self.folder / 'affinity.csv'
    )
    with self.assertRaisesRegex(ValueError, 'do not cover'):
      Oracle.load(self.path, self.folder / 'affinity.csv')

  @parameterized.parameters(
    (('a',), ('a', 'a', 'b'), 'more than once'),
    (('z',), ('a', 'b'), 'not among the sources'),
    ((), ('a', 'b'), 'at least one target'),
    (('a',), ('a',), 'two sources'),
  )
  def test_impossible_names_are_refused(self, targets, sources, message):
    with self.assertRaisesRegex(ValueError, message):
      Oracle.from_affinity(
        np.ones((len(targets), len(sources))), targets, sources
      )

  def test_rankings_of_other_targets_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'its targets are'):
      Oracle(('a',), ('a', 'b'), {'b': ('a',)})


class RestrictTest(absltest.TestCase):
  def test_the_order_of_what_is_left_stays(self):
    oracle = Oracle.taskonomy()
    names = ('reshade', 'colorization', 'edge3d', 'curvature')
    small = oracle.restrict(names)
    self.assertEqual(small.sources, names)
    self.assertEqual(small.targets, ('reshade', 'edge3d', 'curvature'))
    for target in small.targets:
      expected = [n for n in oracle.ranking[target] if n in names]
      self.assertSequenceEqual(small.ranking[target], expected)
    column = oracle.sources.index('edge3d')
    row = oracle.targets.index('reshade')
    self.assertEqual(small.affinity[0, 2], oracle.affinity[row, column])

  def test_unknown_names_are_listed(self):
    with self.assertRaisesRegex(ValueError, r"does not know \['x', 'y'\]"):
      _oracle().restrict(['a', 'x', 'b', 'y'])

  def test_names_without_a_target_are_refused(self):
    with self.assertRaisesRegex(ValueError, '0 targets'):
      _oracle(targets=2).restrict(['c', 'd'])


class RankingFromAffinityTest(absltest.TestCase):
  def test_the_target_is_excluded_by_index_not_by_position(self):
    values = np.array([[0.1, 0.5, 0.9]])
    self.assertEqual(
      oracle_lib.ranking_from_affinity(values, 'a', 'abc'), {'a': ('c', 'b')}
    )
    values[0, 0] = np.nan
    self.assertEqual(
      oracle_lib.ranking_from_affinity(values, 'a', 'abc'), {'a': ('c', 'b')}
    )

  def test_ties_stand_in_the_order_of_sources(self):
    values = np.array([[0.0, 0.5, 0.7, 0.5, 0.5]])
    self.assertEqual(
      oracle_lib.ranking_from_affinity(values, 'a', 'abcde')['a'],
      ('c', 'b', 'd', 'e'),
    )

  def test_nan_is_refused_by_name(self):
    with self.assertRaisesRegex(ValueError, "source 'b' to target 'a' is nan"):
      oracle_lib.ranking_from_affinity(np.array([[1, np.nan]]), 'a', 'ab')


class AhpTest(absltest.TestCase):
  def test_a_win_is_a_lower_loss_and_a_tie_is_half_a_win(self):
    rates = oracle_lib.win_rates([[1, 5, 2, 7], [2, 4, 2, 8], [9, 9, 9, 9]])
    np.testing.assert_array_equal(
      rates, [[0.5, 0.625, 1], [0.375, 0.5, 1], [0, 0, 0.5]]
    )

  def test_losses_must_be_finite(self):
    with self.assertRaisesRegex(ValueError, 'finite'):
      oracle_lib.win_rates([[1, np.nan], [2, 3]])

  def test_consistent_rates_give_back_their_strengths(self):
    # If i beats j with probability s_i / (s_i + s_j), the ratios are s_i / s_j
    # and the principal eigenvector is s.
    strengths = np.array([0.5, 0.3, 0.15, 0.05])
    rates = strengths[:, None] / (strengths[:, None] + strengths)
    np.testing.assert_allclose(
      oracle_lib.ahp_affinity(rates), strengths, rtol=1e-12
    )

  def test_it_is_the_principal_eigenvector_of_the_clipped_ratios(self):
    losses = (
      np.random.default_rng(0).random((7, 50)) + np.arange(7)[:, None] / 5
    )
    rates = oracle_lib.win_rates(losses)
    result = oracle_lib.ahp_affinity(rates)
    clipped = np.clip(rates, 0.001, 0.999)
    vector = np.ones(7)
    for _ in range(10_000):  # The slow power method.
      vector = clipped / clipped.T @ vector
      vector /= vector.sum()
    self.assertEqual(rates.min(), 0)  # So that the clipping counts.
    np.testing.assert_allclose(result, vector, rtol=1e-10)
    self.assertAlmostEqual(result.sum(), 1)

  def test_source_order_follows_the_losses(self):
    losses = np.random.default_rng(1).random((5, 200)) * [
      [5],
      [3],
      [1],
      [4],
      [2],
    ]
    order = np.argsort(-oracle_lib.ahp_affinity(oracle_lib.win_rates(losses)))
    self.assertEqual(order.tolist(), [2, 4, 1, 3, 0])

  def test_one_source_has_all_and_what_is_not_square_is_refused(self):
    np.testing.assert_array_equal(oracle_lib.ahp_affinity([[0.5]]), [1.0])
    for shape in ((0, 0), (2, 3), (3, 2), (2,)):
      with self.assertRaisesRegex(ValueError, 'must be square'):
        oracle_lib.ahp_affinity(np.full(shape, 0.5))

  def test_rates_that_are_none_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'Win rates'):
      oracle_lib.ahp_affinity(np.full((3, 3), 0.7))


class StabilityTest(absltest.TestCase):
  def test_equal_oracles_agree_entirely(self):
    result = oracle_lib.stability([_oracle(), _oracle(), _oracle()])
    self.assertEqual(result, (1.0, 1.0))

  def test_opposite_oracles_disagree_entirely(self):
    a = _oracle(sources=8)
    b = Oracle.from_affinity(-a.affinity, a.targets, a.sources)
    spearman, overlap = oracle_lib.stability([a, b], num_relevant=3)
    self.assertAlmostEqual(spearman, -1)
    self.assertEqual(overlap, 0)

  def test_it_needs_two_oracles_of_the_same_tasks(self):
    with self.assertRaisesRegex(ValueError, 'two or more'):
      oracle_lib.stability([_oracle()])
    with self.assertRaisesRegex(ValueError, 'different'):
      oracle_lib.stability([_oracle(), _oracle(sources=5)])


if __name__ == '__main__':
  absltest.main()
