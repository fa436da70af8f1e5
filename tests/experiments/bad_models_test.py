"""Tests that one bad network stops a command, or only itself."""

import contextlib
import importlib
import json
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from attribution.explainer import Explainer
import attribution_transfer as at
from experiments import bad_models, shared_flags
from taskonomy_models import bank as banks
from tests import bank_testing, command_testing, testing
from toolkit_basics import cli


def _failing(name, error):
  """Makes the maps of one network fail with an error."""
  explain = Explainer.explain

  def or_fail(self, *arguments, **options):
    if self.name == name:
      raise error
    return explain(self, *arguments, **options)

  return mock.patch.object(Explainer, 'explain', or_fail)


class BadModelsTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.bank, self.output = self.folder / 'bank', self.folder / 'output'
    self.content = bank_testing.write(self.bank)
    np.save(self.folder / 'images.npy', testing.images(3))

  def run_it(self, *arguments):
    (result,) = command_testing.run(
      'experiments.run_taskonomy',
      [
        f'--bank={self.bank}',
        f'--probe={self.folder / "images.npy"}',
        '--methods=gradient_times_input',
        '--similarities=',
        f'--output={self.output}',
        *arguments,
      ],
    )
    return result

  def left_out(self):
    record = json.loads((self.output / 'run.json').read_text())
    return record['digests']['left_out']


class RunTest(BadModelsTestCase):
  def test_networks_that_cannot_be_read_are_left_out_and_named(self):
    (self.bank / 'alpha.pb').unlink()
    (self.bank / 'gamma.pb').write_bytes(b'\n\xff')
    code, _, err = self.run_it()
    self.assertEqual(code, 1)
    self.assertIn('alpha.pb', err)
    self.assertFalse(self.output.exists())
    for again in ('', '--resume'):
      code, out, err = self.run_it(
        '--on_bad_model=skip', *filter(None, [again])
      )
      self.assertEqual(code, bad_models.EXIT_CODE, err)
      self.assertRegex(out, r'Left out: alpha \(.*alpha\.pb.*\)\n')
      self.assertRegex(out, r'Left out: gamma \(.*\)\n')
    self.assertCountEqual(self.left_out(), ['alpha', 'gamma'])
    ranking = (self.output / 'ranking/gradient_times_input.csv').read_text()
    self.assertEqual(ranking.splitlines()[1:], ['beta,delta', 'delta,beta'])

  def test_whatever_one_network_raises_the_others_go_on(self):
    for error, said in (
      (
        MemoryError(),
        'beta: there is not enough memory for it; pass a smaller ',
      ),
      (KeyError('w'), 'beta: KeyError'),
    ):
      with _failing('beta', error):
        code, _, err = self.run_it('--overwrite')
        self.assertEqual((code, err.count('\n')), (1, 1))
        self.assertIn(said, err)
        self.assertIn('--resume with --on_bad_model=skip', err)
        code, out, err = self.run_it('--resume', '--on_bad_model=skip')
      self.assertEqual(code, bad_models.EXIT_CODE, err)
      self.assertIn(f'Left out: beta ({said}'[:40], out)
      self.assertFalse(
        (self.output / 'model_space/gradient_times_input/models/beta').exists()
      )

  def test_a_full_disk_is_no_fault_of_a_network(self):
    with mock.patch(
      'transferability.points.Writer.write', side_effect=OSError(28, 'full')
    ):
      code, _, err = self.run_it('--on_bad_model=skip')
    self.assertEqual(code, 1)
    self.assertIn('full', err)
    self.assertNotIn('alpha', err)

  def test_too_few_that_are_left_are_an_error_that_says_why(self):
    for name in ('alpha', 'beta', 'gamma'):
      (self.bank / f'{name}.pb').write_bytes(b'')
    code, _, err = self.run_it('--on_bad_model=skip')
    self.assertEqual(code, 1)
    self.assertIn('1 of 4 networks', err)
    for name in ('alpha', 'beta', 'gamma'):
      self.assertIn(f'{name}: ', err)


class OtherCommandsTest(BadModelsTestCase):
  def test_the_bank_of_other_commands_is_tried_first(self):
    flags = cli.Flags()
    bank = shared_flags.UsableBank(flags)
    given = [f'--bank={self.bank}', '--on_bad_model=skip']
    (self.bank / 'alpha.pb').unlink()
    flags.parse(given)
    with _failing('delta', RuntimeError('no kernel')):
      self.assertEqual(bank.load(batch_size=2).names, ('beta', 'gamma'))
    self.assertCountEqual(bank.left_out, ['alpha', 'delta'])
    self.assertIn('no kernel', bank.left_out['delta'])
    with contextlib.redirect_stdout(None):
      self.assertEqual(bank.report(), bad_models.EXIT_CODE)
    flags.parse(given[:1])
    with self.assertRaisesRegex(banks.BankError, 'alpha.pb'):
      bank.load()

  def test_every_command_of_a_bank_has_the_flag(self):
    without = set()
    for name in command_testing.names():
      flags = importlib.import_module(name).FLAGS
      if {'bank', 'probe'} <= {*flags.names()} and 'on_bad_model' not in flags:
        without.add(name)
    # They judge methods on banks that come with the toolkit, draw a few
    # networks that are named, add one network, which is the bad one, or look
    # at one, to say what is wrong with it.
    self.assertEqual(
      without,
      {
        'experiments.check',
        'experiments.insert_model',
        'experiments.run_beyond_the_mean',
        'experiments.run_diagram',
      },
    )

  def test_comparisons_from_python_leave_out_and_say_why(self):
    bank = banks.load(str(self.bank))
    images = testing.images(3)
    with _failing('beta', MemoryError()):
      found = at.compare(bank, images, 'saliency', on_bad_model='skip')
      with self.assertRaisesRegex(ValueError, 'beta: .*memory'):
        at.compare(bank, images, 'saliency')
    self.assertEqual(found.names, ('alpha', 'gamma', 'delta'))
    self.assertEqual([*found.left_out], ['beta'])
    with self.assertRaisesRegex(ValueError, 'on_bad_model.*error.*skip'):
      at.compare(bank, images, on_bad_model='ignore')


if __name__ == '__main__':
  absltest.main()
