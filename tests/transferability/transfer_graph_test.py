"""Tests of choices of sources, and of what judges them."""

import itertools

from absl.testing import absltest, parameterized
import numpy as np

from transferability import transfer_graph
from transferability.source_selection import Transfer

_NAMES = ('a', 'b', 'c', 'd', 'e')
_TARGETS = _NAMES[:4]


def _transfers(seed=0, **options):
  affinity = np.random.default_rng(seed).random((4, 5))
  return transfer_graph.transfers_of_affinity(
    affinity, _TARGETS, _NAMES, **options
  )


class ChoiceTest(parameterized.TestCase):
  @parameterized.product(seed=(0, 1, 2), budget=(1, 2, 3, 5))
  def test_the_optimum_is_that_of_all_subsets(self, seed, budget):
    transfers = _transfers(seed, own_is_measured=True)
    truth = transfer_graph.Judge(transfers)
    choice = transfer_graph.choose(transfers, budget, truth)
    best = max(
      np.mean(
        [max(truth.quality_of(t, (s,)) for s in sources) for t in _TARGETS]
      )
      for sources in itertools.combinations(_NAMES, budget)
    )
    quality = truth.judge(choice)
    self.assertAlmostEqual(quality.chosen, best)
    self.assertAlmostEqual(quality.best, best)
    self.assertLessEqual(truth.blind(_TARGETS, _NAMES, budget), best + 1e-12)

  def test_all_sources_serve_every_target_by_its_best(self):
    transfers = _transfers(own_is_measured=True)
    truth = transfer_graph.Judge(transfers)
    choice = transfer_graph.choose(transfers, 5, truth)
    self.assertAlmostEqual(truth.judge(choice).chosen, 1)

  def test_a_guess_is_judged_by_what_was_measured(self):
    truth = transfer_graph.Judge(_transfers(0, own_is_measured=True))
    for budget in (1, 2, 4):
      guess = transfer_graph.choose(_transfers(7), budget)
      found = truth.judge(guess)
      optimum = truth.judge(transfer_graph.choose(_transfers(0), budget, truth))
      self.assertLessEqual(found.chosen, found.best)
      self.assertLessEqual(found.best, optimum.chosen + 1e-9)

  def test_a_row_may_have_any_scale_and_its_own_entry_is_not_looked_at(self):
    affinity = np.random.default_rng(0).random((4, 5))
    changed = 100 * affinity - 3
    changed[np.arange(4), np.arange(4)] = np.nan
    for first, second in zip(
      transfer_graph.transfers_of_affinity(affinity, _TARGETS, _NAMES),
      transfer_graph.transfers_of_affinity(changed, _TARGETS, _NAMES),
      strict=True,
    ):
      self.assertAlmostEqual(first.performance, second.performance)
    own = [t for t in _transfers() if t.sources == (t.target,)]
    for transfer in own:
      others = [
        t.performance
        for t in _transfers()
        if t.target == transfer.target and t.sources != transfer.sources
      ]
      self.assertBetween(
        transfer.performance, max(others) + 1, max(others) + 1.01
      )

  def test_of_targets_that_gain_alike_the_source_that_serves_others_wins(self):
    order = np.arange(8.0)  # A static list, the last one the best.
    names = tuple('abcdefgh')
    for values, kept in ((order, 'hgfedcba'), (order[::-1], 'abcdefgh')):
      transfers = transfer_graph.transfers_of_affinity(
        np.tile(values, (8, 1)), names, names
      )
      for budget in range(1, 8):
        choice = transfer_graph.choose(transfers, budget)
        self.assertEqual(choice.sources, tuple(sorted(kept[:budget])))

  def test_two_sources_at_once_may_be_better(self):
    losses = {
      ('t', ('a',)): 0.5,
      ('t', ('b',)): 0.6,
      ('t', ('c',)): 0.9,
      ('t', ('a', 'b')): 0.2,
      ('u', ('a',)): 0.3,
      ('u', ('b',)): 0.9,
      ('u', ('c',)): 0.8,
    }
    transfers = transfer_graph.transfers_of_losses(losses)
    truth = transfer_graph.Judge(transfers)
    both = transfer_graph.choose(transfers, 2, truth)
    self.assertEqual(both.transfers['t'].sources, ('a', 'b'))
    self.assertEqual(both.transfers['u'].sources, ('a',))
    single = transfer_graph.restrict(transfers, 1)
    self.assertLen(single, 6)
    one = transfer_graph.choose(single, 2, truth)
    self.assertEqual(one.transfers['t'].sources, ('a',))
    self.assertAlmostEqual(truth.judge(one).best, 1)
    self.assertAlmostEqual(truth.judge(both).best, 1)
    self.assertGreater(truth.judge(both, order=2).best, 1)
    self.assertGreater(truth.judge(both).chosen, 1)
    self.assertTrue(np.isnan(truth.quality_of('t', ('b', 'c'))))
    only = transfer_graph.restrict(transfers, 2, targets=('t',), sources='ab')
    self.assertLen(only, 3)

  def test_losses_are_scaled_by_the_single_sources_of_their_target(self):
    losses = {
      ('t', ('t',)): 1e-3,  # Its own, and two at once: they do not scale.
      ('t', ('a', 'b')): 1e-2,
      ('t', ('a',)): np.exp(-1.0),
      ('t', ('b',)): np.exp(-2.0),
      ('t', ('c',)): np.exp(-6.0),
      ('u', ('a',)): np.exp(5.0),
      ('u', ('t',)): np.exp(3.0),
      ('v', ('a',)): 0.5,
      ('v', ('b',)): 0.5,
    }
    deviation = np.sqrt((4 + 1 + 9) / 3)
    expected = {
      ('t', ('t',)): (3 * np.log(10) - 3) / deviation,
      ('t', ('a', 'b')): (2 * np.log(10) - 3) / deviation,
      ('t', ('a',)): -2 / deviation,
      ('t', ('b',)): -1 / deviation,
      ('t', ('c',)): 3 / deviation,
      ('u', ('a',)): -1,
      ('u', ('t',)): 1,
      ('v', ('a',)): 0,
      ('v', ('b',)): 0,
    }
    found = {
      (t.target, t.sources): t.performance
      for t in transfer_graph.transfers_of_losses(losses)
    }
    self.assertCountEqual(found, expected)
    for key, value in expected.items():
      self.assertAlmostEqual(found[key], value, msg=str(key))

  def test_what_cannot_be_compared_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'shape \(2, 2\)'):
      transfer_graph.transfers_of_affinity(np.ones((2, 2)), _TARGETS, _NAMES)
    broken = np.ones((4, 5))
    broken[1, 4] = np.inf
    with self.assertRaisesRegex(ValueError, "target 'b'"):
      transfer_graph.transfers_of_affinity(broken, _TARGETS, _NAMES)
    with self.assertRaisesRegex(ValueError, "1 losses .*'t'"):
      transfer_graph.transfers_of_losses({('t', ('a',)): 0.5})

  def test_constant_affinities_choose_without_dividing_by_zero(self):
    for value in (1.0, 0.1):  # The mean of three times 0.1 is not 0.1.
      affinity = np.full((4, 5), value)[:, :4]
      transfers = transfer_graph.transfers_of_affinity(
        affinity, _TARGETS, _NAMES[:4]
      )
      others = [t for t in transfers if t.sources != (t.target,)]
      self.assertEqual({t.performance for t in others}, {0.0})
      choice = transfer_graph.choose(transfers, 2)
      self.assertIsInstance(choice.transfers['a'], Transfer)
      truth = transfer_graph.Judge(transfers)
      self.assertTrue(np.isfinite(truth.judge(choice).chosen))

  def test_equal_losses_have_the_performance_zero(self):
    losses = {('t', (name,)): 0.2 for name in 'abcdefg'}
    found = transfer_graph.transfers_of_losses(losses)
    np.testing.assert_allclose([t.performance for t in found], 0, atol=1e-12)


if __name__ == '__main__':
  absltest.main()
