"""Tests of the choice of training data as a user runs it."""

import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments.selection import domains, source_samples
from probe_data import rooms
from tests import command_testing
from toolkit_basics import files


def _scenes(folder, split, number, size, *unused):
  """Pictures whose brightness is their class, in some rooms less so."""
  del folder
  rng = np.random.default_rng(len(split))
  kinds = np.arange(number) % len(rooms.ROOM_TYPES)
  objects = rng.integers(3, size=number)
  level = 60 + 60 * objects - 10 * kinds
  images = rng.integers(20, size=(number, size, size, 3))
  images = images + level[:, None, None, None]
  return {
    'image': images.astype(np.uint8),
    'class_places': kinds,
    'class_1000': objects,
  }


class RunDomainSelectionTest(absltest.TestCase):
  def test_rooms_compete_and_wrong_input_ends_in_one_line(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    output = folder / 'output'
    common = ['--targets=object_class', '--networks=autoencoder']
    common += ['--num_source=20', '--num_target=10', '--num_test=60']
    common += ['--num_draws=20', f'--output={output}']
    with mock.patch.object(source_samples, 'first_scenes', _scenes):
      (first,) = command_testing.run('experiments.run_domain_selection', common)
    self.assertEqual(first[0], 0, first[2])
    again, target, network = command_testing.run_or_look(
      'experiments.run_domain_selection',
      *(domains, 'compare'),
      ('look', *common, '--resume'),
      ('look', '--targets=luck', f'--output={folder / "b"}'),
      ('look', '--networks=luck', f'--output={folder / "c"}'),
    )
    header, *rows = files.read_csv(output / 'summary.csv')
    self.assertEqual(header[-1], 'regret')
    families = {row[0]: row[1] for row in rows}
    self.assertEqual(families['transfer_measure'], 'source data')
    self.assertEqual(families['other_targets'], 'baseline')
    self.assertEqual(families['few_labels'], 'labels')
    self.assertEqual(again[0], 0, again[2])
    self.assertIn('nothing was computed again', again[1])
    for result, message in ((target, "'luck'"), (network, "'luck'")):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)


if __name__ == '__main__':
  absltest.main()
