"""Tests that functions that no registry names give what they gave.

Those of registries are in `known_scores`. Inputs are small, drawn with a seed,
and have what is easily confused: unequal sides, ties, gaps and single members.
"""

import functools

from absl.testing import absltest
import numpy as np

from tests import known_values, measures_testing
from transferability import (
  affinity,
  agreement,
  baselines,
  clustering,
  descriptors,
  grouping,
  history,
  hubs,
  label_free,
  map_transforms,
  measures,
  oracle,
  permutations,
  pixel_agreement,
  random_units,
  ranking,
  resampling,
  scoring,
  similarity,
  sketches,
  source_data,
  source_selection,
  subspaces,
  transfer_graph,
)
from transferability.measures import linear_algebra, ridge_probe, samples
from transferability.recommendation import (
  calibration,
  chances,
  decision,
  floor,
  labels,
  scores,
  situations,
)
from transferability.similarity import bases, decodability, kernels, task2vec
from transferability.source_data import (
  data,
  domain_similarity,
  linear_heads,
  multi_source_weights,
  otce,
  transfer_measure,
  transport,
)

_NAMES = ('e', 'b', 'd', 'a', 'c', 'f')
_SCALE = 0.7


def _normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def _integers(most, *shape, seed=0):
  return np.random.default_rng(seed).integers(most, size=shape)


def _cosines(images=5, models=6, seed=0):
  rows = _normal(images, models, 4, seed=seed)
  rows /= np.linalg.norm(rows, axis=2, keepdims=True)
  return rows @ rows.transpose(0, 2, 1)


def _affinity():
  found = _cosines().mean(axis=0)
  np.fill_diagonal(found, 1)
  return found


def _tree(protocol='paper'):
  near = np.round(_affinity(), 2)
  return clustering.task_similarity_tree(near, _NAMES, protocol)


def _oracle(targets=4):
  values = np.exp(_normal(targets, 6, seed=3))
  return oracle.Oracle.from_affinity(values, _NAMES[:targets], _NAMES)


def _ranked(targets=4):
  known = _oracle(targets)
  return oracle.Oracle(known.targets, known.sources, known.ranking)


def _history():
  known = np.round(_normal(4, 6, seed=5), 1)
  known[0, 1] = known[2, 4] = known[3, 0] = np.nan
  known[1] = 2.0
  return history.History(_NAMES[:4], _NAMES, known)


def _tied():
  return np.round(_normal(9, seed=6)), np.round(_normal(9, seed=7), 1)


def _transfers():
  losses = np.exp(_normal(14, seed=8))
  pairs = [(t, (s,)) for t in 'xyz' for s in 'xyzv'] + [
    ('x', ('v', 'y')),
    ('z', ('x', 'v')),
  ]
  return transfer_graph.transfers_of_losses(
    dict(zip(pairs, losses, strict=True))
  )


def _plain(choice):
  """Returns a choice of sources without the objects in it."""
  served = {t: each.sources for t, each in choice.transfers.items()}
  return choice.sources, served, choice.value, choice.cost


def _case(seed, below=True):
  level = _normal(7, seed=seed + 20) - 1
  found = _normal(7, seed=seed)
  found[2] = np.nan
  return calibration.MeasuredTarget(
    f'target {seed}',
    found,
    found + 0.2 * _normal(5, 7, seed=seed + 10),
    level,
    np.exp(-0.8 * np.nan_to_num(found) + 0.3 * _normal(7, seed=seed + 30)),
    found <= level if below else None,
  )


def _evidence():
  own = _normal(2, 6, seed=2)
  own[0] = [3, 2.5, np.nan, 0.1, 2.4, -2]
  return decision.CandidateEvidence(
    situations.SITUATIONS['labels'],
    _NAMES,
    {'ridge_probe': own[0], 'logme': own[1]},
    own[0] + 0.3 * _normal(20, 6, seed=4),
    own,
    0.4 * _normal(2, 6, 3, seed=5),
    {'a': ['It is old.']},
    {'d': 'It is damaged.'},
    {},
    30,
  )


def _ends(seed=0, sizes=(14, 11), d=3):
  return [
    (_normal(n, d, seed=seed + n) + i, _integers(3, n, seed=n + 1) + 2 * i)
    for i, n in enumerate(sizes)
  ]


def _domains(sizes=(14, 11)):
  (x, y), (u, v) = _ends(sizes=sizes)
  return data.check(x, y, u, v)


AFFINITIES = {
  'affinity.centred': lambda: affinity.centred(_normal(5, 5)),
  'affinity.without_hubs': lambda: affinity.without_hubs(_normal(5, 5)),
  'affinity.distance': lambda: affinity.distance(_normal(3, 5)),
  'affinity.unit_rows': lambda: affinity.unit_rows(
    _normal(3, 5) * [[1], [0], [9]]
  ),
  'affinity.mean_cosine': lambda: affinity.mean_cosine(_cosines()),
  'agreement.compare': lambda: agreement.compare(*_tied(), num_draws=200),
  'agreement.compare of six': lambda: agreement.compare(
    *(each[:6] for each in _tied()), num_draws=200, seed=1
  ),
  'agreement.rows_of_table': lambda: agreement.rows_of_table(
    (), agreement.compare(*_tied(), num_draws=20)
  ),
  'baselines.random': lambda: baselines.random_baseline(_oracle(), 2),
  'baselines.group': lambda: baselines.group_baseline(
    dict(zip(_NAMES, 'ppqqrr', strict=True)), _oracle()
  ),
  'baselines.group preference': lambda: baselines.group_baseline(
    dict(zip(_NAMES, 'ppqqrr', strict=True)),
    _oracle(),
    {'p': ['q', ('p', 'r')], 'q': ['r']},
    3,
  ),
  'baselines.constant': lambda: baselines.constant_ranking(_oracle()),
  'baselines.other_targets': lambda: baselines.other_targets(_oracle()),
  **{
    f'baselines.symmetrised {method}': (
      lambda method=method: baselines.symmetrised_oracle(_oracle(), method)
    )
    for method in baselines.SYMMETRISATIONS
  },
  'baselines.transposed': lambda: baselines.transposed_oracle(_oracle()),
  'baselines.best_symmetric': lambda: [
    baselines.best_symmetric(_oracle(), k, 2)[0] for k in (1, 2, 5)
  ],
  'baselines.ceiling': lambda: baselines.symmetric_ceiling(_oracle(), 2),
  'clustering.tree': lambda: _tree().newick(),
  'clustering.tree of rows': lambda: _tree('released_code').newick(),
  'clustering.clusters': lambda: [_tree().clusters(n) for n in range(1, 7)],
  'clustering.adjusted_rand_index': lambda: [
    clustering.adjusted_rand_index(*pair)
    for pair in (
      ('aabbc', 'aabcc'),
      ('abc', 'aab'),
      ('aaa', 'bbb'),
      ('ab', 'cd'),
    )
  ],
  'clustering.correlations': lambda: [
    compare(*(_tree(protocol) for protocol in clustering.PROTOCOLS))
    for compare in (clustering.cophenetic_correlation, clustering.bakers_gamma)
  ],
  'grouping.permutation_test': lambda: [
    grouping.permutation_test(
      _affinity(), 'xxyyzz', name, strata=strata, num_permutations=50
    )
    for name in grouping.statistics()
    for strata in (None, 'ppqqpp')
  ],
  'grouping.pairs': lambda: grouping.permutation_test(
    _affinity(), 'xxyyzz', pairs=np.add.outer(range(6), range(6)) % 3 > 0
  ),
  'grouping.groups': lambda: [
    [g.size, g.within, g.between, g.nearest_neighbour_rate]
    + [g.mean_average_precision, g.p_value]
    for g in grouping.groups(_affinity(), 'xxyyyz', 50)
  ],
  'hubs': lambda: hubs.skewness(hubs.occurrences(_oracle().ranking, 2)),
  'permutations.random': lambda: list(
    permutations.random_labellings(np.arange(8) % 3, np.arange(8) // 5, 3, 1)
  ),
  'permutations.test': lambda: [
    permutations.test(
      lambda drawn: drawn[:, :3].sum(axis=1) - 2.0,
      np.arange(n) % 3,
      np.arange(n) // 6,
      40,
      1,
    )
    for n in (6, 30)
  ],
  'ranking.priority': lambda: ranking.priority(_oracle()),
  'ranking.curve': lambda: ranking.correlation_priority_curve(
    _affinity(), _NAMES, _oracle()
  ),
  'ranking.p_values': lambda: [
    ranking.precision_p_values(
      *(_affinity(), _NAMES, _oracle()),
      num_relevant=n,
      groups=groups,
      num_permutations=30,
    )
    for n in (2, 5)
    for groups in (None, dict(zip(_NAMES, 'ppqqrr', strict=True)))
  ],
  'ranking.precision_recall': lambda: ranking.precision_recall(
    ranking.rank_sources(_affinity(), _NAMES, _NAMES), _oracle(), 2
  ),
  'ranking.spearman': lambda: ranking.spearman(
    ranking.rank_sources(_affinity(), _NAMES, _NAMES), _oracle()
  ),
  'resampling.drawn': lambda: [
    each.drawn(4, 1)
    for means in [resampling.ImageMeans(_cosines())]
    for errors in [
      resampling.ImageErrors(_cosines() ** 2, np.abs(_cosines(seed=1)))
    ]
    for each in (
      *(means, errors, resampling.MeanOfResampled([means, errors])),
      *(means.part([2, 0]), errors.part([2, 0])),
      resampling.MeanOfResampled([means, errors]).part([1, 5, 3]),
    )
  ],
  'resampling.size': lambda: [
    resampling.ImageMeans(_cosines()).size,
    resampling.ImageErrors(_cosines(), _cosines()).size,
    resampling.MeanOfResampled([resampling.ImageMeans(_cosines())] * 2).size,
  ],
  'resampling.score': lambda: resampling.score(
    resampling.ImageMeans(_cosines()).drawn(5, 2), _NAMES, _oracle(), 2
  ),
  'resampling.subsets': lambda: resampling.subsets(7, 3, 4, 1),
  'resampling.interval': lambda: resampling.interval(_normal(40, 2)),
}

MAPS = {
  'descriptors': lambda: [
    each.affinity(other)
    for kind in (descriptors.Sketcher(64, 1), descriptors.Sketcher())
    for each, other in [
      [
        kind.of(enumerate(_normal(3, 50) + seed * _normal(3, 50, seed=1)))
        for seed in (0, 1)
      ]
    ]
  ],
  'descriptors.code': lambda: (
    descriptors.Sketcher(64, 1).of([(2, _normal(50)), (7, _normal(9))]).code
    % 999
  ),
  'descriptors.deviation': lambda: [
    *(descriptors.deviation(32704), descriptors.deviation(64, 0.6)),
    descriptors.Sketcher().words,
  ],
  'map_transforms.apply': lambda: [
    map_transforms.apply(text, maps)
    for text in (
      *('none', 'absolute', 'root', 'grey', 'pooled', 'centred'),
      'absolute+pooled+centred',
    )
    for maps in (_normal(2, 40, 33), _normal(2, 31, 70, 3))
  ],
  'map_transforms.quantise': lambda: [
    map_transforms.quantise(rows, bits)
    for rows in (_normal(3, 9), np.abs(_normal(2, 9)))
    for bits in (1, 2, 5)
  ],
  'map_transforms.without_common': lambda: (
    map_transforms.cosines_without_common_map(_cosines())
  ),
  'pixel_agreement': lambda: [
    measure(*ranks)
    for ranks in [
      [
        pixel_agreement.unit_ranks(_integers(9, 2, 12, seed=i))
        for i in range(3)
      ]
    ]
    for measure in (
      lambda x, y, z: pixel_agreement.correlation(x, y),
      pixel_agreement.partial_correlation,
    )
  ],
  'pixel_agreement.ranks': lambda: pixel_agreement.unit_ranks(
    np.array([[3, 1, 1, 2], [5, 5, 5, 5]])
  ),
  'pixel_agreement.p_value': lambda: pixel_agreement.own_column_p_value(
    _normal(4, 6), np.array([0, 2, 3, 5]), 99, 1
  ),
  'random_units': lambda: random_units.hidden(_normal(5, 3), 7),
  'sketches.sketched': lambda: sketches.sketched(_normal(3, 4, 5), 2, 16, 1),
  'sketches.of_kernel': lambda: sketches.of_kernel(_normal(4, 30), 3, 16, 2),
  'sketches.kernels': lambda: sketches.kernels(
    np.stack(
      [sketches.of_kernel(_normal(4, 30, seed=i), 3, 64) for i in range(3)]
    )
  ),
  'sketches.deviations': lambda: [
    *(sketches.kernel_bound(256, 10), sketches.kernel_bound(64, 3, 1.5)),
    *(sketches.deviation(256, 10), sketches.deviation(64, 3, 0.5)),
  ],
  'subspaces.kernel': lambda: subspaces.kernel(
    subspaces.products(_normal(3, 4, 30))
  ),
  'subspaces.span': lambda: [
    subspaces.span(subspaces.products(rows), softness)
    for rows in (_normal(3, 4, 30), _normal(3, 4, 2))
    for softness in (0, 0.3)
  ],
  'subspaces.of_images': lambda: subspaces.pairs(
    [_normal(2, 4, 9, seed=i) for i in range(3)], subspaces.kernel
  ),
}

TRANSFERS = {
  'history.predict': lambda: [
    function(_history(), target, (*_NAMES, 'new'), similarity)
    for function in (history.predict, history.predict_all)
    for target in ('e', 'new')
    for similarity in (None, {'b': 0.1, 'd': 2.0}, {'new': 1.0})
  ],
  'history.standing': lambda: _history().standing(),
  'history.combine': lambda: history.combine(*_history().scores),
  'history.of_oracle': lambda: [
    history.History.of_oracle(known).scores for known in (_oracle(), _ranked())
  ],
  'oracle.ahp_affinity': lambda: oracle.ahp_affinity(
    oracle.win_rates(np.round(_normal(4, 9), 1))
  ),
  'oracle.extreme': lambda: oracle.ahp_affinity(
    oracle.win_rates(np.array([[1.0, 1], [2, 2], [2, 3]]))
  ),
  'oracle.stability': lambda: oracle.stability(
    [
      oracle.Oracle.from_affinity(_normal(3, 6, seed=i), _NAMES[:3], _NAMES)
      for i in range(3)
    ],
    2,
  ),
  'oracle.parts': lambda: [
    _oracle().only('b').affinity,
    _oracle().restrict('acb').affinity,
    _oracle().relevant('e', 3),
  ],
  'oracle.rank_correlation': lambda: oracle.rank_correlation(
    np.array([[2, 0, 1, 3], [3, 2, 1, 0]])
  ),
  'source_selection': lambda: [
    _plain(
      source_selection.select_sources(
        source_selection.first_order_transfers(
          _affinity(), _NAMES, targets, sources
        ),
        *more,
      )
    )
    for targets, sources in ((None, None), ('abc', 'cdef'))
    for more in (
      (1,),
      (2.5, {'c': 0.5, 'd': 2.0}),
      (3, None, {'a': 0, 'b': 4.0}),
    )
  ],
  'transfer_graph.of_affinity': lambda: [
    [t.performance for t in found]
    for measured in (False, True)
    for found in [
      transfer_graph.transfers_of_affinity(
        _normal(3, 4), 'abc', 'bcad', own_is_measured=measured
      )
    ]
  ],
  'transfer_graph.of_losses': lambda: [t.performance for t in _transfers()],
  'transfer_graph.restrict': lambda: [
    (t.target, t.sources)
    for order, targets, sources in ((1, 'x', None), (2, None, 'xv'))
    for t in transfer_graph.restrict(_transfers(), order, targets, sources)
  ],
  'transfer_graph.judge': lambda: [
    (judge.judge(choice, 1), judge.judge(choice, 2), _plain(choice))
    for judge in [transfer_graph.Judge(_transfers())]
    for truth in (None, judge)
    for budget in (1, 2)
    for choice in [transfer_graph.choose(_transfers(), budget, truth)]
  ],
  'transfer_graph.blind': lambda: transfer_graph.Judge(_transfers()).blind(
    'xz', list('xyzv'), 2, 9, 1
  ),
  'transfer_graph.quality': lambda: [
    t.performance for t in transfer_graph.Judge(_transfers()).normalised()
  ],
}

RECOMMENDATION = {
  'chances.halves': lambda: [
    chances.halves(9, 3, 1),
    chances.halves(9, 2, 1, np.arange(9) % 2),
  ],
  'chances.spread': lambda: [
    chances.spread(scores, level)
    for scores in ([1, 4, np.nan], [2, 2, 2], [np.nan] * 3)
    for level in (None, [0, np.nan, 1])
  ],
  'chances.simulate': lambda: [
    chances.simulate(case.scores, draws, 0.8, chances.Noise(0.5), k, 1, first)
    for case in [_case(0)]
    for draws in (None, case.draws)
    for k, first in ((3, None), (1, 4))
  ],
  'chances.freedom': lambda: chances.simulate(
    [1, 2, 2.5], None, 1.0, chances.Noise(1.0, 2.0)
  ),
  'calibration.case': lambda: [
    (case.ranks, case.excess, case.stated(chances.Noise(0.4)))
    for case in (_case(1), _case(1, False), _case(2).part(np.array([0, 4, 5])))
  ],
  'calibration.measure': lambda: calibration.measure(
    'logme', [_case(i, i < 2) for i in range(3)], 'small'
  ),
  'calibration.fit': lambda: calibration.fit([_case(i) for i in range(2)]),
  'calibration.with_parts': lambda: [
    case.scores for case in calibration.with_parts([_case(0), _case(1)], 3)
  ],
  'calibration.reliability': lambda: calibration.reliability(
    [(np.array([0, 0.05, 0.1, 0.3, 0.95, 0.99, 1]), np.arange(7) % 2 == 0)]
  ),
  'decision': lambda: _plain_decision(
    decision.decide(_evidence(), chances.Noise(0.5), 1)
  ),
  'floor': lambda: [
    floor.find(_normal(5), _normal(5, 4, seed=1)),
    floor.find(
      [1, 2, np.nan], [[0, np.nan, 1], [1, np.nan, np.nan], [2, 3, 4]]
    ),
    floor.find([1], [[np.nan, 2]]),
    floor.find(_normal(5), _normal(5, 4, seed=1), 0.2),
    floor.find_by_all(_normal(2, 5), _normal(2, 5, 3, seed=1)),
  ],
  'labels.of_cells': lambda: [
    labels.of_cells(labels.of(values), 2, 3)
    for values in (
      *(_normal(3, 5, 7, 2), _normal(3, 4, 6, 9)),
      *(_integers(3, 2, 5, 7), _integers(9, 2, 5, 7)),
    )
  ],
  'labels.of_patches': lambda: np.abs(
    labels.of_patches(labels.of(_normal(2, 20, 70, 1)), 3, 8)
  ),
  'labels.of_small_patches': lambda: labels.of_patches(
    labels.of(_integers(3, 2, 6, 5)), 16, 8
  ),
  'labels.quantised': lambda: labels.quantised(np.round(_normal(33), 1)),
  'labels.standardised': lambda: labels.standardised(_normal(5, 2) * [1, 0]),
  'labels.of': lambda: [
    labels.of(values).values
    for values in (
      *(np.arange(20), np.arange(21), [3, 1, 3], [[2], [1], [2]]),
      *([True, False], ['b', 'a', 'b'], _integers(4, 2, 3, 2)),
    )
  ],
  'labels.of_predictions': lambda: [
    labels.of_predictions(_normal(4, *sides, 2)).values.shape
    for sides in ((1, 1), (1, 2), (2, 1), (3, 3))
  ],
  'scores.coarser': lambda: [
    scores.coarser(_normal(2, 5, 3, 4), most) for most in (60, 59, 16, 15, 3)
  ],
  'scores.leading': lambda: np.abs(
    scores.leading(_normal(3, 2, 2, 5) * [1, 2, 3, 0, 1], 3)
  ),
  'scores.by_labels': lambda: [
    _scored(scores.ByLabels(labels.of(values), 1), measure, shape)
    for values, shapes in (
      (np.arange(30) % 3, ((2, 2, 6), (9, 8, 20))),
      (_normal(30), ((2, 3, 4),)),
      (_normal(30, 2), ((2, 3, 4),)),
      (_normal(30, 8, 10, 1), ((2, 3, 4), (2, 3, 60), (9, 8, 34))),
      (_integers(3, 30, 8, 10), ((2, 3, 4),)),
    )
    for shape in shapes
    for measure in ('ridge_probe', 'logme', 'h_score_shrinkage')
  ],
  'scores.negated': lambda: _scored(
    scores.ByLabels(labels.of(np.arange(30) % 3)), 'lfc', (2, 2, 6)
  ),
  'scores.by_similarity': lambda: [
    _scored(scores.BySimilarity(_normal(30, *shape, seed=1)), name, (3, 2, 5))
    for shape in ((2, 2, 4), (12, 11, 70))
    for name in ('rsa', 'decodability_dds')
  ],
}


def _plain_decision(found):
  rows = [
    [row.rank, row.name, row.score, row.low, row.high, row.p_best]
    + [row.p_among, row.p_beats_first, row.share_among, row.floor]
    + [row.others, row.trained, row.is_untrained, *row.notes]
    for row in found.rows
  ]
  return rows, found.recommended, found.tied, found.k, found.num_images


def _scored(scorer, measure, shape):
  prepared = scorer.prepare(_normal(30, *shape, seed=9))
  rows = np.arange(4, 30)
  drawn = [rows[::2], rows[3:20]]
  return scorer.draws(measure, prepared, rows, drawn) + [
    scorer.score(measure, prepared, rows)
  ]


SOURCES = {
  'data.draw': lambda: [
    (each.features, each.labels, each.classes, each.counts)
    for number in (5, 11, 12, 14)
    for each in data.draw(*_domains(), number, 1)
  ],
  'data.share_classes': lambda: [
    (each.labels, each.classes, each.counts)
    for each in data.share_classes(*_domains())
  ],
  'domain_similarity.rank': lambda: domain_similarity.rank_source_classes(
    *_ends()[0], *_ends()[1]
  ),
  'linear_heads': lambda: [
    (loss(heads), loss.logits(heads), loss.accuracy(heads[1]))
    for loss in [_loss()]
    for heads in [_normal(4, 12)]
  ],
  'linear_heads.fit': lambda: linear_heads.fit(_loss(), 0.1),
  'linear_heads.in_ball': lambda: linear_heads.minimise_in_ball(
    _loss(), _normal(3, 12), _normal(12, seed=1), 0.7, 200
  ),
  'linear_heads.sphere': lambda: linear_heads.sphere(_normal(5), 0.4, 3, 2),
  'multi_source_weights': lambda: [
    multi_source_weights.multi_source_weights(
      [_ends(1)[0], _ends(2, (9, 4))[0]],
      (_ends()[1][0], _ends()[1][1] - 2),
      embedding=embedding,
      debiased=debiased,
      complexity=complexity,
    )
    for embedding in multi_source_weights.EMBEDDINGS
    for debiased in (True, False)
    for complexity in multi_source_weights.COMPLEXITIES
  ],
  'multi_source_weights.of_counts': lambda: [
    multi_source_weights.of_counts(_integers(9, 3, 2, 4), debiased=debiased)
    for debiased in (True, False)
  ],
  'multi_source_weights.of_distributions': lambda: (
    multi_source_weights.of_distributions(
      np.random.default_rng(0).dirichlet(np.ones(5), 3), [9, 20, 30]
    )
  ),
  'otce.combine': lambda: [
    otce.combine(np.abs(_normal(4, 2)) * [1, 0.5]),
    otce.combine([[1, 2], [1, 4]], otce.Coefficients(2.0, 3.0, 0.5)),
  ],
  'otce.fit': lambda: [
    otce.fit_coefficients(_normal(n, 2), _normal(n, seed=1)) for n in (3, 7)
  ],
  'transfer_measure.gap': lambda: [
    found
    for options in (
      {'head': _normal(3, 4)},
      {'delta': 0.5, 'num_samples': 8, 'num_starts': 2},
    )
    for found in [
      transfer_measure.measure_gap(
        _ends()[0], (_ends()[1][0], _ends()[1][1] - 2), **options
      )
    ]
  ],
  'transport.between_samples': lambda: [
    transport.between_samples(np.abs(_normal(*shape)))
    for shape in ((4, 4), (6, 4), (7, 1), (37, 31))
  ],
  'transport.plan_of_masses': lambda: transport.plan_of_masses(
    np.abs(_normal(3, 2)), np.array([2, 1, 3]), np.array([2, 4]), ''
  ),
  'transport.sinkhorn': lambda: transport.sinkhorn(np.abs(_normal(5, 3)), 0.3),
  'transport.entropy': lambda: transport.conditional_entropy(
    np.abs(_normal(5, 3)) / 9, np.array([0, 1, 1, 2, 0]), np.array([1, 0, 1])
  ),
}


def _loss():
  x, y = _ends(sizes=(14,))[0]
  return linear_heads.CrossEntropy(np.column_stack([x, np.ones(14)]), y, 3)


def _task(size=4):
  return measures_testing.task(24, size)


MEASURES = {
  'linear_algebra': lambda: [
    linear_algebra.gram_eigenvalues(x)
    for x in (_normal(4, 7), _normal(7, 4), _normal(5, 3) @ _normal(3, 6))
  ],
  'linear_algebra.svd': lambda: [
    linear_algebra.gram_svd(x, tolerance)[0]
    for x in (_normal(4, 7), _normal(7, 4), _normal(5, 3) @ _normal(3, 6))
    for tolerance in (None, 0.3)
  ],
  'linear_algebra.components': lambda: [
    np.abs(linear_algebra.principal_components(samples.centre(x), 2)[0])
    for x in (_normal(4, 7), _normal(7, 4))
  ],
  'ridge_probe.errors': lambda: [
    ridge_probe.RidgeProbe(
      _task()['features'], hidden=hidden, num_folds=folds, groups=groups
    ).errors(_normal(24, 2, seed=1))
    for hidden, folds, groups in (
      *((5, 4, None), (0, 2, None)),
      (8, 5, np.arange(24) // 5),
    )
  ],
  'samples': lambda: [
    samples.class_sums(_normal(6, 2), np.array([1, 0, 1, 2, 2, 2])),
    samples.class_means(_normal(6, 2), np.array([1, 0, 1, 2, 2, 2])),
    samples.centre(_normal(6, 2) + 1e6),
  ],
  'samples.targets': lambda: [
    samples.check_targets(np.array([1, 0, 2, 1]), 4, False),
    samples.check_targets(np.array([1, 0, 2, 1]), 4, True),
    samples.check_targets(_normal(4, 2), 4, True),
  ],
  'scoring': lambda: [
    list(each.values())
    for chosen in [('logme', 'etran', 'lfc', 'transrate:experiments')]
    for each in scoring.score(
      chosen,
      {'a': _task()['features'], 'b': _normal(24, 5)},
      _task()['labels'],
    ).values.values()
  ],
  'scoring.sweep': lambda: scoring.transrate_sweep(
    {'a': _task()['features'], 'b': _normal(24, 5)}, _task()['labels']
  ),
}

SIMILARITY = {
  'bases.basis': lambda: [
    x @ x.T
    for kept, keep in ((0.9, 'variance'), (0.5, 'singular_values'))
    for x in [bases.basis(_normal(20, 5) * range(1, 6), kept, keep)[0]]
  ],
  'bases.correlations': lambda: bases.correlations(
    np.linalg.qr(_normal(9, 3))[0], np.linalg.qr(_normal(9, 2, seed=1))[0]
  ),
  'kernels': lambda: [
    kernel(_normal(6, 4))
    for kernel in (
      *(kernels.linear, kernels.rbf, kernels.laplacian, kernels.euclidean),
      *(kernels.cosine, kernels.pearson, kernels.z_norm, kernels.centred_rows),
    )
  ],
  'kernels.of_grams': lambda: [
    change(kernels.rbf(_normal(6, 4)))
    for change in (kernels.unbiased, kernels.centred)
  ],
  'kernels.ranks': lambda: kernels.ranks(
    np.round(kernels.rbf(_normal(6, 4)), 1)
  ),
  'decodability.by_image': lambda: [
    measure.compare_by_image(*map(measure.prepare, pair))
    for measure in [decodability.Decodability(hidden=6, channels=3)]
    for pair in [[_normal(12, 4, 6, 5), _normal(12, 2, 3, 4, seed=1)]]
  ],
  'task2vec': lambda: (
    [task2vec.distance(*embedded) for embedded in [np.abs(_normal(2, 6))]]
    + [
      task2vec.asymmetric_distance(x, y, np.abs(_normal(6, seed=2)))
      for x, y in [np.abs(_normal(2, 6))]
    ]
  ),
  'task2vec.fisher': lambda: task2vec.diagonal_fisher(
    _normal(4, 3, 5), np.random.default_rng(0).dirichlet(np.ones(3), 4)
  ),
}


def _edges():
  """Yields features [n, d], labels and probabilities that are borderline."""
  task = measures_testing.task(24, 4)
  x, y, probs = task['features'], task['labels'], task['source_probs']
  one_hot = np.eye(6)[probs.argmax(axis=1)]
  one_hot[one_hot[:, 2] > 0] = [0, 1, 0, 0, 0, 0]
  yield 'one feature', x[:, :1], y, probs
  yield 'a constant feature', x * [1, 1, 0, 1] + 0.3, y, one_hot
  yield 'equal samples', x[np.arange(24) // 3], np.arange(24) // 3 % 4, probs
  yield 'whole numbers', np.round(2 * x), y, probs
  yield 'wide', _normal(9, 40), np.arange(9) % 3, probs[:9]
  yield 'single members', x[:8], np.array([0, 0, 0, 0, 1, 2, 3, 3]), probs[:8]
  yield 'two samples', x[:2], np.array([0, 1]), probs[:2]
  yield 'far from zero', x + 1e3, y, probs
  yield 'weak', _normal(24, 4, seed=5), y, probs
  yield 'strong', np.eye(4)[y] + 1e-3 * x, y, probs


def _or_nothing(score, *inputs, **options):
  """Returns a score, or None where it is refused."""
  try:
    return score(*inputs, **options)
  except ValueError:
    return None


def _of_measure(name):
  return [
    _or_nothing(measures.score, name, features=x, labels=y, source_probs=probs)
    for _, x, y, probs in _edges()
  ]


def _of_label_free(name):
  return [
    _or_nothing(
      label_free.score,
      name,
      features=x,
      source_probs=probs,
      random_features=[_normal(len(x), 5, seed=i) for i in range(3)],
    )
    for _, x, _, probs in _edges()
  ]


def _of_similarity(name):
  if similarity.info(name).takes != 'representations':
    return []
  return [
    _or_nothing(similarity.score, name, *pair)
    for _, x, _, _ in _edges()
    for other in [_normal(len(x), 3, seed=4) + x[:, :1]]
    for pair in ((x, other), (other, x), (x, x))
  ]


def _of_source_data(name):
  return [
    _or_nothing(source_data.score, name, *pair)
    for _, x, y, _ in _edges()
    for other in [(x[::-1] + 0.4 * _normal(*x.shape), (y + 1) % 4)]
    for pair in (((x, y), other), (other, (x, y)))
  ]


EDGES = {
  f'{name} at edges': functools.partial(of, name)
  for of, names in (
    (_of_measure, measures.names()),
    (_of_label_free, label_free.names()),
    (_of_similarity, similarity.names()),
    (_of_source_data, source_data.names()),
  )
  for name in sorted(names)
}
EDGES |= {
  'gbc of constant features': lambda: measures.score(
    'gbc', features=[[0], [0], [0.01], [0.01]], labels=[0, 0, 1, 1]
  ),
  'ped of constant features': lambda: [
    measures.score(
      'ped',
      features=_task()['features'],
      labels=_task()['labels'],
      general_features=_normal(9, 4) * [1, 0, 1, 2],
      time_step=time_step,
      exit_ratio=exit_ratio,
    )
    for time_step, exit_ratio in ((0.5, 0), (3.0, 0), (1.0, 0.9))
  ],
  'pools': lambda: [
    measures.score_pool(
      name,
      [
        {'features': _task()['features'] * scale, 'labels': _task()['labels']}
        for scale in (1, 0.3, 4)
      ],
    )
    for name in ('etran', 'ncti', 'lfc')
  ],
  'source pools': lambda: source_data.score_sources(
    'otce', dict(zip('ab', _ends(), strict=True)), _ends(3)[1]
  ),
}

CASES = (
  *(AFFINITIES, MAPS, TRANSFERS, RECOMMENDATION, SOURCES, MEASURES, SIMILARITY),
  EDGES,
)


class KnownValuesTest(known_values.KnownValuesCase):
  def test_affinities_and_rankings(self):
    self.check(AFFINITIES)

  def test_maps_and_points(self):
    self.check(MAPS)

  def test_transfers(self):
    self.check(TRANSFERS)

  def test_recommendation(self):
    self.check(RECOMMENDATION)

  def test_source_data(self):
    self.check(SOURCES)

  def test_measures(self):
    self.check(MEASURES)

  def test_similarity(self):
    self.check(SIMILARITY)

  def test_registered_measures_at_edges(self):
    self.check(EDGES)


if __name__ == '__main__':
  absltest.main()
