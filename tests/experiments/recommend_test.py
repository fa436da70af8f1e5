"""Tests of the command: answers, JSON, and errors in its words."""

import json
import pathlib

from absl.testing import absltest
import numpy as np

from tests import bank_testing, command_testing, testing

_NAME = 'experiments.recommend'
_T = 'range(-1, 1)'


class RecommendCommandTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.bank = self.folder / 'bank'
    bank_testing.write(self.bank)
    for number, name in enumerate(('cat', 'dog')):
      bank_testing.write_images(
        self.folder / 'photos' / name, 6, bank_testing.SIZE, number
      )
    self.base = [f'--bank={self.bank}', f'--output={self.folder / "out"}']
    self.base += ['--twins=2', '--num_draws=4']

  def _run(self, *commands):
    return command_testing.run(_NAME, *[[*self.base, *c] for c in commands])

  def test_answer_comes_first_and_files_after_it(self):
    photos = f'--images={self.folder / "photos"}'
    text, data = self._run(
      [photos, '--labels=folders'], [photos, '--labels=folders', '--json']
    )
    code, out, err = text
    self.assertEqual((code, err), (0, ''))
    self.assertRegex(out, r'^(Transfer from|\w+ is the best guess)')
    self.assertIn('rank  network', out)
    self.assertRegex(out, r'Report: \S+report.html\n$')
    content = json.loads(data[1])
    self.assertEqual(content['situation'], 'labels')
    written = (self.folder / 'out' / 'recommendation.json').read_text()
    self.assertEqual(json.loads(written), content)
    page = (self.folder / 'out' / 'report.html').read_text()
    self.assertIn(content['candidates'][0]['network'], page)

  def test_files_of_networks_that_are_not_asked_for_may_be_missing(self):
    photos = f'--images={self.folder / "photos"}'
    labels = '--labels=folders'
    gone = next(self.bank.glob('**/delta.pb'))
    gone.unlink()
    some, every = self._run(
      [photos, labels, '--networks=alpha,beta,gamma', '--json'],
      [photos, labels, '--json'],
    )
    self.assertEqual((some[0], some[2]), (0, ''))
    self.assertLen(json.loads(some[1])['candidates'], 3)
    self.assertEqual(every[0], 1)
    self.assertRegex(every[2], r'delta: there is no file \S+delta\.pb')

  def test_target_in_the_bank_or_beside_it(self):
    path = self.folder / 'other.pb'
    path.write_bytes(testing.tiny_graph_def(seed=9).SerializeToString())
    photos = f'--images={self.folder / "photos"}'
    named, file, networks = self._run(
      [photos, '--target=alpha', '--json'],
      [
        photos,
        f'--target={path}',
        '--preprocessing=other=range(-1, 1)',
        '--json',
      ],
      [photos, '--target=alpha', '--networks=beta,gamma', '--json'],
    )
    for (code, out, err), number in ((named, 3), (file, 4), (networks, 2)):
      self.assertEqual((code, err), (0, ''))
      self.assertLen(json.loads(out)['candidates'], number)

  def test_candidates_stand_one_after_the_other(self):
    paths = []
    for seed in range(2):
      paths.append(self.folder / f'n{seed}.pb')
      graph = testing.tiny_graph_def(seed=seed)
      paths[-1].write_bytes(graph.SerializeToString())
    given = ['--candidates', *paths, 'lost.onnx', '--twins=0']
    given += [
      '--preprocessing=n0=range(-1, 1)',
      '--preprocessing=n1=range(0, 1)',
    ]
    given += [f'--images={self.folder / "photos"}', '--labels=folders']
    ((code, out, err),) = command_testing.run(
      _NAME, [*given, '--json', f'--output={self.folder / "out"}']
    )
    self.assertEqual((code, err), (0, ''))
    content = json.loads(out)
    self.assertLen(content['candidates'], 2)
    self.assertEqual(list(content['failed']), ['lost'])

  def test_history_and_nothing(self):
    path = self.folder / 'h.csv'
    rows = [f'x,{name},{i}' for i, name in enumerate(bank_testing.NAMES)]
    path.write_text('\n'.join(['target,network,score', *rows]))
    photos = f'--images={self.folder / "photos"}'
    history, nothing, hint = self._run([f'--history={path}'], [], [photos])
    self.assertIn('in 2 folders; if each is a class', hint[1])
    self.assertIn('--labels=folders', hint[1])
    self.assertEqual((history[0], history[2]), (0, ''))
    self.assertIn(bank_testing.NAMES[-1], history[1].splitlines()[0])
    self.assertEqual((nothing[0], nothing[2]), (0, ''))
    self.assertStartsWith(nothing[1], 'Cannot tell: 4 candidates')
    self.assertIn('--labels', nothing[1])

  def test_what_is_wrong_is_one_line(self):
    np.save(self.folder / 'l.npy', np.arange(3))
    photos = f'--images={self.folder / "photos"}'
    cases = (
      ([photos, '--target=wibble'], 'neither a network of the bank'),
      ([photos, '--networks=wibble'], "no network 'wibble'"),
      ([photos, '--train=2'], '--train needs --labels'),
      ([photos, f'--labels={self.folder / "l.npy"}'], 'give a CSV'),
      (['--labels=folders'], 'no --images'),
      (['--images=lost', '--labels=folders'], 'needs a folder of images'),
      (['--preprocessing=x'], 'not of the form NAME=VALUE'),
      (['--preprocessing=alpha=bgr'], '--candidates, or a file as --target'),
      (['--candidates=lost.onnx', photos, '--target=lost'], 'lost'),
    )
    results = self._run(*(arguments for arguments, _ in cases))
    for (code, out, err), (arguments, message) in zip(
      results, cases, strict=True
    ):
      with self.subTest(arguments=arguments):
        self.assertEqual((code, out), (1, ''))
        self.assertRegex(err, rf'^Error: .*{message}.*\n$')


if __name__ == '__main__':
  absltest.main()
