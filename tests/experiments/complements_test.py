"""Tests of telling which sources complement each other."""

import itertools

from absl.testing import absltest
import numpy as np

from experiments import complements


class ComplementsTest(absltest.TestCase):
  def test_sources_that_cover_the_target_together_are_found(self):
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(6, 40, 2, 2, 1)).astype(np.float32)
    target = np.concatenate(parts[:4], axis=-1)
    # Each source sees some of the target's parts; u sees none.
    seen = {'a': (0, 1), 'b': (2, 3), 'c': (0, 2), 'u': (4, 5)}
    represented = {
      name: np.concatenate([parts[i] for i in numbers], axis=-1)
      for name, numbers in seen.items()
    }
    represented['t'] = target
    losses = {}
    for size in (1, 2):
      for sources in itertools.combinations(seen, size):
        covered = {i for s in sources for i in seen[s]} & {0, 1, 2, 3}
        losses['t', sources] = np.exp(-len(covered)) + 0.001 * len(losses)
    by_loss, by_gain = complements.compare(losses, represented, ('cka',), 50)
    expected = ['best_single', 'mean_single', 'cka', 'gain:cka', 'unlike:cka']
    self.assertEqual(list(by_loss['t']), expected)
    self.assertEqual(by_loss['t']['cka'].best_found, 1)
    self.assertGreater(by_loss['t']['cka'].values['weighted_tau'], 0.6)
    self.assertGreater(by_gain['t']['gain:cka'].values['weighted_tau'], 0.5)
    self.assertLess(
      by_gain['t']['best_single'].values['weighted_tau'],
      by_gain['t']['gain:cka'].values['weighted_tau'],
    )

  def test_a_static_list_is_how_sources_stand_for_the_other_targets(self):
    single = {
      't': {'a': 0.1, 'b': 0.2, 'c': 0.3, 'u': 0.1},
      'u': {'a': 0.3, 'b': 0.1, 'c': 0.2, 'u': 0.01},
      'v': {'a': 0.9, 'b': 0.3, 'c': 0.6, 'u': 0.9},
    }
    losses = {(t, (s,)): v for t, row in single.items() for s, v in row.items()}
    for pair, loss in ((('a', 'b'), 0.1), (('a', 'c'), 0.3), (('b', 'c'), 0.2)):
      losses['t', pair] = loss
    by_loss, by_gain = complements.compare(losses, {}, (), 50)
    names = ['best_single', 'mean_single', 'other_targets']
    self.assertEqual(list(by_loss), ['t'])
    self.assertEqual(list(by_gain['t']), names)
    # For u and v, b is the best, c the second, a the last.
    losses['t', ('b', 'c')] = 0.01
    by_loss, _ = complements.compare(losses, {}, (), 50)
    self.assertEqual(by_loss['t']['other_targets'].values['weighted_tau'], 1)
    self.assertEqual(by_loss['t']['other_targets'].regret, 0)
    self.assertGreater(by_loss['t']['best_single'].regret, 0)

  def test_targets_of_few_pairs_are_left_out(self):
    losses = {('t', ('a',)): 0.1, ('t', ('b',)): 0.2, ('t', ('a', 'b')): 0.1}
    self.assertEqual(complements.compare(losses, {}, ()), ({}, {}))


if __name__ == '__main__':
  absltest.main()
