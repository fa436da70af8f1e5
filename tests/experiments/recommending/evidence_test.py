"""Tests of what is found of candidates that were looked at."""

from absl.testing import absltest
import numpy as np

from experiments.recommending import evidence
from experiments.recommending.looks import LookedAt
from transferability.recommendation import labels, scores, situations


class AskTest(absltest.TestCase):
  def test_a_network_of_one_feature_has_no_parc_and_is_ranked(self):
    rng = np.random.default_rng(0)
    classes = np.arange(40) % 2
    features = (classes + rng.normal(size=40)).reshape(40, 1, 1, 1)
    twins = [features[rng.permutation(40)] for _ in range(3)]
    looks = {'one': LookedAt(features, twins, {}, 1.0, 1.0)}
    found = evidence.gather(
      situations.SITUATIONS['labels'],
      looks,
      scores.ByLabels(labels.of(classes)),
      {},
      num_draws=4,
      seed=0,
      track=lambda items, **unused: items,
    )
    self.assertEqual(found.faults, {})
    self.assertTrue(np.isfinite(found.scores['ridge_probe']).all())
    self.assertTrue(np.isnan(found.scores['parc']).all())


if __name__ == '__main__':
  absltest.main()
