"""Property tests: what must not change a similarity of representations."""

import dataclasses
import re

from absl.testing import absltest, parameterized
import hypothesis
from hypothesis import strategies
import numpy as np

from tests import measures_testing, module_graph
from transferability import similarity

_NAMES = similarity.names('representations')
_EVERY = similarity.names()
# These fit on some images, by their place, and are scored on others.
_SPLIT = ('decodability', 'decodability_dds')
_SETTINGS = hypothesis.settings(
  max_examples=15, deadline=None, derandomize=True, database=None
)
_seeds = strategies.integers(0, 2**31 - 1)
# Images, and features of two networks: fewer and more than images.
_shapes = strategies.tuples(
  strategies.integers(8, 40),
  strategies.integers(3, 50),
  strategies.integers(3, 50),
)


def _claiming(invariance):
  return [n for n in _NAMES if invariance in similarity.info(n).invariances]


def _pair(shape, seed):
  """Returns two related networks, one of them after a ReLU."""
  n, d1, d2 = shape
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(n, d1)) * np.exp(rng.normal(size=d1))
  y = np.maximum(x @ rng.normal(size=(d1, d2)) + rng.normal(size=(n, d2)), 0)
  y[:, 0] = 0  # A dead unit.
  return x, y


class InvarianceTest(parameterized.TestCase):
  def _same(self, name, pair, changed, **options):
    np.testing.assert_allclose(
      similarity.score(name, *changed, **options),
      similarity.score(name, *pair, **options),
      rtol=1e-6,
      atol=1e-8,
    )

  @parameterized.parameters(*sorted({*_NAMES} - {*_SPLIT}))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_order_of_images_does_not_matter(self, name, shape, seed):
    x, y = _pair(shape, seed)
    order = np.random.default_rng(seed).permutation(len(x))
    self._same(name, (x, y), (x[order], y[order]))

  @parameterized.parameters(*_NAMES)
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_order_of_features_does_not_matter(self, name, shape, seed):
    x, y = _pair(shape, seed)
    order = np.random.default_rng(seed).permutation(y.shape[1])
    self._same(name, (x, y), (x, y[:, order]))

  @parameterized.parameters(*_NAMES)
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_symmetric_measures_are_the_same_both_ways(self, name, shape, seed):
    x, y = _pair(shape, seed)
    if similarity.info(name).symmetric:
      self._same(name, (x, y), (y, x))

  @parameterized.parameters(*_NAMES)
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_scores_are_within_bounds_and_1_for_the_same(self, name, shape, seed):
    x, y = _pair(shape, seed)
    value = similarity.score(name, x, y)
    self.assertBetween(value, similarity.info(name).lowest, 1)
    self.assertAlmostEqual(similarity.score(name, y, y), 1)

  @parameterized.product(name=_claiming('rotation'))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_a_rotation_of_one_network_does_not_matter(self, name, shape, seed):
    x, y = _pair(shape, seed)
    turned = y @ measures_testing.rotation(y.shape[1], seed)
    self._same(name, (x, y), (x, turned))
    self._same(name, (y, x), (turned, x))

  @parameterized.product(name=_claiming('scale'), scale=(1e-6, 7.0, 1e8))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_scale_of_one_network_does_not_matter(
    self, name, scale, shape, seed
  ):
    x, y = _pair(shape, seed)
    self._same(name, (x, y), (x, y * scale))

  @parameterized.product(name=_claiming('shift'))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_a_shift_of_one_network_does_not_matter(self, name, shape, seed):
    x, y = _pair(shape, seed)
    shift = np.random.default_rng(seed).normal(size=y.shape[1]) * 10
    self._same(name, (x, y), (x, y + shift))

  @parameterized.product(name=_claiming('column_scale'))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_scale_of_single_features_does_not_matter(
    self, name, shape, seed
  ):
    x, y = _pair(shape, seed)
    scale = np.exp(np.random.default_rng(seed).normal(size=y.shape[1]))
    self._same(name, (x, y), (x, y * scale))

  @_SETTINGS
  @hypothesis.given(seed=_seeds)
  def test_an_invertible_map_does_not_matter_to_whole_cca(self, seed):
    x, y = _pair((60, 8, 9), seed)
    matrix = np.eye(8) + np.triu(np.ones((8, 8)), 1)
    self._same('svcca', (x, y), (x @ matrix, y), kept=1)

  @_SETTINGS
  @hypothesis.given(seed=_seeds)
  def test_an_invertible_map_of_the_wider_network_does_not_matter_to_pwcca(
    self, seed
  ):
    x, y = _pair((60, 12, 6), seed)
    matrix = np.eye(12) + np.triu(np.ones((12, 12)), 1)
    self._same('pwcca', (x, y), (x @ matrix, y))
    self._same('pwcca', (y, x), (y, x @ matrix))

  @parameterized.parameters('rsa', 'dds', 'pwcca')
  def test_a_rotation_matters_where_it_is_not_claimed_not_to(self, name):
    x, y = _pair((40, 12, 6), 0)
    turned = y @ measures_testing.rotation(6)
    self.assertNotAlmostEqual(
      similarity.score(name, x, turned), similarity.score(name, x, y), places=4
    )

  @parameterized.parameters('cka', 'depara_edge', 'rsa', 'svcca')
  def test_scales_of_features_matter_where_it_is_not_claimed(self, name):
    x, y = _pair((40, 12, 6), 0)
    scale = [1, 9, 1, 0.1, 5, 1]
    self.assertNotAlmostEqual(
      similarity.score(name, x, y * scale),
      similarity.score(name, x, y),
      places=4,
    )


class RegistryTest(parameterized.TestCase):
  @parameterized.parameters(*_NAMES)
  def test_what_is_known_of_a_measure_is_no_option(self, name):
    x, y = _pair((40, 6, 9), 0)
    for attribute in ('invariances', 'symmetric', 'lowest'):
      with self.assertRaisesRegex(ValueError, 'has no option'):
        similarity.score(name, x, y, **{attribute: True})
    self.assertEqual(
      similarity.create(name).invariances, similarity.info(name).invariances
    )

  @parameterized.parameters(*_EVERY)
  def test_docstring_says_range_shapes_direction_and_source(self, name):
    measure = similarity.info(name)
    text = ' '.join(measure.__doc__.split())
    for part in (
      f'[{measure.lowest:g}, 1]',
      'igher is more similar',
      measure.reference.split(',')[0],
    ):
      self.assertIn(part, text)

  def test_options_can_be_given_in_their_order(self):
    self.assertEqual(similarity.info('cka')('rbf').kernel, 'rbf')

  def test_table_of_the_docs_is_that_of_the_code(self):
    text = (module_graph.ROOT / 'docs' / 'similarity.md').read_text('utf-8')
    rows = {}
    for line in text.splitlines():
      if match := re.match(r'\| `(\w+)` \|', line):
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        rows.setdefault(match[1], cells)
    self.assertEqual(tuple(sorted(rows)), _EVERY)
    for name, cells in rows.items():
      with self.subTest(name):
        measure = similarity.info(name)
        fields = [f.name for f in dataclasses.fields(measure)]
        self.assertEqual(cells[2], f'[{measure.lowest:g}, 1]')
        self.assertEqual(cells[3] == 'yes', measure.symmetric)
        self.assertEqual(cells[4], ', '.join(sorted(measure.invariances)))
        self.assertEqual(cells[5], measure.cost)
        self.assertEqual(cells[6], measure.reference)
        self.assertEqual(re.findall(r'`(\w+)`', cells[7]), fields)


class EdgeCaseTest(parameterized.TestCase):
  """What once gave other numbers, or noise."""

  @parameterized.parameters(('pwcca', {}), ('svcca', {'kept': 1}))
  def test_constant_features_far_from_zero_are_no_direction(
    self, name, options
  ):
    x, y = _pair((40, 6, 9), 0)
    wide = [np.column_stack([v, np.full(40, 3e6 + 0.1)]) for v in (x, y)]
    np.testing.assert_allclose(
      similarity.score(name, *wide, **options),
      similarity.score(name, x, y, **options),
    )

  @parameterized.parameters(('pwcca', {}), ('svcca', {'kept': 1}))
  def test_rounding_far_from_zero_is_no_direction(self, name, options):
    x, y = _pair((40, 6, 9), 0)
    x = x[:, :2] @ np.random.default_rng(0).normal(size=(2, 6))
    np.testing.assert_allclose(
      similarity.score(name, x + 1e6, y, **options),
      similarity.score(name, x, y, **options),
      1e-6,
    )

  @parameterized.parameters(*_NAMES)
  def test_numbers_whose_squares_overflow_are_refused(self, name):
    x, y = _pair((40, 6, 9), 0)
    for scale in (1e200, 1e-200):
      with self.assertRaisesRegex(ValueError, 'y is .*out of the range'):
        similarity.score(name, x, y * scale)

  @parameterized.parameters('rsa', 'depara_edge')
  def test_images_that_come_twice_are_tied_wherever_they_stand(self, name):
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.normal(size=(20, d)), 2, axis=0) for d in (7, 5))
    before = similarity.score(name, x, y)
    for seed in range(5):
      order = np.random.default_rng(seed).permutation(40)
      self.assertAlmostEqual(
        similarity.score(name, x[order], y[order]), before, places=12
      )

  def test_an_image_of_equal_features_has_no_correlation(self):
    x, y = _pair((40, 6, 9), 0)
    x[4] = 0.1
    with self.assertRaisesRegex(ValueError, 'x: All features of image 4'):
      similarity.score('dds', x, y, kernel='pearson', normalisation='none')

  @parameterized.parameters('cka_debiased', 'dds')
  def test_pairs_that_are_all_alike_have_no_debiased_score(self, name):
    x = np.array([[0.1, 0.2]] * 5 + [[0.7, 0.9]])
    y = np.random.default_rng(0).normal(size=(6, 3))
    with self.assertRaisesRegex(ValueError, 'x: All pairs'):
      similarity.score(name, x, y)

  def test_matrix_names_the_network_that_cannot_be_compared(self):
    x, y = _pair((40, 6, 9), 0)
    zero = np.array(y)
    zero[3] = 0
    with self.assertRaisesRegex(ValueError, '^dark: .*image 3'):
      similarity.matrix(
        'depara_edge', {'x': x, 'dark': zero, 'y': y}, centred=False
      )

  def test_all_correlations_are_1_where_features_span_all_images(self):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 30)), rng.normal(size=(12, 20))
    self.assertAlmostEqual(similarity.score('pwcca', x, y), 1)

  @parameterized.parameters('cka', 'cka_debiased')
  def test_many_images_take_the_same_value_without_their_matrix(self, name):
    x, y = _pair((60, 5, 8), 1)
    wide = [np.pad(v, [(0, 0), (0, 70)]) for v in (x, y)]
    self.assertAlmostEqual(
      similarity.score(name, x, y), similarity.score(name, *wide), places=12
    )


if __name__ == '__main__':
  absltest.main()
