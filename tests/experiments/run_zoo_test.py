"""Tests of the comparison of heterogeneous networks as a user runs it."""

import csv
import json
import pathlib
import shutil

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from experiments import pipeline, results, zoo_evaluation
from taskonomy_models.zoo import table as zoo_bank
from taskonomy_models.zoo.table import Row
from tests import bank_testing, command_testing, testing
from toolkit_basics import files
from transferability import affinity as affinity_lib
from transferability import grouping, map_transforms
from transferability.model_space import ModelSpace

_OTHERS = (
  'attribution_kernel',
  'attribution_span',
  'decodability',
  'spade',
)
_OTHERS += tuple(f'{name}@hubs_removed' for name in _OTHERS)
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
    for entry in self.content['encoders']:  # For pictures of any size.
      side = 12 if entry['name'] == 'delta' else 16
      steps = entry['preprocessing'].removeprefix('resize(12) | ')
      entry['preprocessing'] = f'resize({side}) | {steps}'
    bank_testing.write_json(self.bank, self.content)

  def run_zoo(self, *commands):
    """Returns exit code, stdout and stderr of each, made by `arguments`."""
    common = [
      f'--bank={self.bank}',
      f'--probe={self.folder / "images.npy"}',
      '--image_size=40',
      '--batch_size=2',
      '--num_permutations=99',
    ]
    return command_testing.run_or_look(
      'experiments.run_zoo',
      *(pipeline, 'Explainer'),
      *([kind, *common, *arguments] for kind, *arguments in commands),
    )

  def arguments(self, *arguments, name='output', may_compute=True):
    kind = 'compute' if may_compute else 'look'
    return [kind, f'--output={self.folder / name}', *arguments]


class RunZooTest(RunZooTestCase):
  def test_results_are_those_of_the_spaces(self):
    arguments = (
      '--methods=gradient_times_input,elrp',
      '--map_transform=none,absolute+pooled',
    )
    plain = self.folder / 'plain'
    shutil.copytree(self.bank, plain)
    (plain / zoo_bank.TABLE).unlink()
    (code, out, err), (again, text, _), (grouped, _, _) = self.run_zoo(
      self.arguments(*arguments),
      self.arguments(*arguments, '--resume', may_compute=False),
      self.arguments(
        f'--bank={plain}',
        '--methods=saliency',
        '--map_transform=none',
        name='grouped',
      ),
    )
    self.assertEqual(code, 0, err)
    with self.subTest('resuming computes nothing'):
      self.assertEqual(again, 0)
      self.assertStartsWith(text, f'{self.output} is finished')
    self.assertStartsWith(out, 'network')
    with self.subTest('a bank without the table is tested by group alone'):
      self.assertEqual(grouped, 0)
      rows = _rows(self.folder / 'grouped' / 'clusters.csv')
      self.assertEqual({row['question'] for row in rows}, {'task'})
    variants = [
      f'{method}{transform}{removed}'
      for method in ('gradient_times_input', 'elrp')
      for transform in ('', '@absolute+pooled')
      for removed in ('', '@common_removed')
    ]
    with self.subTest('a table and a tree for each variant'):
      for variant in (*variants, *_OTHERS):
        for file in (
          f'affinity/{variant}.csv',
          f'ranking/{variant}.csv',
          f'tree/{variant}.newick',
        ):
          self.assertTrue((self.output / file).exists(), file)
    with self.subTest('the figures that matter, and no others'):
      shown = ('elrp', 'gradient_times_input')
      drawn = {path.stem for path in (self.output / 'figures').iterdir()}
      expected = {f'{kind}_{m}' for m in shown for kind in ('affinity', 'tree')}
      expected |= {f'maps_{m}{end}' for m in shown for end in ('', '_overlay')}
      self.assertEqual(drawn, {*expected, 'variants'})
    with self.subTest('affinities without the common map'):
      space = ModelSpace(self.output / 'model_space/elrp')
      found, names = affinity_lib.load_matrix(
        self.output / 'affinity/elrp@common_removed.csv'
      )
      np.testing.assert_allclose(
        found,
        map_transforms.cosines_without_common_map(
          space.image_cosines(list(names))
        ).mean(axis=0),
      )
    with self.subTest('tests of every variant and question'):
      rows = _rows(self.output / 'clusters.csv')
      self.assertLen(rows, (len(variants) + len(_OTHERS)) * 4 * 3)
      self._check_tests(rows)
    with self.subTest('the table of networks'):
      self._check_networks()
    with self.subTest('groups'):
      groups = _rows(self.output / 'groups.csv')
      self.assertLen(groups, (len(variants) + len(_OTHERS)) * 2)
      self.assertEqual({row['size'] for row in groups}, {'2'})

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

  def test_networks_that_a_bank_gets_later_join_the_run(self):
    grown = self.folder / 'grown'
    shutil.copytree(self.bank, grown)
    few = {**self.content, 'encoders': self.content['encoders'][:3]}
    bank_testing.write_json(self.bank, few)
    some = '--methods=elrp', '--map_transform=none'
    ((code, _, err),) = self.run_zoo(self.arguments(*some))
    self.assertEqual(code, 0, err)
    folder = self.output / 'model_space' / 'elrp' / 'models'
    before = bank_testing.tree_bytes(folder)
    bank_testing.write_json(self.bank, self.content)
    joined, changed = self.run_zoo(
      self.arguments(*some, '--resume'),
      self.arguments(*some, f'--bank={grown}', name='whole'),
    )
    self.assertEqual([joined[0], changed[0]], [0, 0])
    after = bank_testing.tree_bytes(folder)
    self.assertEqual({name: after[name] for name in before}, before)
    for file in ('affinity/elrp.csv', 'clusters.csv', 'groups.csv'):
      self.assertEqual(
        (self.output / file).read_bytes(),
        (self.folder / 'whole' / file).read_bytes(),
      )


class BadModelTest(RunZooTestCase):
  def test_refused_networks_stop_the_run_or_are_left_out_of_all_methods(self):
    graph = testing.freeze(lambda x: tf.exp(x) * 2, size=16)
    (self.bank / 'beta.pb').write_bytes(graph.SerializeToString())
    both, none = '--methods=elrp,saliency', '--map_transform=none'
    stopped, skipped, unruled = self.run_zoo(
      self.arguments(both, name='stopped'),
      self.arguments(both, none, '--on_bad_model=skip'),
      self.arguments('--methods=saliency', none, name='unruled'),
    )
    with self.subTest('the error names them, and nothing is written'):
      code, _, err = stopped
      self.assertEqual(code, 1)
      self.assertIn('1 of 4 networks cannot be projected (beta)', err)
      self.assertIn('--on_bad_model=skip', err)
      self.assertFalse((self.folder / 'stopped').exists())
    with self.subTest('skipped ones are in no table, and are reported'):
      code, out, err = skipped
      self.assertEqual(code, 3, err)
      self.assertIn('Left out: beta', out)
      for method in ('elrp', 'saliency'):
        _, names = affinity_lib.load_matrix(
          self.output / f'affinity/{method}.csv'
        )
        self.assertEqual(names, ('alpha', 'gamma', 'delta'))
      record = json.loads((self.output / 'run.json').read_text())
      self.assertIn('Exp', record['digests']['left_out']['beta'])
    with self.subTest('a method without rules takes every network'):
      code, out, err = unruled
      self.assertEqual(code, 0, err)
      self.assertNotIn('Left out', out)

  def test_a_network_that_fails_on_the_way_can_be_left_out_too(self):
    images = testing.images(5, 40)
    images[2] = 0
    np.save(self.folder / 'images.npy', images)
    self.content['encoders'][1]['preprocessing'] = 'resize(16) | range(0, 1)'
    bank_testing.write_json(self.bank, self.content)
    methods = '--methods=gradient_times_input'
    (code, _, err), (again, out, _) = self.run_zoo(
      self.arguments(methods),
      self.arguments(methods, '--resume', '--on_bad_model=skip'),
    )
    self.assertEqual(code, 1)
    self.assertIn("Model 'beta', image 2", err)
    self.assertEqual(again, 3)
    self.assertIn('Left out: beta', out)

  def test_a_run_that_lost_what_a_network_took_can_go_on(self):
    some = '--methods=gradient_times_input', '--map_transform=none'
    ((code, _, err),) = self.run_zoo(self.arguments(*some))
    self.assertEqual(code, 0, err)
    folder = self.folder / 'output'
    record = json.loads((folder / 'run.json').read_text())
    record['finished'] = False  # As if the disk had been full at the end.
    (folder / 'run.json').write_text(json.dumps(record))
    measured = json.loads((folder / results.MEASURED).read_text())
    del measured['alpha']
    measured['beta'] = {'images': 0, 'seconds': 0.0, 'ruled': 1}
    (folder / results.MEASURED).write_text(json.dumps(measured))
    ((code, _, err),) = self.run_zoo(self.arguments(*some, '--resume'))
    self.assertEqual(code, 0, err)
    header, *rows = files.read_csv(folder / 'networks.csv')
    place = header.index('seconds_per_image')
    seconds = {row[0]: float(row[place]) for row in rows}
    self.assertTrue(np.isnan([seconds['alpha'], seconds['beta']]).all())
    self.assertGreater(seconds['gamma'], 0)


class ErrorsTest(RunZooTestCase):
  def test_wrong_banks_and_flags_end_in_one_line_before_anything_runs(self):
    (self.bank / zoo_bank.TABLE).write_text('network,colour\nalpha,red\n')
    ungrouped = self.folder / 'ungrouped'
    content = bank_testing.write(ungrouped)
    for entry in content['encoders']:
      del entry['group']
    bank_testing.write_json(ungrouped, content)
    results = self.run_zoo(
      self.arguments(),
      self.arguments(f'--bank={ungrouped}'),
      self.arguments(f'--bank={self.folder}'),
      self.arguments('--map_transform=blurred'),
    )
    messages = (
      'is not a table of the zoo',
      'need a "group"',
      'bank.json is missing',
      "No map transform 'blurred'",
    )
    for (code, _, err), message in zip(results, messages, strict=True):
      with self.subTest(message):
        self.assertEqual(code, 1)
        self.assertIn(message, err)
        self.assertLen(err.strip().splitlines(), 1)
    self.assertFalse(self.output.exists())


class LabelsTest(absltest.TestCase):
  def test_questions_compare_what_they_say(self):
    labels = zoo_evaluation.Labels(list('aab'), list('xyx'), list('ppq'))
    asked = {q: labels.asked(q)[1] for q in zoo_evaluation.QUESTIONS}
    self.assertEqual(list(asked['task']), ['labels'])
    self.assertEqual(list(asked['task']['labels']), ['a', 'a', 'b'])
    self.assertEqual(
      asked['architecture']['pairs'].tolist(),
      [[True, True, False], [True, True, False], [False, False, True]],
    )
    for question in ('family', 'other_family'):
      self.assertEqual(
        asked[question]['pairs'].tolist(),
        [[False, False, True], [False, False, True], [True, True, False]],
      )

  def test_networks_of_which_too_little_is_known_are_not_asked_about(self):
    labels = zoo_evaluation.Labels(
      ['a', None, 'b', 'b'], ['x', 'x', None, 'y'], [None] * 4
    )
    self.assertEqual(labels.asked('task')[0], [0, 2, 3])
    rows, arguments = labels.asked('architecture')
    self.assertEqual(rows, [0, 3])
    self.assertEqual(list(arguments['labels']), ['x', 'y'])
    self.assertEqual(labels.asked('family')[0], [])


if __name__ == '__main__':
  absltest.main()
