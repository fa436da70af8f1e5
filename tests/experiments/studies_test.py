"""Tests that hold for every study, and of what each computes."""

import csv
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from experiments import study
from experiments.studies import bad_cases, direct_comparison, registry, symmetry
from tests import bank_testing, study_testing
from transferability import ranking
from transferability.oracle import Oracle


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


class StudiesTestCase(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'studies')
    cls.study = study_testing.make(folder)
    cls.run_ = cls.study.run()

  def conduct(self, name: str) -> tuple[study.Finding, pathlib.Path]:
    finding = self.study.conduct(name, registry.get(name).function)
    return finding, self.study.output / name


class EveryStudyTest(StudiesTestCase):
  @parameterized.parameters(*registry.names())
  def test_it_says_what_it_found_and_writes_what_it_names(self, name):
    finding, folder = self.conduct(name)
    self.assertRegex(finding.headline, r'\d')
    self.assertNotEmpty(finding.files)
    for file in finding.files:
      self.assertGreater((folder / file).stat().st_size, 0)
    tables = [file for file in finding.files if file.endswith('.csv')]
    self.assertNotEmpty(tables)
    for table in tables:
      self.assertNotEmpty(_rows(folder / table))

  def test_an_unknown_study_is_refused(self):
    with self.assertRaisesRegex(ValueError, "No study 'figure9'"):
      registry.get('figure9')


class SymmetryTest(StudiesTestCase):
  def test_taskonomy_loses_one_hit_of_ninety(self):
    curves = symmetry.ceilings(Oracle.taskonomy())
    lost = curves['oracle'].hits - curves['best symmetric'].hits
    np.testing.assert_array_equal(np.flatnonzero(lost), [4])
    self.assertEqual(lost[4], 1)
    self.assertAlmostEqual(curves['raw mean'].precision[4], 0.7111, delta=1e-4)
    self.assertAlmostEqual(
      curves['transposed'].precision[0], 0.7778, delta=1e-4
    )

  def test_the_only_one_sided_cycle_of_taskonomy_is_found(self):
    oracle = Oracle.taskonomy()
    self.assertEqual(
      symmetry.one_sided_cycles(oracle, 5), [('curvature', 'edge3d', 'reshade')]
    )
    self.assertEmpty(symmetry.one_sided_cycles(oracle, 3))

  def test_pairs_of_taskonomy_are_the_known_ones(self):
    self.assertEqual(symmetry.pair_counts(Oracle.taskonomy(), 5), (24, 34))


class DirectComparisonTest(StudiesTestCase):
  def test_correlation_is_that_of_the_pairs(self):
    _, folder = self.conduct('direct_comparison')
    matrix = self.run_.affinity('elrp')
    # Mean ranks by hand; gamma is no target, so that its row is unknown.
    ranks = {
      target: {s: r for r, s in enumerate(row, 1)}
      for target, row in bank_testing.RANKING.items()
    }
    values, truth = [], []
    names = bank_testing.NAMES
    for i, a in enumerate(names):
      for j in range(i + 1, len(names)):
        known = [
          -ranks[t][s] for t, s in ((a, names[j]), (names[j], a)) if t in ranks
        ]
        values.append(matrix[i, j])
        truth.append(np.mean(known))
    (row,) = [
      row
      for row in _rows(folder / 'correlation.csv')
      if row['method'] == 'elrp'
    ]
    expected = np.corrcoef(values, truth)[0, 1]
    self.assertAlmostEqual(float(row['pearson']), expected)
    self.assertLessEqual(float(row['pearson_low']), expected)
    (beside,) = [
      row
      for row in _rows(folder / 'correlation.csv')
      if row['method'] == 'svcca'
    ]
    svcca = self.run_.similarity('svcca')[np.triu_indices(4, 1)]
    expected = np.corrcoef(svcca, truth)[0, 1]
    self.assertAlmostEqual(float(beside['pearson']), expected)

  def test_order_of_the_oracle_does_not_matter(self):
    oracle = Oracle.taskonomy()
    names = oracle.sources[::-1]
    values, (i, j) = direct_comparison.oracle_pairs(oracle, names, 'rank_mean')
    again, (k, m) = direct_comparison.oracle_pairs(
      oracle, oracle.sources, 'rank_mean'
    )
    first = {
      frozenset((names[a], names[b])): value
      for a, b, value in zip(i, j, values, strict=True)
    }
    second = {
      frozenset((names[::-1][a], names[::-1][b])): value
      for a, b, value in zip(k, m, again, strict=True)
    }
    self.assertEqual(first, second)
    self.assertLen(first, 189)  # No transfer between the two mere sources.


class ProbeSizeTest(StudiesTestCase):
  def test_all_images_have_no_error_and_the_full_precision(self):
    _, folder = self.conduct('probe_size')
    rows = [
      row for row in _rows(folder / 'sizes.csv') if row['method'] == 'elrp'
    ]
    self.assertEqual([row['images'] for row in rows], ['10', '12'])
    self.assertGreater(float(rows[0]['rms_error']), 0)
    self.assertLess(float(rows[-1]['rms_error']), 1e-12)
    oracle = self.study.oracle
    curve = ranking.precision_recall(
      ranking.rank_sources(
        self.run_.affinity('elrp'), self.run_.names, oracle.targets
      ),
      oracle,
    )
    self.assertAlmostEqual(float(rows[-1]['P@3']), curve.precision[2])


class QuantisationTest(StudiesTestCase):
  def test_many_bits_give_the_whole_affinity(self):
    _, folder = self.conduct('quantisation')
    rows = _rows(folder / 'correlation.csv')
    self.assertLen(rows, 15)
    for row in rows:
      if row['bits'] == '16':
        self.assertEqual(float(row['spearman']), 1)
      self.assertLessEqual(abs(float(row['spearman'])), 1)


class BadCasesTest(StudiesTestCase):
  def test_targets_average_to_the_precision_of_all(self):
    _, folder = self.conduct('bad_cases')
    rows = [
      row
      for row in _rows(folder / 'targets.csv')
      if row['method'] == 'saliency'
    ]
    self.assertEqual(
      [row['target'] for row in rows], ['alpha', 'beta', 'delta']
    )
    oracle = self.study.oracle
    ranked = ranking.rank_sources(
      self.run_.affinity('saliency'), self.run_.names, oracle.targets
    )
    curve = ranking.precision_recall(ranked, oracle)
    found = np.mean([float(row['P@3']) for row in rows])
    self.assertAlmostEqual(found, curve.precision[2])

  def test_spread_and_gap_are_read_off_the_losses(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    names = [f's{i}' for i in range(8)]
    losses = [0.5, 1, 2, 3, 4, 5, 7, 9]
    (folder / 'losses.csv').write_text(
      'target,t,' + ','.join(names) + '\n'
      't,0.1,' + ','.join(map(str, losses)) + '\n'
    )

    class _Bank:
      oracle_losses = folder / 'losses.csv'

    class _Study:
      bank = _Bank

    spread = bad_cases.oracle_spread(_Study)
    # Without the target's own: best 0.5, median 3.5, fifth 4, sixth 5.
    np.testing.assert_allclose(spread['t'], [0.5, 3.5, 3 / 3.5, 1 / 3])


if __name__ == '__main__':
  absltest.main()
