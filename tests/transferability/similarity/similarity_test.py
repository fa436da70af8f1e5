"""Tests that hold for every similarity of representations, and of each."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np
from scipy import spatial, stats

from transferability import similarity
from transferability.similarity import bases, depara, kernels

_NAMES = similarity.names('representations')
_DATA = pathlib.Path(__file__).parents[2] / 'data'
_CASES = ('p03', 'p06')
_DDS_KERNELS = {
  'linear': 'linear',
  'rbf': 'rbf',
  'lap': 'laplacian',
  'pearson': 'pearson',
  'euclidean': 'euclidean',
  'cosine': 'cosine',
}
_DDS_NORMALISATIONS = {
  'None': 'none',
  'centering': 'centring',
  'znorm': 'z_norm',
}
# Key of a reference value, measure, options, relative tolerance.
_REFERENCES = (
  (
    'ref/svcca/google_cca_core_var0.99__mean_thr98mean_k1_k2',
    'svcca',
    {},
    1e-6,
  ),
  (
    'ref/svcca/google_cca_core_svsum0.99__mean_thr98mean_k1_k2',
    'svcca',
    {'keep': 'singular_values'},
    1e-6,
  ),
  ('ref/pwcca/sim_metric_paper_def_weights_from_narrower', 'pwcca', {}, 1e-8),
  ('ref/cka_linear_biased/dds_repo_kornblith_gram', 'cka', {}, 1e-8),
  ('ref/cka_linear_biased/anatome', 'cka', {}, 1e-8),
  (
    'ref/cka_rbf0.5_biased/dds_repo_kornblith_gram',
    'cka',
    {'kernel': 'rbf'},
    1e-8,
  ),
  ('ref/cka_linear_debiased/dds_repo_kornblith_gram', 'cka_debiased', {}, 1e-8),
  (
    'ref/cka_rbf0.5_debiased/dds_repo_kornblith_gram',
    'cka_debiased',
    {'kernel': 'rbf'},
    1e-8,
  ),
  ('ref/rsa/cvpr19_create_rdm_then_spearman_lower_triangle', 'rsa', {}, 1e-8),
  ('ref/depara_edge/official_cosine_spearman', 'depara_edge', {}, 1e-8),
  *(
    (
      f'ref/dds/{short}__{norm}',
      'dds',
      {'kernel': kernel, 'normalisation': normalisation},
      1e-8,
    )
    for short, kernel in _DDS_KERNELS.items()
    for norm, normalisation in _DDS_NORMALISATIONS.items()
  ),
)


def _pair(n=40, d1=6, d2=9, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(n, d1))
  return x, np.tanh(x @ rng.normal(size=(d1, d2))) + rng.normal(size=(n, d2))


def _rotation(d, seed=1):
  return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


class ReferenceTest(parameterized.TestCase):
  """What released implementations return; see tests/data/README.md."""

  @parameterized.product(case=_CASES, reference=_REFERENCES)
  def test_released_implementations_agree(self, case, reference):
    key, name, options, rtol = reference
    with np.load(_DATA / f'similarity_{case}.npz') as data:
      if key not in data.files:
        self.skipTest(f'{case} has no {key}.')
      x, y = (data[f'in/features{side}'] for side in ('', '_b'))
      expected = np.ravel(data[key])[0]
    actual = similarity.score(name, x, y, **options)
    np.testing.assert_allclose(actual, expected, rtol)

  def test_known_answers_that_the_authors_of_cka_print(self):
    rng = np.random.RandomState(1337)
    x = rng.randn(100, 10)
    y = rng.randn(100, 10) + x
    for name, options, expected in (
      ('cka', {}, 0.55761),
      ('cka_debiased', {}, 0.51346),
      ('cka', {'kernel': 'rbf'}, 0.65483),
    ):
      actual = similarity.score(name, x, y, **options)
      self.assertAlmostEqual(actual, expected, delta=1e-5)


class DecodabilityDdsTest(absltest.TestCase):
  def test_it_is_the_mean_of_its_parts_in_either_direction(self):
    x, y = _pair()
    for pair in ((x, y), (y, x)):
      parts = [similarity.score(n, *pair) for n in ('decodability', 'dds')]
      self.assertNotAlmostEqual(*parts, places=2)
      self.assertAlmostEqual(
        similarity.score('decodability_dds', *pair), np.mean(parts)
      )


class EveryMeasureTest(parameterized.TestCase):
  @parameterized.parameters(*_NAMES)
  def test_a_network_is_most_similar_to_itself(self, name):
    x, y = _pair()
    self.assertAlmostEqual(similarity.score(name, x, x), 1)
    self.assertLess(similarity.score(name, x, y), 1)

  @parameterized.parameters(
    *sorted({*_NAMES} - {'decodability', 'decodability_dds'})
  )
  def test_order_of_the_images_does_not_matter(self, name):
    x, y = _pair()
    order = np.random.default_rng(3).permutation(len(x))
    self.assertAlmostEqual(
      similarity.score(name, x[order], y[order]), similarity.score(name, x, y)
    )

  @parameterized.product(name=_NAMES, seed=(0, 1, 2))
  def test_invariances_hold_that_are_claimed(self, name, seed):
    claimed = similarity.info(name).invariances
    x, y = _pair(seed=seed)
    before = similarity.score(name, x, y)
    if 'rotation' in claimed:
      turned = similarity.score(name, x @ _rotation(6), y @ _rotation(9))
      self.assertAlmostEqual(turned, before)
    if 'scale' in claimed:
      self.assertAlmostEqual(similarity.score(name, 1e-3 * x, 7 * y), before)

  @parameterized.parameters(*_NAMES)
  def test_shifted_features_are_the_same_features(self, name):
    x, y = _pair()
    self.assertAlmostEqual(
      similarity.score(name, x + 3, y - 5), similarity.score(name, x, y)
    )

  @parameterized.parameters(*_NAMES)
  def test_matrix_holds_the_scores_of_all_pairs(self, name):
    x, y = _pair()
    networks = {'a': x, 'b': y, 'c': x[:, :3] ** 2}
    names, matrix = similarity.matrix(name, networks)
    self.assertEqual(names, ('a', 'b', 'c'))
    for i, first in enumerate(networks.values()):
      for j, second in enumerate(networks.values()):
        self.assertAlmostEqual(
          matrix[i, j], similarity.score(name, first, second)
        )

  @parameterized.parameters(*_NAMES)
  def test_fewer_directions_than_features_are_no_obstacle(self, name):
    x, y = _pair()
    wide = np.concatenate([x, x, np.zeros((40, 3))], axis=1)
    actual = similarity.score(name, wide, y)
    self.assertTrue(np.isfinite(actual))
    if name in ('svcca', 'pwcca', 'cka', 'cka_debiased', 'depara_edge'):
      self.assertAlmostEqual(actual, similarity.score(name, x, y))

  @parameterized.parameters(*_NAMES)
  def test_layers_of_places_and_channels_are_taken(self, name):
    x = np.random.default_rng(0).normal(size=(30, 4, 4, 3))
    self.assertAlmostEqual(similarity.score(name, x, 2 * x), 1)

  @parameterized.product(
    name=_NAMES,
    wrong=(
      (np.full((9, 3), np.nan), r'\[0, 0\] is nan'),
      (np.ones((9, 3)), 'the same for all images'),
      (np.ones((2, 3)), 'at least 3'),
      (np.ones((9, 3, 3)), r'shape \(9, 3, 3\)'),
      (np.array([['a']] * 9), 'dtype'),
    ),
  )
  def test_what_is_no_representation_is_refused(self, name, wrong):
    y, message = wrong
    x, _ = _pair(9)
    with self.assertRaisesRegex(ValueError, message):
      similarity.score(name, x, y)

  @parameterized.parameters(*_NAMES)
  def test_other_numbers_of_images_are_refused(self, name):
    x, y = _pair()
    with self.assertRaisesRegex(ValueError, '40 images and y has 39'):
      similarity.score(name, x, y[:-1])
    with self.assertRaisesRegex(ValueError, "'a': 40, 'b': 39"):
      similarity.matrix(name, {'a': x, 'b': y[:-1]})

  def test_unknown_names_and_options_are_refused(self):
    x, y = _pair()
    with self.assertRaisesRegex(ValueError, "No similarity 'ccka'"):
      similarity.score('ccka', x, y)
    with self.assertRaisesRegex(ValueError, 'no option keep'):
      similarity.score('cka', x, y, keep=2)
    for name, options in (
      ('svcca', {'keep': 'most'}),
      ('svcca', {'kept': 0}),
      ('cka', {'kernel': 'cubic'}),
      ('dds', {'kernel': 'cubic'}),
      ('dds', {'normalisation': 'yes'}),
    ):
      with self.assertRaises(ValueError):
        similarity.score(name, x, y, **options)

  def test_directions_are_those_that_words_and_scores_have(self):
    for name in similarity.names():
      measure = similarity.info(name)
      with self.subTest(name):
        says = 'Directed: the first network' in measure.__doc__
        self.assertEqual(measure.directed, says)
        self.assertFalse(measure.directed and measure.symmetric)

  def test_what_spans_all_images_is_all_of_what_does(self):
    x, y = _pair(5, 6, 9)
    pwcca = similarity.create('pwcca')
    found = pwcca.compare(pwcca.prepare(x), pwcca.prepare(y))
    self.assertEqual(found, 1.0)  # Not more, which would be cut to it.
    less, other = _pair(6, 4, 4)  # A direction too few.
    found = pwcca.compare(pwcca.prepare(less), pwcca.prepare(other))
    self.assertLess(found, 0.999)

  def test_every_measure_says_where_it_is_from_and_what_it_costs(self):
    for name in _NAMES:
      self.assertRegex(similarity.info(name).reference, r'arXiv|docs/\w+\.md')
      self.assertIn('O(n', similarity.info(name).cost)


class SvccaTest(parameterized.TestCase):
  def test_mean_squared_correlation_of_unrelated_data_is_the_known_one(self):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 50)), rng.normal(size=(1000, 80))
    found = bases.correlations(bases.basis(x)[0], bases.basis(y)[0])
    self.assertAlmostEqual(np.mean(found**2), 80 / 999, delta=0.005)

  def test_everything_kept_is_invariant_to_invertible_maps(self):
    x, y = _pair()
    mixed = x @ np.random.default_rng(5).normal(size=(6, 6))
    self.assertAlmostEqual(
      similarity.score('svcca', mixed, y, kept=1),
      similarity.score('svcca', x, y, kept=1),
    )

  def test_channels_are_features_and_places_samples(self):
    x = np.random.default_rng(0).normal(size=(20, 3, 3, 4))
    y = np.random.default_rng(1).normal(size=(20, 3, 3, 5)) + x[..., :1]
    self.assertAlmostEqual(
      similarity.score('svcca', x, y),
      similarity.score('svcca', x.reshape(-1, 4), y.reshape(-1, 5)),
    )

  def test_layers_of_other_sizes_are_averaged_over_places(self):
    x = np.random.default_rng(0).normal(size=(50, 4, 4, 4))
    y = np.random.default_rng(1).normal(size=(50, 2, 2, 5))
    self.assertAlmostEqual(
      similarity.score('svcca', x, y),
      similarity.score('svcca', x.mean((1, 2)), y.mean((1, 2))),
    )

  def test_more_features_than_images_are_chance_and_warned_of(self):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4, 4, 5)), rng.normal(size=(20, 4, 4, 5))
    with self.assertLogs('transferability', 'WARNING') as logs:
      score = similarity.score('svcca', x, y, flatten=True, kept=1)
    self.assertAlmostEqual(score, 1)
    (message,) = logs.output  # One, not one for each network.
    self.assertIn('80 features and 20 images', message)

  def test_kept_directions_reach_the_share_and_not_one_more(self):
    x = np.diag([3.0, 2.0, 1.0, 0.0, 0.0]) @ np.ones((5, 5))
    x = np.random.default_rng(0).normal(size=(40, 5)) * [9, 3, 1, 0.3, 0.1]
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    for keep, power in (('variance', 2), ('singular_values', 1)):
      shares = np.cumsum(values**power) / np.sum(values**power)
      for kept in (0.5, 0.9, 0.99):
        found, _ = bases.basis(x, kept, keep)
        self.assertEqual(found.shape[1], 1 + np.sum(shares < kept))

  @parameterized.product(size=(3, 7, 8), keep=bases.KEEP)
  def test_a_share_that_is_reached_exactly_is_enough(self, size, keep):
    x = np.linalg.qr(np.random.default_rng(0).normal(size=(40, size + 1)))[0]
    x -= x.mean(axis=0)
    x = np.linalg.svd(x, full_matrices=False)[0][:, :size]  # Equal and centred.
    for number in range(1, size + 1):
      found, values = bases.basis(x, number / size, keep)
      self.assertEqual(found.shape, (40, number))
      np.testing.assert_allclose(values, 1)

  @parameterized.parameters((40, 5, 1), (40, 5, 2), (20, 30, 1), (20, 30, 4))
  def test_rounding_is_no_direction(self, images, features, rank):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, rank)) @ rng.normal(size=(rank, features))
    found, values = bases.basis(x)
    self.assertEqual(found.shape, (images, rank))
    self.assertLen(values, rank)


class RsaTest(absltest.TestCase):
  def test_it_is_the_rank_correlation_of_the_dissimilarities(self):
    x, y = _pair()
    lower = np.tril_indices(40, -1)
    rdms = [1 - np.corrcoef(v - v.mean(0))[lower] for v in (x, y)]
    self.assertAlmostEqual(
      similarity.score('rsa', x, y), stats.spearmanr(*rdms).statistic
    )

  def test_one_feature_is_too_few(self):
    x, y = _pair()
    with self.assertRaisesRegex(ValueError, '1 is too few'):
      similarity.score('rsa', x[:, :1], y)


class DebiasedTest(absltest.TestCase):
  def test_unrelated_networks_score_about_zero(self):
    rng = np.random.default_rng(0)
    scores = [
      similarity.score(
        'cka_debiased', rng.normal(size=(30, 60)), rng.normal(size=(30, 60))
      )
      for _ in range(20)
    ]
    self.assertAlmostEqual(np.mean(scores), 0, delta=0.03)
    self.assertLess(min(scores), 0)
    self.assertGreater(
      similarity.score('cka', *rng.normal(size=(2, 30, 60))), 0.5
    )

  def test_it_is_the_estimator_written_out(self):
    x, y = _pair(8)

    def hsic(k, m):
      k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
      n = len(k)
      total = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2))
      return (total - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    self.assertAlmostEqual(similarity.score('cka_debiased', x, y), expected)

  def test_three_images_are_too_few(self):
    x, y = _pair(3)
    with self.assertRaisesRegex(ValueError, 'at least 4'):
      similarity.score('cka_debiased', x, y)


class DdsTest(parameterized.TestCase):
  @parameterized.parameters(*_DDS_KERNELS.values())
  def test_z_norm_forgets_scale_and_shift_of_each_feature(self, kernel):
    x, y = _pair()
    scale = np.array([1e-3, 1, 50, 2, 3, 4])
    self.assertAlmostEqual(
      similarity.score('dds', x * scale + 7, y, kernel=kernel),
      similarity.score('dds', x, y, kernel=kernel),
    )

  @parameterized.parameters(
    ('batch', (0, 1, 2)), ('instance', (1, 2)), ('layer', (1, 2, 3))
  )
  def test_layers_are_normalised_over_the_axes_of_the_name(self, name, axes):
    x = np.random.default_rng(0).normal(size=(12, 4, 4, 6)) + 1
    y = np.random.default_rng(1).normal(size=(12, 4, 4, 6)) - x
    by_hand = [
      (v - v.mean(axes, keepdims=True)) / v.std(axes, keepdims=True)
      for v in (x, y)
    ]
    self.assertAlmostEqual(
      similarity.score('dds', x, y, normalisation=name),
      similarity.score('dds', *by_hand, normalisation='none'),
      places=6,
    )

  def test_groups_are_halves_of_the_channels(self):
    x = np.random.default_rng(0).normal(size=(12, 4, 4, 6)) + 1
    y = np.random.default_rng(1).normal(size=(12, 4, 4, 6)) - x
    halves = []
    for v in (x, y):
      parts = [
        (p - p.mean((1, 2, 3), keepdims=True)) / p.std((1, 2, 3), keepdims=True)
        for p in (v[..., :3], v[..., 3:])
      ]
      halves.append(np.concatenate(parts, axis=-1))
    self.assertAlmostEqual(
      similarity.score('dds', x, y, normalisation='group'),
      similarity.score('dds', *halves, normalisation='none'),
      places=6,
    )

  def test_layer_normalisations_want_layers(self):
    x, y = _pair()
    with self.assertRaisesRegex(ValueError, 'needs .n, h, w, c.'):
      similarity.score('dds', x, y, normalisation='layer')

  def test_constant_features_are_left_out_by_z_norm(self):
    x, y = _pair()
    constant = np.column_stack([x, np.full(40, 0.1)])
    self.assertAlmostEqual(
      similarity.score('dds', constant, y, kernel='linear'),
      similarity.score('dds', x, y, kernel='linear'),
    )


class DeparaTest(absltest.TestCase):
  def test_nodes_and_edges_are_added(self):
    nodes, edges = np.eye(2), np.full((2, 2), 0.5)
    np.testing.assert_array_equal(
      depara.combine(nodes, edges, 0.2), nodes + 0.1
    )
    with self.assertRaisesRegex(ValueError, 'edges'):
      depara.combine(nodes, np.eye(3))

  def test_an_image_without_direction_is_named(self):
    x, y = _pair()
    x[4] = 0
    with self.assertRaisesRegex(ValueError, 'image 4 are all zero'):
      similarity.score('depara_edge', x, y, centred=False)


class KernelsTest(absltest.TestCase):
  def test_dissimilarities_are_those_of_each_pair_alone(self):
    x, _ = _pair(5)
    x[1] = -3 * x[0]
    for found, of_pair in (
      (kernels.euclidean(x), spatial.distance.euclidean),
      (kernels.cosine(x), spatial.distance.cosine),
      (kernels.pearson(x), spatial.distance.correlation),
    ):
      expected = [[of_pair(a, b) for b in x] for a in x]
      np.testing.assert_allclose(found, expected, atol=1e-12)

  def test_laplacian_is_the_mean_city_block_distance(self):
    x, _ = _pair(5)
    expected = np.exp(-np.abs(x[:, None] - x).mean(axis=-1))
    np.testing.assert_allclose(kernels.laplacian(x), expected)


if __name__ == '__main__':
  absltest.main()
