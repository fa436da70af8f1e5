"""Tests of transfers from several sources at once."""

import dataclasses
import itertools
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from taskonomy_models.mini import building, higher_order, readouts, transfers
from taskonomy_models.mini.tasks import MINI_TASKS

_BANK = pathlib.Path(building.__file__).parent
_SIZES = building.DataSizes(train=4, transfer=180, validation=60, test=60)


class _Scenes(building.Scenes):
  """Labels of `class_places` that two sources tell together."""

  def split(self, name):
    seed = sorted(dataclasses.asdict(_SIZES)).index(name)
    size = getattr(_SIZES, name)
    rng = np.random.default_rng(seed)
    bits = rng.integers(2, size=(2, size))
    return {'bits': bits, 'class_places': bits[0] + 2 * bits[1]}


def _representation(work, source, split, noisy):
  """Each of two sources knows one bit; all others know nothing."""
  del work, noisy
  scenes = _Scenes('nowhere', _SIZES)
  bits = scenes.split(split)['bits']
  rng = np.random.default_rng(sorted(MINI_TASKS).index(source))
  values = rng.normal(size=(bits.shape[1], 2, 2, 2)).astype(np.float32)
  for bit, name in enumerate(('rgb2depth', 'edge2d')):
    if source == name:
      values += 4 * bits[bit][:, None, None, None]
  return values


class HigherOrderTest(absltest.TestCase):
  def test_sources_that_complement_each_other_are_found(self):
    work = self.create_tempdir().full_path
    scenes = _Scenes('nowhere', _SIZES)
    plan = higher_order.HigherOrderPlan(
      targets=('class_places',),
      num_best=4,
      num_images=150,
      held_out=30,
      recipe=readouts.ReadoutRecipe(steps=150),
    )
    best = ('curvature', 'rgb2depth', 'edge2d', 'reshade')
    with mock.patch.object(transfers, 'representation_of', _representation):
      higher_order.train_target(
        'class_places', best, plan, work, scenes, {'key': 1}
      )
    losses = higher_order._kept(work).read('class_places')
    names = set(losses)
    self.assertLen([n for n in names if '+' not in n], len(MINI_TASKS))
    pairs = {'+'.join(pair) for pair in itertools.combinations(best, 2)}
    self.assertLessEqual(pairs, names)
    self.assertLen(names, len(MINI_TASKS) + len(pairs) + 2)
    self.assertEqual(min(pairs, key=losses.get), 'rgb2depth+edge2d')
    self.assertLess(
      losses['rgb2depth+edge2d'],
      0.8 * min(losses['rgb2depth'], losses['edge2d']),
    )
    triples = [n for n in names if n.count('+') == 2]
    for name in triples:
      self.assertTrue(name.startswith('rgb2depth+edge2d+'), name)

  def test_what_is_there_is_not_trained_again(self):
    work = self.create_tempdir().full_path
    scenes = _Scenes('nowhere', _SIZES)
    plan = higher_order.HigherOrderPlan(targets=('class_places',))
    ranking = higher_order.oracles.Oracle.load(_BANK / 'oracle_validation.csv')
    best = ranking.ranking['class_places'][:5]
    key = higher_order._key(str(_BANK), scenes, plan, 'class_places', best)
    kept = {'rgb2depth': 0.5, 'rgb2depth+edge2d': 0.25}
    higher_order._kept(work).keep('class_places', key, kept)
    with mock.patch.object(higher_order, 'prepare'):
      found = higher_order.measure(
        str(_BANK), scenes, work, plan, 1, lambda items, **unused: items
      )
    self.assertEqual(
      found,
      {
        ('class_places', ('rgb2depth',)): 0.5,
        ('class_places', ('rgb2depth', 'edge2d')): 0.25,
      },
    )


if __name__ == '__main__':
  absltest.main()
