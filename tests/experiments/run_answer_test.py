"""Tests of what a run says in words."""

import dataclasses

from absl.testing import absltest
import numpy as np

from experiments import evaluation as evaluations
from experiments import run_answer
from experiments.report_answer import Answer
from transferability.oracle import Oracle
from transferability.resampling import ImageMeans

_NAMES = ('a', 'b', 'c', 'd')
_LABELS = ('Depth', 'Edges', 'Scene', 'Points')
# Of the target a: b is always above c, which d meets at times.
_ROW = np.array([0.5, 0.2, 0.1])


def _cosines(spread, images=40):
  rng = np.random.default_rng(0)
  cosines = np.zeros((images, 4, 4))
  cosines[:, 0, 1:] = _ROW + spread * rng.normal(size=(images, 3))
  cosines += cosines.transpose(0, 2, 1) + np.eye(4)
  return cosines


def _drawable(cosines):
  return cosines.mean(axis=0), ImageMeans(cosines)


def _evaluation(cosines, oracle=None):
  affinity = cosines.mean(axis=0)
  scores = {}
  if oracle is not None:
    scores = {'elrp': evaluations.score(affinity, _NAMES, oracle)}
    scores |= evaluations.baseline_scores(oracle, {})
  found = evaluations.of_affinities({'elrp': affinity}, _NAMES, {}, _NAMES)
  return dataclasses.replace(
    found, scores=scores, relevant=evaluations.relevant_sources(oracle)
  )


class FirstSourcesTest(absltest.TestCase):
  def test_a_source_far_above_the_others_stays_first(self):
    cosines = _cosines(0.01)
    found = run_answer.first_sources(*_drawable(cosines), [0])
    self.assertEqual(found[0], run_answer.FirstSource(1, 1.0, ()))

  def test_a_source_among_equals_has_rivals(self):
    cosines = _cosines(0.0)
    rng = np.random.default_rng(1)
    cosines[:, 0, 2] = 0.5 + 0.2 * rng.normal(size=len(cosines))
    found = run_answer.first_sources(*_drawable(cosines), [0])[0]
    self.assertBetween(found.share, 0.2, 0.94)
    self.assertEqual({found.source, *found.rivals}, {1, 2})

  def test_no_network_is_its_own_source(self):
    found = run_answer.first_sources(np.eye(4), None, range(4))
    for target, first in found.items():
      self.assertNotEqual(first.source, target)


class AnswerTest(absltest.TestCase):
  def test_without_measured_transfers_it_says_how_sure_the_images_are(self):
    cosines = _cosines(0.01)
    answer = run_answer.answer(
      _evaluation(cosines), _LABELS, 'elrp', ImageMeans(cosines)
    )
    self.assertIn('a source for each of 4 targets', answer.paragraphs[0])
    self.assertIn('stay first in 95 %', answer.paragraphs[0])
    self.assertEqual(answer.table[1][:4], ['Depth', 'Edges', '0.498', '100 %'])
    self.assertNotIn('measured', ' '.join(answer.paragraphs))
    self.assertIn('an untrained network', answer.paragraphs[-1])

  def test_with_them_it_says_how_often_it_was_right(self):
    values = np.random.default_rng(5).normal(size=(3, 4))
    oracle = Oracle.from_affinity(values, _NAMES[:3], _NAMES)
    cosines = _cosines(0.01)
    answer = run_answer.answer(
      _evaluation(cosines, oracle), _LABELS, 'elrp', ImageMeans(cosines)
    )
    self.assertIn('measured for 3 of the targets', answer.paragraphs[1])
    self.assertIn('by chance', answer.paragraphs[1])
    self.assertEqual(answer.table[0][-1], 'among the best measured')
    self.assertEqual(answer.table[4][-1], 'not measured')

  def test_the_measure_that_is_trusted_most_is_told(self):
    cosines = _cosines(0.01)
    found = _evaluation(cosines)
    self.assertEqual(run_answer.best_of(found, ('saliency', 'elrp')), 'elrp')
    more = {**found.affinities, 'attribution_span': found.affinities['elrp']}
    found = dataclasses.replace(found, affinities=more)
    told = run_answer.best_of(found, ('elrp',))
    self.assertEqual(told, 'attribution_span')
    rankings = {told: found.rankings['elrp']}
    found = dataclasses.replace(found, rankings=rankings)
    text = run_answer.answer(found, _LABELS, told).to_markdown()
    self.assertIn('the best one by Span energy', text)

  def test_it_can_be_read_as_markdown(self):
    answer = Answer(('One.', 'Two.'), [('a', 'b|c'), (1, np.nan)], 'Note.')
    self.assertEqual(
      answer.to_markdown(),
      'One.\n\nTwo.\n\n| a | b\\|c |\n| --- | --- |\n| 1 | – |\n\nNote.\n',
    )

  def test_a_source_of_many_targets_is_pointed_out(self):
    affinity = np.full((9, 9), 0.1)
    affinity[:, 3] = affinity[3] = 0.5
    names = [f'n{i}' for i in range(9)]
    found = evaluations.of_affinities({'elrp': affinity}, names, {}, names)
    answer = run_answer.answer(found, names, 'elrp')
    self.assertIn('n3 is the first source of 8 targets', answer.paragraphs[1])


if __name__ == '__main__':
  absltest.main()
