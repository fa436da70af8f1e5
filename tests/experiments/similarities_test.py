"""Tests of similarities beside attribution: kept, computed, written, shown."""

import csv
import pathlib
import unittest
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from attribution.explainer import Explainer
from attribution.probes import Probes
from experiments import evaluation, figures, pipeline, similarities
from probe_data import probe_sets
from taskonomy_models import bank as banks
from tests import bank_testing, browser_testing, testing
from tests.experiments import report_test
from tests.tracking_testing import Killed, killed_after, silent
from transferability import similarity

_METHODS = ('saliency', 'gradient_times_input')
_NUM_IMAGES = 9
_PROBES = Probes(count=4, num_images=5)


class SimilaritiesTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.output = self.folder / 'output'
    bank_testing.write(self.folder / 'bank')
    images = testing.images(_NUM_IMAGES, bank_testing.SIZE)
    np.save(self.folder / 'images.npy', images)
    self.bank = banks.load(str(self.folder / 'bank'))

  def probe(self):
    return probe_sets.load(
      str(self.folder / 'images.npy'), image_size=(bank_testing.SIZE,) * 2
    )

  def project(self, track=silent, **kwargs):
    kwargs = {'batch_size': 4, 'keep_representations': True} | kwargs
    projection = pipeline.Projection(
      pipeline.method_objects(_METHODS), dtype='float32', **kwargs
    )
    return pipeline.project(
      self.bank, self.probe(), projection, self.output, track
    )

  def expected(self):
    """Returns the representations that explainers give, by model."""
    found = {}
    for encoder in self.bank.encoders:
      with Explainer(
        encoder.graph,
        input_tensor='input:0',
        representation_tensor='representation:0',
        preprocessing=encoder.preprocessing,
      ) as explainer:
        found[encoder.name] = explainer.explain(
          self.probe().images
        ).representation
    return found


class KeptTest(SimilaritiesTestCase):
  def test_representations_are_those_of_the_explainer(self):
    self.project()
    for name, expected in self.expected().items():
      path = pipeline.representation_path(self.output, name)
      self.assertEqual(path, self.output / 'representations' / f'{name}.npy')
      found = np.load(path)
      self.assertEqual(found.dtype, np.float32)
      np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

  def test_they_are_kept_only_on_request(self):
    self.project(keep_representations=False)
    self.assertFalse((self.output / 'representations').exists())

  @parameterized.parameters(1, 5, 11)
  def test_killed_run_ends_in_the_same_bytes(self, number):
    self.project()
    expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'resumed'
    with self.assertRaises(Killed):
      self.project(killed_after(number))
    self.assertLess(
      len(list((self.output / 'representations').glob('*.npy'))), 4
    )
    self.project()
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)

  def test_a_run_without_them_gets_them_and_a_lost_one_is_made_again(self):
    self.project(keep_representations=False)
    self.project()
    expected = bank_testing.tree_bytes(self.output)
    pipeline.representation_path(self.output, 'beta').unlink()
    with mock.patch.object(
      pipeline, 'Explainer', side_effect=Explainer
    ) as built:
      self.project()
    names = [call.args[0].name for call in built.call_args_list]
    self.assertEqual(names, ['beta'])
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)

  def test_dropped_images_are_left_out(self):
    spaces = self.project()
    for space in spaces.values():
      space.drop_images([1, 4])
    kept = similarities.load(self.output, self.bank.names, spaces)
    rows = [0, 2, 3, 5, 6, 7, 8]
    for name in self.bank.names:
      whole = np.load(pipeline.representation_path(self.output, name))
      np.testing.assert_array_equal(kept[name], whole[rows])


class MatricesTest(SimilaritiesTestCase):
  def setUp(self):
    super().setUp()
    self.spaces = self.project(probes=_PROBES)
    self.kept = similarities.load(self.output, self.bank.names, self.spaces)

  def matrices(self, *chosen, **kwargs):
    return similarities.matrices(chosen, self.kept, self.spaces, **kwargs)

  def test_every_similarity_is_an_affinity(self):
    found = self.matrices(*similarities.names())
    self.assertSequenceEqual(list(found), similarities.names())
    for name, matrix in found.items():
      directed = name != 'depara' and similarity.info(name).directed
      self.assertEqual(np.array_equal(matrix, matrix.T), not directed, name)
      np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-12)
      self.assertLessEqual(np.abs(matrix).max(), 1 + 1e-12)

  def test_they_are_those_of_the_representations(self):
    expected = self.expected()
    for name in ('rsa', 'cka', 'dds'):
      np.testing.assert_allclose(
        self.matrices(name)[name],
        similarity.matrix(name, expected)[1],
        atol=1e-4,
      )

  def test_depara_is_nodes_and_edges(self):
    found = self.matrices('depara', 'depara_edge', edge_weight=0.5)
    nodes = self.spaces['gradient_times_input'].affinity(self.bank.names)
    np.testing.assert_allclose(
      found['depara'], (nodes + 0.5 * found['depara_edge']) / 1.5
    )

  def test_rows_are_targets_and_columns_sources(self):
    found = self.matrices('decodability', 'attribution_span', 'spade')
    target, source = self.kept['alpha'], self.kept['beta']
    expected = similarity.score('decodability', target, source)
    self.assertAlmostEqual(found['decodability'][0, 1], expected)
    rows = {
      name: np.stack(list(self.spaces['probes'].stacks([name])))[:, 0]
      for name in ('alpha', 'beta')
    }
    span = similarity.score('attribution_span', rows['alpha'], rows['beta'])
    self.assertAlmostEqual(found['attribution_span'][0, 1], span, places=5)
    self.assertAlmostEqual(
      found['spade'][0, 1], (expected + span) / 2, places=5
    )

  def test_measures_of_probes_need_probes(self):
    maps = {name: self.spaces[name] for name in _METHODS}
    for name in ('attribution_kernel', 'spade'):
      with self.assertRaisesRegex(
        ValueError, 'needs maps of random directions'
      ):
        similarities.matrices([name], self.kept, maps)

  def test_probes_are_sketched_unless_a_measure_needs_them_in_full(self):
    kept = similarities.probe_point(['attribution_kernel', 'cka'], 'sketch:64')
    self.assertEqual(kept, 'sketch:64')
    for name in ('attribution_span', 'spade'):
      chosen = [name, 'attribution_kernel']
      with self.assertLogs(level='INFO') as logs:
        self.assertEqual(similarities.probe_point(chosen, 'sketch:64'), 'full')
      self.assertIn(f'{name} needs maps', logs.output[0])

  def test_what_cannot_be_is_refused(self):
    for message, chosen, methods in (
      ("'ccka'", ['ccka'], _METHODS),
      ('each once', ['cka', 'cka'], _METHODS),
      ('gradient_times_input; add', ['depara'], ['elrp']),
    ):
      with self.assertRaisesRegex(ValueError, message):
        similarities.check(chosen, methods)
    similarities.check(similarities.names(), _METHODS)

  def test_they_are_scored_and_written_beside_the_methods(self):
    others = self.matrices('rsa', 'depara')
    result = evaluation.evaluate(self.bank, self.spaces, similarities=others)
    self.assertEqual(list(result.scores)[:4], [*_METHODS, 'rsa', 'depara'])
    evaluation.write_tables(result, self.output)
    for name, matrix in others.items():
      for folder in ('affinity', 'ranking', 'tree'):
        self.assertTrue((self.output / folder / f'{name}.csv').exists())
      found, names = evaluation.affinity_lib.load_matrix(
        self.output / 'affinity' / f'{name}.csv'
      )
      self.assertEqual(names, self.bank.names)
      np.testing.assert_array_equal(found, matrix)
    with open(self.output / 'precision_recall.csv', encoding='utf-8') as file:
      self.assertContainsSubset(
        {'rsa', 'depara'}, {row['method'] for row in csv.DictReader(file)}
      )

  def test_scores_are_those_of_the_matrix_without_intervals(self):
    rsa = self.matrices('rsa')
    score = evaluation.evaluate(
      self.bank, self.spaces, similarities=rsa
    ).scores['rsa']
    alone = evaluation.score(
      rsa['rsa'], self.bank.names, evaluation.load_oracle(self.bank)
    )
    self.assertIsNone(score.draws)
    np.testing.assert_array_equal(score.curve.precision, alone.curve.precision)
    self.assertEqual(score.spearman, alone.spearman)

  def test_a_similarity_cannot_take_the_place_of_a_method(self):
    with self.assertRaisesRegex(ValueError, 'saliency.*both'):
      evaluation.evaluate(
        self.bank, self.spaces, similarities={'saliency': np.eye(4)}
      )


@unittest.skipIf(browser_testing.missing(), browser_testing.missing())
class PageTest(absltest.TestCase):
  def test_beside_what_has_no_maps_those_of_the_last_method_are_shown(self):
    path = pathlib.Path(self.create_tempdir().full_path, 'report.html')
    with (
      mock.patch.object(report_test, '_METHODS', ('saliency', 'elrp', 'rsa')),
      browser_testing.browser() as driver,
    ):
      report_test._write(path)
      browser_testing.open_page(driver, path)
      for method, expected in (('saliency', 'saliency'), ('rsa', 'elrp')):
        driver.execute_script(
          'document.querySelector(`[name=method][value=${arguments[0]}]`)'
          '.click()',
          method,
        )
        said = driver.execute_script(
          "return document.getElementById('maps-of').textContent"
        )
        self.assertEqual(said, f'Maps of {figures.method_label(expected)}.')
      self.assertEmpty(browser_testing.console_errors(driver))


if __name__ == '__main__':
  absltest.main()
