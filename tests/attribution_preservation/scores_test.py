"""Tests of predictive scores, localisation and changes."""

from absl.testing import absltest, parameterized
import numpy as np
from sklearn import metrics

from attribution_preservation import scores
from tests.attribution_preservation import references


class ScoresTest(parameterized.TestCase):
  @parameterized.parameters(*references.CASES)
  def test_reference_values(self, case):
    found = references.load(case)
    labels, logits = found['in/multilabel_targets'], found['ref/student_logits']
    for axis, name in enumerate(
      ('chk/mAP_classwise', 'ref/compute_mAP_rowwise')
    ):
      self.assertAlmostEqual(
        scores.mean_average_precision(labels, logits, axis), found[name]
      )
    heat, mask = found['in/heatmap'], found['in/mask']
    self.assertAlmostEqual(
      scores.localisation_auc(heat, mask), float(found['ref/auc']), places=10
    )
    self.assertEqual(scores.points_inside(heat, mask), found['ref/point_hit'])

  def test_with_ties_they_are_those_of_scikit_learn(self):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, 60).astype(float)
    labels = rng.uniform(size=60) < 0.4
    self.assertAlmostEqual(
      scores.average_precision(labels, values),
      metrics.average_precision_score(labels, values),
    )
    self.assertAlmostEqual(
      scores.localisation_auc(values.reshape(6, 10), labels.reshape(6, 10)),
      metrics.roc_auc_score(labels, values),
    )

  def test_what_cannot_be_scored_is_nan(self):
    heat = np.ones((2, 2))
    self.assertTrue(np.isnan(scores.localisation_auc(heat, heat > 2)))
    self.assertTrue(np.isnan(scores.localisation_auc(heat, heat > 0)))
    self.assertTrue(np.isnan(scores.average_precision([0, 0], np.ones(2))))
    self.assertTrue(np.isnan(scores.cosines(heat[None], 0 * heat[None])[0]))

  def test_of_equal_maxima_the_first_counts(self):
    heat = np.array([[0.0, 3.0], [3.0, 1.0]])
    self.assertTrue(scores.points_inside(heat, np.array([[0, 1], [0, 0]])))
    self.assertFalse(scores.points_inside(heat, np.array([[0, 0], [1, 0]])))

  def test_accuracy_is_of_single_labels(self):
    logits = np.array([[1.0, -1.0], [2.0, 3.0]])
    self.assertEqual(scores.accuracy(np.array([[1, 0], [1, 0]]), logits), 0.75)

  def test_cosines_are_of_whole_maps(self):
    first = np.array([[[3.0, 4.0]], [[1.0, 0.0]]])
    second = np.array([[[6.0, 8.0]], [[0.0, -2.0]]])
    np.testing.assert_allclose(scores.cosines(first, second), [1, 0], atol=1e-9)


class RelativeChangeTest(absltest.TestCase):
  def test_change_is_relative_to_the_mean_magnitude_of_logits(self):
    found = scores.relative_change(np.array([0.0, -4.0]), np.array([1.0, -6.0]))
    np.testing.assert_allclose(found, [0.5, 1])


if __name__ == '__main__':
  absltest.main()
