"""Property tests: what must not change a measure's score."""

from absl.testing import absltest, parameterized
import hypothesis
from hypothesis import strategies
import numpy as np

from tests import measures_testing
from transferability import measures

_NAMES = measures.names()
# N-LEEP's mixture starts from samples that are drawn by their place, and a
# probe's folds are by it.
_DETERMINISTIC = [n for n in _NAMES if n not in ('nleep', 'ridge_probe')]
_ITERATIVE = {'pactran': 1e-3, 'ped': 1e-6}

_shapes = strategies.tuples(
  strategies.integers(12, 40),
  strategies.integers(3, 30),
  strategies.integers(2, 5),
)
_seeds = strategies.integers(0, 2**31 - 1)
_SETTINGS = hypothesis.settings(
  max_examples=12, deadline=None, derandomize=True, database=None
)


def _claiming(invariance):
  return [n for n in _NAMES if invariance in measures.info(n).invariances]


def _task(shape, seed):
  inputs = measures_testing.task(*shape, seed=seed)
  inputs['features'] += 0.5
  return inputs


class InvarianceTest(parameterized.TestCase):
  def _same(self, name, inputs, changed):
    np.testing.assert_allclose(
      measures.score(name, **changed),
      measures.score(name, **inputs),
      rtol=_ITERATIVE.get(name, 1e-7),
      atol=1e-8,
    )

  @parameterized.parameters(*_DETERMINISTIC)
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_order_of_samples_does_not_matter(self, name, shape, seed):
    inputs = _task(shape, seed)
    order = np.random.default_rng(seed).permutation(shape[0])
    self._same(name, inputs, {key: x[order] for key, x in inputs.items()})

  @parameterized.parameters(*_NAMES)
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_numbers_of_classes_do_not_matter(self, name, shape, seed):
    inputs = _task(shape, seed)
    numbers = np.random.default_rng(seed).permutation(shape[2])
    self._same(name, inputs, {**inputs, 'labels': numbers[inputs['labels']]})

  @parameterized.parameters('leep', 'nce')
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_the_numbers_of_source_classes_do_not_matter(self, name, shape, seed):
    inputs = _task(shape, seed)
    probs = inputs['source_probs']
    order = np.random.default_rng(seed).permutation(probs.shape[1])
    self._same(name, inputs, {**inputs, 'source_probs': probs[:, order]})

  @parameterized.parameters(*_claiming('rotation'))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_a_rotation_does_not_matter(self, name, shape, seed):
    inputs = _task(shape, seed)
    rotated = inputs['features'] @ measures_testing.rotation(shape[1], seed)
    self._same(name, inputs, {**inputs, 'features': rotated})

  @parameterized.product(name=_claiming('scale'), scale=(1e-3, 7.0, 1e5))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_scale_does_not_matter(self, name, scale, shape, seed):
    inputs = _task(shape, seed)
    scaled = inputs['features'] * scale
    self._same(name, inputs, {**inputs, 'features': scaled})

  @parameterized.product(
    name=sorted(set(_claiming('shift')) - {'ridge_probe'}), size=(5, 40)
  )
  def test_digits_are_kept_far_from_the_origin(self, name, size):
    inputs = _task((30, size, 3), 0)
    near = np.round(inputs['features'] * 2**10) / 2**10
    found = measures.score(name, **{**inputs, 'features': near})
    far = measures.score(name, **{**inputs, 'features': near + 2.0**20})
    np.testing.assert_allclose(far, found, _ITERATIVE.get(name, 1e-6))

  @parameterized.parameters('sfda', 'ped')
  def test_the_order_of_samples_of_features_that_sum_to_one(self, name):
    inputs = _task((40, 30, 3), 0)
    exponents = np.exp(inputs['features'])
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(40)
    self._same(
      name,
      {**inputs, 'features': shares},
      {'features': shares[order], 'labels': inputs['labels'][order]},
    )

  @parameterized.parameters(*_claiming('shift'))
  @_SETTINGS
  @hypothesis.given(shape=_shapes, seed=_seeds)
  def test_a_shift_does_not_matter(self, name, shape, seed):
    inputs = _task(shape, seed)
    shift = np.random.default_rng(seed).normal(size=shape[1]) * 10
    self._same(name, inputs, {**inputs, 'features': inputs['features'] + shift})

  @_SETTINGS
  @hypothesis.given(seed=_seeds)
  def test_an_invertible_map_does_not_matter(self, seed):
    inputs = _task((40, 8, 3), seed)
    matrix = np.eye(8) + np.triu(np.ones((8, 8)), 1)
    mapped = inputs['features'] @ matrix
    self.assertNotEmpty(_claiming('linear'))
    for name in _claiming('linear'):
      self._same(name, inputs, {**inputs, 'features': mapped})

  @parameterized.parameters('transrate', 'sfda', 'etran', 'ncti', 'pactran')
  def test_scale_matters_where_it_is_not_claimed_not_to(self, name):
    inputs = _task((40, 8, 3), 0)
    scaled = {**inputs, 'features': inputs['features'] / 9}
    self.assertNotAlmostEqual(
      measures.score(name, **scaled), measures.score(name, **inputs), places=4
    )


if __name__ == '__main__':
  absltest.main()
