"""Tests that points survive kills, rivals and damage."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import zlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import points
from transferability.model_space import ModelSpace

_IMAGES, _SHAPE = 6, (4, 5, 3)
_ROOT = pathlib.Path(__file__).parents[2]

# Adds models to a space; counts the calls of C functions (of the operating
# system, above all) made by the modules under test, and dies before one.
_CHILD = textwrap.dedent("""
  import os, signal, sys
  from tests.transferability import points_test

  folder, models, limit = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
  calls = 0

  def count(frame, event, argument):
    global calls
    if event == 'c_call' and frame.f_globals['__name__'] in (
        'transferability.points', 'toolkit_basics.files'):
      calls += 1
      if calls == limit:
        os.kill(os.getpid(), signal.SIGKILL)

  sys.setprofile(count)
  points_test.fill(folder, models, batch=4)
  sys.setprofile(None)
  print(calls)
""")


def maps(model, start=0, stop=_IMAGES):
  """Returns the maps of a model; the same in every process."""
  rng = np.random.default_rng(sum(model.encode()))
  return (rng.normal(size=(_IMAGES, *_SHAPE)) + 0.2)[start:stop]


def create(folder, **settings):
  return ModelSpace.create(
    folder,
    settings=settings,
    image_ids=[f'{i}.jpg' for i in range(_IMAGES)],
    image_digests=[f'{i:064x}' for i in range(_IMAGES)],
    map_shape=_SHAPE,
  )


def fill(folder, models, batch=_IMAGES):
  """Adds what is missing of the models, as a resumable run does."""
  space = create(folder)
  for model in models:
    writer = space.writer(model, {'model': model})
    for start in range(0, _IMAGES, batch):
      stop = min(start + batch, _IMAGES)
      if not writer.done[start:stop].all():
        writer.write(start, maps(model, start, stop))
    writer.finish()
  return space


def _content(folder):
  """Returns all files but what a kill may leave of the space's description."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(pathlib.Path(folder).rglob('*'))
    if path.is_file() and not path.name.startswith('.space.json.')
  }


def _child(folder, models, limit=0):
  return subprocess.Popen(
    [sys.executable, '-c', _CHILD, str(folder), ' '.join(models), str(limit)],
    cwd=_ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )


class KillTest(absltest.TestCase):
  def test_a_killed_run_resumes_to_the_same_bytes(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    models = ['b', 'a']
    complete = _child(folder / 'complete', models)
    calls = int(complete.communicate()[0])
    expected = _content(folder / 'complete')
    self.assertLen(expected, 7)
    unfinished = 0
    for limit in np.linspace(1, calls, 20).astype(int):
      with self.subTest(killed_before_call=limit):
        target = folder / str(limit)
        child = _child(target, models, limit)
        child.communicate()
        self.assertEqual(child.returncode, -signal.SIGKILL)
        unfinished += _content(target) != expected
        space = fill(target, models, batch=5)
        self.assertEqual(_content(target), expected)
        self.assertEqual(space.models, ('b', 'a'))
    self.assertGreater(unfinished, 12)

  def test_processes_may_add_models_and_share_one_at_the_same_time(self):
    folder = pathlib.Path(self.create_tempdir().full_path) / 'space'
    children = [_child(folder, [*own, 'shared']) for own in ('ab', 'cd', 'ef')]
    for child in children:
      child.communicate()
      self.assertEqual(child.returncode, 0)
    space = ModelSpace(folder)
    self.assertCountEqual(space.models, [*'abcdef', 'shared'])
    for model in space.models:
      alone = fill(folder.with_name(model), [model])
      np.testing.assert_array_equal(space.rows(model), alone.rows(model))

  def test_what_a_killed_process_left_is_swept_away(self):
    folder = self.create_tempdir().full_path
    space = fill(folder, ['a'])
    models = pathlib.Path(folder) / 'models'
    for left in ('.b.1.partial', '.b.2.partial', '.b.c.3.partial'):
      (models / left).mkdir()
    self.assertEqual(space.models, ('a',))
    fill(folder, ['b'])
    self.assertCountEqual(os.listdir(models), ['a', 'b', '.b.c.3.partial'])


class DamageTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.space = fill(self.folder, ['a', 'b'])
    self.rows = self.folder / 'models' / 'a' / 'rows.npy'

  def _spoil_row(self, image):
    offset = self.space.rows('a').offset
    with open(self.rows, 'r+b') as file:
      file.seek(offset + image * 4 * self.space.row_size + 9)
      byte = file.read(1)[0]
      file.seek(-1, os.SEEK_CUR)
      file.write(bytes([byte ^ 1]))

  def test_one_flipped_bit_is_found(self):
    self._spoil_row(3)
    with self.assertRaisesRegex(ValueError, "model 'a', image 3, is corrupt"):
      self.space.affinity()

  def test_resuming_computes_the_spoilt_row_again(self):
    expected = _content(self.folder)
    self._spoil_row(3)
    writer = self.space.writer('a', {'model': 'a'})
    self.assertEqual(np.flatnonzero(~writer.done).tolist(), [3])
    self.assertEqual(self.space.models, ('b',))
    self.assertEqual(self.space.unfinished, ('a',))
    fill(self.folder, ['a'])
    self.assertEqual(_content(self.folder), expected)

  @parameterized.parameters(0, 5, 200, -1)
  def test_a_truncated_file_is_refused_by_path(self, size):
    whole = self.rows.stat().st_size
    os.truncate(self.rows, size if size >= 0 else whole - 1)
    for action in (
      self.space.affinity,
      lambda: self.space.writer('a', {'model': 'a'}),
    ):
      with self.assertRaisesRegex(ValueError, 'a/rows.npy: not a whole'):
        action()

  def test_an_array_of_another_space_is_refused(self):
    np.save(self.rows, np.zeros((3, 3)))
    with self.assertRaisesRegex(ValueError, r'holds float64 \(3, 3\)'):
      self.space.rows('a')

  @parameterized.parameters('{', '[]', '{"model": "a"}')
  def test_a_damaged_manifest_is_refused_by_path(self, text):
    (self.folder / 'models' / 'a' / 'manifest.json').write_text(text)
    with self.assertRaisesRegex(ValueError, 'a/manifest.json: not'):
      self.space.models  # noqa: B018

  def test_a_folder_renamed_by_hand_is_refused(self):
    os.rename(self.folder / 'models' / 'a', self.folder / 'models' / 'A')
    with self.assertRaisesRegex(ValueError, 'cannot be renamed'):
      self.space.affinity()

  def test_a_full_disk_is_an_error_that_leaves_the_row_unfinished(self):
    writer = self.space.writer('c', {})
    real = open

    def full(path, *arguments, **options):
      if str(path).endswith('rows.npy') and arguments == ('r+b',):
        raise OSError('No space left on device')
      return real(path, *arguments, **options)

    with absltest.mock.patch('builtins.open', full):
      with self.assertRaisesRegex(OSError, 'No space'):
        writer.write(0, maps('c'))
    self.assertFalse(writer.done.any())


class WriterTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.space = create(self.create_tempdir().full_path)

  @parameterized.parameters(1, 2, 4, 6)
  def test_rows_do_not_depend_on_the_batches(self, batch):
    fill(self.space.folder, ['a'], batch)
    together = fill(self.create_tempdir().full_path, ['a'])
    np.testing.assert_array_equal(self.space.rows('a'), together.rows('a'))

  def test_rows_have_unit_norm_and_the_maps_direction(self):
    fill(self.space.folder, ['a'])
    flat = maps('a').reshape(_IMAGES, -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(self.space.rows('a'), flat, rtol=1e-7)

  def test_rows_may_come_in_any_order_and_finished_ones_stay(self):
    writer = self.space.writer('a', {})
    writer.write(4, maps('a', 4, 6))
    self.assertEqual(writer.done.tolist(), [False] * 4 + [True] * 2)
    writer.write(2, -maps('a', 2, 6))
    writer.write(0, maps('a', 0, 2))
    writer.finish()
    rows, expected = (
      self.space.rows('a'),
      fill(self.create_tempdir().full_path, ['a']).rows('a'),
    )
    np.testing.assert_array_equal(rows[[0, 1, 4, 5]], expected[[0, 1, 4, 5]])
    np.testing.assert_array_equal(rows[2:4], -expected[2:4])

  @parameterized.parameters(
    (0.0, 'all zero'), (np.nan, 'not finite'), (-np.inf, 'not finite')
  )
  def test_maps_without_direction_are_refused_and_nothing_written(
    self, value, reason
  ):
    writer, bad = self.space.writer('a', {}), maps('a', 1, 5)
    bad[1] = bad[3] = value
    with self.assertRaisesRegex(
      points.BadMapError, rf"'a', image 2 \(2.jpg\) \(and 1 more.*{reason}"
    ) as caught:
      writer.write(1, bad)
    self.assertEqual(caught.exception.model, 'a')
    self.assertEqual(caught.exception.images, (2, 4))
    self.assertFalse(writer.done.any())

  def test_after_the_images_are_dropped_the_batch_is_taken(self):
    writer, bad = self.space.writer('a', {}), maps('a')
    bad[1] = bad[3] = 0
    with self.assertRaises(points.BadMapError) as caught:
      writer.write(0, bad)
    self.space.drop_images(caught.exception.images)
    writer.write(0, bad)
    writer.finish()
    self.assertEqual(self.space.kept_images.tolist(), [0, 2, 4, 5])
    np.testing.assert_array_equal(self.space.rows('a')[1], 0)

  def test_maps_that_do_not_fit_are_refused(self):
    writer = self.space.writer('a', {})
    for start, values in (
      (0, np.ones((2, 4, 5))),
      (0, np.ones(_SHAPE)),
      (5, maps('a', 0, 2)),
      (-1, maps('a', 0, 2)),
    ):
      with self.assertRaisesRegex(ValueError, 'do not fit 6 images'):
        writer.write(start, values)

  def test_a_model_is_finished_only_with_all_rows(self):
    writer = self.space.writer('a', {})
    writer.write(0, maps('a', 0, 3))
    with self.assertRaisesRegex(ValueError, '3 of 6 rows .* image 3'):
      writer.finish()
    with self.assertRaisesRegex(ValueError, "'a' has 3 of 6 rows; resume"):
      self.space.affinity(['a'])

  def test_records_are_the_checksums_of_the_rows(self):
    fill(self.space.folder, ['a'])
    folder = pathlib.Path(self.space.folder) / 'models' / 'a'
    records = np.load(folder / 'finished.npy')
    rows = np.load(folder / 'rows.npy')
    self.assertEqual(
      records.tolist(), [2**32 + zlib.crc32(row.tobytes()) for row in rows]
    )
    entry = json.loads((folder / 'manifest.json').read_text())
    self.assertEqual(
      entry, {'model': 'a', 'sequence': 0, 'manifest': {'model': 'a'}}
    )


if __name__ == '__main__':
  absltest.main()
