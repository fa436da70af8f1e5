"""Tests of labels, and of scores by them or by a target's features."""

from absl.testing import absltest, parameterized
import numpy as np

from transferability import measures, similarity
from transferability.recommendation import labels, scores

_ROWS = np.arange(40)


def _features(seed=0, shape=(40, 8, 8, 3)):
  return np.random.default_rng(seed).normal(size=shape)


class LabelsTest(parameterized.TestCase):
  @parameterized.parameters(
    (['x', 'y', 'x'], True, '2 classes'),
    (np.array(['x', 'y', 'x'], object), True, '2 classes'),
    ([3, 5, 3], True, '2 classes'),
    (list(range(21)), False, 'a number'),
    ([0.5, 1.0, 2.0], False, 'a number'),
    ([[0.5, 1.0], [2.0, 3.0]], False, '2 numbers'),
    (np.arange(16).reshape(4, 2, 2) % 3, True, '3 classes a pixel'),
    (np.arange(16.0).reshape(2, 2, 2, 2), False, '2 numbers a pixel'),
  )
  def test_kind_is_read_off_the_values(self, values, are_classes, words):
    found = labels.of(values)
    self.assertEqual(found.are_classes, are_classes)
    self.assertEqual(found.described, words)
    self.assertLen(found, len(values))

  def test_kind_can_be_said(self):
    self.assertFalse(labels.of([1, 2, 3], 'numbers').are_classes)
    self.assertTrue(labels.of([1.5, 2.5, 1.5], 'classes').are_classes)

  @parameterized.parameters(
    (['a', 'a'], None, "All labels are 'a'"),
    ([2.0, 2.0], None, 'All labels are 2'),
    ([1.0, np.nan], None, 'not finite'),
    (['a', 'b'], 'numbers', 'no numbers'),
    (['a', 'b'], 'wibble', 'label_kind must be one of'),
    ([], None, 'shape'),
    ([object(), object()], None, 'type object'),
    (['a', 'b', np.nan], None, 'type object'),  # No class called nan.
    (['a', 'b', ''], None, 'position 2 is empty'),
    ([1.5, 2.5, np.nan], 'classes', 'not finite'),
    ([[1, 2], [3, 4]], 'classes', r'Classes of the shape'),
  )
  def test_what_is_no_label_is_refused(self, values, kind, message):
    with self.assertRaisesRegex(ValueError, message):
      labels.of(values, kind)

  def test_cells_average_pixels(self):
    values = np.arange(2 * 4 * 4.0).reshape(2, 4, 4, 1)
    cells = labels.of_cells(labels.of(values), 2, 2)[..., 0]
    expected = values.reshape(2, 2, 2, 2, 2).mean(axis=(2, 4))
    expected = expected - expected.mean()
    expected /= np.sqrt((expected**2).mean())
    np.testing.assert_allclose(cells, expected)

  def test_patches_hold_the_pixels_of_a_cell(self):
    values = np.random.default_rng(0).normal(size=(3, 32, 32, 1))
    found = labels.of_patches(labels.of(values), 8, 16)
    self.assertEqual(found.shape, (3, 8, 16, 8))
    self.assertAlmostEqual((found**2).sum() / (3 * 8 * 16), 1)
    inside = values.reshape(3, 8, 4, 16, 2).transpose(0, 1, 3, 2, 4)
    flat = inside.reshape(-1, 8)
    flat = flat - flat.mean(axis=0)
    flat /= np.sqrt((flat**2).sum() / len(flat))
    np.testing.assert_allclose(found.reshape(-1, 8), flat)

  def test_patches_of_classes_are_which_one_it_is(self):
    values = np.random.default_rng(0).integers(3, size=(2, 8, 8))
    found = labels.of_patches(labels.of(values), 8, 8)
    self.assertEqual(found.shape, (2, 8, 8, 48))  # 4 x 4 pixels a cell.
    self.assertLen(np.unique(found.reshape(-1, 48), axis=0), 3)

  def test_quantised_numbers_are_classes_of_equal_size(self):
    found = labels.quantised(np.random.default_rng(0).normal(size=100))
    self.assertEqual(np.bincount(found).tolist(), [10] * 10)

  def test_numbers_that_are_mostly_the_least_one_have_a_class_for_it(self):
    few = np.r_[np.zeros(95), np.arange(1.0, 6.0)]
    self.assertEqual(np.bincount(labels.quantised(few)).tolist(), [95, 5])
    more = np.r_[np.zeros(65), np.linspace(1, 2, 35)]
    sizes = [65, 5, 10, 10, 10]
    self.assertEqual(np.bincount(labels.quantised(more)).tolist(), sizes)
    self.assertEqual(np.bincount(labels.quantised(-more)).tolist(), sizes[::-1])
    self.assertEqual(labels.quantised(np.full(5, 0.1)).tolist(), [0] * 5)


class ScorerTest(parameterized.TestCase):
  def test_classes_are_scored_by_pooled_features(self):
    values = np.arange(40) % 3
    scorer = scores.ByLabels(labels.of(values))
    features = _features()
    found = scorer.score('logme', scorer.prepare(features), _ROWS)
    flat = features.reshape(40, -1)  # 192 features are few enough.
    expected = measures.score('logme', features=flat, labels=values)
    self.assertAlmostEqual(found, expected)
    np.testing.assert_array_equal(scorer.strata, values)

  @parameterized.parameters('ridge_probe', 'logme', 'h_score_shrinkage', 'parc')
  def test_features_that_hold_the_labels_score_higher(self, measure):
    rng = np.random.default_rng(1)
    good = _features(2, (40, 1, 1, 3)) + 0.1 * _features(5)
    bad = _features(3)
    dense = good[..., :1].repeat(2, axis=1).repeat(2, axis=2)
    for values in (
      (good[..., 0].mean(axis=(1, 2)) > 0).astype(int),
      good[:, 0, 0, 0] + 0.01 * rng.normal(size=40),
      good[:, 0, 0, :2],
      dense,
      (dense[..., 0] > 0).astype(int),
    ):
      scorer = scores.ByLabels(labels.of(values))
      first, second = (
        scorer.score(measure, scorer.prepare(f), _ROWS) for f in (good, bad)
      )
      with self.subTest(shape=values.shape, kind=values.dtype.kind):
        self.assertGreater(first, second)

  def test_part_of_the_images_may_lack_a_class(self):
    scorer = scores.ByLabels(labels.of(np.arange(40) // 14))
    prepared = scorer.prepare(_features())
    self.assertTrue(np.isfinite(scorer.score('logme', prepared, _ROWS[:25])))

  def test_a_probe_of_pixels_tells_what_lies_within_a_cell(self):
    values = _features(6, (60, 16, 16, 1))
    corners = values.reshape(60, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4)
    fine = corners.reshape(60, 4, 4, 16)
    scorer = scores.ByLabels(labels.of(values))
    every = np.arange(60)

    def score(features):
      return scorer.score('ridge_probe', scorer.prepare(features), every)

    self.assertGreater(score(fine), 0.9)
    self.assertLess(score(fine.mean(axis=-1, keepdims=True)), 0.2)

  def test_a_probe_compares_grids_by_the_same_pixels(self):
    values = _features(7, (60, 32, 32, 1))
    scorer = scores.ByLabels(labels.of(values))
    every = np.arange(60)
    blocks = values.reshape(60, 8, 4, 8, 4).transpose(0, 1, 3, 2, 4)
    coarse = blocks.mean(axis=(3, 4))[..., None]
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2)
    first, second = (
      scorer.score('ridge_probe', scorer.prepare(f), every)
      for f in (coarse, fine)
    )
    self.assertAlmostEqual(first, second, delta=0.01)

  def test_draws_of_a_probe_are_of_one_fit(self):
    scorer = scores.ByLabels(labels.of(np.arange(40) % 2))
    prepared = scorer.prepare(_features())
    whole = scorer.score('ridge_probe', prepared, _ROWS[:30])
    drawn = [_ROWS[:30], _ROWS[10:20]]
    found = scorer.draws('ridge_probe', prepared, _ROWS[:30], drawn)
    self.assertAlmostEqual(found[0], whole)
    self.assertNotAlmostEqual(found[1], whole)

  def test_all_places_of_a_grid_that_is_not_square_are_seen(self):
    rng = np.random.default_rng(3)
    features = rng.normal(size=(40, 2, 6, 3))
    values = features @ rng.normal(size=(3, 1)) + rng.normal(size=(40, 2, 6, 1))
    found = []
    for turned in (False, True):
      pair = features, values
      if turned:
        pair = [each.transpose(0, 2, 1, 3) for each in pair]
      scorer = scores.ByLabels(labels.of(pair[1]))
      prepared = scorer.prepare(pair[0])
      np.testing.assert_array_equal(prepared.places(100), np.arange(12))
      self.assertLen(prepared.places(5), 5)
      self.assertEqual(prepared.sampled.shape[1], 12)
      found.append(scorer.score('ridge_probe', prepared, _ROWS))
    self.assertAlmostEqual(*found, delta=0.02)

  @parameterized.parameters('logme', 'parc')
  def test_draws_of_other_measures_are_scores(self, measure):
    scorer = scores.ByLabels(labels.of(np.arange(40) % 2))
    prepared = scorer.prepare(_features())
    found = scorer.draws(measure, prepared, _ROWS, [_ROWS[:20]])
    self.assertEqual(found, [scorer.score(measure, prepared, _ROWS[:20])])

  @parameterized.parameters('rsa', 'decodability')
  def test_similarity_is_the_registered_one_of_target_and_source(self, name):
    target, features = _features(4, (40, 2, 2, 3)), _features()
    scorer = scores.BySimilarity(target)
    found = scorer.score(name, scorer.prepare(features), _ROWS[:30])
    expected = similarity.score(name, target[:30], features[:30])
    self.assertAlmostEqual(found, expected)

  def test_coarser_averages_neighbouring_cells(self):
    features = _features(0, (2, 4, 3, 5))
    found = scores.coarser(features, 20)
    self.assertEqual(found.shape, (2, 2, 2, 5))
    np.testing.assert_allclose(found[:, 0, 0], features[:, :2, :2].mean((1, 2)))
    np.testing.assert_allclose(found[:, 1, 1], features[:, 2:, 2:].mean((1, 2)))
    self.assertEqual(scores.coarser(features, 1).shape, (2, 1, 1, 5))

  def test_neighbourhoods_have_the_cell_in_their_middle(self):
    features = _features(0, (2, 3, 3, 2))
    found = scores.neighbourhoods(features)
    np.testing.assert_array_equal(found[..., 8:10], features)
    np.testing.assert_array_equal(found[:, 0, 0, :2], 0)


if __name__ == '__main__':
  absltest.main()
