"""Tests of work on a real Ray cluster, against the same work done here."""

import contextlib
import dataclasses
import importlib
import os
import pathlib
import signal
import sys
import time
from unittest import mock

from absl.testing import absltest
import numpy as np
import pytest

from experiments import pipeline, ray_executor
from experiments.recommending import executing
from experiments.recommending.looks import Looking
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Networks
from tests import bank_testing, testing
from tests.tracking_testing import silent

_STORE_BYTES = 80 * 2**20
_ROOT = str(pathlib.Path(__file__).parents[2])


class MissingTest(absltest.TestCase):
  def test_without_ray_the_error_says_what_to_install(self):
    with mock.patch.dict(sys.modules, {'ray': None}):
      with self.assertRaisesRegex(ValueError, r'pip install .*\[ray\]'):
        ray_executor.check()


def _slow_or_killed(unit):
  """Ends its own process the first time that a unit is computed."""
  path, number = unit
  mark = pathlib.Path(path) / str(number)
  if number == 1 and not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
  return number, os.environ.get('TF_NUM_INTRAOP_THREADS')


def _node(_):
  ray = importlib.import_module('ray')
  time.sleep(0.5)
  return ray.get_runtime_context().get_node_id()


def _failing(_):
  raise OSError('the disk is full')


@contextlib.contextmanager
def _cluster(nodes, cores=1):
  """Starts a cluster of several nodes on this machine."""
  ray = importlib.import_module('ray')
  cluster_utils = importlib.import_module('ray.cluster_utils')
  with mock.patch.dict(os.environ, {'PYTHONPATH': _ROOT}):
    cluster = cluster_utils.Cluster()
    try:
      for _ in range(nodes):
        cluster.add_node(num_cpus=cores, object_store_memory=_STORE_BYTES)
      ray.init(cluster.address, log_to_driver=False)
      yield
    finally:
      ray.shutdown()
      cluster.shutdown()


@pytest.mark.ray
@pytest.mark.slow
class RayTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    pytest.importorskip('ray')
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def project(self, name, track=silent, **options):
    """Returns the files of the spaces, and of the representations."""
    bank = banks.load(str(self.folder / 'bank'))
    probe = probe_sets.load(
      str(self.folder / 'images.npy'), image_size=(bank_testing.SIZE,) * 2
    )
    how = pipeline.Projection(
      pipeline.method_objects(['saliency', 'elrp']),
      batch_size=2,
      keep_representations=True,
      **options,
    )
    output = self.folder / name
    pipeline.project(bank, probe, how, output, track)
    return bank_testing.tree_bytes(output)

  def write_bank(self, images):
    bank_testing.write(self.folder / 'bank')
    pictures = testing.images(images, bank_testing.SIZE)
    np.save(self.folder / 'images.npy', pictures)

  def test_two_nodes_write_the_bytes_of_one_process(self):
    self.write_bank(50)  # Three units a network.
    steps = []

    def track(items, **unused):
      for item in items:
        yield item
        steps.append(item)

    expected = self.project('local')
    with _cluster(2):
      found = self.project('ray', track, executor='ray')
    self.assertEqual(found, expected)
    self.assertLen(steps, 4 * 25)

  def test_candidates_look_the_same_on_two_nodes(self):
    self.write_bank(12)
    images = np.load(self.folder / 'images.npy')
    bank = banks.load(str(self.folder / 'bank'))
    broken = dataclasses.replace(
      bank.encoders[0], name='broken', representation_tensor='no:0'
    )
    encoders = (
      *bank.encoders,
      dataclasses.replace(
        bank.encoders[0], name='in memory', graph=testing.tiny_graph_def()
      ),
      broken,
    )
    sought = executing.Sought(images, images[:5], Looking(num_twins=2))
    steps = []

    def seen(**options):
      where = executing.Where(folder=str(self.folder / 'out'), **options)
      found = executing.sights(encoders, Networks(), sought, where, track)
      return dict((e.name, found) for e, found in found)

    def track(items, **unused):
      for item in items:
        yield item
        steps.append(item)

    expected = seen()
    with _cluster(2):
      found = seen(executor='ray')
    self.assertLen(steps, 2 * len(encoders))
    self.assertEqual(str(found.pop('broken')), str(expected.pop('broken')))
    self.assertEqual(list(found), list(expected))
    for name, (ours, trained) in found.items():
      theirs, trained_theirs = expected[name]
      np.testing.assert_array_equal(ours.features, theirs.features)
      np.testing.assert_array_equal(ours.twins, theirs.twins)
      np.testing.assert_array_equal(trained, trained_theirs)
      self.assertEqual(ours.architecture, theirs.architecture)
    self.assertEmpty(list((self.folder / 'out').iterdir()))

  def test_units_are_shared_by_two_nodes(self):
    with _cluster(2):
      found = list(ray_executor.results(_node, range(6), lambda number: None))
    self.assertLen(set(found), 2)

  def test_a_killed_worker_is_replaced_and_units_come_in_order(self):
    done = []
    with _cluster(1, 2):
      found = list(
        ray_executor.results(
          _slow_or_killed,
          [(str(self.folder), number) for number in range(4)],
          done.append,
        )
      )
    self.assertEqual(found, [(number, '1') for number in range(4)])
    self.assertCountEqual(done, range(4))
    self.assertTrue((self.folder / '1').exists())

  def test_an_error_of_a_unit_is_raised_here(self):
    with _cluster(1), self.assertRaisesRegex(OSError, 'the disk is full'):
      list(ray_executor.results(_failing, [0], lambda number: None))


if __name__ == '__main__':
  absltest.main()
