"""Tests of what is read off model spaces, against independent code."""

import csv
import math
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from experiments import evaluation
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from tests import taskonomy_testing
from transferability.oracle import Oracle

_NAMES = tuple(taskonomy_testing.GROUPS)
_BASELINES = ['random', 'groups', 'other_targets', 'constant_ranking']
_CEILINGS = ['symmetrised_oracle', 'oracle']


class _Space:
  """Stands for a model space; its models have one affinity or another."""

  def __init__(self, matrix):
    self._matrix = matrix

  def affinity(self, names):
    assert len(names) == len(self._matrix)
    return self._matrix

  def image_cosines(self, names):
    assert len(names) == len(self._matrix)
    noise = np.random.default_rng(0).normal(size=(4, *self._matrix.shape))
    noise += noise.transpose(0, 2, 1)
    # Exact in binary, and their mean too: images that differ around the matrix.
    noise = np.rint(64 * noise) / 4096
    return np.stack([self._matrix + n for n in (*noise, *-noise)])


def _random_affinity(size=20, seed=0):
  # Rounded, so that a mean over images is exact.
  values = np.random.default_rng(seed).integers(-400, 2458, (size, size)) / 4096
  matrix = (values + values.T) / 2
  np.fill_diagonal(matrix, 1.0)
  return matrix


def _rows(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.reader(file))


class EvaluationTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.oracle = str(self.folder / 'oracle.csv')
    Oracle.taskonomy().save(self.oracle)
    self.output = self.folder / 'output'

  def bank(self, names=_NAMES, groups=taskonomy_testing.GROUPS, oracle=True):
    encoders = [
      Encoder(
        name=name,
        graph=f'{name}.pb',
        input_tensor='input:0',
        representation_tensor='representation:0',
        preprocessing='range(-1, 1)',
        label=name,
        group=groups and groups.get(name),
      )
      for name in names
    ]
    return Bank('test', tuple(encoders), self.oracle if oracle else None)

  def evaluate(self, matrix, bank=None, **kwargs):
    return evaluation.evaluate(
      bank or self.bank(), {'elrp': _Space(matrix)}, **kwargs
    )


class EvaluateTest(EvaluationTestCase):
  def test_methods_come_first_then_baselines_then_ceilings(self):
    result = self.evaluate(_random_affinity())
    self.assertEqual(list(result.scores), ['elrp', *_BASELINES, *_CEILINGS])

  @parameterized.parameters(
    ('random', [0.2632] * 6),
    ('groups', [0.7989, 0.7712, 0.7388, 0.7226, 0.7128, 0.7063]),
    ('other_targets', [0.3889, 0.5278, 0.5185, 0.5556, 0.5444, 0.4907]),
    ('constant_ranking', [0.3889, 0.5278, 0.5556, 0.5556, 0.5444, 0.4907]),
    ('symmetrised_oracle', [1, 1, 0.9630, 0.9028, 0.8667, 0.75]),
    ('oracle', [1, 1, 1, 1, 1, 0.8333]),
  )
  def test_baselines_of_taskonomy_are_the_known_ones(self, name, expected):
    curve = self.evaluate(_random_affinity()).scores[name].curve
    np.testing.assert_allclose(curve.precision[:6], expected, atol=5e-5)

  def test_affinity_that_agrees_with_the_oracle_scores_high(self):
    ranks = np.zeros((20, 20))
    for i, target in enumerate(_NAMES):
      ranking = Oracle.taskonomy().ranking.get(target, ())
      for rank, source in enumerate(ranking):
        ranks[i, _NAMES.index(source)] = 20 - rank
    score = self.evaluate((ranks + ranks.T) / 40).scores['elrp']
    self.assertGreater(score.curve.precision[2], 0.8)
    self.assertGreater(score.spearman, 0.7)
    self.assertLess(score.p_values[4], 0.01)
    self.assertLess(score.p_values_within_groups[4], 0.01)

  def test_random_affinity_scores_like_chance(self):
    scores = [
      self.evaluate(_random_affinity(seed=seed)).scores['elrp']
      for seed in range(8)
    ]
    precision = np.mean([score.curve.precision[4] for score in scores])
    self.assertAlmostEqual(precision, 5 / 19, delta=0.06)
    self.assertAlmostEqual(
      np.mean([score.spearman for score in scores]), 0, delta=0.1
    )

  def test_tree_that_follows_the_groups_has_rand_index_one(self):
    groups = np.array(list(taskonomy_testing.GROUPS.values()))
    matrix = np.where(groups[:, None] == groups, 0.5, 0.1)
    np.fill_diagonal(matrix, 1.0)
    result = self.evaluate(matrix)
    self.assertEqual(result.tree_rand_index, {'elrp': 1.0})
    self.assertLess(
      self.evaluate(_random_affinity()).tree_rand_index['elrp'], 0.5
    )

  def test_protocol_decides_the_tree(self):
    matrix = _random_affinity()
    a, b = (
      self.evaluate(matrix, protocol=name).trees['elrp'].linkage
      for name in ('paper', 'released_code')
    )
    self.assertFalse(np.allclose(a, b))

  def test_without_an_oracle_all_models_are_targets_and_nothing_is_scored(self):
    result = self.evaluate(_random_affinity(), self.bank(oracle=False))
    self.assertEmpty(result.scores)
    self.assertEqual(list(result.rankings['elrp']), list(_NAMES))

  def test_without_groups_what_needs_them_is_left_out(self):
    result = self.evaluate(_random_affinity(), self.bank(groups=None))
    self.assertNotIn('groups', result.scores)
    self.assertEmpty(result.tree_rand_index)

  def test_groups_of_some_are_compared_with_the_tree_of_all(self):
    groups = dict(taskonomy_testing.GROUPS)
    del groups['rgb2depth']
    kinds = np.array(list(taskonomy_testing.GROUPS.values()))
    matrix = np.where(kinds[:, None] == kinds, 0.5, 0.1)
    np.fill_diagonal(matrix, 1.0)
    result = self.evaluate(matrix, self.bank(groups=groups))
    self.assertEqual(result.tree_rand_index, {'elrp': 1.0})
    self.assertNotIn('groups', result.scores)
    self.assertIsNone(result.scores['elrp'].p_values_within_groups)
    self.assertIsNotNone(result.scores['elrp'].p_values)

  def test_a_model_that_the_oracle_does_not_know_has_no_part_in_scores(self):
    matrix = _random_affinity(21)
    bank = self.bank((*_NAMES, 'mine'))
    whole, known = self.evaluate(matrix, bank), self.evaluate(matrix[:20, :20])
    for name, score in known.scores.items():
      found = whole.scores[name]
      np.testing.assert_array_equal(
        found.curve.precision, score.curve.precision
      )
      np.testing.assert_array_equal(found.p_values, score.p_values)
      np.testing.assert_array_equal(
        found.p_values_within_groups, score.p_values_within_groups
      )
    self.assertEqual(whole.relevant, known.relevant)
    self.assertEqual(
      list(whole.rankings['elrp']), [*known.rankings['elrp'], 'mine']
    )
    self.assertIn('mine', whole.rankings['elrp']['rgb2depth'])

  def test_groups_of_other_names_are_used_as_well(self):
    other = {k: f'my {v}' for k, v in taskonomy_testing.GROUPS.items()}
    curve = self.evaluate(_random_affinity(), self.bank(groups=other))
    # Own group first, no preference among the others.
    np.testing.assert_allclose(
      curve.scores['groups'].curve.precision[:3],
      [0.7989, 0.7557, 0.7059],
      atol=5e-5,
    )

  def test_oracle_is_cut_to_the_models_of_the_bank(self):
    names = ('rgb2depth', 'colorization', 'curvature', 'edge2d')
    bank = self.bank(names, {n: taskonomy_testing.GROUPS[n] for n in names})
    result = self.evaluate(_random_affinity(4), bank)
    self.assertEqual(
      list(result.rankings['elrp']), ['rgb2depth', 'curvature', 'edge2d']
    )
    self.assertLen(result.scores['elrp'].curve.k, 3)

  @parameterized.parameters(
    (('rgb2depth', 'mine'), "'mine'"),
    (('colorization', 'inpainting_whole'), ''),
  )
  def test_oracle_that_does_not_fit_the_bank_is_named(self, names, part):
    bank = self.bank(names, groups=None)
    with self.assertRaisesRegex(ValueError, f'{self.oracle}.*{part}'):
      evaluation.load_oracle(bank)

  def test_two_models_are_enough(self):
    names = ('rgb2depth', 'curvature')
    result = self.evaluate(_random_affinity(2), self.bank(names, groups=None))
    self.assertEqual(result.scores['elrp'].curve.precision.tolist(), [1.0])
    self.assertTrue(math.isnan(result.scores['elrp'].spearman))


class TablesTest(EvaluationTestCase):
  def setUp(self):
    super().setUp()
    self.matrix = _random_affinity()
    evaluation.write_tables(self.evaluate(self.matrix), self.output)

  def test_affinity_is_symmetric_with_unit_diagonal_to_the_last_digit(self):
    header, *rows = _rows(self.output / 'affinity' / 'elrp.csv')
    self.assertEqual(header[1:], list(_NAMES))
    self.assertEqual([row[0] for row in rows], list(_NAMES))
    found = np.array([row[1:] for row in rows], np.float64)
    np.testing.assert_array_equal(found, self.matrix)

  def test_distance_is_one_over_affinity_where_that_has_a_meaning(self):
    _, *rows = _rows(self.output / 'distance' / 'elrp.csv')
    found = np.array([row[1:] for row in rows], np.float64)
    positive = self.matrix > 0
    self.assertFalse(positive.all())
    np.testing.assert_array_equal(found[positive], 1 / self.matrix[positive])
    self.assertTrue(np.isinf(found[~positive]).all())

  def test_ranking_lists_all_other_sources_best_first(self):
    header, *rows = _rows(self.output / 'ranking' / 'elrp.csv')
    self.assertEqual(header, ['target', *(f'rank_{k}' for k in range(1, 20))])
    self.assertLen(rows, 18)
    for target, *sources in rows:
      i = _NAMES.index(target)
      values = [self.matrix[i, _NAMES.index(source)] for source in sources]
      self.assertEqual(values, sorted(values, reverse=True))
      self.assertSameElements([target, *sources], _NAMES)

  def test_precision_and_recall_follow_from_the_affinity_exactly(self):
    _, *rows = _rows(self.output / 'affinity' / 'elrp.csv')
    affinity = {
      row[0]: dict(zip(_NAMES, map(float, row[1:]), strict=True))
      for row in rows
    }
    _, *oracle = _rows(self.oracle)
    header, *found = _rows(self.output / 'precision_recall.csv')
    self.assertEqual(header, ['method', 'k', 'precision', 'recall'])
    found = {(m, int(k)): (float(p), float(r)) for m, k, p, r in found}
    for k in range(1, 20):
      hits = 0
      for target, *best in oracle:
        others = [name for name in _NAMES if name != target]
        others.sort(key=lambda name, row=affinity[target]: -row[name])
        hits += len(set(others[:k]) & set(best[:5]))
      self.assertEqual(found['elrp', k], (hits / (18 * k), hits / 90))

  def test_intervals_hold_the_precision_and_say_how_likely_it_is(self):
    header, *rows = _rows(self.output / 'intervals.csv')
    self.assertEqual(
      header,
      'method k precision precision_low precision_high recall_low recall_high '
      'p_value p_within_groups'.split(),
    )
    found = [row for row in rows if row[0] == 'elrp']
    self.assertEqual([int(row[1]) for row in found], list(range(1, 20)))
    values = np.array([row[2:] for row in found], np.float64)
    precision, low, high, *_, p_value, p_within = values.T
    self.assertTrue(np.all(low <= precision) and np.all(precision <= high))
    self.assertTrue(np.any(low < high))
    self.assertTrue(np.all(p_value > 0) and np.all(p_within <= 1))
    baseline = next(row for row in rows if row[0] == 'constant_ranking')
    self.assertEqual(baseline[3:], ['nan'] * 6)

  def test_summary_has_a_row_for_each_method_and_baseline(self):
    header, *rows = _rows(self.output / 'summary.csv')
    self.assertEqual(header[:5], ['method', 'P@1', 'P@3', 'P@5', 'R@5'])
    self.assertEqual(
      [row[0] for row in rows], ['elrp', *_BASELINES, *_CEILINGS]
    )

  def test_printed_summary_is_the_table(self):
    lines = evaluation.summary_of(self.output).splitlines()
    self.assertLen(lines, 8)
    self.assertEqual(
      lines[2].split(), 'random 0.263 0.263 0.263 0.263 - - 0.000 - - -'.split()
    )
    self.assertEqual(
      lines[-1].split(),
      'oracle 1.000 1.000 1.000 1.000 - - 1.000 - - -'.split(),
    )

  def test_small_numbers_are_numbers_and_small_p_values_are_not(self):
    header = ['method', 'affinity', 'p_value', 'p']
    row = ['elrp', -0.00004, 0.0004, 0.00002]
    lines = evaluation.format_table([header, row, ['x', -0.0, 0.0, 0.5]])
    _, first, second = lines.splitlines()
    self.assertEqual(first.split(), ['elrp', '-4e-05', '<0.001', '<0.001'])
    self.assertEqual(second.split(), ['x', '0.000', '0.000', '0.500'])

  def test_tree_is_written_in_both_forms(self):
    header, *rows = _rows(self.output / 'tree' / 'elrp.csv')
    self.assertEqual(header[:4], ['node', 'left', 'right', 'distance'])
    self.assertLen(rows, 19)
    newick = (self.output / 'tree' / 'elrp.newick').read_text()
    for name in _NAMES:
      self.assertIn(f'{name}:', newick)

  def test_without_an_oracle_the_best_sources_are_printed(self):
    output = self.folder / 'other'
    result = self.evaluate(self.matrix, self.bank(oracle=False))
    evaluation.write_tables(result, output)
    self.assertFalse((output / 'precision_recall.csv').exists())
    lines = evaluation.summary_of(output).splitlines()
    self.assertEqual(lines[0], 'elrp')
    self.assertEqual(lines[1].split(), ['target', 'rank_1', 'rank_2', 'rank_3'])
    self.assertEqual(lines[2].split()[0], _NAMES[0])
    self.assertLen(lines, 22)


if __name__ == '__main__':
  absltest.main()
