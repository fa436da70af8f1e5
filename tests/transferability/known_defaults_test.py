"""Tests that defaults of `transferability` are what they were."""

from absl.testing import absltest

from tests import known_defaults

_MODULES = """
  affinity
  agreement
  baselines
  clustering
  descriptors
  deviations
  functions
  gram
  grouping
  history
  hub
  hubs
  label_free
  label_free.alpha_req
  label_free.random_alignment
  label_free.rankme
  label_free.registry
  label_free.transac
  map_transforms
  measures
  measures.estimators
  measures.etran
  measures.gbc
  measures.h_score
  measures.heads
  measures.knn
  measures.leep
  measures.lfc
  measures.linear_algebra
  measures.logme
  measures.ncti
  measures.pactran
  measures.parc
  measures.ped
  measures.registry
  measures.ridge_probe
  measures.samples
  measures.sfda
  measures.transrate
  model_space
  oracle
  permutations
  pixel_agreement
  points
  random_units
  ranking
  ranking_files
  recommendation
  recommendation.calibration
  recommendation.chances
  recommendation.decision
  recommendation.floor
  recommendation.labels
  recommendation.scores
  recommendation.situations
  resampling
  scoring
  settings
  similarity
  similarity.attribution_kernel
  similarity.attribution_span
  similarity.bases
  similarity.cka
  similarity.dds
  similarity.decodability
  similarity.decodability_dds
  similarity.depara
  similarity.kernels
  similarity.pwcca
  similarity.registry
  similarity.rsa
  similarity.spade
  similarity.svcca
  similarity.task2vec
  sketches
  source_data
  source_data.data
  source_data.domain_similarity
  source_data.f_otce
  source_data.jc_otce
  source_data.linear_heads
  source_data.multi_source_weights
  source_data.otce
  source_data.registry
  source_data.transfer_measure
  source_data.transport
  source_selection
  subspaces
  transfer_graph
"""


class KnownDefaultsTest(known_defaults.KnownDefaultsCase):
  def test_modules_are_those_that_are_looked_at(self):
    self.check_modules('transferability', _MODULES)

  def test_defaults_are_the_known_ones(self):
    self.check('transferability')


if __name__ == '__main__':
  absltest.main()
