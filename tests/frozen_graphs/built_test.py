"""Tests of graphs that are built once for all networks of a kind."""

from unittest import mock

from absl.testing import absltest
import numpy as np

import frozen_graphs
from frozen_graphs import built, session
from tests import testing

_IMAGES = testing.images(3).astype(np.float32) / 255


def _network(seed, activation='relu'):
  return frozen_graphs.load(
    testing.tiny_graph_def(activation, seed), representation='representation'
  )


def _run(seed, activation='relu'):
  with _network(seed, activation) as network:
    return network.run(_IMAGES)


class SharedTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(mock.patch.dict(built._idle, clear=True))
    self.made = self.enter_context(
      mock.patch.object(built, 'Built', wraps=built.Built)
    )

  def test_networks_of_one_architecture_are_built_once(self):
    found = [_network(seed).gradients(_IMAGES) for seed in (0, 1, 0)]
    self.assertEqual(self.made.call_count, 1)
    built._idle.clear()
    for seed, ours in zip((0, 1, 0), found, strict=True):
      alone = _network(seed).gradients(_IMAGES)
      for values, expected in zip(ours, alone, strict=True):
        np.testing.assert_array_equal(values, expected)
      built._idle.clear()
    self.assertFalse(np.allclose(found[0][0], found[1][0]))

  def test_what_is_open_is_not_shared(self):
    with _network(0).passes() as one, _network(1).passes() as two:
      first, second = one.run(_IMAGES), two.run(_IMAGES)
      self.assertEqual(self.made.call_count, 2)
    again = _run(0)
    np.testing.assert_array_equal(first.representation, again)
    self.assertFalse(np.allclose(second.representation, again))

  def test_of_two_that_were_open_at_once_one_is_left_open(self):
    with _network(0).passes() as one, _network(1).passes() as two:
      sessions = [passes._built.session for passes in (one, two)]
    self.assertEqual(sorted(each._closed for each in sessions), [False, True])

  def test_others_are_built_anew(self):
    _run(0)
    _run(0, 'tanh')
    _network(0).gradients(_IMAGES)
    self.assertEqual(self.made.call_count, 3)

  def test_those_for_few_runs_are_not_kept(self):
    with session.for_few_runs():
      _run(0)
    self.assertEmpty(built._idle)
    _run(0)
    self.assertLen(built._idle, 1)

  def test_few_and_small_ones_are_kept(self):
    with mock.patch.object(built, '_MOST', 1):
      for activation in ('relu', 'tanh', 'relu'):
        _run(0, activation)
    self.assertEqual(self.made.call_count, 3)
    self.made.reset_mock()
    built._idle.clear()
    with mock.patch.object(built, '_MAX_BYTES', 10):
      _run(0)
      _run(0)
    self.assertEqual(self.made.call_count, 2)


if __name__ == '__main__':
  absltest.main()
