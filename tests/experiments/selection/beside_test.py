"""Tests of the families beside the measures: lists, strengths, source data."""

import dataclasses
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from experiments.selection import (
  domains,
  features,
  report,
  source_samples,
  static_lists,
  strengths,
  study,
  targets,
)
from experiments.selection.features import Candidate
from taskonomy_models import bank as banks
from taskonomy_models.mini.tasks import MINI_TASKS
from tests import testing
from transferability import source_data
from transferability.history import History


def _track(items, **unused):
  return items


class StaticListsTest(absltest.TestCase):
  def test_networks_without_an_accuracy_stand_last(self):
    found = static_lists.imagenet({'c': ('vgg16', 'posenet', 'resnet50')})
    scores = found.scores['c'][static_lists.IMAGENET]
    self.assertGreater(scores['resnet50'], scores['vgg16'])
    self.assertEqual(scores['posenet'], 0)
    self.assertIsNone(static_lists.imagenet({'c': ('posenet', 'rgb2depth')}))

  def test_a_history_leaves_out_the_target_and_its_network(self):
    scores = np.array([[9.0, 0, 0], [9.0, 0, 0], [1.0, 2.0, 3.0]])
    known = History(('classes', 'net', 'other'), ('a', 'b', 'c'), scores)
    near = {'cka': {'a': 0.1, 'b': 0.2, 'c': 0.3, 'other': 0.5}}
    found = static_lists.of_history(
      known, 'classes', 'net', ('a', 'b', 'z'), {**near, 'logme': {
        'a': 3.0, 'b': 1.0, 'z': 2.0}}
    )  # fmt: skip
    self.assertEqual(list(found), ['history', 'history:cka', 'history+logme'])
    self.assertLess(found['history']['a'], found['history']['b'])
    self.assertEqual(found['history']['z'], 0)
    alone = History(('net',), ('a', 'b'), np.ones((1, 2)))
    self.assertEqual(
      static_lists.of_history(alone, 'classes', 'net', ('a',), {}), {}
    )


class StrengthsTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    bank = banks.load('mini')
    cls.candidates = [Candidate(e.name, e) for e in bank.encoders[:2]]
    cls.images = testing.images(6, 64)
    folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'strengths')
    cls.features = features.extract_all(
      cls.candidates, cls.images, 4, folder, _track
    )

  def compute(self, number):
    names = tuple(c.name for c in self.candidates)
    return strengths.compute(
      self.candidates,
      {name: found.values for name, found in self.features.items()},
      *(self.images, {'case': names}),
      *(self.create_tempdir().full_path, _track),
      num_twins=number,
      grid=4,
    )

  def test_a_twin_has_the_same_weights_in_another_order(self):
    encoder = self.candidates[0].encoder
    twin, again, other = (
      strengths.shuffled_twin(encoder, seed) for seed in (0, 0, 1)
    )
    folder = self.create_tempdir().full_path
    own, first, second, third = (
      features.extract(Candidate(f'x{i}', e), self.images, 4, folder).flat
      for i, e in enumerate((encoder, twin, again, other))
    )
    np.testing.assert_array_equal(first, second)
    self.assertGreater(np.abs(first - own).max(), 1e-3)
    self.assertGreater(np.abs(first - third).max(), 1e-3)
    self.assertEqual(own.shape, first.shape)

  def test_scores_are_the_same_for_every_case(self):
    found = self.compute(3)
    # Six images have no hundred principal components.
    self.assertEqual(found.measures, ('random_alignment', 'rankme'))
    self.assertEqual(found.family, strengths.FAMILY)
    for scores in found.scores['case'].values():
      self.assertTrue(np.isfinite(list(scores.values())).all())
    self.assertEqual(self.compute(0).measures, ('rankme',))


class SourceSamplesTest(parameterized.TestCase):
  @parameterized.parameters(*MINI_TASKS)
  def test_every_task_has_classes(self, name):
    task = MINI_TASKS[name]
    rng = np.random.default_rng(0)
    if task.dense:
      shape = (40, 8, 8) if task.classes else (40, 8, 8, task.outputs)
    else:
      shape = (40,) if task.classes else (40, task.outputs)
    labels = (
      rng.integers(task.outputs, size=shape)
      if task.classes
      else rng.normal(size=shape)
    )
    found = source_samples.classes_of(name, labels)
    self.assertEqual(found.shape, (40,))
    if task.classes and not task.dense:
      np.testing.assert_array_equal(found, labels)
    else:
      counts = np.bincount(found)
      self.assertLen(counts, 10)
      self.assertEqual(set(counts.tolist()), {4})

  def test_classes_follow_the_main_direction_of_the_labels(self):
    values = np.linspace(-1, 1, 50)
    labels = np.stack([values, 2 * values, -values], axis=1)
    found = source_samples.classes_of('vanishing_point', labels)
    order = found if found[0] == 0 else 9 - found
    np.testing.assert_array_equal(order, np.arange(50) // 5)

  def test_scores_are_those_of_the_measures(self):
    rng = np.random.default_rng(0)
    bank = banks.load('mini')
    encoders = bank.encoders[:3]
    candidates = [Candidate(e.name, e) for e in encoders]
    names = tuple(c.name for c in candidates)
    images = testing.images(60, 64)
    labels = rng.integers(3, size=60)
    data = targets.LabelledImages(
      images, 40, {'t': targets.classification('t', labels, 40)}
    )
    folder = self.create_tempdir().full_path
    extracted = features.extract_all(candidates, images, 2, folder, _track)
    samples = source_samples.SourceSamples(
      images[:30], {name: rng.integers(4, size=30) for name in names}
    )
    found = source_samples.compute(
      *(samples, candidates, data, extracted, {'case': ('t', names)}),
      *(self.create_tempdir().full_path, _track),
      grid=2,
    )
    self.assertEqual(found.family, 'source data')
    target = data.targets['t']
    known = target.rows < 40
    for name in names:
      rows = target.rows[known]
      own = (
        (
          extracted[name].flat[:30],
          samples.labels[name],
        ),
        (extracted[name].flat[rows], target.labels[known]),
      )
      expected = source_data.score('f_otce', *own)
      self.assertAlmostEqual(found.scores['case']['f_otce'][name], expected)
    values = list(found.scores['case']['otce'].values())
    self.assertAlmostEqual(sum(values), 0)

  def test_only_banks_of_the_mini_tasks_have_samples(self):
    bank = banks.load('mini')
    self.assertTrue(source_samples.has_samples(bank))
    other = dataclasses.replace(bank.encoders[0], name='mine')
    # The original Taskonomy networks have the names of these, and no recipe.
    folder = self.create_tempdir().full_path
    for changes in ({'encoders': (other,)}, {'folder': folder}, {'folder': ''}):
      changed = dataclasses.replace(bank, **changes)
      self.assertFalse(source_samples.has_samples(changed))

  def test_training_scenes_are_those_that_are_kept(self):
    bank = banks.load('mini')
    folder = self.create_tempdir().full_path
    kept = source_samples.load(bank, folder, 3, (64, 64))
    found = source_samples.render(bank, 3, (64, 64), _track)
    np.testing.assert_array_equal(found.images, kept.images)
    for name, labels in kept.labels.items():
      np.testing.assert_array_equal(found.labels[name], labels)
    small = source_samples.render(bank, 3, (32, 32), _track)
    self.assertEqual(small.images.shape, (3, 32, 32, 3))


class DomainsTest(absltest.TestCase):
  def test_a_source_of_the_same_law_is_found(self):
    rng = np.random.default_rng(0)
    x, y, found, start = [], [], {}, 0
    moves = {'a': 0.0, 'b': 0.0, 'c': 1.5, 'd': 3.0}
    means = rng.normal(size=(3, 5))
    for name, move in moves.items():
      labels = rng.integers(3, size=120)
      # The farther a domain, the more its classes change places.
      centres = means + move * (means[[1, 2, 0]] - means) / 3
      x.append(centres[labels] + 0.5 * rng.normal(size=(120, 5)))
      y.append(labels)
      rows = np.arange(start, start + 120)
      found[name] = domains._Domain(rows[:60], rows[60:80], rows[80:])
      start += 120
    scores = domains._scores(np.concatenate(x), np.concatenate(y), found)
    of_a = scores['a']
    best = max(of_a['performance'], key=of_a['performance'].get)
    self.assertEqual(best, 'b')
    names = set(source_data.names()) | {domains.FEW_SHOT}
    self.assertEqual(set(of_a['scores']), names)
    for name, values in of_a['scores'].items():
      self.assertGreater(values['b'], values['d'], name)

  def test_domains_are_rooms_and_rows_are_theirs(self):
    rng = np.random.default_rng(0)
    splits = [{'class_places': rng.integers(6, size=n)} for n in (80, 50, 30)]
    found, chosen = domains._domains(
      splits, domains.Design(num_source=5, num_target=3)
    )
    kinds = np.concatenate(
      [
        split['class_places'][rows]
        for split, rows in zip(splits, chosen, strict=True)
      ]
    )
    places = []
    for number, domain in enumerate(found.values()):
      for rows, limit in (
        (domain.source, 5),
        (domain.few, 3),
        (domain.test, 30),
      ):
        self.assertBetween(len(rows), 1, limit)
        self.assertEqual(set(kinds[rows].tolist()), {number})
        places += rows.tolist()
    self.assertEqual(sorted(places), list(range(len(kinds))))

  def test_the_static_order_is_of_the_same_problem(self):
    def outcome(problem, target, performance):
      names = tuple(performance)
      case = study.Case(f'{problem}-{target}', target, names)
      values = {name: [v] for name, v in performance.items()}
      return study.Outcome(case, {}, values, {}, {}, {})

    outcomes = [
      outcome('p', 'x', {'y': 0.9, 'z': 0.1, 'w': 0.2}),
      outcome('p', 'y', {'x': 0.3, 'z': 0.2, 'w': 0.8}),
      outcome('q', 'x', {'y': 0.1, 'z': 0.9, 'w': 0.2}),
      outcome('q', 'y', {'x': 0.1, 'z': 0.9, 'w': 0.8}),
    ]
    found = domains.with_static_order(outcomes)
    scores = found[0].scores[study.OTHER_TARGETS]
    self.assertGreater(scores['w'], scores['z'])
    table = report.summarise(
      {o.case.name: study.compare(o, 10) for o in found if len(o.scores)}
    )
    self.assertEqual(table[0][-1], 'regret')


if __name__ == '__main__':
  absltest.main()
