"""Tests of the summaries, as TensorBoard itself serves them."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from unittest import mock
import urllib.parse
import urllib.request

from absl.testing import absltest
import cv2
import numpy as np

from experiments import figures, report, summaries
from experiments.evaluation import Evaluation, Score
from transferability.ranking import PrecisionRecall

_LABELS = ('Depth', 'Edges\tand\nso on', 'Scene', 'Points')
_GROUPS = ('3d', '2d', None, '2d')
_METHODS = ('elrp', 'saliency')
_CURVES = {
  'elrp': PrecisionRecall.from_hits([3, 5, 6], 4, 2),
  'random': PrecisionRecall.from_hits([1, 2.5, 4], 4, 2),
}
_IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), np.uint8)


def _maps(seed: int) -> np.ndarray:
  shape = (4, 3, 8, 10, 3)
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _affinity(seed: int) -> np.ndarray:
  points = np.random.default_rng(seed).normal(size=(4, 6))
  points /= np.linalg.norm(points, axis=1, keepdims=True)
  return points @ points.T


def _write(folder: pathlib.Path, curves=_CURVES, **changes) -> None:
  affinities = {'elrp': _affinity(0), 'saliency': _affinity(1)}
  scores = {name: Score(curve) for name, curve in curves.items()}
  fields = {
    'title': '',
    'lead': '',
    'labels': _LABELS,
    'groups': _GROUPS,
    'images': _IMAGES,
    'maps': {'elrp': _maps(0), 'saliency': np.abs(_maps(1))},
    'evaluation': Evaluation(_LABELS, affinities, {}, {}, {}, scores),
    'settings': {'probe': 'scenes', 'a|b': 'first\nsecond', 'epsilon': 1e-4},
  }
  summaries.write(folder, report.Shown(**(fields | changes)))


class TensorBoard:
  """TensorBoard in a process of its own, reachable from this machine only."""

  def __init__(self, folder: pathlib.Path, log: pathlib.Path):
    command = [sys.executable, '-m', 'tensorboard.main', '--load_fast=false']
    command += ['--logdir', str(folder), '--host', '127.0.0.1', '--port', '0']
    with open(log, 'wb') as file:
      self._process = subprocess.Popen(command, stdout=file, stderr=file)
    self._log = log
    try:
      self._address = self._wait_for_address()
    except BaseException:
      self.close()
      raise

  def _wait_for_address(self) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and self._process.poll() is None:
      found = re.search(r'http://127\.0\.0\.1:\d+', self._log.read_text())
      if found:
        return found[0]
      time.sleep(0.1)
    raise RuntimeError(f'TensorBoard did not start:\n{self._log.read_text()}')

  def get(self, route: str, **query) -> bytes:
    address = f'{self._address}/data/{route}?{urllib.parse.urlencode(query)}'
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=10) as answer:
      return answer.read()

  def json(self, route: str, **query):
    return json.loads(self.get(route, **query))

  def wait_for_runs(self, count: int) -> None:
    """Waits until the files are read; which takes a moment after the start."""
    deadline = time.monotonic() + 20
    while len(self.json('runs')) < count and time.monotonic() < deadline:
      time.sleep(0.1)

  def close(self) -> None:
    self._process.terminate()
    try:
      self._process.wait(10)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()


class ServedTest(absltest.TestCase):
  """The folder is written twice, as by a repeated run, and then served."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    root = pathlib.Path(temporary.name)
    _write(root / 'tensorboard', settings={'probe': 'of the first run'})
    _write(root / 'tensorboard')
    cls.board = TensorBoard(root / 'tensorboard', root / 'log.txt')
    cls.addClassCleanup(cls.board.close)
    cls.board.wait_for_runs(4)

  def _pictures(self, run: str, tag: str) -> list[np.ndarray]:
    samples = self.board.json('plugin/images/images', run=run, tag=tag)
    self.assertEqual([s['step'] for s in samples], list(range(len(samples))))
    pictures = []
    for sample in samples:
      query = dict(urllib.parse.parse_qsl(sample['query']))
      data = self.board.get('plugin/images/individualImage', **query)
      decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
      pictures.append(decoded[..., ::-1])
    return pictures

  def test_each_method_and_baseline_is_one_run(self):
    self.assertCountEqual(
      self.board.json('runs'), ['elrp', 'saliency', 'random', 'summary']
    )

  def test_every_method_has_maps_affinity_and_tree(self):
    tags = self.board.json('plugin/images/tags')
    self.assertEqual(set(tags), {*_METHODS, 'summary'})
    for method in _METHODS:
      self.assertEqual(
        set(tags[method]), {'attribution_maps', 'affinity', 'tree'}
      )
    self.assertEqual(set(tags['summary']), {'P@K', 'R@K'})

  def test_there_is_a_page_of_maps_for_each_image_large_enough_to_see(self):
    pages = self._pictures('saliency', 'attribution_maps')
    self.assertLen(pages, len(_IMAGES))
    file = io.BytesIO()
    maps = np.abs(_maps(1))[:, 1:2]
    options = {'groups': _GROUPS, 'columns': 5}
    labels = [' '.join(label.split()) for label in _LABELS]
    figures.map_grid(file, _IMAGES[1:2], maps, labels, 'saliency', **options)
    data = np.frombuffer(file.getvalue(), np.uint8)
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(pages[1], expected)
    for panels in (len(_LABELS) + 1,):
      self.assertGreater(pages[1].shape[1] / panels, 250)

  def test_affinities_of_two_methods_are_two_pictures(self):
    (first,) = self._pictures('elrp', 'affinity')
    (second,) = self._pictures('saliency', 'affinity')
    self.assertFalse(np.array_equal(first, second))
    self.assertGreater(first.shape[0], 300)

  def test_curves_are_scalars_with_k_as_step_and_not_repeated(self):
    for name, curve in _CURVES.items():
      for tag, values in (('P@K', curve.precision), ('R@K', curve.recall)):
        points = self.board.json('plugin/scalars/scalars', run=name, tag=tag)
        self.assertEqual([step for _, step, _ in points], [1, 2, 3])
        np.testing.assert_allclose([v for *_, v in points], values, rtol=1e-6)
    tags = self.board.json('plugin/scalars/tags')
    self.assertIn('Set Smoothing to 0', tags['elrp']['P@K']['description'])

  def test_settings_are_a_table_of_the_last_run(self):
    (text,) = self.board.json('plugin/text/text', run='summary', tag='settings')
    cells = re.findall('<td>(.*?)</td>', text['text'])
    self.assertEqual(
      cells, ['probe', 'scenes', 'a|b', 'first second', 'epsilon', '0.0001']
    )

  def test_projector_has_the_models_with_labels_and_groups(self):
    self.assertCountEqual(self.board.json('plugin/projector/runs'), _METHODS)
    sheet = self.board.get(
      'plugin/projector/sprite_image', run='elrp', name='models'
    )
    sheet = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)
    discs = sheet[16::32, 16::32, ::-1].reshape(-1, 3).tolist()
    colors = figures.group_colors(_GROUPS)
    self.assertEqual(
      discs,
      [[int(colors[g][i : i + 2], 16) for i in (1, 3, 5)] for g in _GROUPS],
    )
    (embedding,) = self.board.json('plugin/projector/info', run='elrp')[
      'embeddings'
    ]
    self.assertEqual(embedding['tensorShape'][0], 4)
    query = {'run': 'elrp', 'name': embedding['tensorName']}
    rows = self.board.get('plugin/projector/metadata', **query).decode()
    self.assertEqual(
      [row.split('\t') for row in rows.splitlines()],
      [
        ['label', 'group'],
        ['Depth', '3d'],
        ['Edges and so on', '2d'],
        ['Scene', '-'],
        ['Points', '2d'],
      ],
    )
    data = self.board.get('plugin/projector/tensor', **query)
    points = np.frombuffer(data, np.float32).reshape(embedding['tensorShape'])
    np.testing.assert_allclose(points @ points.T, _affinity(0), atol=1e-6)


class WriteTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir(), 'tensorboard')

  def _files(self) -> list[str]:
    """Returns the files below, without the time in the names of events."""
    files = self.folder.parent.rglob('*')
    return sorted(
      re.sub(r'tfevents.*', 'tfevents', str(file.relative_to(self.folder)))
      for file in files
      if file.is_file()
    )

  def test_a_repeat_leaves_the_same_files_and_nothing_beside_them(self):
    _write(self.folder)
    files = self._files()
    self.assertLen(files, 2 * 5 + 1 + 1)
    _write(self.folder)
    self.assertEqual(self._files(), files)

  def test_what_a_killed_run_left_behind_is_not_taken_over(self):
    for suffix in ('new', 'old'):
      stale = self.folder.with_name(f'.{self.folder.name}.{suffix}')
      stale.mkdir()
      (stale / 'events.out.tfevents.0').write_bytes(b'')
    _write(self.folder)
    self.assertNotIn('events.out.tfevents', self._files())
    self.assertEqual(os.listdir(self.folder.parent), [self.folder.name])

  def test_without_curves_and_groups_only_these_are_missing(self):
    maps = {'elrp': _maps(0)}
    groups = [None] * len(_LABELS)
    _write(self.folder, curves={}, groups=groups, maps=maps)
    self.assertCountEqual(os.listdir(self.folder), ['elrp', 'summary'])
    metadata = (self.folder / 'elrp' / 'metadata.tsv').read_text()
    self.assertStartsWith(metadata, 'label\tgroup\nDepth\t-\n')

  def test_a_failed_write_keeps_the_old_folder_and_leaves_no_other(self):
    _write(self.folder)
    files = self._files()
    bad = np.full_like(_maps(1), np.nan)
    with self.assertRaisesRegex(ValueError, 'not finite'):
      _write(self.folder, maps={'elrp': _maps(0), 'saliency': bad})
    with mock.patch.object(
      pathlib.Path, 'write_text', side_effect=OSError('disk full')
    ):
      with self.assertRaisesRegex(OSError, 'disk full'):
        _write(self.folder)
    self.assertEqual(self._files(), files)


class PointsTest(absltest.TestCase):
  def test_inner_products_are_the_affinity(self):
    points = summaries.points(_affinity(3))
    np.testing.assert_allclose(points @ points.T, _affinity(3), atol=1e-12)

  def test_first_dimension_is_the_largest(self):
    sizes = np.linalg.norm(summaries.points(_affinity(3)), axis=0)
    np.testing.assert_array_equal(sizes, np.sort(sizes)[::-1])

  def test_directions_of_negative_eigenvalues_are_left_out(self):
    affinity = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    values, vectors = np.linalg.eigh(affinity)
    self.assertLess(values[0], 0)
    nearest = (vectors * np.maximum(values, 0)) @ vectors.T
    points = summaries.points(affinity)
    np.testing.assert_allclose(points @ points.T, nearest, atol=1e-12)

  def test_two_models_have_three_dimensions_to_be_shown_in(self):
    points = summaries.points(np.array([[1, 0.5], [0.5, 1]]))
    self.assertEqual(points.shape, (2, 3))
    np.testing.assert_array_equal(points[:, 2], 0)


if __name__ == '__main__':
  absltest.main()
