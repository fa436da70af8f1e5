"""Tests of the trial of networks in a process of their own."""

import builtins
import os
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import frozen_graphs
from frozen_graphs import child, loading, sandbox
from frozen_graphs.errors import GraphError, UnsafeGraphError
from tests import command_testing, hostile_testing, testing


def _slow() -> tf.compat.v1.GraphDef:
  """Returns a graph that computes for hours: 10^6 windows of 10^8 pixels."""
  kernel = np.ones([1, 1, 3, 8], np.float32)
  return testing.freeze(
    lambda x: tf.nn.max_pool2d(
      tf.nn.conv2d(x, kernel, 1, 'SAME'), 2**14, 1, 'SAME'
    ),
    size=1024,
  )


def _allocate(source, **options) -> None:
  del source, options
  np.ones(2**29)  # 4 GiB.


class SandboxTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, 'graph.pb')

  def _check(self, graph_def, load=loading.load, **limits) -> None:
    self.path.write_bytes(graph_def.SerializeToString())
    bounds = {'memory': 2**30, 'seconds': 60, **limits}
    options = {'representation': 'representation'}
    sandbox.check(self.path, load, options, child.Limits(**bounds))

  def test_honest_network_passes(self):
    self._check(testing.tiny_graph_def())

  def test_what_takes_too_much_memory_is_refused(self):
    with self.assertRaisesRegex(UnsafeGraphError, 'graph.pb: .* memory.*trust'):
      self._check(testing.tiny_graph_def(), load=_allocate)

  def test_what_takes_too_long_to_run_is_refused(self):
    with self.assertRaisesRegex(UnsafeGraphError, 'more than 2 seconds'):
      self._check(_slow(), seconds=2)

  def test_what_cannot_be_loaded_is_left_to_say_so_itself(self):
    name = 'a split in 10^9'
    self._check(hostile_testing.GRAPHS[name]())

  def test_files_are_tried_and_objects_and_trusted_files_are_not(self):
    graph_def = testing.tiny_graph_def()
    self.path.write_bytes(graph_def.SerializeToString())
    with mock.patch.object(sandbox, 'check') as check:
      frozen_graphs.load(graph_def, trust='sandbox')
      frozen_graphs.load(self.path, trust='checks')
      check.assert_not_called()
      frozen_graphs.load(self.path, trust='sandbox')
      check.assert_called_once()
    with self.assertRaisesRegex(ValueError, "sandbox.*'none'"):
      frozen_graphs.load(self.path, trust='none')

  def test_what_a_function_finds_within_comes_back(self):
    found = sandbox.within(_length_of, self.path, 'abc', 2)
    self.assertEqual(found['length'], 6)
    self.assertNotEqual(found['process'], os.getpid())

  def test_errors_of_a_function_within_come_back(self):
    with self.assertRaisesRegex(GraphError, 'unusable'):
      sandbox.within(_fail, self.path, 'ValueError')
    with self.assertRaisesRegex(OSError, 'unusable'):
      sandbox.within(_fail, self.path, 'OSError')
    with self.assertRaisesRegex(UnsafeGraphError, 'more than .* of memory'):
      sandbox.within(_fail, self.path, 'MemoryError')

  def test_default_is_the_sandbox(self):
    with mock.patch.dict('os.environ'):
      del sandbox.os.environ[sandbox.VARIABLE]
      self.assertEqual(sandbox.trust_of(None), 'sandbox')

  def test_command_ends_in_one_line(self):
    self.path.write_bytes(testing.tiny_graph_def().SerializeToString())
    fault = child.Ending('was brought down by SIGABRT')
    for command, *more in (
      ('inspect',),
      ('convert', '--output=none', '--name=n', '--preprocessing=range(0, 1)'),
    ):
      with mock.patch.object(child, 'run', return_value=fault):
        ((code, _, error),) = command_testing.run(
          f'taskonomy_models.{command}', [self.path, '--trust=sandbox', *more]
        )
      self.assertEqual(code, 1)
      self.assertLen(error.splitlines(), 1)
      self.assertRegex(error, 'Error: .*: a trial .*SIGABRT.*--trust=checks')


def _length_of(source, text, times):
  del source
  return {'length': len(text) * times, 'process': os.getpid()}


def _fail(source, kind):
  del source
  raise getattr(builtins, kind)('unusable')


if __name__ == '__main__':
  absltest.main()
