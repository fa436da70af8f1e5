"""Tests of the faithfulness of maps as a user runs it."""

import pathlib

from absl.testing import absltest

from experiments.faithfulness import looking
from tests import bank_testing, command_testing
from toolkit_basics import files


class RunFaithfulnessTest(absltest.TestCase):
  def test_methods_are_tested_on_a_bank_and_a_killed_run_goes_on(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder / 'bank')
    bank_testing.write_images(folder / 'images', 4)
    output = folder / 'output'
    common = [f'--bank={folder / "bank"}', f'--probe={folder / "images"}']
    common += ['--methods=saliency,elrp', '--networks=alpha,delta']
    common += ['--num_images=3', '--num_randomised_images=2', '--stages=1']
    common += ['--batch_size=3', '--num_draws=20', f'--output={output}']
    (first,) = command_testing.run('experiments.run_faithfulness', common)
    self.assertEqual(first[0], 0, first[2])
    self.assertIn('prefer', first[1])
    page = (output / 'report.html').read_bytes()
    header, *rows = files.read_csv(output / 'summary.csv')
    self.assertEqual(header[:4], ['kind', 'networks', 'method', 'gain'])
    self.assertEqual({row[0] for row in rows}, {'relu', 'smooth', 'all'})
    _, *rows = files.read_csv(output / 'networks.csv')
    self.assertEqual({row[0] for row in rows}, {'alpha', 'delta'})
    _, *rows = files.read_csv(output / 'randomised.csv')
    self.assertEqual({row[2] for row in rows}, {'cascading', 'independent'})
    self.assertTrue((output / 'figures' / 'deletion_relu.png').exists())
    (output / 'summary.csv').unlink()
    looks = [
      ('look', *common, '--resume'),
      ('look', *common, '--resume'),
      ('look', *common[:-1], '--networks=luck', f'--output={folder / "b"}'),
    ]
    mended, again, wrong = command_testing.run_or_look(
      'experiments.run_faithfulness', looking, 'maps_of', *looks
    )
    self.assertEqual(mended[0], 0, mended[2])
    self.assertTrue((output / 'summary.csv').exists())
    self.assertEqual((output / 'report.html').read_bytes(), page)
    self.assertIn('nothing was computed again', again[1])
    self.assertEqual(wrong[0], 1)
    self.assertIn("'luck'", wrong[2])


if __name__ == '__main__':
  absltest.main()
