"""Tests of attribution subspaces against full Jacobians."""

from absl.testing import absltest, parameterized
import numpy as np

from tests import measures_testing
from transferability import similarity, subspaces

_PIXELS = 30


def _jacobians(seed=0, sizes=(12, 7, 20)):
  """Returns Jacobians [D, P] that share a few directions of the picture."""
  rng = np.random.default_rng(seed)
  common = rng.normal(size=(4, _PIXELS))
  return [
    rng.normal(size=(d, 4)) @ common + rng.normal(size=(d, _PIXELS))
    for d in sizes
  ]


def _rows(jacobians, probes, images, seed=1):
  """Returns rows of probes, by network [images, K, P]."""
  rng = np.random.default_rng(seed)
  return [
    np.stack([rng.normal(size=(probes, len(j))) @ j for _ in range(images)])
    for j in jacobians
  ]


def _exact_kernel(a, b):
  norm = np.linalg.norm
  return norm(a @ b.T) ** 2 / (norm(a @ a.T) * norm(b @ b.T))


def _exact_span(target, basis):
  q, _ = np.linalg.qr(basis.T)
  return np.linalg.norm(target @ q) ** 2 / np.linalg.norm(target) ** 2


class SubspacesTest(parameterized.TestCase):
  def test_kernel_is_that_of_the_full_jacobians(self):
    jacobians = _jacobians()
    rows = _rows(jacobians, probes=200, images=20)
    found = subspaces.pairs(rows, subspaces.kernel).mean(axis=0)
    for a, first in enumerate(jacobians):
      for b, second in enumerate(jacobians):
        exact = _exact_kernel(first, second)
        self.assertAlmostEqual(found[a, b], exact, delta=0.02)

  def test_the_parts_of_the_kernel_are_without_bias(self):
    first, second, _ = _jacobians()
    rows = np.stack(_rows([first, second], probes=3, images=6000), axis=1)
    cross, own = [], []
    for image in rows:
      gram = subspaces.products(image)
      cross.append(np.square(gram[0, 1]).mean())
      off = np.square(gram[0, 0])[~np.eye(3, dtype=bool)]
      own.append(off.mean())
    for found, exact in (
      (cross, np.linalg.norm(first @ second.T) ** 2),
      (own, np.linalg.norm(first @ first.T) ** 2),
    ):
      error = np.std(found) / np.sqrt(len(found))
      self.assertLess(abs(np.mean(found) - exact), 4 * error)
      self.assertLess(error, 0.05 * exact)

  def test_pairs_of_the_same_probe_would_be_biased(self):
    # Why the diagonal is left out: E<v^T J, v^T J>^2 holds the trace squared.
    first = _jacobians()[0]
    rows = _rows([first], probes=4, images=2000)[0]
    own = np.stack([subspaces.products(r[None])[0, 0] for r in rows])
    with_diagonal = np.square(own).mean()
    self.assertGreater(
      with_diagonal, 1.3 * np.linalg.norm(first @ first.T) ** 2
    )

  def test_error_falls_with_probes_and_with_images(self):
    jacobians = _jacobians()[:2]
    exact = _exact_kernel(*jacobians)

    def error(probes, images):
      found = [
        subspaces.pairs(
          _rows(jacobians, probes, images, seed), subspaces.kernel
        )[:, 0, 1].mean()
        for seed in range(30)
      ]
      return np.sqrt(np.mean(np.square(np.subtract(found, exact))))

    self.assertLess(error(16, 4), 0.7 * error(4, 4))
    self.assertLess(error(4, 16), 0.9 * error(4, 2))

  def test_span_is_the_energy_within_the_sources_rows(self):
    target, source, _ = _jacobians()
    basis = _rows([source], probes=5, images=1)[0][0]
    rows = _rows([target], probes=4000, images=1)[0][0]
    inside = np.array(
      [
        subspaces.pairs((rows[i : i + 5][None], basis[None]), subspaces.span)[
          0, 0, 1
        ]
        for i in range(0, 4000, 5)
      ]
    )
    energy = np.square(rows).reshape(-1, 5 * _PIXELS).sum(axis=1)
    self.assertAlmostEqual(
      np.average(inside, weights=energy), _exact_span(target, basis), delta=0.01
    )

  def test_span_of_as_many_probes_as_units_is_that_of_the_jacobian(self):
    target, source, _ = _jacobians()
    rows = [
      _rows([source], probes=7, images=1)[0],
      _rows([target], probes=7, images=1)[0],
    ]
    found = subspaces.pairs(rows[::-1], subspaces.span)[0, 0, 1]
    exact = _exact_span(rows[1][0], source)
    self.assertAlmostEqual(found, exact, places=5)

  def test_span_has_a_direction(self):
    wide, narrow = _rows(_jacobians(sizes=(20, 2)), probes=20, images=3)
    found = subspaces.pairs((wide, narrow), subspaces.span).mean(axis=0)
    self.assertGreater(found[1, 0], 2 * found[0, 1])

  def test_a_source_that_sees_all_directions_has_everything(self):
    first, second = _rows(_jacobians(sizes=(8, 40)), probes=40, images=2)
    found = subspaces.pairs((first, second), subspaces.span)
    np.testing.assert_allclose(found[:, 0, 1], 1, atol=1e-3)

  def test_softness_keeps_a_span_from_saturating(self):
    rows = _rows(_jacobians(sizes=(8, 40)), probes=40, images=2)
    found = subspaces.pairs(rows, lambda g: subspaces.span(g, softness=1))
    self.assertLess(found[:, 0, 1].max(), 0.9)

  @parameterized.parameters(0.0, 0.3, 5.0)
  def test_each_direction_of_a_source_counts_by_its_share(self, softness):
    source, target = _rows(_jacobians(sizes=(8, 12)), probes=6, images=3)
    found = similarity.score(
      'attribution_span', target, source, softness=softness
    )
    expected = []
    for own, seen in zip(target, source, strict=True):
      _, values, directions = np.linalg.svd(seen, full_matrices=False)
      energies = values**2
      counts = energies / (energies + softness * np.mean(energies))
      inside = np.sum((own @ directions.T) ** 2, axis=0)
      expected.append(np.sum(counts * inside) / np.sum(own**2))
    self.assertAlmostEqual(found, np.mean(expected), places=5)
    small = subspaces.pairs(
      (target, 1e-6 * source), lambda gram: subspaces.span(gram, softness)
    )
    self.assertAlmostEqual(small[:, 0, 1].mean(), found, places=5)

  @parameterized.parameters(-0.1, np.inf, np.nan)
  def test_no_such_softness_is_taken(self, softness):
    rows = _rows(_jacobians(sizes=(8, 12)), probes=6, images=1)
    with self.assertRaisesRegex(ValueError, 'softness is'):
      similarity.score('attribution_span', *rows, softness=softness)

  def test_directions_below_the_precision_of_storage_are_none(self):
    probes = np.eye(5, 20)
    probes[1:] *= 1e-3  # Their energy is a millionth of the first one's.
    rows = probes[None], np.ones((1, 5, 20))
    self.assertAlmostEqual(
      similarity.score('attribution_span', rows[1], rows[0]), 1 / 20
    )

  @parameterized.parameters('attribution_kernel', 'attribution_span')
  def test_rotation_of_a_representation_does_not_matter(self, name):
    # Rotated, the same directions are other ones: equal in distribution.
    target, source, _ = _jacobians()
    turned = measures_testing.rotation(len(source)) @ source

    def values(chosen):
      rows = _rows([target, chosen], probes=6, images=1500)
      measure = subspaces.MEASURES[name]
      return subspaces.pairs(rows, measure)[:, 0, 1]

    before, after = values(source), values(turned)
    error = np.sqrt((before.var() + after.var()) / len(before))
    self.assertLess(abs(before.mean() - after.mean()), 4 * error)
    # The map of the paper, the mean over units, is another one.
    means = [j.mean(axis=0) for j in (target, source, turned)]
    target_map, *maps = (m / np.linalg.norm(m) for m in means)
    cosines = [float(target_map @ m) for m in maps]
    self.assertGreater(abs(cosines[0] - cosines[1]), 0.05)

  def test_rotation_of_probes_changes_nothing_to_the_last_digits(self):
    rows = _rows(_jacobians(), probes=6, images=4)
    turned = measures_testing.rotation(6)
    for measure in subspaces.MEASURES.values():
      before = subspaces.pairs(rows, measure)
      if measure is subspaces.kernel:
        continue  # Its diagonal pairs are those of the probes that were drawn.
      after = subspaces.pairs([turned @ r for r in rows], measure)
      np.testing.assert_allclose(after, before, rtol=1e-6)

  def test_a_network_does_not_depend_on_others(self):
    rows = _rows(_jacobians(), probes=6, images=3)
    for measure in subspaces.MEASURES.values():
      every = subspaces.pairs(rows, measure)
      some = subspaces.pairs(rows[:2], measure)
      np.testing.assert_array_equal(every[:, :2, :2], some)

  def test_networks_need_maps_of_one_shape(self):
    rows = _rows(_jacobians(), probes=6, images=3)
    with self.assertRaisesRegex(ValueError, 'same number of directions'):
      subspaces.pairs((rows[0], rows[1][:, :5]), subspaces.kernel)


class RegisteredTest(parameterized.TestCase):
  @parameterized.parameters(*similarity.names('probes'))
  def test_score_is_the_mean_over_images(self, name):
    rows = _rows(_jacobians(), probes=6, images=5)
    found = subspaces.pairs(rows, subspaces.MEASURES[name]).mean(axis=0)
    self.assertAlmostEqual(
      similarity.score(name, rows[0], rows[2]), found[0, 2], places=5
    )
    names, matrix = similarity.matrix(name, dict(zip('abc', rows, strict=True)))
    self.assertEqual(names, ('a', 'b', 'c'))
    np.testing.assert_allclose(matrix, found, atol=1e-5)

  @parameterized.parameters(*similarity.names('probes'))
  def test_scale_of_a_network_does_not_matter(self, name):
    first, second, _ = _rows(_jacobians(), probes=6, images=5)
    self.assertAlmostEqual(
      similarity.score(name, first * 1e-20, second * 1e15),
      similarity.score(name, first, second),
      places=5,
    )

  @parameterized.parameters(*similarity.names('probes'))
  def test_maps_without_a_direction_are_refused(self, name):
    first, second, _ = _rows(_jacobians(), probes=6, images=5)
    for value in (0, np.nan):
      bad = np.array(second)
      bad[3] = value
      with self.assertRaisesRegex(ValueError, '^y: .*image 3'):
        similarity.score(name, first, bad)
    with self.assertRaisesRegex(ValueError, '2 or more directions'):
      similarity.score(name, first[:, :1], second[:, :1])

  def test_spade_is_the_mean_of_its_parts(self):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    y = np.tanh(x @ rng.normal(size=(6, 9)))
    first, second, _ = _rows(_jacobians(), probes=6, images=5)
    parts = [
      similarity.score('attribution_span', first, second),
      similarity.score('decodability', x, y),
    ]
    self.assertAlmostEqual(
      similarity.score('spade', (x, first), (y, second)), np.mean(parts)
    )
    with self.assertRaisesRegex(ValueError, 'x must be a pair'):
      similarity.score('spade', x, (y, second))


class DecodabilityTest(parameterized.TestCase):
  def _pair(self, shape=(60, 6, 6, 5), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return x, rng

  def test_more_channels_than_places_have_the_same_components(self):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(24, 2, 2, 6)) @ rng.normal(size=(6, 70))
    y = x + 0.5 * rng.normal(size=x.shape)
    # 48 fitted rows, fewer than channels; with the images twice, more.
    few = x, y
    many = [np.concatenate([z, z]) for z in few]
    scores = [
      similarity.score('decodability', *pair, channels=5)
      for pair in (few, many)
    ]
    self.assertAlmostEqual(*scores, places=6)

  def test_it_is_the_sum_of_what_its_images_say(self):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(22, 4, 4, 5))
    y = np.concatenate([x[..., :2], rng.normal(size=x[..., :2].shape)], axis=-1)
    known = {'x': x, 'y': y}
    measure, prepared = similarity.prepare_all('decodability', known)
    pairs = ('x', 'y'), ('y', 'x'), ('x', 'x')
    for target, source in pairs:
      value, errors, squares = measure.compare_by_image(
        prepared[target], prepared[source]
      )
      self.assertLen(errors, measure.num_scored(prepared[target]))
      self.assertAlmostEqual(value, 1 - errors.sum() / squares.sum())
      expected = similarity.score('decodability', known[target], known[source])
      self.assertEqual(np.clip(value, 0, 1), expected)

  def test_what_a_neighbourhood_says_is_decoded(self):
    x, rng = self._pair()
    shifted = np.roll(x, 1, axis=1)[..., :3] @ rng.normal(size=(3, 4))
    found = similarity.score('decodability', shifted, x)
    self.assertGreater(found, 0.8)  # All but the first row of cells.
    alone = similarity.score('decodability', shifted, x, neighbourhood=1)
    self.assertLess(alone, 0.1)

  def test_it_has_a_direction(self):
    x, _ = self._pair()
    part = x[..., :1]
    self.assertGreater(similarity.score('decodability', part, x), 0.99)
    self.assertLess(similarity.score('decodability', x, part), 0.35)

  def test_it_is_r_squared_of_least_squares_where_data_are_plenty(self):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    y = x @ rng.normal(size=(3, 2)) + rng.normal(size=(4000, 2))
    scaled = y / y.std(axis=0)
    fitted = np.linalg.lstsq(x, scaled - scaled.mean(axis=0), rcond=None)[0]
    rest = scaled - scaled.mean(axis=0) - x @ fitted
    exact = 1 - np.square(rest).sum() / np.square(scaled).sum()
    found = similarity.score('decodability', y, x, num_images=4000)
    self.assertAlmostEqual(found, exact, delta=0.02)

  def test_unrelated_networks_have_nothing(self):
    x, rng = self._pair()
    self.assertLess(
      similarity.score('decodability', x, rng.normal(size=x.shape)), 0.02
    )

  def test_grids_of_different_size_meet(self):
    x, _ = self._pair((60, 8, 8, 5))
    small = x.reshape(60, 4, 2, 4, 2, 5).mean(axis=(2, 4))
    self.assertGreater(similarity.score('decodability', small, x), 0.99)
    self.assertGreater(similarity.score('decodability', x, small), 0.99)
    flat = x.mean(axis=(1, 2))
    self.assertGreater(similarity.score('decodability', flat, x), 0.99)

  def test_many_channels_are_their_principal_components(self):
    x, rng = self._pair((200, 4, 4, 5))
    wide = x @ rng.normal(size=(5, 300))
    self.assertGreater(similarity.score('decodability', wide, x), 0.99)
    self.assertGreater(similarity.score('decodability', x, wide), 0.99)

  def test_too_few_images_and_constant_ones_are_refused(self):
    x, rng = self._pair((3, 2, 2, 5))
    with self.assertRaisesRegex(ValueError, 'needs 4 or more images'):
      similarity.score('decodability', x, x + 1)
    x, rng = self._pair((8, 5))
    still = rng.normal(size=(8, 5))
    still[[0, 1, 4, 5]] = 1.0
    with self.assertRaisesRegex(ValueError, 'y: .*same for half'):
      similarity.score('decodability', x, still)

  def test_hidden_units_predict_what_no_line_does(self):
    x, _ = self._pair()
    even = np.abs(x - x.mean(axis=(0, 1, 2)))
    line = similarity.score('decodability', even, x, neighbourhood=1)
    units = similarity.score(
      'decodability', even, x, neighbourhood=1, hidden=200
    )
    self.assertLess(line, 0.1)
    self.assertGreater(units, line + 0.5)

  @parameterized.parameters(
    {'neighbourhood': 2}, {'channels': 0}, {'num_images': 3}, {'hidden': -1}
  )
  def test_options_are_checked(self, **options):
    x, _ = self._pair()
    with self.assertRaisesRegex(ValueError, next(iter(options))):
      similarity.score('decodability', x, x, **options)


if __name__ == '__main__':
  absltest.main()
