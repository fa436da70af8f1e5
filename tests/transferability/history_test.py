"""Tests of earlier transfers, and of what they predict."""

import pathlib

from absl.testing import absltest
import numpy as np

from transferability import history
from transferability.history import History
from transferability.oracle import Oracle

_NAN = float('nan')


def _history():
  return History(
    ('a', 'b', 'c'),
    ('n1', 'n2', 'n3'),
    np.array([[1.0, 2.0, 3.0], [30.0, 20.0, 10.0], [5.0, _NAN, 7.0]]),
  )


class HistoryTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir(), 'history.csv')

  def test_a_file_is_read_as_it_was_written(self):
    _history().save(self.path)
    found = History.load(self.path)
    self.assertEqual(found.targets, _history().targets)
    self.assertEqual(found.networks, _history().networks)
    np.testing.assert_array_equal(found.scores, _history().scores)

  def test_files_that_say_no_history_are_refused_by_row(self):
    for text, message in (
      ('network,score\n', 'the columns must be target, network, score'),
      ('', 'empty'),
      ('target,network,score\n', 'found 0 rows'),
      ('target,network,score\na,n,high\n', 'row 2: .* finite number'),
      ('target,network,score\na,n,inf\n', 'row 2'),
      ('target,network,score\na,n\n', 'row 2'),
      ('target,network,score\n,n,1\n', 'row 2'),
      ('target,network,score\na,,1\n', 'row 2'),
      ('target,network,score\na,n,1\na,n,2\n', "row 3: 'n' was trans"),
    ):
      self.path.write_text(text)
      with self.assertRaisesRegex(ValueError, message):
        History.load(self.path)

  def test_targets_and_networks_are_there_once(self):
    with self.assertRaisesRegex(ValueError, 'each target once'):
      History(('a', 'a'), ('n', 'm'), np.zeros((2, 2)))
    with self.assertRaisesRegex(ValueError, "no score for 'a'"):
      History(('a',), ('n', 'm'), np.full((1, 2), _NAN))
    with self.assertRaisesRegex(ValueError, r'shape \(2,\)'):
      History(('a',), ('n', 'm'), np.zeros(2))

  def test_standing_is_in_deviations_of_each_target(self):
    found = _history().standing()
    np.testing.assert_allclose(found[0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    np.testing.assert_allclose(found[1], -found[0])
    np.testing.assert_array_equal(found[2], [-1, _NAN, 1])

  def test_a_target_that_all_serve_alike_says_nothing_of_them(self):
    for score in (0.5, 0.1):  # The mean of three times 0.1 is not 0.1.
      known = History(
        ('a', 'b'),
        ('n1', 'n2', 'n3', 'n4'),
        np.array([[score] * 3 + [_NAN], [1.0, _NAN, _NAN, 2.0]]),
      )
      found = history.predict(known, 'c', known.networks)
      np.testing.assert_allclose(found, [-0.5, 0, 0, 1], atol=1e-12)
      np.testing.assert_allclose(
        history.standardised(np.full(3, score)), 0, atol=1e-12
      )

  def test_a_prediction_never_looks_at_its_own_target(self):
    known = _history()
    found = history.predict(known, 'a', known.networks)
    other = known.scores.copy()
    other[0] = [100, -5, 3]
    changed = History(known.targets, known.networks, other)
    np.testing.assert_array_equal(
      history.predict(changed, 'a', known.networks), found
    )
    high = np.sqrt(1.5)
    np.testing.assert_allclose(found, [(high - 1) / 2, 0, (1 - high) / 2])

  def test_similar_targets_say_more(self):
    known, networks = _history(), ('n1', 'n3')
    like_b = history.predict(known, 'a', networks, {'b': 0.9, 'c': 0.1})
    like_c = history.predict(known, 'a', networks, {'b': 0.1, 'c': 0.9})
    self.assertGreater(like_b[0], like_b[1])
    self.assertLess(like_c[0], like_c[1])
    alike = history.predict(known, 'a', networks, {'b': 0.5, 'c': 0.5})
    plain = history.predict(known, 'a', networks)
    np.testing.assert_allclose(alike, plain)
    only_c = history.predict(known, 'a', networks, {'c': 0.5, 'z': 0.1})
    np.testing.assert_allclose(only_c, [-1, 1])

  def test_unknown_networks_have_no_prediction_and_count_as_average(self):
    found = history.predict(_history(), 'new', ('n1', 'n9'))
    self.assertTrue(np.isnan(found[1]))
    scores = np.array([2.0, 1.0, 0.0])
    both = history.combine(scores, np.array([1.0, _NAN, -1.0]))
    np.testing.assert_allclose(
      both, [(np.sqrt(1.5) + 1) / 2, 0, -(np.sqrt(1.5) + 1) / 2]
    )

  def test_an_oracle_is_a_history(self):
    oracle = Oracle.taskonomy()
    found = History.of_oracle(oracle)
    for i, target in enumerate(oracle.targets):
      own = oracle.sources.index(target)
      self.assertTrue(np.isnan(found.scores[i, own]))
      best = oracle.sources[int(np.nanargmax(found.scores[i]))]
      self.assertEqual(best, oracle.ranking[target][0])
    ranks = Oracle(oracle.targets, oracle.sources, oracle.ranking)
    self.assertEqual(np.nanmax(History.of_oracle(ranks).scores), 0)


class PredictAllTest(absltest.TestCase):
  def test_a_network_that_is_new_is_an_average_one(self):
    known = History(
      ('one', 'two'),
      ('good', 'bad', 'new'),
      np.array([[3, 1, np.nan], [2, 1, 5]]),
    )
    names = ('good', 'bad', 'new')
    found = history.predict_all(known, 'two', names)
    np.testing.assert_array_equal(found[2], 0)
    expected = history.predict(known, 'two', names)
    np.testing.assert_array_equal(found[:2], expected[:2])
    self.assertTrue(np.isnan(expected[2]))

  def test_of_new_networks_alone_nothing_is_known(self):
    known = History(('one', 'two'), ('a', 'b'), np.array([[1.0, 2], [3, 4]]))
    self.assertTrue(np.isnan(history.predict_all(known, 'two', ('c',))).all())


if __name__ == '__main__':
  absltest.main()
