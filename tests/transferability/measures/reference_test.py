"""Tests of the measures against what released implementations return."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from transferability import measures
from transferability.measures import logme, sfda

_DATA = pathlib.Path(__file__).parents[2] / 'data'
_CASES = ('p03', 'p06')
_EXACT = 1e-8
_FLOAT32 = 1e-4
_AS_AUTHORS = {'unit_trace': False, 'per_rank': False}

# Key of a reference value, measure, options, relative tolerance.
_SCORES = (
  *(
    (f'ref/transrate/tllib_eps{eps}', 'transrate', options, _EXACT)
    for eps in ('1', '1e-2', '1e-4')
    for options in [{'form': 'listing', 'epsilon': float(eps)}]
  ),
  *(
    (f'{prefix}_eps{eps}', 'transrate', options | {'epsilon': float(eps)}, rtol)
    for eps in ('1e-2', '1e-4')
    for prefix, options, rtol in (
      ('chk/transrate_formula_nc_over_n', {}, _EXACT),
      ('ref/transrate/official_norm_rank', {'form': 'experiments'}, _EXACT),
      (
        'ref/transrate/official_raw_none',
        {'form': 'experiments', **_AS_AUTHORS},
        _EXACT,
      ),
      ('ref/transrate/official_proj_norm_rank', {'form': 'projected'}, _EXACT),
    )
  ),
  (
    'chk/transrate_slide_conditional_divided_by_n_eps1e-4',
    'transrate',
    {'form': 'slides'},
    _EXACT,
  ),
  ('ref/logme/thuml_fixed_point', 'logme', {'form': 'released'}, _EXACT),
  ('ref/logme/thuml_icml', 'logme', {'form': 'icml'}, _EXACT),
  ('ref/logme/tllib', 'logme', {'form': 'tllib'}, _EXACT),
  (
    'chk/logme_full_D_at_reference_alpha_beta',
    'logme',
    {'form': 'marginal'},
    _EXACT,
  ),
  ('ref/leep/thuml', 'leep', {}, 1e-6),
  ('ref/leep/tllib', 'leep', {}, 1e-6),
  ('ref/leep/parc', 'leep', {}, 1e-6),
  ('ref/leep/stable_transfer_tf', 'leep', {}, _FLOAT32),
  ('ref/nce/thuml', 'nce', {}, _EXACT),
  ('ref/nce/tllib', 'nce', {}, _EXACT),
  ('ref/nce/parc_eps1e-5', 'nce', {'smoothing': 1e-5}, _EXACT),
  ('ref/nce_soft/pactran', 'nce', {'soft': True}, _EXACT),
  ('ref/hscore/tllib', 'h_score', {}, _EXACT),
  ('ref/hscore/parc_standardised', 'h_score', {}, _EXACT),
  (
    'ref/hscore/bao_original_rcond1e-10',
    'h_score',
    {'tolerance': 1e-10},
    _EXACT,
  ),
  ('ref/hscore_reg/tllib', 'h_score_shrinkage', {}, _EXACT),
  ('ref/lfc/model_spider_frobenius', 'lfc', {}, _FLOAT32),
  ('chk/lfc_spectral_norm_variant', 'lfc', {'norm': 'spectral'}, _EXACT),
  ('ref/gbc/stable_transfer_spherical', 'gbc', {}, _EXACT),
  (
    'ref/gbc/stable_transfer_diagonal',
    'gbc',
    {'covariance': 'diagonal'},
    _EXACT,
  ),
  (
    'ref/parc/official_nopca',
    'parc',
    {'label_distances': 'released'},
    _EXACT,
  ),
  (
    'ref/parc/official_pca32',
    'parc',
    {'label_distances': 'released', 'num_components': 32},
    2e-2,
  ),
  ('ref/sfda/tencent', 'sfda', {}, _EXACT),
  ('ref/etran_lda/official', 'etran', {'term': 'lda'}, _EXACT),
  (
    'ref/etran_energy/official_top10',
    'etran',
    {'term': 'energy', 'percent': 10, 'highest': True},
    _EXACT,
  ),
  ('ref/knn1_loo_l2/parc', 'knn', {'percent': True}, _EXACT),
  ('ref/nleep/tencent_meanprob_seed0', 'nleep', {'log': False}, 2e-2),
  ('ref/pactran_dir/official_alpha1', 'pactran', {'form': 'dirichlet'}, _EXACT),
  ('ref/pactran_gamma/official_alpha1', 'pactran', {'form': 'gamma'}, 1e-6),
)
_IN_OWN_TESTS = {
  'ref/leep/pactran_sign_flipped',
  'ref/hscore/pactran_ridge1e-6_sign_flipped',
  'ref/logme/thuml_fixed_point_alpha',
  'ref/logme/thuml_fixed_point_beta',
  'ref/logme/thuml_fixed_point_regression_b3',
  'ref/nleep/thuml_LEEP_on_gmm_posteriors',
  'ref/sfda/tencent_first_shrinkage',
  'ref/ncti/official_sklearn1.5.2_seli_ncc_logvc',
  'ref/ped/official_sfda_ns0.6',
  'ref/ped/official_logme_ns0.6',
  'ref/pactran_gauss/official_lda1_seed0_gauss_opt',
}
_NOT_COMPARED = {
  # A trace of an element-wise product, by mistake.
  'ref/hscore/stable_transfer_tf_elementwise_bug',
  # What is compared in double precision, in single precision.
  'ref/logme/stable_transfer_tf32',
  'ref/nleep/stable_transfer_leep_on_gmm_posteriors_tf32',
  # The evidence's maximum, which eleven rounds do not reach.
  'chk/logme_true_maximum_evidence',
}


def _case(name):
  with np.load(_DATA / f'measures_{name}.npz') as file:
    return dict(file)


def _inputs(case):
  keys = ('features', 'labels', 'source_probs')
  return {key: case[f'in/{key}'] for key in keys if f'in/{key}' in case}


class ReferenceTest(parameterized.TestCase):
  @parameterized.parameters(*_SCORES)
  def test_a_released_implementation_returns_the_same(
    self, key, name, options, rtol
  ):
    cases = [case for case in map(_case, _CASES) if key in case]
    self.assertNotEmpty(cases)
    for case in cases:
      np.testing.assert_allclose(
        measures.score(name, **_inputs(case), **options), case[key], rtol
      )

  @parameterized.parameters(*_CASES)
  def test_measures_where_less_is_better_have_the_other_sign(self, name):
    case = _case(name)
    for key, measure, options in (
      ('ref/leep/pactran_sign_flipped', 'leep', {}),
      ('ref/hscore/pactran_ridge1e-6_sign_flipped', 'h_score', {'ridge': 1e-6}),
    ):
      if key in case:
        value = measures.score(measure, **_inputs(case), **options)
        np.testing.assert_allclose(-value, case[key], 1e-6)

  @parameterized.parameters(*_CASES)
  def test_precisions_of_logme_are_the_released_ones(self, name):
    case = _case(name)
    fits = logme.fit(case['in/features'], case['in/labels'])
    np.testing.assert_allclose(
      [fit.alpha for fit in fits], case['ref/logme/thuml_fixed_point_alpha']
    )
    np.testing.assert_allclose(
      [fit.beta for fit in fits], case['ref/logme/thuml_fixed_point_beta']
    )

  @parameterized.parameters(*_CASES)
  def test_logme_of_real_targets_is_the_released_one(self, name):
    case = _case(name)
    value = measures.score(
      'logme',
      features=case['in/features'],
      labels=case['in/features_b'],
      form='released',
      regression=True,
    )
    key = 'ref/logme/thuml_fixed_point_regression_b3'
    np.testing.assert_allclose(value, case[key], _EXACT)

  def test_leep_of_given_posteriors_of_a_mixture_is_the_released_one(self):
    case = _case('p03')
    value = measures.score(
      'leep', labels=case['in/labels'], source_probs=case['in/gmm_posteriors']
    )
    key = 'ref/nleep/thuml_LEEP_on_gmm_posteriors'
    np.testing.assert_allclose(value, case[key], _EXACT)

  @parameterized.parameters(*_CASES)
  def test_first_shrinkage_of_sfda_is_the_released_one(self, name):
    case = _case(name)
    np.testing.assert_allclose(
      sfda._shrinkage(sfda._within(case['in/features'], case['in/labels'])),
      case['ref/sfda/tencent_first_shrinkage'],
      _EXACT,
    )

  def test_terms_of_ncti_are_the_released_ones(self):
    case = _case('p06')
    terms = [
      measures.score('ncti', **_inputs(case), term=term)
      for term in ('seli', 'ncc', 'vc')
    ]
    key = 'ref/ncti/official_sklearn1.5.2_seli_ncc_logvc'
    np.testing.assert_allclose(terms, case[key], _EXACT)

  @parameterized.product(name=_CASES, measure=('sfda', 'logme'))
  def test_ped_is_the_released_one(self, name, measure):
    case = _case(name)
    features = case['in/features']
    general = np.random.default_rng(5).normal(size=features.shape)
    general = general * features.std(0) * 1.3 + features.mean(0) + 0.1
    value = measures.score(
      'ped',
      **_inputs(case),
      general_features=general,
      measure=measure,
      logme_form='released',
    )
    key = f'ref/ped/official_{measure}_ns0.6'
    np.testing.assert_allclose(value, case[key], _EXACT)

  @parameterized.parameters(*_CASES)
  def test_pactran_is_near_the_released_optimum(self, name):
    case = _case(name)
    values = [
      measures.score('pactran', **_inputs(case), optimum=optimum)
      for optimum in (False, True)
    ]
    key = 'ref/pactran_gauss/official_lda1_seed0_gauss_opt'
    np.testing.assert_allclose(values, case[key], 1e-3)

  def test_every_reference_value_is_compared(self):
    keys = set().union(*(_case(name) for name in _CASES))
    self.assertEqual(
      {key for key in keys if not key.startswith('in/')},
      {key for key, *_ in _SCORES} | _IN_OWN_TESTS | _NOT_COMPARED,
    )


if __name__ == '__main__':
  absltest.main()
