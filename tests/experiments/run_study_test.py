"""Tests of the commands that conduct one study, and all."""

import json
import pathlib
from unittest import mock

from absl.testing import absltest

from experiments.studies import registry
from tests import bank_testing, command_testing

_FINDING = 'symmetry/finding.json'


class RunStudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder / 'bank')
    self.output = folder / 'output'
    self.flags = [
      f'--bank={folder / "bank"}',
      f'--output={self.output}',
      '--probe=noise',
      '--num_images=3',
    ]

  def run_study(self, *commands):
    return command_testing.run(
      'experiments.run_study', *([*self.flags, *each] for each in commands)
    )

  def test_without_a_name_all_are_listed(self):
    ((code, out, _),) = self.run_study([])
    self.assertEqual(code, 0)
    lines = out.splitlines()
    self.assertEqual([line.split()[0] for line in lines], [*registry.names()])
    self.assertFalse(self.output.exists())

  def test_a_study_is_conducted_once_unless_it_is_asked_for_again(self):
    ((code, out, err),) = self.run_study(['symmetry'])
    self.assertEqual(code, 0, err)
    self.assertStartsWith(out, registry.get('symmetry').title)
    self.assertIn(f'Results: {self.output}/symmetry', out)
    path = self.output / _FINDING
    text, written = path.read_text(), path.stat().st_mtime_ns
    self.assertEqual(self.run_study(['symmetry'])[0], (0, out, ''))
    self.assertEqual(path.stat().st_mtime_ns, written)
    self.run_study(['symmetry', '--overwrite'])
    self.assertGreater(path.stat().st_mtime_ns, written)
    self.assertEqual(path.read_text(), text)

  def test_what_cannot_be_conducted_is_one_line(self):
    for (code, out, err), part in zip(
      self.run_study(
        ['figure9'], ['merged_groups'], ['symmetry', '--probe=noise,noise']
      ),
      (
        "No study 'figure9'; there are: map_grids",
        'pass --second_bank',
        'each once',
      ),
      strict=True,
    ):
      with self.subTest(part):
        self.assertEqual((code, out), (1, ''))
        self.assertIn(part, err)
        self.assertLen(err.splitlines(), 1)

  def test_two_networks_have_no_order_and_are_refused(self):
    path = self.output.parent / 'bank' / 'bank.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    content['encoders'] = content['encoders'][:2]
    path.write_text(json.dumps(content), encoding='utf-8')
    ((code, _, err),) = self.run_study(['probe_size'])
    self.assertEqual(code, 1)
    self.assertIn("The bank 'small' has 2 networks; 3 or more are needed", err)

  def test_all_are_conducted_and_linked_but_those_that_lack_a_bank(self):
    names = ('merged_groups', 'symmetry')
    with mock.patch.object(registry, 'names', return_value=names):
      ((code, out, err),) = command_testing.run(
        'experiments.run_paper', self.flags
      )
    self.assertEqual(code, 0, err)
    self.assertIn('merged_groups is left out: it needs a --second_bank', out)
    self.assertIn(f'All results: {self.output}/index.html', out)
    page = (self.output / 'index.html').read_text()
    self.assertIn('python -m experiments.run_study symmetry', page)
    self.assertNotIn('merged_groups', page)


if __name__ == '__main__':
  absltest.main()
