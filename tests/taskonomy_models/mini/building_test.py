"""Tests of the building of a mini bank, on a few small scenes."""

import dataclasses
import hashlib
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np
import pytest

from taskonomy_models import bank as banks
from taskonomy_models.mini import building, readouts, transfers
from taskonomy_models.mini import training as mini_training
from tests import command_testing
from toolkit_basics import files, progress
from transferability import oracle as oracle_lib

_SIZES = building.DataSizes(train=48, transfer=40, validation=12, test=12)
_RECIPE = mini_training.Recipe(steps=3, batch_size=8)
_TASKS = ('class_places', 'rgb2depth')


def _digests(folder):
  digests = {}
  for name in sorted(os.listdir(folder)):
    if name.endswith('.pb'):
      with open(os.path.join(folder, name), 'rb') as file:
        digests[name] = hashlib.sha256(file.read()).hexdigest()
  return digests


class RecipeTest(absltest.TestCase):
  def test_a_bank_that_names_no_architecture_is_of_residual_networks(self):
    settings = building.recipe_of(os.path.dirname(building.__file__))
    self.assertEqual(settings.pop('architecture'), 'residual')
    sizes = building.DataSizes(**settings.pop('data'))
    self.assertEqual(sizes, building.DataSizes())
    self.assertEqual(mini_training.Recipe(**settings), mini_training.Recipe())

  def test_an_unknown_architecture_is_refused_before_any_work(self):
    with self.assertRaisesRegex(ValueError, "'plane'"):
      mini_training.Recipe(architecture='plane')


@pytest.mark.slow
class MiniBankTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data = os.path.join(folder.name, 'data')
    cls.scenes = building.Scenes(cls.data, _SIZES)
    cls.bank = os.path.join(folder.name, 'bank')
    cls.folder = folder.name
    cls._train(cls.bank, workers=2)

  @classmethod
  def _train(cls, bank, recipe=_RECIPE, workers=1):
    building.train_bank(
      bank,
      cls.scenes,
      recipe,
      tasks=_TASKS,
      workers=workers,
      progress=progress.track,
    )

  def test_the_same_recipe_gives_the_same_bytes_with_any_workers(self):
    again = os.path.join(self.folder, 'again')
    self._train(again, workers=1)
    self.assertEqual(_digests(again), _digests(self.bank))
    self.assertLen(_digests(again), 2)

  def test_networks_that_are_there_are_kept(self):
    path = os.path.join(self.bank, 'rgb2depth.pb')
    before = os.stat(path).st_mtime_ns
    self._train(self.bank)
    self.assertEqual(os.stat(path).st_mtime_ns, before)

  def test_networks_of_another_recipe_are_not_mixed_in(self):
    other = dataclasses.replace(_RECIPE, noise=0.0)
    with self.assertRaisesRegex(ValueError, 'another `output`'):
      self._train(self.bank, recipe=other)

  def test_transfers_are_trained_once_for_each_target_and_seed(self):
    plan = transfers.TransferPlan(
      sources=_TASKS,
      targets=_TASKS,
      num_images=(16,),
      seeds=(0, 1),
      held_out=8,
      recipe=readouts.ReadoutRecipe(steps=4, checkpoints=2),
    )
    folder = os.path.join(self.bank, 'transfers')
    for trained in (True, False, True):
      if trained:  # What is cut off is computed again.
        for path in pathlib.Path(folder).glob('*/rgb2depth-*'):
          path.write_bytes(path.read_bytes()[:-1])
      with mock.patch.object(
        building, 'parallel', wraps=building.parallel
      ) as parallel:
        transfers.measure(self.bank, self.scenes, plan, 1, progress.track)
      units = [bool(call.args[1]) for call in parallel.call_args_list]
      self.assertEqual(units, [trained] * 2)
    transfers.write_oracle(self.bank, plan)
    losses = transfers.load_losses(self.bank, plan, 'rgb2depth', 16, 'test')
    self.assertEqual(losses.shape, (2, 2, 12))
    self.assertTrue(np.isfinite(losses).all())
    self.assertFalse(np.allclose(losses[0], losses[1]))
    oracle = oracle_lib.Oracle.load(os.path.join(self.bank, 'oracle.csv'))
    self.assertEqual(oracle.ranking['rgb2depth'], ('class_places',))
    bank = banks.load(self.bank)
    self.assertEqual(bank.names, ('rgb2depth', 'class_places'))
    self.assertEqual(bank.oracle, os.path.join(self.bank, 'oracle.csv'))

    results = os.path.join(self.folder, 'recipes')
    ((code, _, err),) = command_testing.run(
      'experiments.compare_recipes',
      [
        f'--bank={self.bank}',
        f'--data_dir={self.data}',
        f'--output={results}',
        '--num_images=8',
      ],
    )
    self.assertEqual(code, 0, err)
    header, *rows = files.read_csv(
      os.path.join(results, 'recipes_validation.csv')
    )
    methods = [row[header.index('method')] for row in rows]
    self.assertIn('elrp', methods)
    self.assertIn('elrp no_hubs', methods)
    self.assertContainsSubset(
      [f'{os.path.basename(self.bank)}-validation-8', 'recipes_validation.csv'],
      os.listdir(results),
    )

  def test_folders_that_are_no_trained_banks_are_refused(self):
    empty = self.create_tempdir().full_path
    with self.assertRaisesRegex(ValueError, 'no folder of a mini bank'):
      building.data_sizes(empty)
    twice, lacking = command_testing.run(
      'experiments.compare_recipes',
      [f'--bank={empty},{empty}/', f'--output={self.folder}/out'],
      [f'--bank={empty}', f'--output={self.folder}/out'],
    )
    self.assertIn('banks of different names', twice[2])
    self.assertIn('choose another --oracle_dir', lacking[2])


if __name__ == '__main__':
  absltest.main()
