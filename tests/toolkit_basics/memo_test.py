"""Tests of results that are kept."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from toolkit_basics import files, memo


@dataclasses.dataclass(frozen=True)
class _Settings:
  rate: float = 0.1
  sides: tuple[int, ...] = (1, 2)


_KEY = {'settings': _Settings(), 'images': np.arange(4, dtype=np.uint8)}
_VALUES = (
  (memo.JSON, {'a': [1, None, 'é'], 'b': 0.1}),
  (memo.CSV, [['name', 'x'], ['a', '0.1']]),
  (memo.ARRAY, np.arange(6, dtype=np.float32).reshape(2, 3)),
  (memo.ARRAYS, {'a': np.zeros(2), 'b': np.ones((2, 2), np.float16)}),
)


class MemoTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.computed = 0

  def recall(self, codec=memo.JSON, value=1, key=_KEY, name='step'):
    def compute():
      self.computed += 1
      return value

    return memo.Memo(self.folder, codec).recall(name, key, compute)

  @parameterized.parameters(*_VALUES)
  def test_a_result_comes_back_and_is_not_computed_again(self, codec, value):
    for _ in range(2):
      found = self.recall(codec, value)
      if isinstance(value, dict) and codec is memo.ARRAYS:
        self.assertEqual(list(found), list(value))
        for name, array in value.items():
          np.testing.assert_array_equal(found[name], array, strict=True)
      else:
        np.testing.assert_array_equal(found, value)
    self.assertEqual(self.computed, 1)

  @parameterized.parameters(
    {'key': {**_KEY, 'settings': _Settings(rate=0.2)}},
    {'key': {**_KEY, 'images': np.arange(4, dtype=np.int8)}},
    {'key': {**_KEY, 'images': np.array([0, 1, 3, 2], np.uint8)}},
    {'key': {**_KEY, 'more': None}},
  )
  def test_what_was_computed_from_something_else_is_computed_anew(self, key):
    self.recall(value=1)
    self.assertEqual(self.recall(value=2, key=key), 2)
    self.assertEqual(self.recall(value=3), 3)

  @parameterized.parameters(*_VALUES)
  def test_what_is_cut_off_changed_or_lost_is_computed_anew(self, codec, value):
    path = memo.Memo(self.folder, codec).path('step')
    record = self.folder / '.memo' / f'{path.name}.json'

    def cut(file):
      file.write_bytes(file.read_bytes()[:-3])

    def change(file):
      file.write_bytes(b'x' + file.read_bytes()[1:])

    damages = [(f, d) for f in (path, record) for d in (cut, change, os.remove)]
    self.recall(codec, value)
    for times, (file, damage) in enumerate(damages, start=2):
      damage(file)
      self.recall(codec, value)
      self.assertEqual(self.computed, times, (file, damage))

  def test_a_failed_write_leaves_the_old_result(self):
    self.recall(value=1)
    with mock.patch.object(os, 'replace', side_effect=OSError('disk full')):
      with self.assertRaises(OSError):
        self.recall(value=2, key='other')
    self.assertEqual(self.recall(value=3), 1)

  def test_a_result_without_its_record_is_computed_anew(self):
    self.recall(value=1)
    with mock.patch.object(memo.Memo, '_record', side_effect=OSError):
      with self.assertRaises(OSError):
        self.recall(value=2, key='other')
    self.assertEqual(self.recall(value=3), 3)

  def test_killed_at_any_time_no_result_is_half_written(self):
    program = (
      'import itertools, sys, numpy as np\n'
      'from toolkit_basics import memo\n'
      'kept = memo.Memo(sys.argv[1], memo.ARRAY)\n'
      'print(flush=True)\n'
      'for i in itertools.count():\n'
      '  kept.recall("step", i, lambda: np.full(200_000, i))\n'
    )
    root = pathlib.Path(__file__).parents[2]
    for _ in range(3):
      process = subprocess.Popen(
        [sys.executable, '-c', program, str(self.folder)],
        cwd=root,
        stdout=subprocess.PIPE,
      )
      process.stdout.readline()
      try:
        process.wait(0.3)
      except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
      process.communicate()
      kept = memo.Memo(self.folder, memo.ARRAY)
      if kept.path('step').exists():
        values = np.load(kept.path('step'))
        self.assertLen(set(values.tolist()), 1)
        self.assertLen(values, 200_000)

  def test_paths_and_other_objects_are_no_keys(self):
    with self.assertRaisesRegex(TypeError, 'cannot be a part of a key'):
      memo.digest({'folder': self.folder})

  def test_the_file_is_where_its_readers_look(self):
    self.recall(memo.CSV, [['a'], ['1']], name='table')
    self.assertEqual(files.read_csv(self.folder / 'table.csv'), [['a'], ['1']])


if __name__ == '__main__':
  absltest.main()
