"""Tests of what chooses, proves and tries to break the measures of spans."""

import dataclasses
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from attribution.probes import Probes
from experiments import evaluation, pipeline
from experiments.beyond import (
  alone,
  breaking,
  choosing,
  observing,
  proving,
  remedies,
)
from taskonomy_models import bank as banks
from tests import bank_testing
from tests.tracking_testing import silent
from transferability import ranking
from transferability.oracle import Oracle


def _oracle(names, seed=0):
  rng = np.random.default_rng(seed)
  return Oracle.from_affinity(
    rng.normal(size=(len(names) - 2, len(names))), names[:-2], names
  )


class ScoreTest(parameterized.TestCase):
  @parameterized.parameters(0, 1, 2)
  def test_scores_are_those_of_the_rankings(self, seed):
    names = tuple('abcdefghij')
    oracle = _oracle(names)
    matrix = np.random.default_rng(seed).normal(size=(10, 10))
    found = observing.score(matrix[None], names, oracle)
    rankings = ranking.rank_sources(matrix, names, oracle.targets)
    curve = ranking.precision_recall(rankings, oracle)
    for k in (1, 3, 5):
      self.assertAlmostEqual(found[f'P@{k}'].mean(), curve.precision[k - 1])
    self.assertAlmostEqual(
      found['spearman'].mean(), ranking.mean_spearman(rankings, oracle)
    )

  def test_oracle_itself_is_perfect(self):
    names = tuple('abcdefghij')
    oracle = _oracle(names)
    matrix = observing.of_rankings(oracle.ranking, names)
    for values in observing.score(matrix, names, oracle).values():
      np.testing.assert_allclose(values, 1)


class ObserveTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.probe = pipeline.load_probe(
      self.bank, 'scenes', track=silent, num_images=12
    )
    self.probes = Probes(count=4, num_images=6)
    self.oracle = evaluation.load_oracle(self.bank)

  def observe(self):
    return observing.observe(
      self.bank, self.probe, self.folder / 'run', silent, self.probes
    )

  def test_all_measures_are_observed_and_proved(self):
    observed = self.observe()
    self.assertEqual(set(observed.matrices), set(observing.MEASURES))
    halves = len(observed.matrices['spade'])
    for name, matrices in observed.matrices.items():
      self.assertEqual(matrices.shape, (halves, 4, 4), name)
      self.assertGreater(np.ptp(matrices[1:], axis=0).max(), 0, name)
    spade = np.mean(
      [observed.matrices[n] for n in ('attribution_span', 'decodability')],
      axis=0,
    )
    np.testing.assert_allclose(observed.matrices['spade'], spade)
    header, *rows = proving.rows(observed, self.oracle, self.bank.groups)
    names = [row[0] for row in rows]
    self.assertEqual(names, [*observed.matrices, *proving.BASELINES])
    for row in rows:
      values = dict(zip(header, row, strict=True))
      for score in observing.SCORES:
        self.assertLessEqual(values[f'{score}_low'], values[score])
        self.assertGreaterEqual(
          round(values[f'{score}_high'], 9), round(values[score], 9)
        )
    # What is there is read again, seconds included.
    again = self.observe()
    self.assertEqual(again.seconds, observed.seconds)

  def test_too_few_images_for_halves_of_them_are_refused(self):
    probe = dataclasses.replace(self.probe, images=self.probe.images[:7])
    with self.assertRaisesRegex(ValueError, "'scenes' has 7 images; 8 are"):
      observing.observe(self.bank, probe, self.folder / 'run', silent)

  def test_differences_are_those_of_the_scores(self):
    observed = self.observe()
    header, *rows = proving.differences(observed, self.oracle)
    table, *scored = proving.rows(observed, self.oracle, {})
    means = {row[0]: dict(zip(table, row, strict=True)) for row in scored}
    for row in rows:
      found = dict(zip(header, row, strict=True))
      expected = means[found['ours']][found['score']]
      expected -= means[found['other']][found['score']]
      self.assertAlmostEqual(found['difference'], expected)
      self.assertLessEqual(found['low_targets'], found['difference'] + 1e-9)

  def test_rotation_moves_the_mean_map_and_its_like_alone(self):
    probe = dataclasses.replace(self.probe)
    found = breaking._maps(self.bank, probe, 0, silent)
    for kind, networks in found.items():
      self.assertLen(networks, 4)
      for (mean, rows), (plain, drawn) in zip(
        networks, found['as it is'], strict=True
      ):
        self.assertEqual(mean.shape[0], len(plain))
        same = np.allclose(rows, drawn)
        self.assertEqual(same, kind == 'as it is')
    table = breaking.rows(self.bank, probe, self.oracle, silent)
    self.assertLen(table, 1 + 3 * len(breaking.CHANGES))

  def test_scores_of_one_network_give_one_order(self):
    found = alone.scores(self.bank, self.probe, silent)
    self.assertIn('rankme', found)
    self.assertIn('random_alignment', found)
    header, *rows = alone.rows(found, self.bank.names, self.oracle)
    self.assertLen(header, len(rows[0]))
    for row in rows[:-1]:
      self.assertBetween(row[1], -1, 1)
    baselines = evaluation.baseline_scores(self.oracle, {})
    static = dict(zip(header, rows[-1], strict=True))
    self.assertEqual(static['score'], 'other_targets')
    expected = baselines['other_targets'].curve.precision
    for k in (1, 3):
      self.assertAlmostEqual(static[f'P@{k}'], expected[k - 1])

  def test_readouts_that_can_do_more_are_tried_with_and_without_span(self):
    represented = observing.represent(self.bank, self.probe, silent)
    decoded = remedies.matrices(represented, silent)
    span = np.random.default_rng(0).uniform(size=(4, 4))
    header, *rows = remedies.rows(decoded, span, self.bank.names, self.oracle)
    self.assertLen(rows, 2 * len(remedies.VARIANTS))
    plain, more = decoded['as chosen'], decoded['5 x 5 cells']
    self.assertFalse(np.allclose(plain, more))
    self.assertEqual(len(header), len(rows[0]))

  def test_products_of_probes_serve_every_smaller_number(self):
    with absltest.mock.patch.object(
      choosing, '_MOST', Probes(count=8, num_images=6)
    ):
      gram = choosing.products(
        self.bank, self.probe, 'gradient', self.folder, silent
      )
    self.assertEqual(gram.shape, (6, 4, 4, 8, 8))
    for measure in ('attribution_kernel', 'attribution_span'):
      matrix = choosing.of_probes(gram, measure, 4, np.arange(3))
      np.testing.assert_allclose(np.diag(matrix), 1)
      self.assertGreater(np.abs(matrix - np.eye(4)).max(), 0)


class ChooseTest(absltest.TestCase):
  def _setting(self, cost, quality, family='a'):
    return choosing.Setting('m', family, str(cost), cost, {}, quality)

  def test_the_cheapest_within_one_standard_error_is_chosen(self):
    best = np.linspace(0.5, 0.9, 18)
    swing = 0.05 * np.where(np.arange(18) % 2, 1, -1)
    candidates = [
      self._setting(9, best),
      self._setting(3, best - 0.005 + swing),
      self._setting(1, best - 0.3),
      self._setting(2, best - 0.005 + swing, 'b'),
    ]
    top, cheapest = choosing.choose(candidates)['m']
    self.assertEqual(top.cost, 9)
    self.assertEqual(cheapest.cost, 3)

  def test_sets_of_images_are_disjoint(self):
    sets = choosing.shares(10, 3)
    self.assertLen(sets, 3)
    together = np.concatenate(sets)
    self.assertLen(set(together.tolist()), 9)


if __name__ == '__main__':
  absltest.main()
