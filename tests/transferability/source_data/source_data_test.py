"""Tests of source-data measures: known answers, and what keeps a score."""

from unittest import mock
import warnings

from absl.testing import absltest, parameterized
import numpy as np
from scipy import linalg

from tests import measures_testing, module_graph
from transferability import source_data
from transferability.source_data import (
  domain_similarity,
  jc_otce,
  multi_source_weights,
  otce,
  transfer_measure,
  transport,
)

_NAMES = source_data.names()
_ITERATIVE = {'transfer_measure': 2e-4}


def _pair(seed=0, sizes=(40, 50), d=6, num_classes=4, shift=0.5):
  """Returns source and target of the same, somewhat moved, classes."""
  rng = np.random.default_rng(seed)
  means = rng.normal(size=(num_classes, d))
  found = []
  for size, moved in zip(sizes, (shift, 0.0), strict=True):
    labels = rng.permutation(np.arange(size) % num_classes)
    places = means + moved * rng.normal(size=means.shape)
    found.append((places[labels] + 0.6 * rng.normal(size=(size, d)), labels))
  return found


def _mapped(pair, change):
  return [(change(features), labels) for features, labels in pair]


class RegisteredTest(parameterized.TestCase):
  """Holds for every registered measure."""

  def _same(self, name, pair, changed):
    np.testing.assert_allclose(
      source_data.score(name, *changed),
      source_data.score(name, *pair),
      rtol=_ITERATIVE.get(name, 1e-7),
      atol=1e-9,
    )

  def test_names_are_those_of_the_talk(self):
    self.assertEqual(
      _NAMES,
      (
        *('domain_similarity', 'f_otce', 'jc_otce', 'multi_source_weights'),
        *('otce', 'transfer_measure'),
      ),
    )

  @parameterized.parameters(*_NAMES)
  def test_the_order_of_samples_does_not_matter(self, name):
    pair = _pair()
    rng = np.random.default_rng(1)
    changed = []
    for features, labels in pair:
      order = rng.permutation(len(labels))
      changed.append((features[order], labels[order]))
    self._same(name, pair, changed)

  @parameterized.parameters(*_NAMES)
  def test_claimed_invariances_hold(self, name):
    pair = _pair()
    rng = np.random.default_rng(2)
    rotation, any_map = measures_testing.rotation(6), rng.normal(size=(6, 6))
    changes = {
      'rotation': lambda x: x @ rotation,
      'scale': lambda x: 7.3 * x,
      'shift': lambda x: x + np.arange(6),
      'linear': lambda x: x @ any_map,
    }
    for invariance in source_data.info(name).invariances:
      with self.subTest(invariance):
        self._same(name, pair, _mapped(pair, changes[invariance]))

  @parameterized.parameters(*_NAMES)
  def test_numbers_of_classes_and_gaps_do_not_matter(self, name):
    pair = _pair()
    numbers = np.array([7, 3, 100, 40])
    changed = [(features, numbers[labels]) for features, labels in pair]
    self._same(name, pair, changed)

  @parameterized.parameters(*_NAMES)
  def test_a_near_source_is_better_than_a_far_one(self, name):
    target = _pair()[1]
    sources = {
      'near': _pair(shift=0.1)[0],
      'far': _pair(shift=0.1)[0],
    }
    features, labels = sources['far']
    sources['far'] = (features[::-1] + 2.0, labels)
    found = source_data.score_sources(name, sources, target)
    if source_data.info(name).higher_is_better or name == 'otce':
      self.assertGreater(found['near'], found['far'])
    else:
      self.assertLess(found['near'], found['far'])

  @parameterized.parameters(*_NAMES)
  def test_singletons_missing_classes_and_few_samples_are_defined(self, name):
    (x, y), (u, v) = _pair(sizes=(9, 11), d=30)
    y, v = y.copy(), v.copy()
    y[y == 3] = 2  # The source lacks a class,
    v[0] = 9  # and the target has one of a single sample.
    self.assertTrue(np.isfinite(source_data.score(name, (x, y), (u, v))))
    x[:, 3] = 1.0
    u[:, 3] = 1.0
    self.assertTrue(np.isfinite(source_data.score(name, (x, y), (u, v))))

  @parameterized.product(name=_NAMES, flipped=(False, True))
  def test_degenerate_input_has_a_value_or_one_clear_error(self, name, flipped):
    rng = np.random.default_rng(0)
    (x, y), other = _pair()
    ones = np.ones_like(x)
    wide = rng.normal(size=(6, 30)), np.arange(6) % 3
    for case, source, target in (
      ('one class', (x, np.zeros_like(y)), other),
      ('classes of one only', (x[:5], np.arange(5)), other),
      ('labels with gaps', (x, 10 * y - 7), other),
      ('two samples', (x[:2], y[:2]), other),
      ('few samples', wide, wide),
      ('no class in common', (x, y + 10), other),
      ('a side is constant', (ones, y), other),
      ('both are constant', (ones, y), (ones, y)),
      ('all is zero', (0 * ones, y), (0 * ones, y)),
      ('equal rows', (np.repeat(x[:5], 8, axis=0), y), other),
    ):
      pair = (target, source) if flipped else (source, target)
      with self.subTest(case), warnings.catch_warnings():
        warnings.simplefilter('error')  # Of numbers that may be wrong.
        try:
          value = source_data.score(name, *pair)
        except ValueError as error:
          self.assertIn('constant' if 'constant' in case else 'zero', case)
          self.assertRegex(str(error), r'^[A-Z].{20,}\.$')
        else:
          self.assertTrue(np.isfinite(value))
          self.assertFalse(value == 0 and np.signbit(value))

  @parameterized.parameters(*_NAMES)
  def test_one_source_has_its_own_score_unless_sources_are_compared(self, name):
    source, target = _pair()
    found = source_data.score_sources(name, {'only': source}, target)
    alone = source_data.score(name, source, target)
    pooled = source_data.info(name).pool is not None
    self.assertEqual(found, {'only': 0.0 if pooled else alone})

  @parameterized.parameters(*_NAMES)
  def test_wrong_input_is_refused_in_one_line(self, name):
    (x, y), target = _pair()
    broken = x.copy()
    broken[3, 2] = np.nan
    for source, message in (
      ((x[:, :3], y), 'have 3 features, those of the target 6'),
      ((broken, y), r'source (1 )?features\[3, 2\] is nan'),
      ((x, y[1:]), r'source (1 )?labels have shape \(39,\)'),
      ((x, y / 2), 'dtype float64; give integers'),
      ((x[:0], y[:0]), 'source (1 )?features are of 0 sample'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        source_data.score(name, source, target)
    with self.assertRaisesRegex(ValueError, "no option 'luck'"):
      source_data.score(name, (x, y), target, luck=1)

  @parameterized.parameters(*_NAMES)
  def test_docstring_says_shapes_direction_and_source(self, name):
    measure = source_data.info(name)
    text = ' '.join(measure.function.__doc__.split())
    better = 'higher' if measure.higher_is_better else 'lower'
    self.assertRegex(text, f'(?i){better} is better')
    self.assertIn('[n, d]', text)
    self.assertIn(measure.reference.split(',')[0].split()[0], text)

  @parameterized.parameters(*_NAMES)
  def test_inputs_are_left_as_they_are(self, name):
    pair = _pair()
    for arrays in pair:
      for array in arrays:
        array.setflags(write=False)
    first = source_data.score(name, *pair)
    self.assertEqual(source_data.score(name, *pair), first)

  def test_an_error_of_one_source_names_it(self):
    source, target = _pair()
    sources = {'good': source, 'bad': (source[0][:, :2], source[1])}
    with self.assertRaisesRegex(ValueError, '^bad: .* 2 features'):
      source_data.score_sources('f_otce', sources, target)


class DomainSimilarityTest(parameterized.TestCase):
  def test_it_is_the_distance_of_points_on_a_line(self):
    source = (np.array([[0.0], [0.0], [4.0], [4.0]]), np.array([0, 0, 1, 1]))
    target = (np.array([[1.0]] * 3 + [[3.0]]), np.array([0, 0, 0, 1]))
    emd = source_data.score('domain_similarity', source, target, result='emd')
    self.assertAlmostEqual(emd, 1.5, places=12)
    similarity = source_data.score('domain_similarity', source, target)
    self.assertAlmostEqual(similarity, 0.985112, places=6)

  def test_too_many_classes_are_refused_beforehand(self):
    data = np.zeros((1500, 1)), np.arange(1500)
    with self.assertRaisesRegex(ValueError, '1500 x 1500 .*min_images'):
      source_data.score('domain_similarity', data, data)

  def test_equal_data_are_as_similar_as_can_be(self):
    _, target = _pair()
    found = source_data.score('domain_similarity', target, target)
    self.assertAlmostEqual(found, 1, places=12)

  def test_classes_alone_are_ranked_by_their_own_emd(self):
    source, target = _pair()
    classes, emd = domain_similarity.rank_source_classes(*source, *target)
    for label, value in zip(classes, emd, strict=True):
      rows = source[1] == label
      alone = source_data.score(
        *('domain_similarity', (source[0][rows], source[1][rows]), target),
        result='emd',
      )
      self.assertAlmostEqual(alone, value, places=10)
    self.assertTrue((np.diff(emd) >= 0).all())


class TransportTest(parameterized.TestCase):
  @parameterized.parameters((6, 6), (6, 9), (7, 11), (40, 30), (37, 41))
  def test_plans_have_their_marginals_and_no_plan_is_cheaper(self, n, m):
    rng = np.random.default_rng(n + m)
    cost = rng.random((n, m))
    plan = transport.between_samples(cost)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / n)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / m)
    with mock.patch.object(transport, '_LARGEST_ASSIGNMENT', 0):
      other = transport.between_samples(cost)
    self.assertAlmostEqual((plan * cost).sum(), (other * cost).sum(), places=9)
    regularised = transport.sinkhorn(cost, 0.05)
    self.assertLess((plan * cost).sum(), (regularised * cost).sum())

  def test_a_plan_that_would_take_too_long_is_refused_beforehand(self):
    cost = np.broadcast_to(1.0, (5000, 4999))
    with self.assertRaisesRegex(ValueError, '5000 x 4999 .*num_samples'):
      transport.between_samples(cost)

    cost = np.broadcast_to(1.0, (10_000, 10_000))
    with self.assertRaisesRegex(ValueError, '10000 x 10000 .*num_samples'):
      transport.between_samples(cost)

  @parameterized.parameters(0.05, 0.1, 1.0)
  def test_sinkhorn_fulfils_the_conditions_of_its_optimum(self, share):
    cost = np.random.default_rng(0).random((6, 9))
    plan = transport.sinkhorn(cost, share)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 9, rtol=1e-6)
    # e log P + c is a number for each row and one for each column: the slope
    # of <P, c> + e sum P log P is that of the two constraints.
    slope = share * cost.mean() * np.log(plan) + cost
    rows, columns = slope.mean(axis=1, keepdims=True), slope.mean(axis=0)
    np.testing.assert_allclose(slope, rows + columns - slope.mean(), atol=1e-8)

  def test_sinkhorn_goes_from_the_exact_plan_to_the_independent_one(self):
    cost = np.random.default_rng(0).random((6, 9))
    exact = transport.between_samples(cost)
    found = (transport.sinkhorn(cost, 2e-3) * cost).sum()
    self.assertAlmostEqual(found, (exact * cost).sum(), places=3)
    loose = transport.sinkhorn(cost, 1e4)
    np.testing.assert_allclose(loose, 1 / 54, rtol=1e-3)

  @parameterized.parameters(((40, 50), 6), ((9, 12), 20))
  def test_distances_of_gaussians_are_those_of_full_covariances(self, sizes, d):
    source, target = (
      jc_otce.data.domain(*side, 'x') for side in _pair(sizes=sizes, d=d)
    )
    found = jc_otce._gauss(source, target)
    for a in range(4):
      x = source.features[source.labels == a]
      for b in range(4):
        y = target.features[target.labels == b]
        first, second = (np.cov(z.T, ddof=0) for z in (x, y))
        values, vectors = np.linalg.eigh(first)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        cross = np.linalg.eigvalsh(root @ second @ root)
        expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
        expected += np.trace(first) + np.trace(second)
        expected -= 2 * np.sqrt(np.maximum(cross, 0)).sum()
        self.assertAlmostEqual(found[a, b], expected, places=5)

  def test_labels_that_the_plan_maps_leave_nothing_open(self):
    x = np.arange(12.0)[:, None]
    labels = np.arange(12) // 3
    found = source_data.score('f_otce', (x, labels), (x, labels // 2))
    self.assertEqual(found, 0)
    found = source_data.score('f_otce', (x, labels // 2), (x, labels))
    self.assertAlmostEqual(found, -np.log(2), places=12)

  def test_draws_are_those_of_the_seed(self):
    pair = _pair(sizes=(200, 210))
    one, same, other = (
      source_data.score('f_otce', *pair, num_samples=60, seed=seed)
      for seed in (0, 0, 1)
    )
    self.assertEqual(one, same)
    self.assertNotEqual(one, other)
    both = source_data.score('f_otce', *pair, num_samples=60, num_draws=2)
    self.assertAlmostEqual(both, (one + other) / 2, places=12)

  def test_two_samples_can_be_drawn_and_one_cannot(self):
    pair = _pair(sizes=(20, 21))
    with self.assertRaisesRegex(ValueError, 'give 2 or more'):
      source_data.score('f_otce', *pair, num_samples=1)
    self.assertLessEqual(source_data.score('f_otce', *pair, num_samples=2), 0)


class OtceTest(absltest.TestCase):
  def test_coefficients_give_the_accuracies_that_they_were_read_off(self):
    rng = np.random.default_rng(0)
    terms = rng.random((8, 2))
    wanted = otce.Coefficients(-0.3, -0.2, 0.7)
    found = otce.fit_coefficients(terms, otce.combine(terms, wanted))
    for field in ('wasserstein', 'conditional_entropy', 'intercept'):
      self.assertAlmostEqual(getattr(found, field), getattr(wanted, field))

  def test_both_terms_weigh_minus_a_half_of_what_they_deviate(self):
    terms = np.array([[1.0, 30], [2, 30], [3, 60]])
    first = np.array([-1, 0, 1]) / np.sqrt(2 / 3)
    second = np.array([-10, -10, 20]) / np.sqrt(200)
    np.testing.assert_allclose(otce.combine(terms), -(first + second) / 2)

  def test_a_term_that_differs_by_rounding_has_no_part(self):
    rng = np.random.default_rng(0)
    for scale in (1e-8, 1, 1e8):
      same = scale * np.array([0.1 + 0.2, 0.3, 0.3, 0.3])
      self.assertGreater(np.ptp(same), 0)
      others = rng.random(4)
      found = otce.combine(np.column_stack([same, others]))
      alone = otce.combine(np.column_stack([np.ones(4), others]))
      np.testing.assert_allclose(found, alone, atol=1e-12)

  def test_too_few_tasks_are_refused(self):
    with self.assertRaisesRegex(ValueError, '2 tasks .*three'):
      otce.fit_coefficients(np.ones((2, 2)), [1, 2])
    with self.assertRaisesRegex(ValueError, 'depend linearly'):
      otce.fit_coefficients(np.ones((4, 2)), np.arange(4))

  def test_one_source_scores_zero(self):
    source, target = _pair()
    found = source_data.score_sources('otce', {'only': source}, target)
    self.assertEqual(found, {'only': 0.0})


class MultiSourceTest(parameterized.TestCase):
  def test_the_worked_example(self):
    found = multi_source_weights.of_moments(
      np.array([[0.0], [np.sqrt(0.5)]]),
      np.array([11.0, 11.0]),
      np.array([20, 100]),
      debiased=False,
    )
    self.assertAlmostEqual(found.alpha[1], 0.474138, places=6)
    self.assertAlmostEqual(found.loss, 0.289224, places=6)
    self.assertAlmostEqual(found.relative_gain, found.alpha[1], places=12)

  @parameterized.parameters(*range(6))
  def test_no_other_weights_lose_less(self, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 5))
    matrix = root.T @ root + np.diag([1, 0, 0.1, 2, 0])
    found = multi_source_weights._least_on_simplex(matrix)
    self.assertAlmostEqual(found.sum(), 1)
    self.assertTrue((found >= 0).all())
    drawn = rng.dirichlet(np.full(5, 0.3), 4000)
    losses = np.einsum('ni,ij,nj->n', drawn, matrix, drawn)
    self.assertLessEqual(found @ matrix @ found, losses.min() + 1e-12)

  def test_the_weight_of_all_sources_is_the_relative_gain(self):
    sources = [_pair(seed)[0] for seed in range(3)]
    found = multi_source_weights.multi_source_weights(sources, _pair()[1])
    gain = 1 - found.alpha[0]
    self.assertAlmostEqual(found.relative_gain, gain, places=8)

  def test_a_task_whitened_by_itself_is_as_long_as_its_h_score(self):
    from transferability import measures

    features, labels = _pair()[0]
    task = multi_source_weights.data.domain(features, labels, 'x')
    means, _ = multi_source_weights._whitened([task])
    expected = measures.score('h_score', features=features, labels=labels)
    # Divides by n where the H-score divides by n - 1, alike on both sides.
    self.assertAlmostEqual((means**2).sum(), expected, places=8)

  def test_counts_are_compared_by_the_pooled_distribution(self):
    counts = np.array([[4, 3, 0, 3], [10, 2, 5, 3], [1, 0, 6, 3]])
    found = multi_source_weights.of_counts(counts, debiased=False)
    shares = counts / counts.sum(axis=1, keepdims=True)
    pooled = counts.sum(axis=0) / counts.sum()
    t = (shares[0] * (1 - shares[0]) / pooled).sum() / 10
    for i in (1, 2):
      s = (shares[i] * (1 - shares[i]) / pooled).sum() / counts[i].sum()
      s += ((shares[i] - shares[0]) ** 2 / pooled).sum()
      self.assertAlmostEqual(found.alpha_single[i - 1], t / (t + s))
      self.assertAlmostEqual(found.loss_single[i - 1], t * s / (t + s))

  def test_debiased_distances_of_equal_tasks_vanish_in_the_mean(self):
    rng = np.random.default_rng(0)
    sources, targets = rng.normal(size=(2, 300, 12, 2))
    labels = np.zeros(12, int)
    found = {
      debiased: np.mean(
        [
          multi_source_weights.multi_source_weights(
            *([(x, labels)], (y, labels)), embedding='raw', debiased=debiased
          ).alpha_single[0]
          for x, y in zip(sources, targets, strict=True)
        ]
      )
      for debiased in (False, True)
    }
    # As good as the target's own samples, the source weighs as much.
    self.assertAlmostEqual(found[True], 0.5, delta=0.1)
    self.assertLess(found[False], found[True] - 0.1)

  @parameterized.parameters('raw', 'whitened')
  def test_embeddings_written_out_give_the_same_weights(self, embedding):
    pair = _pair()
    features = np.concatenate([x for x, _ in pair])
    labels = np.concatenate([y for _, y in pair])
    if embedding == 'whitened':
      centred = features - features.mean(axis=0)
      root = linalg.sqrtm(linalg.inv(centred.T @ centred / len(centred)))
      features = centred @ root
    shares = np.bincount(labels) / len(labels)
    blocks = np.zeros((len(labels), 4, 6))
    for i, label in enumerate(labels):
      unit = np.sqrt(shares[label]) if embedding == 'whitened' else 1
      blocks[i, label] = features[i] / unit
    source, target = np.split(
      blocks.reshape(len(labels), -1), [len(pair[0][1])]
    )
    spread = [
      ((side - side.mean(axis=0)) ** 2).sum(axis=1).mean() / len(side)
      for side in (target, source)
    ]
    apart = ((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum()
    for debiased in (False, True):
      distance = max(0, apart - sum(spread)) if debiased else apart
      expected = spread[0] / (spread[0] + spread[1] + distance)
      found = source_data.score(
        *('multi_source_weights', *pair),
        embedding=embedding,
        debiased=debiased,
      )
      self.assertAlmostEqual(found, expected, places=10)

  def test_a_target_that_does_not_vary_is_refused(self):
    source, (features, labels) = _pair()
    target = np.ones_like(features), np.zeros_like(labels)
    with self.assertRaisesRegex(ValueError, 'target has no variance'):
      source_data.score('multi_source_weights', source, target, embedding='raw')
    with self.assertRaisesRegex(ValueError, 'There is no source'):
      multi_source_weights.multi_source_weights([], target)


class TransferMeasureTest(parameterized.TestCase):
  def test_no_head_in_the_ball_does_worse_than_equation_2_says(self):
    rng = np.random.default_rng(0)
    source, target = _pair(d=1, num_classes=2)
    head = rng.normal(size=(2, 2))
    found = transfer_measure.measure_gap(source, target, head=head, delta=1)
    steps = rng.normal(size=(20_000, 4))
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    steps *= rng.random((20_000, 1)) ** 0.25
    heads = (head.ravel() + steps).reshape(-1, 2, 2)
    losses = []
    for x, y in (source, target):
      inputs = np.column_stack([x, np.ones(len(x))])
      logits = np.einsum('nf,hcf->hnc', inputs, heads)
      own = logits[:, np.arange(len(y)), y]
      losses.append((np.log(np.exp(logits).sum(axis=2)) - own).mean(axis=1))
    of_source, of_target = losses
    for bound, values in (
      (found.sup_target_minus_source, of_target - of_source),
      (found.sup_source_minus_target, of_source - of_target),
      (-found.least_target, -of_target),
      (-found.least_source, -of_source),
    ):
      self.assertGreaterEqual(bound, values.max() - 1e-9)
      self.assertAlmostEqual(bound, values.max(), delta=0.03)
    excess = of_target - of_target.min() - (of_source - of_source.min())
    self.assertAlmostEqual(found.one_sided, excess.max(), delta=0.05)

  def test_source_and_target_do_not_change_places(self):
    head = np.random.default_rng(1).normal(size=(4, 7))
    there, back = (
      transfer_measure.measure_gap(*pair, head=head)
      for pair in (_pair(), _pair()[::-1])
    )
    self.assertAlmostEqual(
      there.sup_target_minus_source, back.sup_source_minus_target, places=4
    )
    self.assertGreater(abs(there.one_sided - back.one_sided), 0.01)
    self.assertAlmostEqual(there.symmetric, back.symmetric, places=4)

  def test_without_room_it_is_the_difference_at_the_head(self):
    found = transfer_measure.measure_gap(*_pair(), delta=0)
    self.assertAlmostEqual(found.one_sided, 0)
    self.assertGreater(found.realizable, 0)
    self.assertAlmostEqual(
      found.sup_target_minus_source, -found.sup_source_minus_target
    )

  @parameterized.parameters(1e-6, 1e6)
  def test_scale_does_not_matter_to_what_the_source_never_shows(self, scale):
    (source, labels), target = _pair()
    source[:, 0] = 0.1
    pair = (source, labels), target
    scaled = [(features * scale, labels) for features, labels in pair]
    self.assertAlmostEqual(
      source_data.score('transfer_measure', *scaled, num_starts=2),
      source_data.score('transfer_measure', *pair, num_starts=2),
      places=4,
    )

  def test_equal_domains_have_no_gap(self):
    source, _ = _pair()
    for delta in (0.5, 2):
      value = source_data.score('transfer_measure', source, source, delta=delta)
      self.assertAlmostEqual(value, 0, places=8)

  def test_it_grows_with_the_ball_and_keeps_its_bounds(self):
    last = 0.0
    for delta in (0.25, 0.5, 1, 2):
      found = transfer_measure.measure_gap(*_pair(), delta=delta)
      self.assertGreaterEqual(found.one_sided, last)
      self.assertGreaterEqual(found.symmetric, found.one_sided)
      self.assertLessEqual(found.symmetric, 2 * found.realizable + 1e-9)
      last = found.one_sided

  def test_the_span_of_few_samples_is_all_that_counts(self):
    pair = _pair(sizes=(12, 13), d=40)
    head = np.random.default_rng(0).normal(size=(4, 41))
    with mock.patch.object(transfer_measure, '_basis', lambda inputs: None):
      plain = transfer_measure.measure_gap(*pair, head=head, num_starts=0)
    short = transfer_measure.measure_gap(*pair, head=head, num_starts=0)
    self.assertAlmostEqual(plain.one_sided, short.one_sided, places=5)

  def test_a_head_that_does_not_fit_is_refused(self):
    pair = _pair()
    with self.assertRaisesRegex(ValueError, r'shape \(4, 6\).*times 7'):
      source_data.score('transfer_measure', *pair, head=np.ones((4, 6)))
    with self.assertRaisesRegex(ValueError, 'labels are 0 to 3; the head has'):
      source_data.score('transfer_measure', *pair, head=np.ones((3, 7)))
    with self.assertRaisesRegex(ValueError, 'l2=0'):
      source_data.score('transfer_measure', *pair, l2=0)


class DocumentationTest(absltest.TestCase):
  def test_the_table_is_what_measures_are_registered_as(self):
    text = (module_graph.ROOT / 'docs' / 'measures.md').read_text('utf-8')
    table = text[text.index('| source-data measure |') :].split('\n\n')[0]
    rows = [line.strip('| ').split(' | ') for line in table.splitlines()[2:]]
    self.assertEqual([row[0].strip('`') for row in rows], list(_NAMES))
    for name, row in zip(_NAMES, rows, strict=True):
      measure = source_data.info(name)
      self.assertEqual(
        row[1:],
        [
          'one for both' if measure.shared_labels else 'one each',
          'higher' if measure.higher_is_better else 'lower',
          measure.cost,
          measure.reference,
          'yes' if measure.optimisation_free else 'no',
        ],
      )

  def test_rows_of_the_talk_are_filled_from_the_code(self):
    text = (module_graph.ROOT / 'docs' / 'measures.md').read_text('utf-8')
    self.assertNotIn('not implemented', text)
    for row, name in (
      ('DS', 'domain_similarity'),
      ('Zhang et al.', 'transfer_measure'),
      ('Tong et al.', 'multi_source_weights'),
    ):
      line = text[text.index(f'| {row} |') :].splitlines()[0]
      cells = line.strip('| ').split(' | ')
      measure = source_data.info(name)
      better = 'higher' if measure.higher_is_better else 'lower'
      self.assertEqual(cells[2:5], [better, measure.cost, measure.reference])
      self.assertEqual(cells[7], 'yes' if measure.optimisation_free else 'no')
      self.assertIn(f'`transferability/source_data/{name}.py`', cells[10])


if __name__ == '__main__':
  absltest.main()
