"""Tests that scores of the registry `measures` are what they were."""

from absl.testing import absltest

from tests import known_scores


class KnownScoresTest(known_scores.KnownScoresCase):
  def test_scores_with_every_option_are_the_known_ones(self):
    self.check('measures')


if __name__ == '__main__':
  absltest.main()
