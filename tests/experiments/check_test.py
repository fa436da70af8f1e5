"""Tests of the check of a network of one's own, as a user runs it."""

import pathlib

from absl.testing import absltest

from tests import bank_testing, command_testing, testing


class CheckTest(absltest.TestCase):
  def test_relevance_and_gradients_are_told(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder / 'bank')
    bank_testing.write_images(folder / 'images', 4)
    path = folder / 'mine.pb'
    path.write_bytes(testing.tiny_graph_def('elu').SerializeToString())
    common = [f'--probe={folder / "images"}', '--num_images=2']
    mine = ['--preprocessing=range(-1, 1)', '--representation=representation:0']
    of_bank, of_file, unknown, missing, unused = command_testing.run(
      'experiments.check',
      ['alpha', f'--bank={folder / "bank"}', *common],
      [path, *mine, '--method=gamma_lrp', *common],
      ['luck', f'--bank={folder / "bank"}', *common],
      [folder / 'none.pb', *mine, *common],
      ['alpha', f'--bank={folder / "bank"}', mine[1], *common],
    )
    self.assertEqual(of_bank[0], 0, of_bank[2])
    for part in ('keeps', 'lost by', 'activation Relu', 'bias', 'in all'):
      self.assertIn(part, of_bank[1])
    self.assertIn('agree with finite differences', of_bank[1])
    self.assertEqual(of_file[0], 0, of_file[2])
    self.assertIn('rule of layers', of_file[1])
    for result, message in (
      (unknown, "'luck'"),
      (missing, 'none.pb'),
      (unused, '--representation is of a file'),
    ):
      self.assertEqual(result[0], 1)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)


if __name__ == '__main__':
  absltest.main()
