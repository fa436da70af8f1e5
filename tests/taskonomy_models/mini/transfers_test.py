"""Tests of transfers from sources of several shapes."""

import os
from unittest import mock

from absl.testing import absltest
import numpy as np

from taskonomy_models.mini import building, readouts, transfers

_SIZES = building.DataSizes(train=1, transfer=16, validation=6, test=6)
_RECIPE = readouts.ReadoutRecipe(steps=3, checkpoints=1)


class TransfersTest(absltest.TestCase):
  def _losses(self, shapes):
    """Returns the test losses of sources of these shapes, by name."""
    folder = self.create_tempdir().full_path
    scenes = building.Scenes(os.path.join(self._scenes, 'data'), _SIZES)
    bank = os.path.join(folder, 'bank')
    kept = transfers._representations(bank)
    for number, (source, shape) in enumerate(shapes.items()):
      for split in ('transfer', 'validation', 'test'):
        rng = np.random.default_rng([number, len(split)])
        rows = len(scenes.split(split)['image'])
        drawn = rng.normal(size=(rows, *shape)).astype(np.float32)
        kept.keep(f'{source}-{split}', {}, drawn)
    plan = transfers.TransferPlan(
      tuple(shapes), ('rgb2depth',), (8,), (0,), 8, _RECIPE
    )
    transfers.transfer('rgb2depth', 8, 0, plan, bank, scenes, {})
    losses = transfers.load_losses(bank, plan, 'rgb2depth', 8, 'test')
    return dict(zip(shapes, losses[0], strict=True))

  def setUp(self):
    super().setUp()
    self._scenes = self.create_tempdir().full_path

  def test_sources_of_several_shapes_are_compared_in_their_own_order(self):
    mixed = {
      'autoencoder': (8, 8, 8),
      'edge2d': (16, 16, 4),
      'edge3d': (8, 8, 8),
    }
    together = self._losses(mixed)
    alone = self._losses({**mixed, 'edge2d': (8, 8, 8)})
    self.assertEqual(together['autoencoder'].shape, (6,))
    for source in ('autoencoder', 'edge3d'):
      np.testing.assert_allclose(
        together[source], alone[source], rtol=1e-4, err_msg=source
      )
    self.assertFalse(np.allclose(together['edge2d'], alone['edge2d']))
    self.assertTrue(np.isfinite(together['edge2d']).all())

  def test_one_seed_and_one_number_of_pictures_make_an_oracle(self):
    """There is nothing to compare seeds or numbers of pictures with."""
    folder = self.create_tempdir().full_path
    sources = ('autoencoder', 'edge2d', 'edge3d')
    plan = transfers.TransferPlan(sources, ('edge2d',), (8,), (0,), 8, _RECIPE)
    rng = np.random.default_rng(0)
    losses = {
      split: rng.uniform(0.1, 1, (3, 30)).astype(np.float32)
      for split in transfers.EVALUATION_SPLITS
    }
    transfers._losses(folder).keep('edge2d-8-0', {}, losses)
    with mock.patch.object(building, 'write_bank'):
      transfers.write_oracle(folder, plan)
    written = set(os.listdir(folder))
    self.assertContainsSubset(
      {
        'oracle.csv',
        'oracle_affinity.csv',
        'oracle_validation.csv',
        'transfer_losses.csv',
        'oracle_stability.csv',
      },
      written,
    )
    self.assertNotIn('oracle_few.csv', written)
    compared = [row[0] for row in transfers.stability_table(folder, plan)]
    self.assertNotIn('seeds, 8 images', compared)


if __name__ == '__main__':
  absltest.main()
