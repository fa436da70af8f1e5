"""Tests that evidence becomes the right answer, in odd cases too."""

import dataclasses

from absl.testing import absltest
import numpy as np

from transferability.recommendation import decision, situations
from transferability.recommendation.chances import Noise
from transferability.recommendation.decision import CandidateEvidence

_LABELS = situations.SITUATIONS['labels']
_NOISE = Noise(0.1)


def _evidence(scores, twins=None, draws=None, **changes):
  scores = np.asarray(scores, float)
  names = tuple('abcdefgh'[: len(scores)])
  if twins is None:
    twins = np.tile([-0.1, 0.0, 0.1], (len(scores), 1))
  fields = {
    'situation': _LABELS,
    'names': names,
    'scores': {'ridge_probe': scores, 'parc': -scores},
    'draws': draws,
    'own': scores[None],
    'twins': np.array([twins]),
    'notes': {},
    'faults': {},
    'trained': {},
    'num_images': 100,
  }
  return CandidateEvidence(**{**fields, **changes})


class DecideTest(absltest.TestCase):
  def test_best_score_is_recommended_and_the_rest_follow(self):
    found = decision.decide(_evidence([3.0, 9.0, 6.0]), _NOISE)
    self.assertEqual(found.recommended, 'b')
    self.assertEqual([row.name for row in found.rows], ['b', 'c', 'a'])
    self.assertEqual([row.rank for row in found.rows], [1, 2, 3])
    self.assertEqual(found.rows[0].others, {'parc': -9.0})
    self.assertGreater(found.rows[0].p_best, 0.8)
    self.assertEqual(found.k, 2)

  def test_untrained_networks_are_never_recommended(self):
    twins = [[8.9, 9.0, 9.1], [-0.1, 0.0, 0.1], [-0.1, 0.0, 0.1]]
    found = decision.decide(_evidence([9.05, 3.0, 0.01], twins), _NOISE)
    self.assertEqual(found.recommended, 'b')
    weak = [row.name for row in found.rows if row.is_untrained]
    self.assertEqual(weak, ['a', 'c'])
    self.assertEqual(found.row('b').p_beats_first, 0)
    self.assertGreater(found.row('a').p_beats_first, 0.5)
    nobody = decision.decide(_evidence([0.05, -0.02]), _NOISE)
    self.assertIsNone(nobody.recommended)
    self.assertLen(nobody.rows, 2)

  def test_one_that_exceeds_its_twins_by_another_measure_is_trained(self):
    evidence = _evidence([9.0, 3.0], [[8.9, 9.0, 9.1], [-0.1, 0.0, 0.1]])
    self.assertEqual(decision.decide(evidence, _NOISE).recommended, 'b')
    twins = np.concatenate([evidence.twins, evidence.twins])
    found = decision.decide(
      dataclasses.replace(
        evidence, own=np.array([[9.0, 3.0], [30.0, 0.0]]), twins=twins
      ),
      _NOISE,
    )
    self.assertEqual(found.recommended, 'a')
    np.testing.assert_allclose([row.floor for row in found.rows], [9, 0])

  def test_equal_scores_cannot_be_told_apart(self):
    found = decision.decide(_evidence([5.0, 5.0, 1.0]), _NOISE)
    self.assertEqual(found.tied, ('b',))
    self.assertAlmostEqual(found.rows[0].p_best, 0.5, delta=0.05)

  def test_what_was_trained_settles_it(self):
    evidence = _evidence([5.0, 5.0, 1.0], trained={'a': 0.6, 'b': 0.7})
    found = decision.decide(evidence, _NOISE)
    self.assertEqual(found.recommended, 'b')
    self.assertEmpty(found.tied)
    self.assertEqual([row.name for row in found.rows], ['b', 'a', 'c'])

  def test_one_candidate_and_none(self):
    one = decision.decide(_evidence([5.0]), _NOISE)
    self.assertEqual(one.recommended, 'a')
    self.assertEqual((one.k, one.rows[0].p_best), (1, 1.0))
    failed = _evidence([np.nan], faults={'a': 'a: broken'})
    found = decision.decide(failed, _NOISE)
    self.assertIsNone(found.recommended)
    self.assertEmpty(found.rows)
    self.assertEqual(found.faults, {'a': 'a: broken'})

  def test_failing_candidate_has_no_row(self):
    found = decision.decide(_evidence([5.0, np.nan, 3.0]), _NOISE)
    self.assertEqual([row.name for row in found.rows], ['a', 'c'])

  def test_draws_give_interval_and_share(self):
    draws = np.array([[1.0, 0.0, -9.0]] * 3 + [[0.0, 1.0, -9.0]])
    evidence = _evidence([5.5, 5.0, 1.0], draws=draws)
    found = decision.decide(evidence, _NOISE)
    self.assertEqual(found.row('c').share_among, 0)
    self.assertLess(found.row('a').low, 5.5)
    self.assertGreater(found.row('a').high, 5.5)
    no_draws = decision.decide(_evidence([5.5, 5.0]), _NOISE)
    self.assertTrue(np.isnan(no_draws.rows[0].low))


class SituationTest(absltest.TestCase):
  def test_labels_go_before_a_network_and_that_before_a_history(self):
    for given, name in (
      ((True, True, True), 'labels'),
      ((False, True, True), 'target'),
      ((False, False, True), 'history'),
      ((False, False, False), 'nothing'),
    ):
      self.assertEqual(situations.choose(*given).name, name)


if __name__ == '__main__':
  absltest.main()
