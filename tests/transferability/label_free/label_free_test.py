"""Tests of the label-free scores of one network."""

import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing, module_graph
from transferability import label_free

_DATA = pathlib.Path(__file__).parents[2] / 'data'
_NAMES = label_free.names()
_CASES = ('p02', 'p03', 'p05')


def _load(case):
  with np.load(_DATA / f'source_data_{case}.npz') as arrays:
    return dict(arrays)


def _inputs(n=130, d=110, seed=0):
  rng = np.random.default_rng(seed)
  probs = rng.dirichlet(np.ones(5), n)
  features = rng.normal(size=(n, d)) / np.sqrt(1 + np.arange(d)) + 0.3
  twins = [features @ rng.normal(size=(d, 7)) for _ in range(3)]
  return {
    'features': features,
    'source_probs': probs,
    'random_features': twins,
  }


class ReferenceTest(parameterized.TestCase):
  @parameterized.parameters(*_CASES)
  def test_released_codes_and_formulas_give_the_same(self, case):
    values = _load(case)
    features = values['in/target_features']
    given = {
      'features': features,
      'source_probs': values['in/source_probs'],
      'random_features': values['in/random_features'],
    }
    for key, name, options in (
      ('chk/rankme/paper_uncentred_singular_values', 'rankme', {}),
      (
        'ref/rankme/reptrix_centred_variance_ratios',
        'rankme',
        {'form': 'reptrix'},
      ),
      ('chk/transac/exact_log_eps10', 'transac', {}),
      ('chk/transac/taylor5_eps10', 'transac', {'taylor': 5}),
      ('chk/random_network/cka_debiased', 'random_alignment', {}),
      ('chk/random_network/cka_minibatch10', 'random_alignment', {'batch': 10}),
    ):
      if key in values:
        expected = values[key].mean()
        found = label_free.score(name, **given, **options)
        np.testing.assert_allclose(found, expected, 1e-8, err_msg=key)

  def test_wide_features(self):
    values = _load('p02')
    features = values['in/wide_features']
    for key, name, options, rtol in (
      ('ref/alpha_req/reptrix_range11_100', 'alpha_req', {}, 1e-7),
      ('ref/rankme/reptrix_wide', 'rankme', {'form': 'reptrix'}, 1e-8),
      ('chk/rankme/paper_wide', 'rankme', {}, 1e-8),
    ):
      found = label_free.score(name, features=features, **options)
      np.testing.assert_allclose(found, values[key], rtol)


class PropertyTest(parameterized.TestCase):
  def test_names(self):
    names = 'alpha_req', 'random_alignment', 'rankme', 'transac'
    self.assertEqual(_NAMES, names)

  @parameterized.parameters(*_NAMES)
  def test_claimed_invariances_hold(self, name):
    inputs = _inputs()
    features = inputs['features']
    changed = {
      'rotation': features @ measures_testing.rotation(110),
      'scale': 3.7 * features,
      'shift': features + np.linspace(0, 2, 110),
    }
    expected = label_free.score(name, **inputs)
    for invariance in label_free.info(name).invariances:
      found = label_free.score(
        name, **{**inputs, 'features': changed[invariance]}
      )
      np.testing.assert_allclose(found, expected, 1e-5, err_msg=invariance)

  def test_rankme_counts_equal_directions(self):
    for rank in (1, 4, 9):
      features = np.vstack([np.eye(9)[:rank]] * 2)
      found = label_free.score('rankme', features=features)
      self.assertAlmostEqual(found, rank, places=4)

  def test_alpha_req_is_the_exponent_of_a_power_law(self):
    rng = np.random.default_rng(0)
    values = np.arange(1.0, 121) ** -0.7  # Variances fall with 1.4.
    x = rng.normal(size=(200, 120))
    left = np.linalg.qr(x - x.mean(axis=0))[0]
    found = label_free.score('alpha_req', features=left * values)
    self.assertAlmostEqual(found, 1.4, places=8)
    self.assertAlmostEqual(label_free.info('alpha_req').ordered(1.4), -0.4)

  def test_the_series_of_transac_diverges_and_the_logarithm_does_not(self):
    inputs = _inputs()
    inputs['features'] = 25 * inputs['features']
    exact = label_free.score('transac', **inputs)
    series = label_free.score('transac', **inputs, taylor=5)
    self.assertGreater(series, 1e3 * exact)

  def test_a_network_is_like_its_own_twin(self):
    inputs = _inputs()
    inputs['random_features'] = [inputs['features']] * 3
    for batch in (None, 10):
      found = label_free.score('random_alignment', **inputs, batch=batch)
      self.assertAlmostEqual(found, 1, places=10)

  def test_what_is_not_defined_is_refused(self):
    inputs = _inputs()
    for name, changes, message in (
      ('rankme', {'features': np.zeros((5, 3))}, 'are zero'),
      ('rankme', {'form': 'x'}, 'form'),
      ('alpha_req', {'features': np.ones((200, 120))}, '0 principal'),
      ('alpha_req', {'features': inputs['features'][:50]}, 'looks at 100'),
      ('alpha_req', {'first': 0}, 'ranks must ascend'),
      ('transac', {'epsilon': 0}, 'epsilon=0'),
      ('transac', {'taylor': 0}, 'taylor=0'),
      ('transac', {'source_probs': None}, 'transac needs source_probs'),
      (
        'transac',
        {'source_probs': inputs['source_probs'][1:]},
        '129 samples, and features of 130',
      ),
      ('random_alignment', {'random_features': []}, 'three or more'),
      (
        'random_alignment',
        {'random_features': [inputs['features'][1:]] * 3},
        'Random network 1 saw 129 images',
      ),
      ('random_alignment', {'batch': 3}, 'batch=3'),
      (
        'random_alignment',
        {'features': np.ones((130, 4))},
        '^features is the same for all images',
      ),
      ('rankme', {'luck': 1}, "no option 'luck'"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        label_free.score(name, **{**inputs, **changes})

  def test_the_table_is_what_scores_are_registered_as(self):
    text = (module_graph.ROOT / 'docs' / 'measures.md').read_text('utf-8')
    table = text[text.index('| label-free score |') :].split('\n\n')[0]
    rows = [line.strip('| ').split(' | ') for line in table.splitlines()[2:]]
    self.assertEqual([row[0].strip('`') for row in rows], list(_NAMES))
    for name, row in zip(_NAMES, rows, strict=True):
      known = label_free.info(name)
      needs = ', '.join(known.needs)
      expected = [needs, known.direction, known.cost, known.reference]
      self.assertEqual(row[1:], expected)


if __name__ == '__main__':
  absltest.main()
