"""Tests of the command that compares ways of compressing."""

import pathlib
import subprocess
import sys
from unittest import mock

from absl.testing import absltest
import numpy as np
import pytest

from attribution_preservation import matching, networks, surgery
from experiments.compression import plan, reviewing, running
from experiments.compression.plan import Source
from probe_data import shapes
from tests import command_testing, voc_testing
from toolkit_basics import files

_COMMAND = 'experiments.run_compression'
_TINY = [
  '--num_train=40',
  '--num_test=12',
  '--teacher_epochs=1',
  '--epochs=1',
  '--num_explained=3',
  '--workers=1',
]


class RunCompressionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _run(self, *arguments):
    """In a process of its own: the command decides how many threads run."""
    command = [sys.executable, '-m', _COMMAND, *arguments, *_TINY]
    result = subprocess.run(
      command, cwd=command_testing.ROOT, capture_output=True, text=True
    )
    self.assertEqual(result.returncode, 0, result.stderr)

  @pytest.mark.long
  @pytest.mark.slow
  def test_pictures_of_voc_are_compressed_and_a_run_is_repeated(self):
    data = self.folder / 'voc'
    voc_testing.write(
      data, {'train': shapes.draw(20, 0), 'val': shapes.draw(8, 1)}
    )
    tables = []
    for name in ('first', 'second'):
      output = self.folder / name
      self._run(
        f'--voc_dir={data}',
        '--image_size=32',
        '--method=naive,sswa',
        '--seeds=1',
        f'--output={output}',
      )
      tables.append(
        [
          (output / f'{table}.csv').read_text()
          for table in ('summary', 'methods', 'perturbation', 'tracks')
        ]
      )
      page = (output / 'report.html').read_text()
      self.assertIn('Attribution preservation', page)
    self.assertEqual(*tables)
    rows = files.read_csv(self.folder / 'first' / 'summary.csv')
    self.assertEqual(
      [row[0] for row in rows[1:]],
      ['Teacher', 'Pruned, not tuned', 'Naive', 'SSWA'],
    )
    self.assertEqual({row[-1] for row in rows[1:]}, {'1'})

  @pytest.mark.slow
  def test_encoders_of_the_bank_are_loaded_after_threads_are_set(self):
    (self.folder / 'other.txt').write_text('mine')
    command = [sys.executable, '-m', _COMMAND, '--transfer_from=rgb2depth']
    result = subprocess.run(
      [*command, f'--output={self.folder}'],
      cwd=command_testing.ROOT,
      capture_output=True,
      text=True,
    )
    self.assertEqual(result.returncode, 1)
    self.assertIn('is not empty', result.stderr)
    self.assertNotIn('Traceback', result.stderr)

  @pytest.mark.long
  def test_all_that_reviewers_asked_for_ends_in_tables(self):
    output = self.folder / 'reviewers'
    self._run(
      '--reviewers', '--seeds=1', '--method=naive', f'--output={output}'
    )
    names = [row[0] for row in files.read_csv(output / 'selection.csv')[1:]]
    self.assertIn('Small, from scratch', names)
    self.assertLen(files.read_csv(output / 'beta_input_gradient.csv'), 7)
    self.assertTrue((output / 'report.html').exists())

  def test_wrong_settings_are_said_before_a_teacher_is_trained(self):
    output = f'--output={self.create_tempdir().full_path}/out'
    ratio, size, few = command_testing.run(
      'experiments.run_compression',
      [output, '--ratio=1.5'],
      [output, '--image_size=64'],
      [output, '--num_test=4'],
    )
    self.assertIn('--ratio is 1.5, but must be', ratio[2])
    self.assertIn('4 is not integer >= 5', few[2])
    self.assertIn('--image_size is of the pictures of --voc_dir', size[2])

  def test_a_folder_that_is_none_of_voc_is_said_at_once(self):
    ((code, _, err),) = command_testing.run(
      _COMMAND, [f'--voc_dir={self.folder}', f'--output={self.folder / "x"}']
    )
    self.assertEqual(code, 1)
    self.assertRegex(err, '^Error: .*--voc_dir.*\n$')
    self.assertFalse((self.folder / 'x').exists())


class PlanTest(absltest.TestCase):
  def test_no_picture_is_in_two_splits(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    voc_testing.write(
      folder, {'train': shapes.draw(20, 0), 'val': shapes.draw(5, 1)}
    )
    for source in (
      Source(str(folder), train=20, selection=10, test=5),
      Source(train=20, selection=4, test=5),
    ):
      splits = source.load(0)
      pictures = [p.tobytes() for s in splits.values() for p in s.images]
      self.assertLen(set(pictures), len(pictures))
      self.assertEqual([len(s) for s in splits.values()][1:], [4, 5])

  def test_students_are_named_apart(self):
    names = {
      plan.Student(*each).name
      for each in (('swa',), ('swa', 3.0), ('swa', None, 12), ('ewa',))
    }
    self.assertLen(names, 4)


class BeforeTest(absltest.TestCase):
  def test_before_it_is_tuned_a_network_has_lost_all_that_it_will_lose(self):
    study = plan.CompressionStudy(
      plan.Source(), 'unstructured', plan.RECIPES['unstructured']
    )
    self.assertGreater(study.recipe.rounds, 1)
    seeded = running.Seeded(
      study, 0, pathlib.Path(self.create_tempdir().full_path)
    )
    teacher = networks.build([4] * 6, 3, 32, seed=0)
    with (
      mock.patch.object(running.Seeded, 'teacher', teacher),
      mock.patch.object(running.Seeded, '_measured') as measured,
    ):
      seeded.measures_before()
      model = measured.call_args.args[2]().model
    kernels = [k.numpy() for k in surgery.kernels(model)]
    total = sum(kernel.size for kernel in kernels)
    left = sum(np.count_nonzero(kernel) for kernel in kernels)
    self.assertAlmostEqual(1 - left / total, study.recipe.ratio, delta=0.01)
    for kernel in surgery.kernels(teacher.model):
      self.assertEqual(np.count_nonzero(kernel.numpy()), kernel.numpy().size)


class ReviewingTest(absltest.TestCase):
  def test_a_network_without_a_teacher_has_no_factor(self):
    self.assertIsNone(plan.Student(plan.SCRATCH).factor)
    self.assertEqual(plan.Student('swa').factor, 100)
    self.assertEqual(plan.Student('swa', beta=0.0).factor, 0)

  def test_another_default_factor_is_another_student(self):
    study = plan.CompressionStudy(
      plan.Source(), 'structured', plan.RECIPES['structured']
    )
    folder = pathlib.Path(self.create_tempdir().full_path)
    made = {'00/x': np.zeros(1)}
    with (
      mock.patch.object(
        running.Seeded, '_compress', return_value=made
      ) as train,
      mock.patch.object(running.Seeded, '_rebuilt'),
    ):
      for beta in (1.0, 1.0, 2.0):
        with mock.patch.object(matching.InputGradient, 'beta', beta):
          seeded = running.Seeded(study, 0, folder)
          seeded.student(plan.Student('input_gradient'))
    self.assertEqual(train.call_count, 2)

  def test_the_factor_of_the_highest_auc_that_keeps_the_map(self):
    header = ['network', 'method', 'beta', 'mAP', 'AUC', 'seeds']
    rows = [
      ['a', 'swa', 1.0, 0.90, 0.80, 1],
      ['b', 'swa', 10.0, 0.895, 0.90, 1],
      ['c', 'swa', 100.0, 0.70, 0.99, 1],
    ]
    self.assertEqual(reviewing.best([header, *rows]), 10)


if __name__ == '__main__':
  absltest.main()
