"""Tests that sources are chosen as by trying every set of them."""

import itertools

from absl.testing import absltest, parameterized
import numpy as np

from transferability import source_selection
from transferability.source_selection import (
  Transfer,
  first_order_transfers,
  select_sources,
)

_TASKS = 'abcdef'


def _by_trial(transfers, budget, costs=None, importance=None):
  """Returns the best value and its least cost, over all sets of sources."""
  costs, importance = costs or {}, importance or {}
  tasks = sorted({name for t in transfers for name in t.sources})
  targets = sorted({t.target for t in transfers})
  best = None
  for size in range(len(tasks) + 1):
    for chosen in itertools.combinations(tasks, size):
      cost = sum(costs.get(name, 1) for name in chosen)
      if cost > budget + 1e-9:
        continue
      rows = [
        [
          t.performance
          for t in transfers
          if t.target == target and set(t.sources) <= set(chosen)
        ]
        for target in targets
      ]
      if not all(rows):
        continue
      value = sum(
        importance.get(target, 1) * max(row)
        for target, row in zip(targets, rows, strict=True)
      )
      if best is None or value > best[0] + 1e-12:
        best = value, cost
      elif value > best[0] - 1e-12:
        best = best[0], min(best[1], cost)
  return best


def _random(seed, order=2, ties=False):
  """Returns transfers of up to `order` sources, some of them missing."""
  rng = np.random.default_rng(seed)
  transfers = []
  for target in _TASKS[:4]:
    for size in range(1, order + 1):
      for sources in itertools.combinations(_TASKS, size):
        if rng.random() < 0.6 or sources == (target,):
          value = rng.integers(4) if ties else rng.normal() + 0.3 * size
          transfers.append(Transfer(sources, target, float(value)))
  return transfers


class SelectSourcesTest(parameterized.TestCase):
  @parameterized.product(
    seed=(0, 1, 2, 3), budget=(1, 2, 3, 5), ties=(False, True)
  )
  def test_choice_is_as_good_as_the_best_of_all_sets(self, seed, budget, ties):
    transfers = _random(seed, ties=ties)
    expected = _by_trial(transfers, budget)
    if expected is None:
      with self.assertRaisesRegex(ValueError, 'No choice serves all 4'):
        select_sources(transfers, budget)
      return
    found = select_sources(transfers, budget)
    self.assertAlmostEqual(found.value, expected[0])
    self.assertAlmostEqual(found.cost, expected[1])
    self._check(found, transfers, budget)

  @parameterized.parameters(*range(5))
  def test_costs_and_importance_count(self, seed):
    rng = np.random.default_rng(seed)
    costs = dict(zip(_TASKS, rng.uniform(0.2, 3, 6).tolist(), strict=True))
    weights = rng.uniform(0, 5, 4).tolist()
    importance = dict(zip(_TASKS[:4], weights, strict=True))
    transfers = _random(seed + 10, order=3)
    expected = _by_trial(transfers, 4.0, costs, importance)
    found = select_sources(transfers, 4.0, costs, importance)
    self.assertAlmostEqual(found.value, expected[0])
    self.assertAlmostEqual(found.cost, expected[1])
    self._check(found, transfers, 4.0)

  def _check(self, found, transfers, budget):
    self.assertLessEqual(found.cost, budget + 1e-9)
    self.assertSameElements(found.transfers, [t.target for t in transfers])
    used = {s for t in found.transfers.values() for s in t.sources}
    self.assertEqual(found.sources, tuple(sorted(used)))
    for target, transfer in found.transfers.items():
      self.assertEqual(transfer.target, target)
      self.assertIn(transfer, transfers)

  def test_more_budget_is_never_worse(self):
    rng = np.random.default_rng(0)
    names = [f't{i}' for i in range(20)]
    transfers = first_order_transfers(rng.normal(size=(20, 20)), names)
    values = [select_sources(transfers, b).value for b in (1, 2, 4, 8, 20)]
    self.assertEqual(values, sorted(values))
    best = sum(
      max(t.performance for t in transfers if t.target == name)
      for name in names
    )
    self.assertAlmostEqual(values[-1], best)

  def test_one_source_is_that_of_the_largest_column(self):
    matrix = np.random.default_rng(1).normal(size=(6, 6))
    found = select_sources(first_order_transfers(matrix, list(_TASKS)), 1)
    self.assertEqual(found.sources, (_TASKS[matrix.sum(axis=0).argmax()],))

  def test_small_performances_are_told_apart(self):
    transfers = first_order_transfers(
      1e-9 * np.array([[3.0, 1, 2], [1, 2, 2.001], [2, 1, 3]]), 'abc'
    )
    found = select_sources(transfers, 1)
    self.assertEqual(found.sources, ('c',))
    found = select_sources(transfers, 2)
    self.assertEqual(found.transfers['b'].sources, ('c',))

  def test_a_budget_that_is_too_small_says_what_is_needed(self):
    transfers = [Transfer(('a', 'b'), 'c', 1.0), Transfer(('d',), 'e', 1.0)]
    with self.assertRaisesRegex(ValueError, 'budget of 2; .* cost 3'):
      select_sources(transfers, 2)
    with self.assertRaisesRegex(ValueError, 'budget of 2; .* cost 12'):
      select_sources(transfers, 2, {'a': 10})

  def test_prices_that_add_up_to_the_budget_but_for_rounding_are_in_it(self):
    transfers = [Transfer((name,), f'to_{name}', 1.0) for name in 'abc']
    found = select_sources(transfers, 0.3, dict.fromkeys('abc', 0.1))
    self.assertEqual(found.sources, ('a', 'b', 'c'))

  def test_what_makes_no_sense_is_refused(self):
    one = Transfer(('a',), 'b', 1.0)
    for message, arguments in (
      ('no transfers', ([], 1)),
      ('twice', ([one, one], 1)),
      ('budget is nan', ([one], np.nan)),
      ('budget is -1', ([one], -1)),
      ("'z' has a cost", ([one], 1, {'z': 1})),
      ("cost of 'a' is -2", ([one], 1, {'a': -2})),
      ("importance of 'b' is inf", ([one], 1, None, {'b': np.inf})),
    ):
      with self.assertRaisesRegex(ValueError, message):
        select_sources(*arguments)
    with self.assertRaisesRegex(ValueError, 'one or more, each once'):
      Transfer(('a', 'a'), 'b', 1.0)
    with self.assertRaisesRegex(ValueError, 'performance nan'):
      Transfer(('a',), 'b', float('nan'))


class FirstOrderTest(absltest.TestCase):
  def test_rows_are_targets_and_columns_sources(self):
    matrix = np.arange(9.0).reshape(3, 3)
    found = first_order_transfers(matrix, 'abc', ['b'], ['a', 'c'])
    self.assertEqual(
      found, [Transfer(('a',), 'b', 3.0), Transfer(('c',), 'b', 5.0)]
    )

  def test_names_must_fit(self):
    for arguments in (
      (np.eye(3), 'ab'),
      (np.eye(2), 'aa'),
      (np.eye(2), 'ab', ['c']),
      (np.eye(2), 'ab', None, ['a', 'a']),
    ):
      with self.assertRaises(ValueError):
        source_selection.first_order_transfers(*arguments)


if __name__ == '__main__':
  absltest.main()
