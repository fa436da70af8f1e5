"""Tests of many networks and of layers against released code."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import ranking, similarity
from transferability.oracle import Oracle
from transferability.similarity import bases, depara

_DATA = pathlib.Path(__file__).parents[2] / 'data'


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
      getattr(bases.FeatureMaps(data[f'in/{name}'], 1.0, 'variance'), kind)
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


if __name__ == '__main__':
  absltest.main()
