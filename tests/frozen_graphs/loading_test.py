"""Tests of the one door: what comes in, and what every refusal looks like."""

import os
import pathlib
import time

from absl.testing import absltest, parameterized
import numpy as np

import frozen_graphs
from tests import hostile_testing, testing


class LoadingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  @parameterized.parameters(*hostile_testing.GRAPHS)
  def test_hostile_graph_ends_in_one_line(self, name):
    path = hostile_testing.written(self.folder, name)
    started = time.process_time()
    if name == 'a condition of 2^60 steps':  # Which folds to an honest one.
      network = frozen_graphs.load(path, representation='representation')
      self.assertIn('representation', network.subgraph.nodes)
    else:
      with self.assertRaises(frozen_graphs.GraphError) as caught:
        network = frozen_graphs.load(path, representation='representation')
        network.run(np.zeros([1, 16, 16, 3], np.float32))
      self.assertIn(str(path), str(caught.exception))
      self.assertNotIn('\n', str(caught.exception))
      self.assertLess(len(str(caught.exception)), 1000)
    self.assertLess(time.process_time() - started, 10)

  def test_pipe_is_refused_and_not_waited_for(self):
    path = self.folder / 'graph.pb'
    os.mkfifo(path)
    with self.assertRaisesRegex(frozen_graphs.GraphError, 'pipe'):
      frozen_graphs.load(path)

  def test_device_is_refused(self):
    with self.assertRaisesRegex(frozen_graphs.GraphError, 'a device'):
      frozen_graphs.load('/dev/zero')

  def test_link_to_itself_is_refused_as_that(self):
    path = self.folder / 'graph.pb'
    path.symlink_to(path)
    with self.assertRaisesRegex(frozen_graphs.GraphError, 'leads to itself'):
      frozen_graphs.load(path)

  def test_error_of_another_library_is_our_own_and_keeps_the_original(self):
    path = hostile_testing.written(self.folder, 'text that is nested')
    with self.assertRaises(frozen_graphs.GraphError) as caught:
      frozen_graphs.load(path)
    self.assertIsInstance(caught.exception.__cause__, RecursionError)

  def test_unknown_operation_behind_the_representation_does_no_harm(self):
    graph_def = testing.tiny_graph_def()
    hostile_testing.add(graph_def, 'tail', 'NobodyKnows', ['representation'])
    path = self.folder / 'graph.pb'
    path.write_bytes(graph_def.SerializeToString())
    with frozen_graphs.load(path, representation='representation') as network:
      found = network.run(np.zeros([1, 16, 16, 3], np.float32))
    self.assertEqual(found.shape, (1, 8, 8, 4))

  def test_chain_of_many_nodes_is_cut_in_linear_time(self):
    graph_def = hostile_testing.new()
    source, kind = 'input', testing.tf.float32.as_datatype_enum
    for i in range(20_000):
      hostile_testing.add(graph_def, f'r{i}', 'Relu', [source], T=kind)
      source = f'r{i}'
    network = frozen_graphs.load(graph_def, representation=source)
    self.assertLen(network.subgraph.nodes, 20_001)


if __name__ == '__main__':
  absltest.main()
