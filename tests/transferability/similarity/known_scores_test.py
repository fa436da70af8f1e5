"""Tests that scores of the registry `similarity` are what they were."""

from absl.testing import absltest
import numpy as np

from tests import known_scores
from toolkit_basics import files


class KnownScoresTest(absltest.TestCase):
  def test_scores_with_every_option_are_the_known_ones(self):
    expected = files.read_json(known_scores.PATH)['similarity']
    found = known_scores.found('similarity')
    self.assertCountEqual(found, expected)
    for name, value in expected.items():
      np.testing.assert_allclose(found[name], value, 1e-4, err_msg=name)


if __name__ == '__main__':
  absltest.main()
