"""Tests of what is read off the measures."""

from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments.compression import (
  answering,
  measuring,
  tables,
  transferring,
)
from experiments.compression.transferring import Passing
from probe_data import shapes


def _found(auc_of_second):
  """Returns two networks under one seed, the second missing some labels."""
  data = shapes.draw(10, 0)
  samples = measuring.Samples.of(data, np.zeros(3, np.uint8), 4)
  number = len(samples.images)
  right = np.where(data.labels > 0.5, 2.0, -2.0)
  wrong = right.copy()
  wrong[samples.images[0], samples.classes[0]] = -1
  seed = mock.Mock(samples=samples, splits={'test': data}, seed=0)
  measured = {
    name: [{'logits': logits, 'auc/grad_cam': np.full(number, auc)}]
    for name, logits, auc in (
      ('naive', right, 0.5),
      ('swa', wrong, auc_of_second),
    )
  }
  return tables.Found([seed], measured), number


class FoundTest(absltest.TestCase):
  def test_only_samples_that_are_predicted_count(self):
    found, number = _found(0.75)
    self.assertEqual(found.predicted('naive', 0).sum(), number)
    self.assertEqual(found.predicted('swa', 0).sum(), number - 1)
    self.assertEqual(found.by_all(('naive', 'swa'), 0).sum(), number - 1)
    self.assertEqual(found.values('naive', 'mAP').tolist(), [1])
    self.assertLess(found.values('swa', 'accuracy')[0], 1)

  def test_differences_are_paired(self):
    found, _ = _found(0.75)
    mean, low, high = found.difference('swa', 'naive', 'auc/grad_cam')
    for value in (mean, low, high):
      self.assertAlmostEqual(value, 0.25)

  def test_what_cannot_be_told_is_said_and_is_no_number(self):
    found, number = _found(np.nan)
    own = found.measured['swa'][0]
    own['point/grad_cam'] = found.measured['naive'][0]['point/grad_cam'] = (
      np.full(number, np.nan)
    )
    said = answering.sentence(found, 'swa', 'naive')
    self.assertNotIn('nan', said)
    self.assertIn('SWA changes mAP by', said)
    self.assertIn('Of AUC and the share of points', said)
    self.assertIn('nothing can be told', said)

  def test_networks_are_called_as_in_the_paper(self):
    self.assertEqual(tables.label('sswa'), 'SSWA')
    self.assertEqual(tables.label('swa-beta30'), 'SWA, beta 30')
    self.assertEqual(tables.label('naive-12epochs'), 'Naive, 12 epochs')


class TransferTest(absltest.TestCase):
  def test_a_rank_counts_the_better_sources_of_the_bank(self):
    plan = Passing('rgb2depth', ('naive',))
    losses = {'edge2d': np.array([[0.0, 0.0], [90.0, 110.0]])}
    rows = transferring.rank_rows(plan, losses)
    self.assertEqual([row[2] for row in rows[1:]], ['Before', 'Naive'])
    self.assertEqual([row[5] for row in rows[1:]], [1, rows[1][6]])
    self.assertGreater(rows[1][6], 15)
    summary = transferring.summary_rows(rows)
    self.assertEqual(summary[1][:2], ['rgb2depth', 'Before'])
    self.assertEqual(summary[2][3], rows[2][5])


if __name__ == '__main__':
  absltest.main()
