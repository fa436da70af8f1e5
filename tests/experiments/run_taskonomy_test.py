"""Tests of the main job as a user runs it: processes, files and messages."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

from absl.testing import absltest
import cv2
import numpy as np
import pytest
import tensorflow as tf

from experiments import pipeline, similarities
from tests import bank_testing, command_testing, testing
from transferability import similarity
from transferability.model_space import ModelSpace

_ROOT = pathlib.Path(__file__).parents[2]
_METHODS = ['saliency', 'gradient_times_input', 'elrp']
_BASELINES = [
  'random',
  'groups',
  'other_targets',
  'constant_ranking',
  'symmetrised_oracle',
  'oracle',
]


def _environment(cache):
  """Returns variables of a machine on which nothing was downloaded."""
  variables = {**os.environ, 'XDG_CACHE_HOME': str(cache)}
  variables.pop('ATTRIBUTION_TRANSFER_PROBE_DIR', None)
  variables.pop('TF_CPP_MIN_LOG_LEVEL', None)
  return variables


def _rows(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.reader(file))


def _write_photographs(folder):
  """Writes what a folder of downloaded pictures may hold."""
  bank_testing.write_images(folder / 'album', 6, size=30)
  images = testing.images(5, 40, seed=1)
  cv2.imwrite(str(folder / 'wide.jpg'), images[0][:20])
  cv2.imwrite(str(folder / 'high.JPEG'), images[1][:, :17])
  cv2.imwrite(str(folder / 'grey.png'), images[2][..., 0])
  rgba = np.dstack([images[3], np.full((40, 40), 128, np.uint8)])
  cv2.imwrite(str(folder / 'rgba.png'), rgba)
  cv2.imwrite(str(folder / 'cut.jpg'), images[4])
  cut = (folder / 'cut.jpg').read_bytes()
  (folder / 'cut.jpg').write_bytes(cut[: len(cut) // 2])
  (folder / 'text.jpg').write_text('This is no picture.')


class RunTaskonomyTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.bank = self.folder / 'bank'
    self.content = bank_testing.write(self.bank)
    self.output = self.folder / 'output'

  def drive(self, *commands, may_compute=True):
    """Returns (exit code, stdout, stderr) of each command."""
    kind = 'compute' if may_compute else 'look'
    with mock.patch.dict(
      os.environ, _environment(self.folder / 'cache'), clear=True
    ):
      return command_testing.run_or_look(
        'experiments.run_taskonomy',
        *(pipeline, 'Explainer'),
        *([kind, *command] for command in commands),
      )

  def command(self, *arguments):
    return [sys.executable, '-m', 'experiments.run_taskonomy', *arguments]

  def run_command(self, *arguments):
    return subprocess.run(
      self.command(*arguments),
      cwd=_ROOT,
      env=_environment(self.folder / 'cache'),
      capture_output=True,
      text=True,
      check=False,
    )


class RunTest(RunTaskonomyTestCase):
  def test_photographs_of_any_kind_to_results(self):
    photographs = self.folder / 'photographs'
    _write_photographs(photographs)
    arguments = [
      f'--bank={self.bank}',
      '--probe=coco',
      f'--probe_dir={photographs}',
      '--num_images=9',
      '--batch_size=4',
      '--save_maps',
      f'--output={self.output}',
    ]
    result = self.run_command(*arguments)
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertNotIn('Traceback', result.stderr)
    with self.subTest('the summary is printed'):
      lines = result.stdout.splitlines()
      self.assertStartsWith(lines[0], 'method')
      self.assertEqual(
        [line.split()[0] for line in lines[1:13]],
        [*_METHODS, *similarities.DEFAULT, *_BASELINES],
      )
    with self.subTest('all files are there'):
      self._check_files()
    with self.subTest('images.csv lists the images of the maps'):
      self._check_images()
    with self.subTest('run.json tells what was done'):
      self._check_record()
    with self.subTest('the affinity is that of the saved maps'):
      self._check_affinity()
    with self.subTest('precision and recall follow from the affinity'):
      self._check_precision()

    before = bank_testing.tree_bytes(self.output)
    ((code, out, err),) = self.drive(
      [*arguments, '--resume'], may_compute=False
    )
    with self.subTest('resuming computes nothing and changes no byte'):
      self.assertEqual(code, 0, err)
      self.assertEqual(out.splitlines()[1:9], lines[:8])
      self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def _check_files(self):
    expected = {'run.json', 'images.csv', 'precision_recall.csv', 'summary.csv'}
    expected |= {'intervals.csv', 'report.html', 'answer.md'}
    for method in _METHODS:
      expected |= {
        f'affinity/{method}.csv',
        f'distance/{method}.csv',
        f'ranking/{method}.csv',
        f'tree/{method}.newick',
        f'tree/{method}.csv',
        f'figures/maps_{method}.png',
        f'figures/maps_{method}_overlay.png',
        f'figures/affinity_{method}.png',
        f'figures/tree_{method}.png',
        f'model_space/{method}/space.json',
        *(f'maps/{method}/{name}.npy' for name in bank_testing.NAMES),
      }
    for measure in similarities.DEFAULT:
      expected |= {
        f'affinity/{measure}.csv',
        f'distance/{measure}.csv',
        f'ranking/{measure}.csv',
        f'tree/{measure}.newick',
        f'tree/{measure}.csv',
        f'figures/affinity_{measure}.png',
        f'figures/tree_{measure}.png',
      }
    expected.add('model_space/probes/space.json')
    expected |= {'figures/precision.png', 'figures/recall.png'}
    expected |= {
      name.replace('.png', '.pdf') for name in expected if '.png' in name
    }
    found = set(bank_testing.tree_bytes(self.output))
    self.assertContainsSubset(expected, found)
    others = {name.split('/')[0] for name in found - expected}
    self.assertEqual(others, {'model_space', 'representations', 'tensorboard'})

  def _check_images(self):
    header, *rows = _rows(self.output / 'images.csv')
    self.assertEqual(header, ['index', 'image', 'sha256'])
    self.assertLen(rows, 9)
    names = [row[1] for row in rows]
    self.assertEqual(names, sorted(names))
    self.assertNoCommonElements(names, ['cut.jpg', 'text.jpg'])

  def _check_record(self):
    record = json.loads((self.output / 'run.json').read_text())
    self.assertEqual(record['flags']['methods'], _METHODS)
    self.assertEqual(record['flags']['num_images'], 9)
    self.assertEqual(
      list(record['seconds']),
      ['images', 'projection', 'similarities', 'evaluation', 'figures'],
    )
    self.assertEqual(list(record['digests']['graphs']), [*bank_testing.NAMES])
    self.assertEmpty(record['digests']['dropped_images'])

  def _check_affinity(self):
    for method in _METHODS:
      _, *rows = _rows(self.output / 'affinity' / f'{method}.csv')
      found = np.array([row[1:] for row in rows], np.float64)
      np.testing.assert_array_equal(found, found.T)
      np.testing.assert_array_equal(np.diag(found), 1)
      maps = np.stack(
        [
          np.load(self.output / 'maps' / method / f'{name}.npy')
          for name in bank_testing.NAMES
        ]
      )
      self.assertEqual(maps.shape, (4, 9, 16, 16, 3))
      rows = maps.reshape(4, 9, -1).astype(np.float64)
      rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
      expected = np.einsum('anx,bnx->ab', rows, rows) / 9
      np.testing.assert_allclose(found, expected, atol=1e-3)  # float16 rows.

  def _check_precision(self):
    found = {
      (method, int(k)): (float(precision), float(recall))
      for method, k, precision, recall in _rows(
        self.output / 'precision_recall.csv'
      )[1:]
    }
    measured = [*_METHODS, *similarities.DEFAULT]
    self.assertLen(found, 3 * len([*measured, *_BASELINES]))
    for method in measured:
      _, *rows = _rows(self.output / 'affinity' / f'{method}.csv')
      affinity = {row[0]: [float(x) for x in row[1:]] for row in rows}
      for k in (1, 2, 3):
        hits = 0
        for target, relevant in bank_testing.RANKING.items():
          order = sorted(
            (-value, name)
            for name, value in zip(
              bank_testing.NAMES, affinity[target], strict=True
            )
            if name != target
          )
          hits += len({name for _, name in order[:k]} & set(relevant))
        self.assertEqual(found[method, k], (hits / (3 * k), hits / 9))

  @pytest.mark.slow
  def test_killed_run_is_resumed_to_the_same_bytes(self):
    np.save(self.folder / 'images.npy', testing.images(150, 16))

    def arguments(output):
      return [
        f'--bank={self.bank}',
        f'--probe={self.folder / "images.npy"}',
        '--batch_size=2',
        '--methods=saliency',
        '--save_maps',
        '--workers=1',
        f'--output={output}',
      ]

    process = subprocess.Popen(
      self.command(*arguments(self.output)),
      cwd=_ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    finished = 'model_space/saliency/models/beta/finished.npy'
    while process.poll() is None:
      path = self.output / finished
      if path.exists() and np.load(path).any():
        break
      time.sleep(0.002)
    for more in ('--resume', '--overwrite'):
      ((code, _, err),) = self.drive([*arguments(self.output), more])
      self.assertEqual(code, 1)
      self.assertIn(
        f'in use by a run that is going on (process {process.pid}', err
      )
    process.send_signal(signal.SIGTERM)
    self.assertEqual(process.wait(), 128 + signal.SIGTERM)
    space = ModelSpace(self.output / 'model_space' / 'saliency')
    self.assertIn('alpha', space.models)
    self.assertIn('delta', space.unfinished)

    whole = self.folder / 'whole'
    results = self.drive(
      [*arguments(self.output), '--resume'], arguments(whole)
    )
    for code, _, err in results:
      self.assertEqual(code, 0, err)
    self.assertEqual(self._lasting(self.output), self._lasting(whole))

  def _lasting(self, output):
    """Returns the files without those that hold times."""
    return {
      name: content
      for name, content in bank_testing.tree_bytes(output).items()
      if name != 'run.json' and '/events.' not in name
    }

  def test_bank_without_oracle_groups_and_labels(self):
    del self.content['oracle']
    for entry in self.content['encoders']:
      del entry['label'], entry['group']
    del self.content['encoders'][3]
    bank_testing.write_json(self.bank, self.content)
    np.save(self.folder / 'images.npy', testing.images(3))
    results = self.drive(
      *[
        [
          f'--bank={self.bank}',
          f'--probe={self.folder / "images.npy"}',
          f'--protocol={protocol}',
          f'--output={self.output / protocol}',
        ]
        for protocol in ('paper', 'released_code')
      ]
    )
    for code, out, err in results:
      self.assertEqual(code, 0, err)
      self.assertIn('target', out)
    for protocol in ('paper', 'released_code'):
      output = self.output / protocol
      self.assertFalse((output / 'precision_recall.csv').exists())
      self.assertFalse((output / 'figures' / 'precision.png').exists())
      self.assertLen(_rows(output / 'ranking' / 'elrp.csv'), 4)

  def test_run_of_sketches_in_half_precision_shows_no_maps(self):
    np.save(self.folder / 'images.npy', testing.images(9))
    ((code, _, err),) = self.drive(
      [
        f'--bank={self.bank}',
        f'--probe={self.folder / "images.npy"}',
        '--methods=elrp',
        '--similarities=attribution_kernel',
        '--point=sketch:64',
        '--precision=bfloat16',
        f'--output={self.output}',
      ]
    )
    self.assertEqual(code, 0, err)
    rows = np.load(self.output / 'model_space/elrp/models/alpha/rows.npy')
    self.assertEqual(rows.shape, (9, 64))
    rows = np.load(self.output / 'model_space/probes/models/alpha/rows.npy')
    self.assertEqual(rows.shape, (9, 32 * 64 + 1))
    self.assertTrue((self.output / 'affinity/attribution_kernel.csv').exists())
    self.assertFalse((self.output / 'figures/maps_elrp.png').exists())
    self.assertTrue((self.output / 'report.html').exists())
    record = json.loads((self.output / 'run.json').read_text())
    found = record['digests']['precision']['elrp']
    self.assertEqual(found['images'], 9)
    self.assertLess(found['max_difference'], 0.05)

  def test_similarities_stand_beside_the_methods(self):
    np.save(self.folder / 'images.npy', testing.images(9))
    arguments = [
      f'--bank={self.bank}',
      f'--probe={self.folder / "images.npy"}',
      '--methods=gradient_times_input',
      '--similarities=rsa,depara',
      f'--output={self.output}',
    ]
    (first, again) = self.drive(arguments, [*arguments, '--resume'])
    for code, out, err in (first, again):
      self.assertEqual(code, 0, err)
      for name in ('gradient_times_input', 'rsa', 'depara'):
        self.assertIn(f'\n{name} ', out)
    kept = {
      name: np.load(self.output / 'representations' / f'{name}.npy')
      for name in bank_testing.NAMES
    }
    matrices = {}
    for name in ('gradient_times_input', 'rsa', 'depara'):
      _, *rows = _rows(self.output / 'affinity' / f'{name}.csv')
      matrices[name] = np.array([row[1:] for row in rows], np.float64)
    np.testing.assert_allclose(
      matrices['rsa'], similarity.matrix('rsa', kept)[1]
    )
    edges = similarity.matrix('depara_edge', kept)[1]
    np.testing.assert_allclose(
      matrices['depara'],
      (matrices['gradient_times_input'] + 0.25 * edges) / 1.25,
      atol=1e-12,
    )

  def test_a_run_stopped_by_a_bad_map_can_go_on_without_the_image(self):
    blind = testing.freeze(lambda x: tf.nn.relu(x - 0.2))
    (self.bank / 'beta.pb').write_bytes(blind.SerializeToString())
    self.content['encoders'][1]['preprocessing'] = 'resize(16) | range(0, 1)'
    bank_testing.write_json(self.bank, self.content)
    images = testing.images(4)
    images[2] = 10
    np.save(self.folder / 'images.npy', images)
    arguments = [
      f'--bank={self.bank}',
      f'--probe={self.folder / "images.npy"}',
      '--batch_size=2',
      f'--output={self.output}',
    ]
    stopped, resumed = self.drive(
      arguments, [*arguments, '--resume', '--on_bad_map=drop_image']
    )
    self.assertEqual(stopped[0], 1)
    self.assertIn('--on_bad_map=drop_image', stopped[2])
    self.assertEqual(resumed[0], 0, resumed[2])
    record = json.loads((self.output / 'run.json').read_text())
    self.assertEqual(record['digests']['dropped_images'], ['images.npy[2]'])


class ErrorTest(RunTaskonomyTestCase):
  def setUp(self):
    super().setUp()
    self.images = self.folder / 'images'
    bank_testing.write_images(self.images, 3)

  def _arguments(self, *others):
    return [
      f'--bank={self.bank}',
      f'--probe={self.images}',
      '--num_images=3',
      f'--output={self.output}',
      *others,
    ]

  def _bank(self, name, change):
    """Writes a bank of which one entry, or one graph, is changed."""
    folder = self.folder / name
    shutil.copytree(self.bank, folder)
    content = json.loads((folder / 'bank.json').read_text())
    change(folder, content['encoders'])
    bank_testing.write_json(folder, content)
    return self._arguments(f'--bank={folder}')

  def _check(self, cases):
    """Each command ends in one line that has all parts."""
    results = self.drive(*[arguments for arguments, *_ in cases])
    for (arguments, *parts), (code, out, err) in zip(
      cases, results, strict=True
    ):
      with self.subTest(arguments[-1]):
        self.assertEqual(code, 1, err)
        self.assertEmpty(out)
        self.assertLen(err.splitlines(), 1, err)
        self.assertStartsWith(err, 'Error: ')
        for part in parts:
          self.assertIn(part, err)
    self.assertFalse(self.output.exists())

  def test_what_cannot_be_used_is_one_line_and_leaves_nothing(self):
    self._check([*self._networks(), *self._choices()])

  def _networks(self):

    def truncated(folder, encoders):
      del encoders
      path = folder / 'beta.pb'
      path.write_bytes(path.read_bytes()[:-100])

    def missing_tensor(folder, encoders):
      del folder
      encoders[0]['representation'] = 'representatoin:0'

    def unknown_activation(folder, encoders):
      del encoders
      graph = testing.freeze(tf.exp, bank_testing.SIZE)
      (folder / 'alpha.pb').write_bytes(graph.SerializeToString())

    def only_one(folder, encoders):
      del folder, encoders[1:]

    def trap(operation):
      def change(folder, encoders):
        del encoders
        graph = testing.tiny_graph_def('relu')
        graph.node.add(name='trap', op=operation)
        (folder / 'alpha.pb').write_bytes(graph.SerializeToString())

      return change

    return [
      (
        self._bank('missing_tensor', missing_tensor),
        'alpha',
        'representatoin',
        'representation',
      ),
      (self._bank('activation', unknown_activation), 'alpha', 'Exp'),
      (self._bank('truncated', truncated), 'beta', 'beta.pb'),
      (self._bank('only_one', only_one), '1 encoder', 'two or more'),
      *(
        (self._bank(operation, trap(operation)), 'alpha', operation)
        for operation in ('ReadFile', 'WriteFile', 'PyFunc')
      ),
    ]

  def _choices(self):
    def open_input(folder, encoders):
      del encoders[2:]
      for name in ('alpha', 'beta'):
        graph = testing.freeze(tf.nn.relu, None)
        (folder / f'{name}.pb').write_bytes(graph.SerializeToString())

    empty = self.folder / 'empty'
    empty.mkdir()
    (self.images / 'text.jpg').write_text('This is no picture.')
    change = self._arguments
    return [
      (change(f'--probe={empty}'), str(empty)),
      (change('--probe=no/such/set'), 'no/such/set', 'scenes'),
      (change('--probe=coco'), 'coco', '--probe_dir'),
      (change('--bank=no/such/bank'), 'no/such/bank', 'mini'),
      (change('--bank=task_bank'), 'task_bank', 'Put'),
      (change('--methods=elrp,deeplift'), 'deeplift', 'saliency'),
      (change('--methods=elrp,elrp'), 'once'),
      (change('--methods='), 'methods'),
      (change('--similarities=ccka'), 'ccka', 'cka_debiased'),
      (
        change('--methods=elrp', '--similarities=depara'),
        'depara',
        'gradient_times_input',
      ),
      (change('--protocol=draft'), 'protocol', 'released_code'),
      (change('--num_images=0'), 'num_images'),
      (change('--num_images=all'), 'num_images'),
      (change('--epsilon=0'), 'epsilon'),
      (change('--batch_size=0'), 'batch_size'),
      (change('--device=/GPU:9'), '/GPU:9'),
      (change('--on_bad_map=ignore'), 'on_bad_map', 'drop_image'),
      (change('--on_bad_image=error', '--num_images=4'), 'text.jpg'),
      (change('--nim_images=3'), 'nim_images', 'num_images'),
      (change('--image_size=20'), 'alpha', '--image_size'),
      (self._bank('open', open_input) + ['--image_size=99999'], '99999'),
      (change('stray'), 'stray'),
    ]

  def test_folder_of_another_run(self):
    run = self._arguments('--methods=elrp')
    changed = self._arguments('--methods=elrp', '--seed=3', '--resume')
    results = self.drive(
      run,
      run,
      changed,
      [*run, '--resume', '--overwrite'],
      [*run, '--overwrite'],
    )
    codes, _, messages = zip(*results, strict=True)
    self.assertEqual(codes, (0, 1, 1, 1, 0), messages)
    for part in ('--resume', '--overwrite', '--output'):
      self.assertIn(part, messages[1])
    self.assertIn('--seed is 0 there, but 3 now', messages[2])
    self.assertIn('not both', messages[3])

    graph = testing.tiny_graph_def('relu', seed=9)
    (self.bank / 'alpha.pb').write_bytes(graph.SerializeToString())
    before = bank_testing.tree_bytes(self.output)
    ((code, _, message),) = self.drive([*run, '--resume'])
    self.assertEqual(code, 1)
    self.assertIn('graphs.alpha', message)
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

    inside = self.output / 'inside' / 'bank'
    shutil.copytree(self.bank, inside)
    before = bank_testing.tree_bytes(self.output)
    overwriting = [*run, f'--bank={inside}', '--overwrite']
    ((code, _, message),) = self.drive(overwriting)
    self.assertEqual(code, 1)
    self.assertRegex(message, f'--overwrite would delete {inside}, .*--bank')
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def test_error_is_the_only_line_of_the_process(self):
    result = self.run_command(*self._arguments('--bank=no/such/bank'))
    self.assertEqual(result.returncode, 1)
    self.assertEmpty(result.stdout)
    self.assertLen(result.stderr.splitlines(), 1, result.stderr)


if __name__ == '__main__':
  absltest.main()
