"""Tests that one bad network stops a command, or only itself."""

import contextlib
import importlib
import io
import json
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from attribution.explainer import Explainer
import attribution_transfer as at
from experiments import bad_models, shared_flags
from frozen_graphs.passes import Passes
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
      (OSError(5, 'broken'), 'beta: OSError: [Errno 5] broken'),
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
  def report(self, bank):
    with contextlib.redirect_stdout(io.StringIO()) as out:
      code = bank.report()
    return code, out.getvalue().splitlines()

  def test_networks_that_are_not_asked_for_are_not_tried(self):
    flags = cli.Flags()
    bank = shared_flags.UsableBank(flags)
    (self.bank / 'alpha.pb').unlink()
    (self.bank / 'gamma.pb').write_bytes(b'\n\xff')
    for how in bad_models.ON_BAD_MODEL:
      flags.parse([f'--bank={self.bank}', f'--on_bad_model={how}'])
      with _failing('gamma', AssertionError('It is tried.')):
        loaded = bank.load(('delta', 'beta'), least=1)
      self.assertEqual(loaded.names, ('beta', 'delta'))
      self.assertEqual(self.report(bank), (0, []))
      with self.assertRaisesRegex(banks.BankError, "no network 'omega'"):
        bank.load(('beta', 'omega'))
    with self.assertRaisesRegex(ValueError, '1 of 2 .*; 2 or more are needed'):
      bank.load(('alpha', 'beta'))
    self.assertEqual(bank.load(('alpha', 'beta'), least=1).names, ('beta',))
    flags.parse([f'--bank={self.bank}'])
    with self.assertRaisesRegex(banks.BankError, 'json: alpha: .*alpha.pb'):
      bank.load(('alpha', 'beta'))

  def test_a_network_that_fails_in_one_bank_stays_in_another(self):
    other = self.folder / 'other'
    bank_testing.write(other)
    (other / 'beta.pb').unlink()
    flags = cli.Flags()
    bank = shared_flags.UsableBank(flags)
    (self.bank / 'alpha.pb').unlink()
    flags.parse([f'--bank={self.bank}', '--on_bad_model=skip'])
    self.assertEqual(bank.load().names, ('beta', 'gamma', 'delta'))
    self.assertEqual(bank.open(str(other)).names, ('alpha', 'gamma', 'delta'))
    code, printed = self.report(bank)
    self.assertEqual(code, bad_models.EXIT_CODE)
    self.assertStartsWith(printed[0], f'Left out: alpha of {self.bank} (')
    self.assertStartsWith(printed[1], f'Left out: beta of {other} (')
    self.assertLen(printed, 2)

  def test_one_network_alone_does_not_need_the_others_of_its_bank(self):
    (self.bank / 'alpha.pb').unlink()
    space = self.folder / 'nothing'
    place = f'--space={space}', f'--bank={self.bank}'
    (inserted,) = command_testing.run(
      'experiments.insert_model', [*place, '--name=beta']
    )
    checked, lost = command_testing.run(
      'experiments.check',
      ['beta', f'--bank={self.bank}', '--num_images=2'],
      ['alpha', f'--bank={self.bank}'],
    )
    self.assertIn('No model space', inserted[2])
    self.assertEqual(checked[0], 0, checked[2])
    self.assertIn('there is no file', lost[2])

  def test_the_bank_of_other_commands_is_tried_first(self):
    flags = cli.Flags()
    bank = shared_flags.UsableBank(flags)
    given = [f'--bank={self.bank}', '--on_bad_model=skip']
    (self.bank / 'alpha.pb').unlink()
    flags.parse(given)
    with _failing('delta', RuntimeError('no kernel')):
      self.assertEqual(bank.load(batch_size=2).names, ('beta', 'gamma'))
    code, printed = self.report(bank)
    self.assertEqual(code, bad_models.EXIT_CODE)
    self.assertRegex(printed[0], r'^Left out: alpha \(.*alpha\.pb')
    self.assertRegex(printed[1], r'^Left out: delta \(.*no kernel')
    self.assertLen(printed, 2)
    flags.parse(given[:1])
    with self.assertRaisesRegex(banks.BankError, 'alpha.pb'):
      bank.load()

  def test_every_command_of_a_bank_has_the_flag(self):
    without = set()
    for name in command_testing.names():
      flags = importlib.import_module(name).FLAGS
      if {'bank', 'probe'} <= {*flags.names()} and 'on_bad_model' not in flags:
        without.add(name)
    # They are about one network: to leave it out would be to do nothing.
    self.assertEqual(without, {'experiments.check', 'experiments.insert_model'})

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


class AfterTheTrialTest(BadModelsTestCase, parameterized.TestCase):
  """Networks that fail on images, but not on the noise they are tried on."""

  def setUp(self):
    super().setUp()
    self.enter_context(mock.patch.object(bad_models, '_explain_noise'))
    for seed, name in enumerate(('cats', 'dogs')):
      images = self.folder / 'data' / name
      bank_testing.write_images(images, 12, size=16, seed=seed)
    run = Passes.run

    def run_or_fail(passes, inputs):
      if passes._name == 'beta':
        raise self.error
      return run(passes, inputs)

    self.enter_context(mock.patch.object(Passes, 'run', run_or_fail))

  def run_command(self, name, *arguments):
    (result,) = command_testing.run(
      f'experiments.run_{name}',
      [f'--bank={self.bank}', f'--output={self.output}', *arguments],
    )
    return result

  def check_named(self, error, name, *arguments):
    self.error = error
    code, _, err = self.run_command(name, *arguments)
    self.assertEqual((code, err.count('\n')), (1, 1), err)
    self.assertStartsWith(err, 'Error: beta: ')

  def check_left_out(self, name, *arguments):
    code, out, err = self.run_command(name, *arguments, '--on_bad_model=skip')
    self.assertEqual(code, bad_models.EXIT_CODE, err)
    self.assertIn('Left out: beta (', out)
    return out

  @parameterized.parameters(
    (
      MemoryError(),
      *('faithfulness', '--probe={0}/images.npy', '--methods=saliency'),
      *('--stages=1', '--num_randomised_images=2'),
    ),
    (
      KeyError('w'),
      *('model_selection', '--train_dir={0}/data', '--measures=logme'),
      *('--steps=20', '--num_draws=20'),
    ),
  )
  def test_a_run_goes_on_without_them_and_says_so(self, error, name, *options):
    command = name, *(option.format(self.folder) for option in options)
    self.check_named(error, *command)
    self.check_left_out(*command, '--overwrite')
    self.assertCountEqual(self.left_out(), ['beta'])
    out = self.check_left_out(*command, '--resume')
    self.assertIn('nothing was computed again', out)

  def test_commands_without_a_folder_go_on_without_them(self):
    self.output = self.folder / 'figure.png'
    command = 'diagram', f'--probe={self.folder / "images.npy"}'
    command = *command, '--networks=alpha,beta,gamma,delta'
    self.check_named(OSError(5, 'broken'), *command)
    self.check_left_out(*command)


if __name__ == '__main__':
  absltest.main()
