"""Tests of the comparison of heterogeneous networks as a user runs it."""

import contextlib
import csv
import io
import json
import pathlib
import sys

from absl.testing import absltest, flagsaver, parameterized
import numpy as np
import tensorflow as tf

from experiments import run_zoo, zoo_evaluation
from taskonomy_models import cli, zoo_bank
from taskonomy_models.zoo_bank import Row
from tests import bank_testing, testing
from transferability import affinity as affinity_lib
from transferability import grouping, map_transforms
from transferability.model_space import ModelSpace

_FAMILIES = {'alpha': 'a', 'beta': 'b', 'gamma': 'b', 'delta': 'a'}


def _row(name):
  return Row(
    network=name,
    label=name,
    group=bank_testing.GROUPS[name],
    task='task',
    architecture=f'{_FAMILIES[name]}-net',
    family=_FAMILIES[name],
    package='p 1.0',
    licence='MIT',
    input_shape='16x16x3',
    representation_shape='8x8x4',
    nodes=12,
    nonlinear=2,
    ruled=2,
    rules='Relu 2',
    parameters=99,
    seconds=0.1,
    definition='x',
  )


def _rows(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


class RunZooTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.bank, self.output = self.folder / 'bank', self.folder / 'output'
    self.content = bank_testing.write(self.bank, oracle=False)
    zoo_bank.write_table(self.bank, map(_row, bank_testing.NAMES))
    np.save(self.folder / 'images.npy', testing.images(5, 40))

  def run_zoo(self, *arguments):
    """Returns exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    sys_argv = [
      'run_zoo',
      f'--bank={self.bank}',
      f'--probe={self.folder / "images.npy"}',
      '--image_size=40',
      '--batch_size=2',
      '--num_permutations=99',
      f'--output={self.output}',
      *arguments,
    ]
    with (
      flagsaver.flagsaver(),
      contextlib.redirect_stdout(out),
      contextlib.redirect_stderr(err),
      absltest.mock.patch.object(sys, 'argv', sys_argv),
      self.assertRaises(SystemExit) as end,
    ):
      cli.run(run_zoo.main)
    return end.exception.code or 0, out.getvalue(), err.getvalue()

  def fit(self):
    """Lets every network take pictures of any size."""
    for entry in self.content['encoders']:
      side = 12 if entry['name'] == 'delta' else 16
      entry['preprocessing'] = f'resize({side}) | {entry["preprocessing"]}'
      entry['preprocessing'] = entry['preprocessing'].replace(
        ' | resize(12)', ''
      )
    bank_testing.write_json(self.bank, self.content)


class RunZooTest(RunZooTestCase):
  def test_results_are_those_of_the_spaces(self):
    self.fit()
    arguments = (
      '--methods=gradient_times_input,elrp',
      '--map_transform=none,absolute+pooled',
    )
    code, out, err = self.run_zoo(*arguments)
    self.assertEqual(code, 0, err)
    self.assertStartsWith(out, 'network')
    variants = [
      f'{method}{transform}{removed}'
      for method in ('gradient_times_input', 'elrp')
      for transform in ('', '@absolute+pooled')
      for removed in ('', '@common_removed')
    ]
    with self.subTest('a table and a tree for each variant'):
      for variant in variants:
        for file in (
          f'affinity/{variant}.csv',
          f'ranking/{variant}.csv',
          f'tree/{variant}.newick',
          f'figures/tree_{variant}.png',
          f'figures/affinity_{variant}.png',
        ):
          self.assertTrue((self.output / file).exists(), file)
    with self.subTest('affinities without the common map'):
      space = ModelSpace.open(self.output / 'model_space/elrp')
      found, names = affinity_lib.load_matrix(
        self.output / 'affinity/elrp@common_removed.csv'
      )
      np.testing.assert_allclose(
        found,
        map_transforms.affinity_without_common_map(
          space.image_cosines(list(names))
        ),
      )
    with self.subTest('tests of every variant and question'):
      rows = _rows(self.output / 'clusters.csv')
      self.assertLen(rows, len(variants) * 4 * 3)
      self._check_tests(rows)
    with self.subTest('the table of networks'):
      self._check_networks()
    with self.subTest('groups'):
      groups = _rows(self.output / 'groups.csv')
      self.assertLen(groups, len(variants) * 2)
      self.assertEqual({row['size'] for row in groups}, {'2'})

    before = bank_testing.tree_bytes(self.output)
    with (
      self.subTest('resuming computes nothing'),
      absltest.mock.patch.object(run_zoo.pipeline, 'project', None),
    ):
      code, _, err = self.run_zoo(*arguments, '--resume')
      self.assertEqual(code, 0, err)
      self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def _check_tests(self, rows):
    groups = [bank_testing.GROUPS[name] for name in bank_testing.NAMES]
    families = np.array([_FAMILIES[name] for name in bank_testing.NAMES])
    matrix, _ = affinity_lib.load_matrix(self.output / 'affinity/elrp.csv')
    expected = {
      'task': grouping.permutation_test(matrix, groups, 'within_minus_between'),
      'other_family': grouping.permutation_test(
        matrix,
        groups,
        'within_minus_between',
        strata=families.tolist(),
        pairs=families[:, None] != families,
      ),
    }
    found = {
      row['question']: row
      for row in rows
      if row['maps'] == 'elrp' and row['statistic'] == 'within_minus_between'
    }
    for question, outcome in expected.items():
      self.assertAlmostEqual(float(found[question]['value']), outcome.value)
      self.assertAlmostEqual(float(found[question]['p_value']), outcome.p_value)

  def _check_networks(self):
    rows = {row['network']: row for row in _rows(self.output / 'networks.csv')}
    self.assertEqual(list(rows), list(bank_testing.NAMES))
    self.assertEqual(rows['alpha']['architecture'], 'a-net')
    for row in rows.values():
      self.assertEqual(row['ruled'], '2')
      self.assertGreater(float(row['seconds_per_image']), 0)
    agreement = 'cosine_elrp_gradient_times_input'
    self.assertGreater(float(rows['alpha'][agreement]), 0.999)  # Of Relu alone.
    self.assertLess(float(rows['beta'][agreement]), 0.99)  # Of Tanh.

  def test_a_bank_without_the_zoos_table_is_tested_by_group_alone(self):
    self.fit()
    (self.bank / zoo_bank.TABLE).unlink()
    code, _, err = self.run_zoo('--methods=saliency', '--map_transform=none')
    self.assertEqual(code, 0, err)
    questions = {row['question'] for row in _rows(self.output / 'clusters.csv')}
    self.assertEqual(questions, {'task'})


class BadModelTest(RunZooTestCase):
  def setUp(self):
    super().setUp()
    self.fit()
    graph = testing.freeze(lambda x: tf.exp(x) * 2, size=16)
    (self.bank / 'beta.pb').write_bytes(graph.SerializeToString())

  def test_refused_networks_are_named_and_nothing_is_written(self):
    code, _, err = self.run_zoo('--methods=elrp,saliency')
    self.assertEqual(code, 1)
    self.assertIn('1 of 4 networks cannot be projected (beta)', err)
    self.assertIn('--on_bad_model=skip', err)
    self.assertFalse(self.output.exists())

  def test_skipped_networks_are_left_out_of_all_methods_and_reported(self):
    code, out, err = self.run_zoo(
      '--methods=elrp,saliency', '--map_transform=none', '--on_bad_model=skip'
    )
    self.assertEqual(code, 0, err)
    self.assertIn('Left out: beta', out)
    for method in ('elrp', 'saliency'):
      _, names = affinity_lib.load_matrix(
        self.output / f'affinity/{method}.csv'
      )
      self.assertEqual(names, ('alpha', 'gamma', 'delta'))
    record = json.loads((self.output / 'run.json').read_text())
    self.assertIn('Exp', record['digests']['left_out']['beta'])

  def test_a_method_without_rules_takes_every_network(self):
    code, out, err = self.run_zoo('--methods=saliency', '--map_transform=none')
    self.assertEqual(code, 0, err)
    self.assertNotIn('Left out', out)


class ErrorsTest(RunZooTestCase):
  def test_encoders_without_a_group_are_refused(self):
    del self.content['encoders'][0]['group']
    bank_testing.write_json(self.bank, self.content)
    code, _, err = self.run_zoo()
    self.assertEqual(code, 1)
    self.assertIn('needs a "group"', err)

  def test_an_unknown_map_transform_is_refused_before_anything_runs(self):
    code, _, err = self.run_zoo('--map_transform=blurred')
    self.assertEqual(code, 1)
    self.assertIn("No map transform 'blurred'", err)
    self.assertFalse(self.output.exists())

  def test_a_damaged_table_of_the_zoo_is_refused(self):
    (self.bank / zoo_bank.TABLE).write_text('network,colour\nalpha,red\n')
    code, _, err = self.run_zoo()
    self.assertEqual(code, 1)
    self.assertIn('is not a table of the zoo', err)


class LabelsTest(absltest.TestCase):
  def test_questions_compare_what_they_say(self):
    labels = zoo_evaluation.Labels(list('aab'), list('xyx'), list('ppq'))
    self.assertEqual(labels.question('task'), {'labels': ['a', 'a', 'b']})
    self.assertEqual(
      labels.question('architecture')['pairs'].tolist(),
      [[True, True, False], [True, True, False], [False, False, True]],
    )
    self.assertEqual(
      labels.question('family')['pairs'].tolist(),
      [[False, False, True], [False, False, True], [True, True, False]],
    )
    self.assertEqual(
      labels.question('other_family')['pairs'].tolist(),
      [[False, False, True], [False, False, True], [True, True, False]],
    )


if __name__ == '__main__':
  absltest.main()
