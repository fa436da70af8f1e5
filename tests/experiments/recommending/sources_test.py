"""Tests of source-data measures beside labels of the target."""

from absl.testing import absltest
import numpy as np

from experiments.recommending import running, sources
from experiments.recommending.looks import Looking
from taskonomy_models import bank as banks
from transferability.recommendation import labels as labels_lib


class SourcesTest(absltest.TestCase):
  def test_labels_become_classes_where_an_image_has_one(self):
    values = np.random.default_rng(0).normal(size=(40, 1))
    numbers = sources.classes_of(labels_lib.of(values[:, 0]))
    self.assertLen(np.unique(numbers), 10)
    for other in (
      None,
      np.c_[values, values],
      np.zeros((4, 2, 2)) + values[:4, :, None],
    ):
      given = None if other is None else labels_lib.of(other)
      self.assertIsNone(sources.classes_of(given))

  def test_mini_bank_is_asked_for_its_training_scenes(self):
    full = banks.load('mini')
    names = ('edge2d', 'class_1000')
    chosen = tuple(e for e in full.encoders if e.name in names)
    bank = banks.Bank('two', chosen, folder=full.folder)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 64, 64, 3)).astype(np.uint8)
    question = running.Question(bank, images, np.arange(30) % 3)
    way = running.Way(
      num_images=30,
      num_draws=2,
      num_source=24,
      looking=Looking(num_twins=0, tries_ranges=False),
      track=lambda items, **unused: items,
    )
    found = running.recommend(question, way)
    entries = found.to_dict()['candidates']
    self.assertCountEqual([row['network'] for row in entries], names)
    for row in entries:
      self.assertLess(row[sources.MEASURE], 0)  # A conditional entropy.
    self.assertIn(sources.MEASURE, found.legend())
    self.assertEqual(found.decision.situation.measures[0], 'ridge_probe')


if __name__ == '__main__':
  absltest.main()
