"""Tests of many networks, layers and protocols against released code."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np
from scipy import stats

from transferability import ranking, similarity
from transferability.oracle import Oracle
from transferability.similarity import bases, depara, protocol

_DATA = pathlib.Path(__file__).parents[2] / 'data'
_WITHOUT = ('colorization', 'class_places', 'inpainting_whole')


def _reference(part):
  with np.load(_DATA / 'similarity_networks.npz') as file:
    return {
      key.removeprefix(f'{part}/'): file[key]
      for key in file.files
      if key.startswith(f'{part}/')
    }


class LayerTest(parameterized.TestCase):
  @parameterized.parameters(
    ('google_spatial_as_datapoints_1_2', 'places', 'acts2_nhwc_same_size'),
    ('google_avgpool_1_2', 'pooled', 'acts2_nhwc_same_size'),
    ('google_avgpool_1_3', 'pooled', 'acts3_nhwc_half_size'),
  )
  def test_correlations_of_layers_are_those_of_the_released_code(
    self, key, kind, other
  ):
    data = _reference('conv')
    sides = [
      getattr(bases.Layer(data[f'in/{name}'], 1.0, 'variance'), kind)
      for name in ('acts1_nhwc', other)
    ]
    np.testing.assert_allclose(
      bases.correlations(*sides), data[f'ref/cca/{key}'], 1e-6, 1e-4
    )
    layers = [data[f'in/{name}'] for name in ('acts1_nhwc', other)]
    if kind == 'places' or other.startswith('acts3'):
      np.testing.assert_allclose(
        similarity.score('svcca', *layers, kept=1),
        data[f'ref/cca/{key}'].mean(),
        1e-6,
      )

  def test_correlations_of_features_are_those_of_released_code(self):
    with np.load(_DATA / 'similarity_p06.npz') as data:
      data = dict(data)
    sides = [bases.basis(data[f'in/features{side}'])[0] for side in ('', '_b')]
    found = bases.correlations(*sides)
    np.testing.assert_allclose(
      found, data['ref/cca/google_cca_core_coefs'], 1e-6, 1e-4
    )
    np.testing.assert_allclose(
      [found.mean(), np.mean(found**2)],
      data['ref/cca/sim_metric_mean_meansq'],
      1e-8,
    )
    for key, name, options in (
      (
        'ref/dds/parc_repo_cosine_znorm_x100',
        'dds',
        {'kernel': 'cosine'},
      ),
      ('ref/rsa/parc_repo_znorm_spearman_x100', 'rsa', {'standardise': True}),
    ):
      pair = data['in/features'], data['in/features_b']
      found = 100 * similarity.score(name, *pair, **options)
      np.testing.assert_allclose(found, data[key], 1e-8)

  def test_chance_is_known(self):
    self.assertEqual(bases.chance_level(50, 80, 1000), 80 / 999)
    self.assertEqual(bases.chance_level(5, 80, 40), 1)
    with self.assertRaises(ValueError):
      bases.chance_level(0, 3, 9)


class NetworksTest(parameterized.TestCase):
  """20 networks and 12 images; DEPARA's own scripts, and Taskonomy's ranks."""

  def setUp(self):
    super().setUp()
    self.data = _reference('networks')
    features = self.data['in/features']
    self.names = tuple(f'task_{i:02d}' for i in range(20))
    self.networks = dict(zip(self.names, features, strict=True))
    self.edges = similarity.matrix('depara_edge', self.networks)[1]

  def _curves(self, matrix):
    rows = self.data['in/ground_truth_ranking']
    truth = {
      self.names[row[0]]: tuple(self.names[i] for i in row[1:]) for row in rows
    }
    oracle = Oracle(tuple(truth), self.names, truth)
    rankings = ranking.rank_sources(matrix, self.names, oracle.targets)
    curve = ranking.precision_recall(rankings, oracle)
    return np.stack([curve.precision, curve.recall])

  def test_edges_and_rsa_are_those_of_the_released_script(self):
    np.testing.assert_allclose(
      self.edges, self.data['ref/depara/edge_official'], 1e-8, 1e-12
    )
    names, matrix = similarity.matrix('rsa', self.networks)
    self.assertEqual(names, self.names)
    np.testing.assert_allclose(
      matrix, self.data['ref/depara/rsa_official'], 1e-8, 1e-12
    )

  def test_precision_of_edges_and_rsa_is_the_released_one(self):
    rsa = similarity.matrix('rsa', self.networks)[1]
    for key, matrix in (('depara_edge', self.edges), ('rsa', rsa)):
      np.testing.assert_allclose(
        self._curves(matrix), self.data[f'ref/precision_recall_at_k/{key}']
      )

  @parameterized.parameters('0.25', '0.03', '0.27', '1.0')
  def test_precision_of_nodes_and_edges_is_the_released_one(self, weight):
    both = depara.combine(self.data['in/nodes'], self.edges, float(weight))
    key = f'ref/precision_recall_at_k/depara_node_gxi_plus_{weight}_edge'
    np.testing.assert_allclose(self._curves(both), self.data[key])


class ProtocolTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.data = _reference('protocol')
    names = list(self.data['in/tasks_20'])
    chosen = [name for name in names if name not in _WITHOUT]
    self.matrix = protocol.select(
      self.data['in/similarity_20x20'], names, chosen
    )

  @parameterized.parameters(
    ('affinity', 'in/affinity_sources17_x_targets17'),
    ('winrate', 'in/winrate_16k_sources17_x_targets17'),
  )
  def test_correlation_of_each_target_is_the_released_one(self, name, key):
    found = protocol.spearman_per_target(self.matrix, self.data[key])
    np.testing.assert_allclose(
      found, self.data[f'ref/spearman_per_target_vs_{name}'], 1e-8
    )
    self.assertAlmostEqual(
      np.mean(found), float(self.data[f'ref/mean_vs_{name}'])
    )

  def test_the_target_itself_may_be_left_out(self):
    found = protocol.spearman_per_target(
      self.matrix,
      self.data['in/affinity_sources17_x_targets17'],
      include_self=False,
    )
    key = 'chk/mean_vs_affinity_excluding_self'
    self.assertAlmostEqual(np.mean(found), float(self.data[key]))

  def test_columns_are_targets(self):
    rng = np.random.default_rng(0)
    similar, transfers = rng.normal(size=(2, 5, 5))
    found = protocol.spearman_per_target(similar, transfers)
    expected = [
      stats.spearmanr(similar[:, t], transfers[:, t]).statistic
      for t in range(5)
    ]
    np.testing.assert_allclose(found, expected)

  def test_what_has_no_order_is_refused(self):
    square = np.eye(3)
    with self.assertRaisesRegex(ValueError, r'\(3, 3\).*\(2, 3\)'):
      protocol.spearman_per_target(square, square[:2])
    with self.assertRaisesRegex(ValueError, 'target 0'):
      protocol.spearman_per_target(square, np.ones((3, 3)))
    with self.assertRaisesRegex(ValueError, "'d'"):
      protocol.select(square, 'abc', ['a', 'd'])


if __name__ == '__main__':
  absltest.main()
