"""Tests of scoring by name, of what is refused, and of the table of docs."""

import re
import subprocess
import sys
from unittest import mock
import warnings

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing, module_graph
from transferability import measures, similarity
from transferability.measures import registry

_NAMES = (
  'etran',
  'gbc',
  'h_score',
  'h_score_shrinkage',
  'knn',
  'leep',
  'lfc',
  'logme',
  'nce',
  'ncti',
  'nleep',
  'pactran',
  'parc',
  'ped',
  'ridge_probe',
  'sfda',
  'transrate',
)
_OF_FEATURES = [n for n in _NAMES if 'features' in measures.info(n).needs]
_OF_SOURCES = [n for n in _NAMES if 'source_probs' in measures.info(n).needs]


class RegistryTest(parameterized.TestCase):
  def test_names_are_those_that_are_documented(self):
    self.assertEqual(measures.names(), _NAMES)

  @parameterized.parameters(*_NAMES)
  def test_score_is_a_finite_float_and_the_same_again(self, name):
    inputs = measures_testing.task()
    value = measures.score(name, **inputs)
    self.assertIs(type(value), float)
    self.assertTrue(np.isfinite(value))
    self.assertEqual(measures.score(name, **inputs), value)

  @parameterized.parameters(*_NAMES)
  def test_inputs_are_left_as_they_are(self, name):
    inputs = measures_testing.task()
    copies = {key: value.copy() for key, value in inputs.items()}
    for value in inputs.values():
      value.setflags(write=False)
    measures.score(name, **inputs)
    for key, value in inputs.items():
      np.testing.assert_array_equal(value, copies[key])

  @parameterized.parameters(*_NAMES)
  def test_single_precision_is_computed_in_double(self, name):
    inputs = measures_testing.task()
    single = {
      'features': inputs['features'].astype(np.float32),
      'source_probs': inputs['source_probs'].astype(np.float32),
      'labels': inputs['labels'].astype(np.uint8),
    }
    double = {
      'features': single['features'].astype(np.float64),
      'source_probs': single['source_probs'].astype(np.float64),
      'labels': inputs['labels'],
    }
    self.assertEqual(
      measures.score(name, **single), measures.score(name, **double)
    )

  @parameterized.parameters(*_NAMES)
  def test_the_function_itself_gives_the_score(self, name):
    inputs = measures_testing.task()
    measure = measures.info(name)
    direct = measure.function(*(inputs[need] for need in measure.needs))
    self.assertEqual(measures.score(name, **inputs), direct)

  @parameterized.parameters(*_NAMES)
  def test_a_missing_input_is_named(self, name):
    inputs = measures_testing.task()
    for need in measures.info(name).needs:
      others = {key: x for key, x in inputs.items() if key != need}
      with self.assertRaisesRegex(ValueError, f'{name} needs {need}'):
        measures.score(name, **others)

  def test_a_form_may_need_other_inputs(self):
    inputs = measures_testing.task()
    del inputs['features']
    for form in ('dirichlet', 'gamma'):
      self.assertGreater(measures.score('pactran', **inputs, form=form), 0)
    with self.assertRaisesRegex(ValueError, 'pactran needs features'):
      measures.score('pactran', **inputs)

  def test_inputs_that_are_not_needed_are_not_looked_at(self):
    inputs = measures_testing.task()
    inputs['source_probs'] = 'nothing'
    self.assertGreater(measures.score('transrate', **inputs), 0)

  def test_an_unknown_name_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'leap'.* leep"):
      measures.score('leap')

  def test_an_unknown_option_is_refused(self):
    with self.assertRaisesRegex(ValueError, "no option 'eps'.*'epsilon'"):
      measures.score('transrate', **measures_testing.task(), eps=1e-4)

  def test_a_score_that_is_not_finite_is_refused(self):
    inputs = {**measures_testing.task(), 'labels': np.zeros(60)}
    with self.assertRaisesRegex(ValueError, 'logme is nan .* not defined'):
      with np.errstate(all='ignore'):
        measures.score('logme', **inputs, form='tllib', regression=True)

  def test_only_pactran_is_better_when_lower(self):
    lower = [n for n in _NAMES if not measures.info(n).higher_is_better]
    self.assertEqual(lower, ['pactran'])

  @parameterized.parameters(*_NAMES)
  def test_a_better_representation_has_the_better_score(self, name):
    good, bad = (
      measures_testing.task(120, spread=spread) for spread in (0.5, 4.0)
    )
    bad['source_probs'] = good['source_probs'] * 0.3 + 0.7 / 6
    better, worse = (measures.score(name, **x) for x in (good, bad))
    if name == 'nce':  # Has the same source labels in both.
      self.assertEqual(better, worse)
    elif measures.info(name).higher_is_better:
      self.assertGreater(better, worse)
    else:
      self.assertLess(better, worse)


class MinMaxTest(parameterized.TestCase):
  @parameterized.parameters(1e-9, 0.3, 1.0, 50.0)
  def test_the_least_is_0_and_the_largest_1_however_near_they_are(self, span):
    values = 7 + span * np.array([0.0, 1.0, 0.25])
    np.testing.assert_allclose(
      registry.min_max(values), [0, 1, 0.25], atol=1e-5
    )

  def test_equal_values_are_0(self):
    np.testing.assert_array_equal(registry.min_max([3, 3]), [0, 0])
    self.assertEqual(registry.min_max([]).size, 0)


class ScoreAllTest(absltest.TestCase):
  def test_every_measure_is_scored(self):
    inputs = measures_testing.task()
    scores = measures.score_all(**inputs)
    self.assertEqual(tuple(scores), _NAMES)
    for name, value in scores.items():
      self.assertEqual(value, measures.score(name, **inputs))

  def test_measures_whose_inputs_are_missing_are_left_out(self):
    inputs = measures_testing.task()
    del inputs['features']
    scores = measures.score_all(
      **inputs, options={'pactran': {'form': 'gamma'}}
    )
    self.assertEqual(list(scores), ['leep', 'nce', 'pactran'])

  def test_options_go_to_their_measure(self):
    inputs = measures_testing.task()
    scores = measures.score_all(**inputs, options={'lfc': {'norm': 'spectral'}})
    self.assertEqual(
      scores['lfc'], measures.score('lfc', **inputs, norm='spectral')
    )

  def test_an_error_names_the_measure(self):
    inputs = measures_testing.task(num_classes=1)
    with self.assertRaisesRegex(ValueError, '^lfc: .*one class'):
      measures.score_all(**inputs)

  def test_options_of_an_unknown_measure_are_refused(self):
    with self.assertRaisesRegex(ValueError, "'leap'"):
      measures.score_all(**measures_testing.task(), options={'leap': {}})


class InputTest(parameterized.TestCase):
  """Holds for every registered measure."""

  def _refused(self, name, message, **changes):
    inputs = {**measures_testing.task(), **changes}
    with self.assertRaisesRegex(ValueError, message):
      measures.score(name, **inputs)

  @parameterized.product(name=_OF_FEATURES, value=(np.nan, np.inf))
  def test_features_that_are_not_finite_are_refused(self, name, value):
    features = measures_testing.task()['features']
    features[3, 2] = value
    self._refused(name, rf'features\[3, 2\] is {value}', features=features)

  @parameterized.product(
    name=_OF_FEATURES,
    features=(np.ones(60), np.ones((60, 2, 2)), np.ones((60, 0))),
  )
  def test_features_of_another_shape_are_refused(self, name, features):
    self._refused(name, 'features have shape', features=features)

  @parameterized.product(name=_OF_FEATURES, dtype=(complex, str, bool, object))
  def test_features_that_are_no_real_numbers_are_refused(self, name, dtype):
    features = measures_testing.task()['features'].astype(dtype)
    self._refused(name, 'features have dtype', features=features)

  @parameterized.product(name=_OF_FEATURES, scale=(1e-150, 1e150))
  def test_features_without_squares_are_refused(self, name, scale):
    features = measures_testing.task()['features'] * scale
    self._refused(name, 'out of the range', features=features)

  @parameterized.parameters(*_NAMES)
  def test_one_sample_is_refused(self, name):
    one = {key: x[:1] for key, x in measures_testing.task().items()}
    one['labels'] = np.zeros(1, int)
    self._refused(name, 'of 1 sample', **one)

  @parameterized.parameters(*_NAMES)
  def test_labels_of_other_samples_are_refused(self, name):
    labels = measures_testing.task()['labels'][1:]
    self._refused(name, '59 labels of 60 samples', labels=labels)

  @parameterized.parameters(*_NAMES)
  def test_labels_of_another_shape_are_refused(self, name):
    labels = np.eye(4, dtype=int)[measures_testing.task()['labels']]
    self._refused(name, 'labels have shape', labels=labels)

  @parameterized.product(name=_NAMES, dtype=(float, str, bool))
  def test_labels_that_are_no_integers_are_refused(self, name, dtype):
    labels = measures_testing.task()['labels'].astype(dtype)
    self._refused(name, 'labels have dtype', labels=labels)

  @parameterized.parameters(*_NAMES)
  def test_a_class_without_samples_is_refused(self, name):
    labels = measures_testing.task()['labels']
    labels[labels == 1] = 5
    self._refused(name, 'Class 1 has no sample', labels=labels)

  @parameterized.parameters(*_NAMES)
  def test_a_negative_label_is_refused(self, name):
    labels = measures_testing.task()['labels'] - 1
    self._refused(name, 'label is -1', labels=labels)

  @parameterized.parameters(*_NAMES)
  def test_a_huge_label_is_refused_without_counting_to_it(self, name):
    labels = measures_testing.task()['labels']
    labels[0] = 2**60
    self._refused(name, 'label is 1152921504606846976', labels=labels)

  @parameterized.product(name=_OF_SOURCES, factor=(0.99, 1.01))
  def test_probabilities_that_do_not_sum_to_one_are_refused(self, name, factor):
    probs = measures_testing.task()['source_probs']
    probs[5] *= factor
    self._refused(name, f'Row 5 .* sums to {factor}', source_probs=probs)

  @parameterized.product(name=_OF_SOURCES, factor=(0.9985, 1.0015))
  def test_sums_may_be_off_by_what_rounding_may_do(self, name, factor):
    inputs = measures_testing.task()
    inputs['source_probs'][5] *= (1 + factor) / 2
    score = measures.score(name, **inputs)
    self.assertTrue(np.isfinite(score))
    inputs['source_probs'][5] *= factor / ((1 + factor) / 2)
    with self.assertRaisesRegex(ValueError, 'Row 5 of source_probs sums'):
      measures.score(name, **inputs)

  @parameterized.parameters(*_OF_SOURCES)
  def test_negative_probabilities_are_refused(self, name):
    probs = measures_testing.task()['source_probs']
    probs[5, 0] -= 1
    probs[5, 1] += 1
    self._refused(name, r'\[5, 0\] is -.*negative', source_probs=probs)

  @parameterized.parameters(*_OF_SOURCES)
  def test_probabilities_that_are_not_finite_are_refused(self, name):
    probs = measures_testing.task()['source_probs']
    probs[5, 0] = np.nan
    self._refused(name, r'source_probs\[5, 0\] is nan', source_probs=probs)

  @parameterized.parameters(*_OF_SOURCES)
  def test_half_precision_probabilities_are_taken(self, name):
    inputs = measures_testing.task()
    inputs['source_probs'] = inputs['source_probs'].astype(np.float16)
    self.assertLess(measures.score(name, **inputs), 0)

  @parameterized.parameters(
    ('etran', 'term', 'x'),
    ('etran', 'percent', 0),
    ('gbc', 'covariance', 'x'),
    ('gbc', 'num_components', 10),
    ('h_score', 'ridge', -1),
    ('h_score', 'tolerance', 1),
    ('knn', 'num_neighbours', 60),
    ('knn', 'num_neighbours', 0),
    ('lfc', 'norm', 'x'),
    ('logme', 'form', 'x'),
    ('nce', 'smoothing', -1),
    ('ncti', 'term', 'x'),
    ('nleep', 'variance', 1),
    ('nleep', 'budget', 0),
    ('nleep', 'num_seeds', 0),
    ('pactran', 'form', 'x'),
    ('pactran', 'factor', 0),
    ('parc', 'num_components', 1),
    ('parc', 'label_distances', 'x'),
    ('ped', 'measure', 'x'),
    ('ped', 'general_features', np.ones((5, 3))),
    ('ped', 'general_features', np.full((5, 9), np.nan)),
    ('ped', 'reach', -1),
    ('ped', 'time_step', np.nan),
    ('ped', 'exit_ratio', np.nan),
    ('ridge_probe', 'hidden', -1),
    ('ridge_probe', 'num_folds', 1),
    ('ridge_probe', 'groups', np.zeros(59)),
    ('ridge_probe', 'groups', np.zeros(60)),
    ('transrate', 'form', 'x'),
    ('transrate', 'epsilon', 0),
    ('transrate', 'per_rank', True),
  )
  def test_an_option_out_of_range_is_refused(self, name, option, value):
    with self.assertRaisesRegex(ValueError, option):
      measures.score(name, **measures_testing.task(), **{option: value})

  def test_real_targets_must_fit_the_samples(self):
    for name in ('logme', 'ridge_probe'):
      self._refused(name, '59', labels=np.ones((59, 2)), regression=True)
      self._refused(
        name, 'labels.* is nan', labels=[np.nan] * 60, regression=True
      )
      self._refused(
        name, 'labels have dtype', labels=['a'] * 60, regression=True
      )


class WithoutScikitLearnTest(absltest.TestCase):
  def test_importing_the_package_does_not_import_it(self):
    code = (
      'import sys; from transferability import measures; '
      "assert 'sklearn' not in sys.modules"
    )
    subprocess.run(
      [sys.executable, '-c', code], check=True, cwd=module_graph.ROOT
    )

  def test_measures_that_need_it_say_how_to_install_it(self):
    inputs = measures_testing.task()
    hidden = {'sklearn': None}
    with mock.patch.dict(sys.modules, hidden):
      for name, options in (('nleep', {}), ('parc', {'num_components': 4})):
        with self.assertRaisesRegex(ImportError, r'\[measures\]'):
          measures.score(name, **inputs, **options)
      self.assertGreater(measures.score('parc', **inputs), 0)


def _degenerate() -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns features and labels that leave a measure little to go by."""
  rng = np.random.default_rng(0)
  features = rng.normal(size=(40, 6))
  labels = np.arange(40) % 4
  single = np.where(labels == 3, 2, labels)
  single[0] = 3
  wide = rng.normal(size=(12, 60))
  return {
    'a class of one': (features, single),
    'fewer samples than features': (wide, labels[:12]),
    'few samples and a class of one': (wide[:4], np.array([0, 0, 1, 2])),
    'classes of one only': (features[:5], np.arange(5)),
    'two samples': (wide[:2], np.arange(2)),
    'constant features': (np.ones((40, 6)), labels),
    'zeros': (np.zeros((40, 6)), labels),
    'a constant feature': (np.column_stack([features, np.ones(40)]), labels),
    'one class': (features, np.zeros(40, int)),
    'one feature': (features[:, :1], labels),
    'equal rows': (np.repeat(features[:5], 8, axis=0), labels),
    'far from the origin': (features + 1e6, labels),
  }


class DegenerateInputTest(parameterized.TestCase):
  @parameterized.product(name=_NAMES, case=tuple(_degenerate()))
  def test_it_has_a_value_or_one_clear_error(self, name, case):
    features, labels = _degenerate()[case]
    probs = np.random.default_rng(1).dirichlet(np.ones(5), len(labels))
    with warnings.catch_warnings():
      warnings.simplefilter('error')  # Of numbers that may be wrong.
      try:
        value = measures.score(
          name, features=features, labels=labels, source_probs=probs
        )
      except ValueError as error:
        self.assertRegex(str(error), r'^[A-Z].{20,}\.$')
        self.assertNotIn('\n', str(error))
      else:
        self.assertTrue(np.isfinite(value))


class DocumentationTest(parameterized.TestCase):
  @parameterized.parameters(*_NAMES)
  def test_docstring_says_shapes_direction_and_source(self, name):
    measure = measures.info(name)
    text = ' '.join(measure.function.__doc__.split())
    direction = 'higher' if measure.higher_is_better else 'lower'
    self.assertRegex(text, f'(?i){direction} is better')
    self.assertRegex(text, r'\[n, (d|Cs)\]')
    self.assertIn(measure.reference.split(',')[0], text)

  def test_rows_of_the_table_are_what_measures_are_registered_as(self):
    rows = {row[0].strip('`'): row for row in _rows() if row[0][0] == '`'}
    self.assertEqual(tuple(sorted(rows)), _NAMES)
    trained = {
      'pactran': 'no, a linear head',
      'ridge_probe': 'no, a ridge probe',
    }
    for name, row in rows.items():
      measure = measures.info(name)
      # A model that was trained without labels has features, no classes.
      general = 'no' if 'source_probs' in measure.needs else 'yes'
      expected = [
        ', '.join(measure.needs),
        'higher' if measure.higher_is_better else 'lower',
        measure.cost,
        measure.reference,
        'yes',
        trained.get(name, 'yes'),
        'yes' if measure.optimisation_free else 'no',
        general,
        general,
        '`transferability.measures`',
      ]
      self.assertEqual(row[1:], expected, name)

  def test_rows_of_other_methods_are_whole_and_name_what_is_there(self):
    rows = [row for row in _rows() if row[0][0] != '`']
    names = 'Attribution maps|Taskonomy|Task2Vec|RSA|DEPARA|DS'.split('|')
    self.assertEqual(
      [row[0] for row in rows], [*names, 'Zhang et al.', 'Tong et al.']
    )
    for row in rows:
      for answer in row[5:10]:
        self.assertIn(answer.split(',')[0], ('yes', 'no', '?'), row[0])
      for name in re.findall(r'`([^`]+)`', row[10]):
        if name.endswith('.py'):
          self.assertTrue((module_graph.ROOT / name).exists(), name)
        elif name != 'depara':
          self.assertIn(name, similarity.names())

  def test_rows_of_similarities_are_filled_from_the_code(self):
    rows = {row[0]: row for row in _rows()}
    for label, name in (('RSA', 'rsa'), ('DEPARA', 'depara_edge')):
      self.assertIn(f'`{name}`', rows[label][10])
      self.assertEqual(rows[label][2], 'higher')
      self.assertEqual(rows[label][4], similarity.info(name).reference)


def _rows() -> list[list[str]]:
  """Returns the cells of the table of methods in docs/measures.md."""
  text = (module_graph.ROOT / 'docs' / 'measures.md').read_text('utf-8')
  table = text[text.index('| measure | needs |') :].split('\n\n')[0]
  rows = [line.strip('| ').split(' | ') for line in table.splitlines()[2:]]
  assert {len(row) for row in rows} == {11}
  return rows


if __name__ == '__main__':
  absltest.main()
