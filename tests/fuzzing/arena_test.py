"""Tests of the fuzzer itself, and what it finds in a few hundred inputs.

In a process of its own: the arena copies a process in which TensorFlow has not
run yet.
"""

import re
import subprocess
import sys

from absl.testing import absltest
from google.protobuf import empty_pb2
import numpy as np

from tests.command_testing import ROOT
from tests.fuzzing import mutations

_ORIGINALS = """
import pathlib, sys, tempfile
from toolkit_basics import quiet
quiet.quieten_tensorflow()
from tests.fuzzing import arena
with tempfile.TemporaryDirectory() as folder:
  made = arena.Arena(pathlib.Path(folder), 0)
  for seed in made.seeds:
    seed.read(seed.source)
    print(seed.name)
"""


def _run(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


class ArenaTest(absltest.TestCase):
  def test_a_message_without_fields_is_left_as_it_is(self):
    message = empty_pb2.Empty()
    for seed in range(5):
      mutations.of_message(message, np.random.default_rng(seed))
    self.assertEqual(message, empty_pb2.Empty())

  def test_undamaged_files_are_read(self):
    done = _run('-c', _ORIGINALS)
    self.assertEqual(done.returncode, 0, done.stderr[-2000:])
    self.assertLen(done.stdout.split(), 17)

  def test_a_few_hundred_damaged_files_break_nothing(self):
    done = _run('-m', 'tests.fuzzing', '--inputs=300', '--seed=1')
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-2000:])
    (total,) = re.findall(r'^ +all +(\d+) +(\d+) +(\d+) .*$', done.stdout, re.M)
    self.assertEqual(int(total[0]), 300)
    self.assertGreater(int(total[1]), 15)
    self.assertGreater(int(total[2]), 100)


if __name__ == '__main__':
  absltest.main()
