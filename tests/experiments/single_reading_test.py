"""Tests that a run does with each network once what it needs once."""

from collections import Counter
import contextlib
import os
import pathlib
import sys
from unittest import mock

from absl.testing import absltest

from attribution import overrides
from experiments import pipeline
from frozen_graphs import graph
from probe_data import probe_sets
from taskonomy_models import bank as banks
from tests import bank_testing

_NETWORKS = 3


class Counts:
  """Counts calls and openings while it is entered."""

  def __init__(self, folder: pathlib.Path):
    self._folder = str(folder)
    self.opened = Counter()
    self.calls = Counter()
    self._stack = contextlib.ExitStack()
    self._is_on = False
    sys.addaudithook(self._audit)

  def _audit(self, event: str, arguments: tuple) -> None:
    if self._is_on and event == 'open' and isinstance(arguments[0], str):
      if arguments[0].startswith(self._folder):
        self.opened[os.path.basename(arguments[0])] += 1

  def _count(self, module, name: str) -> None:
    function = getattr(module, name)

    def counted(*args, **kwargs):
      self.calls[name] += 1
      return function(*args, **kwargs)

    self._stack.enter_context(mock.patch.object(module, name, counted))

  def __enter__(self):
    self._count(graph, 'read')
    self._count(graph, 'extract')
    self._count(overrides, 'mark_activations')
    self._is_on = True
    return self

  def __exit__(self, *exception):
    self._is_on = False
    self._stack.close()


class SingleReadingTest(absltest.TestCase):
  def test_each_graph_is_opened_hashed_cut_and_marked_once(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder / 'bank')
    images = probe_sets.load('scenes', num_images=5, image_size=(16, 16))
    counts = Counts(folder / 'bank')
    with counts:
      bank = banks.load(str(folder / 'bank'))
      number = len(bank.encoders)
      digests = bank.digests()['graphs']
      pipeline.probe_size(bank)
      methods = ['saliency', 'gradient_times_input', 'elrp']
      projection = pipeline.Projection(pipeline.method_objects(methods))
      pipeline.check(bank, projection, images.images.shape[1:])
      spaces = pipeline.project(bank, images, projection, folder / 'run')
    self.assertGreaterEqual(number, _NETWORKS)
    for encoder in bank.encoders:
      self.assertEqual(counts.opened[os.path.basename(encoder.graph)], 1)
      manifest = spaces['elrp'].manifest(encoder.name)
      self.assertEqual(manifest['graph_sha256'], digests[encoder.name])
    # A file is hashed where it is read, and nowhere else.
    self.assertEqual(
      counts.calls,
      {'read': number, 'extract': number, 'mark_activations': number},
    )


if __name__ == '__main__':
  absltest.main()
