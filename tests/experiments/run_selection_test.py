"""Tests of the selection commands as a user runs them."""

import json
import pathlib

from absl.testing import absltest

from experiments.selection import features
from tests import bank_testing, command_testing
from toolkit_basics import files


class RunSelectionTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'run_selection')
    bank_testing.write(cls.folder / 'bank')
    for seed, name in enumerate(('cats', 'dogs', 'owls')):
      bank_testing.write_images(cls.folder / 'data' / name, 14, seed=seed)

  def run_all(self, name, *commands):
    """Returns exit code, stdout and stderr of each command.

    Args:
      name: Of the entry point.
      *commands: Whether to `compute` or to `look`, and further arguments.
    """
    common = [
      f'--bank={self.folder / "bank"}',
      f'--train_dir={self.folder / "data"}',
      f'--output={self.folder / name}',
      '--measures=logme,transrate,pactran',
      '--steps=20',
      '--num_draws=20',
      '--batch_size=16',
    ]
    return command_testing.run_or_look(
      f'experiments.run_{name}',
      *(features, 'extract_all'),
      *([kind, *common, *others] for kind, *others in commands),
    )

  def test_models_compete_and_a_finished_run_is_shown_again(self):
    first, again, other, wrong, few = self.run_all(
      'model_selection',
      ('compute',),
      ('look', '--resume'),
      ('look', '--resume', '--grid=2'),
      ('look', '--train_dir=nowhere', '--overwrite'),
      ('compute', '--networks=alpha,beta', '--overwrite'),
    )
    self.assertEqual(first[0], 0, first[2])
    lines = first[1].splitlines()
    self.assertRegex(lines[0], '^data: transfer from [a-z]+.$')
    self.assertRegex(lines[1], '^rank +network +measured +logme')
    reached = [float(line.split()[2]) for line in lines[2:6]]
    self.assertEqual(reached, sorted(reached, reverse=True))
    self.assertEqual(lines[0].split()[-1], f'{lines[2].split()[1]}.')
    self.assertEqual(again[0], 0, again[2])
    self.assertIn('nothing was computed again', again[1])
    self.assertIn(first[1].splitlines()[0], again[1])
    for result, message in (
      (other, '--grid is 1 there, but 2 now'),
      (wrong, "no folder 'nowhere'"),
      (few, '2 networks of the bank'),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)

  def test_networks_of_targets_may_be_those_of_another_bank(self):
    output, names = self.folder / 'other_bank', ('edge2d', 'reshade', 'denoise')
    common = [
      '--bank=mini',
      f'--networks={",".join(names)}',
      f'--data_dir={self.folder / "scenes"}',
      '--num_train=96',
      '--num_test=48',
      '--measures=logme',
      '--steps=5',
      '--seeds=1',
      '--num_draws=10',
    ]
    wrong = [*common, f'--output={self.folder / "wrong"}', '--overwrite']
    both = ['--targets=wall_distance,shape_class', '--target_bank=mini']
    found, none, twice, classes = command_testing.run(
      'experiments.run_model_selection',
      [*common, *both, f'--output={output}'],
      [*wrong, '--targets=shape_class', '--target_bank=mini'],
      [*wrong, *both, '--networks=edge2d,reshade,room_layout'],
      [*wrong, f'--train_dir={self.folder / "data"}', '--target_bank=mini'],
    )
    self.assertEqual(found[0], 0, found[2])
    header, *rows = files.read_csv(output / 'scores.csv')
    near = header.index('decodability')
    self.assertEqual({row[1] for row in rows}, {*names})
    for row in rows:
      if row[0] == 'wall_distance':
        self.assertBetween(float(row[near]), 0, 1)
      else:
        self.assertIn(row[near], ('', 'nan'))
    with self.subTest('TransRate, which was not asked, is not tried'):
      self.assertLen(files.read_csv(output / 'epsilon.csv'), 1)
      self.assertEmpty([*(output / 'figures').glob('epsilon*')])
    for result, message in (
      (none, "'mini' has no network for shape_class"),
      (twice, "both have encoders named ['room_layout']"),
      (classes, "'mini' has no network for data"),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)

  def test_a_killed_run_goes_on_with_what_it_has(self):
    output = self.folder / 'source_selection'
    earlier = self.folder / 'earlier.csv'
    rows = [('birds', name, i) for i, name in enumerate(bank_testing.NAMES)]
    files.write_csv(earlier, [('target', 'network', 'score'), *rows])
    tuned = ('compute', '--methods=', '--fine_tune_steps=2', '--seeds=1')
    tuned += (f'--history={earlier}',)
    (first,) = self.run_all('source_selection', tuned)
    self.assertEqual(first[0], 0, first[2])
    tables = ('scores.csv', 'agreement.csv', 'summary.csv', 'seconds.csv')
    before = {name: (output / name).read_bytes() for name in tables}
    record = json.loads((output / 'run.json').read_text())
    record['finished'] = False
    (output / 'run.json').write_text(json.dumps(record))
    (output / 'features' / 'beta.json').unlink()
    for name in tables:
      (output / name).unlink()
    (again,) = self.run_all('source_selection', (*tuned, '--resume'))
    self.assertEqual(again[0], 0, again[2])
    for name in tables[:3]:
      self.assertEqual((output / name).read_bytes(), before[name], name)
    header, *rows = files.read_csv(output / 'scores.csv')
    self.assertEqual([row[1] for row in rows], list(bank_testing.NAMES))
    self.assertEqual(
      header[3:],
      [
        *('logme', 'transrate', 'pactran', 'random_alignment', 'rankme'),
        *('history', 'history+logme'),
      ],
    )
    summary = {row[0]: row[1] for row in files.read_csv(output / 'summary.csv')}
    self.assertEqual(summary['rankme'], 'one network')
    self.assertEqual(summary['history+logme'], 'baseline')
    written = files.read_csv(output / 'history.csv')
    self.assertEqual(written[0], ['target', 'network', 'score'])
    self.assertLen(written, 1 + len(bank_testing.NAMES))

  def test_layers_compete_and_wrong_input_ends_in_one_line(self):
    few, unknown, measure, found = self.run_all(
      'layer_selection',
      ('compute', '--networks=alpha'),
      ('compute', '--networks=omega'),
      ('compute', '--measures=luck'),
      ('compute', '--bank=mini', '--networks=rgb2depth', '--num_layers=3'),
    )
    for result, message in (
      (few, 'alpha has 2 layers to choose from; 3 are needed'),
      (unknown, "no network 'omega'; choose from alpha, beta"),
      (measure, "No measure of features and labels is named 'luck'"),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)
    self.assertEqual(found[0], 0, found[2])
    header, *rows = files.read_csv(
      self.folder / 'layer_selection' / 'scores.csv'
    )
    names = [f'rgb2depth.layer0{i}' for i in (1, 2, 3)]
    self.assertEqual([row[1] for row in rows], names)
    self.assertEqual({row[0] for row in rows}, {'rgb2depth-data'})
    self.assertIn('logme', header)


if __name__ == '__main__':
  absltest.main()
