"""Tests of the bank of the paper's second group, as a user makes it."""

import pathlib
from unittest import mock
import zipfile

from absl.testing import absltest
import numpy as np
import pooch
import pytest

from taskonomy_models import bank as banks
from taskonomy_models import conversion
from taskonomy_models.published import making, registry
from tests import command_testing

_COMMAND = 'taskonomy_models.second_group'


class SecondGroupTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def run_it(self, *arguments):
    (result,) = command_testing.run(_COMMAND, arguments)
    return result

  def test_the_list_says_where_weights_are(self):
    code, out, _ = self.run_it('--list')
    self.assertEqual(code, 0)
    self.assertLen(out.strip().splitlines(), 18)
    self.assertIn('tiny_face: https://', out)

  def test_what_cannot_be_had_is_named_with_its_address(self):
    with mock.patch.object(pooch, 'retrieve', side_effect=OSError('no way')):
      code, out, _ = self.run_it(
        f'--output={self.folder / "bank"}',
        f'--source={self.folder / "source"}',
        '--networks=inpainting_places2,prn',
      )
    self.assertEqual(code, 1)
    self.assertIn('0 of 2 networks', out)
    for name in ('inpainting_places2', 'prn'):
      self.assertIn(registry.NETWORKS[name].address, out)
      self.assertIn(str(self.folder / 'source' / name), out)

  def test_an_archive_is_fetched_and_unpacked(self):
    folder = self.folder / 'fcrn'

    def retrieve(url, fname, path, **_):
      self.assertEqual(url, registry.NETWORKS['fcrn'].address)
      folder.mkdir()
      with zipfile.ZipFile(path / fname, 'w') as archive:
        archive.writestr('../NYU_FCRN.ckpt.index', 'x')
      return str(path / fname)

    with mock.patch.object(pooch, 'retrieve', retrieve):
      found = making._fetched(registry.NETWORKS['fcrn'], folder)
    self.assertEqual(found, folder)
    self.assertTrue((folder / 'NYU_FCRN.ckpt.index').exists())
    self.assertFalse((self.folder / 'NYU_FCRN.ckpt.index').exists())

  @pytest.mark.slow
  def test_random_networks_of_one_architecture_differ(self):
    kernels = [
      making.build(name, self.folder, making.RANDOM)[0].weights[0].numpy()
      for name in ('inpainting_celeba', 'inpainting_celebahq')
    ]
    correlation = np.corrcoef(*(kernel.ravel() for kernel in kernels))[0, 1]
    self.assertLess(abs(correlation), 0.1)

  @pytest.mark.slow
  def test_random_networks_become_a_bank(self):
    bank = self.folder / 'bank'
    code, out, err = self.run_it(
      f'--output={bank}',
      '--weights=random',
      '--networks=mobilenet_025,inpainting_celebahq,prn',
    )
    self.assertEqual(code, 0, out + err)
    self.assertIn('3 of 3 networks', out)
    loaded = banks.load(str(bank))
    self.assertEqual(
      loaded.names, ('mobilenet_025', 'inpainting_celebahq', 'prn')
    )
    shapes = {
      name: loaded.network(name).representation_shape for name in loaded.names
    }
    self.assertEqual(shapes['prn'], (None, 8, 8, 512))
    self.assertEqual(shapes['inpainting_celebahq'], (None, 64, 64, 128))

  @pytest.mark.long
  def test_random_networks_of_all_kinds_are_explained(self):
    for name in registry.NETWORKS:
      encoder = making.convert(
        name, self.folder / 'bank', self.folder, making.RANDOM
      )
      self.assertTrue(conversion.describe(encoder))
      self.assertTrue(np.isfinite(pathlib.Path(encoder.graph).stat().st_size))


if __name__ == '__main__':
  absltest.main()
