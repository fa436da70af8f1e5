"""Tests of which method is proposed, and how surely."""

from absl.testing import absltest
import numpy as np

from experiments.faithfulness import tables
from experiments.faithfulness.tables import Interval, Seen

_SHARES = (0.5,)


def _seen(name, kind, gains, kept=None, refused=()):
  """A network of which each method has the gain, on each of two images.

  One inner point at a half: the area is a quarter more than half of it.
  """
  curves = {}
  for baseline in ('blur', 'mean'):
    curves[f'{baseline}/random'] = np.full((2, 1), 0.5)
    for method, gain in {**gains, 'difference': 0.4}.items():
      gain = np.reshape(gain, (-1, 1)) * np.ones((2, 1))
      curves[f'{baseline}/{method}/most'] = 0.5 + gain
      curves[f'{baseline}/{method}/least'] = 0.5 - gain
  alike = {'cascading/share': np.array([0.5, 1])}
  for method, value in (kept or {}).items():
    alike[f'cascading/{method}/spearman'] = np.array([[1, 1], [value, value]])
    alike[f'cascading/{method}/cosine'] = np.array([[1, 1], [value, np.nan]])
  why = dict.fromkeys(refused, 'No rule.')
  return Seen(name, kind, ('blur', 'mean'), _SHARES, curves, alike, why)


class TablesTest(absltest.TestCase):
  def test_gain_is_the_area_between_the_curves(self):
    seen = _seen('a', 'relu', {'elrp': [0.1, 0.3]})
    np.testing.assert_allclose(seen.gain('elrp'), [0.1, 0.3])
    self.assertTrue(np.isnan(seen.gain('grad_cam')).all())

  def test_intervals_are_over_images_and_leave_out_what_is_unknown(self):
    same = Interval.of(np.array([[0.2, 0.2, np.nan], [0.4, 0.4, np.nan]]), 50)
    for value in (same.mean, same.low, same.high):
      self.assertAlmostEqual(value, 0.3)
    rng = np.random.default_rng(0)
    values = rng.normal(1, 1, (1, 400))
    found = Interval.of(values, 2000)
    self.assertAlmostEqual(found.high - found.low, 2 * 1.96 / 20, delta=0.02)
    self.assertTrue(np.isnan(Interval.of(np.full((1, 2), np.nan), 9).mean))

  def test_the_best_method_is_proposed_that_depends_on_the_network(self):
    networks = [
      _seen(
        'a',
        'relu',
        {'elrp': 0.2, 'saliency': 0.3, 'grad_cam': 0.1, 'gradient': -0.1},
        {'elrp': 0.1, 'saliency': 0.9, 'grad_cam': 0.0},
      ),
      _seen(
        'b', 'smooth', {'elrp': 0.1, 'saliency': 0.2}, refused=['grad_cam']
      ),
    ]
    methods = ('elrp', 'saliency', 'grad_cam', 'gradient')
    self.assertEqual(
      tables.preferred(networks[:1], methods), ['elrp', 'grad_cam']
    )
    self.assertEqual(
      tables.preferred(networks[1:], methods), ['saliency', 'elrp']
    )
    said = tables.sentences(networks, methods, 20)
    self.assertIn('the one network of kind relu, prefer ε-LRP', said[1])
    self.assertIn('its gain is 0.200 [0.200, 0.200]', said[1])
    self.assertNotIn('told apart', said[1])
    self.assertIn('the one network of kind smooth, prefer Saliency', said[0])
    self.assertIn('has the gain 0.400', said[3])
    self.assertIn('Saliency (0.90)', said[-1])

  def test_methods_that_lead_by_chance_are_said_to_be_equal(self):
    networks = [
      _seen('a', 'relu', {'elrp': [0.3, 0.1], 'saliency': [0.1, 0.25]})
    ]
    said, *_ = tables.sentences(networks, ('elrp', 'saliency'), 50)
    self.assertIn('prefer ε-LRP', said)
    self.assertIn('Saliency cannot be told apart from it', said)

  def test_methods_that_differ_behind_the_digits_are_equal(self):
    networks = [_seen('a', 'relu', {'elrp': 0.3001, 'saliency': 0.3})]
    said, *_ = tables.sentences(networks, ('elrp', 'saliency'), 50)
    self.assertIn('Saliency cannot be told apart from it', said)

  def test_nothing_is_proposed_where_nothing_beats_random_order(self):
    networks = [_seen('a', 'relu', {'elrp': -0.1})]
    said, *_ = tables.sentences(networks, ('elrp',), 20)
    self.assertIn('prefer no method', said)

  def test_a_page_shows_words_and_no_names_of_columns(self):
    networks = [_seen('a', 'relu', {'elrp': 0.2}, {'elrp': 0.1})]
    table = tables.in_words(tables.kind_rows(networks, ('elrp',), 20))
    self.assertNotIn('_', ' '.join(map(str, table[0])))
    self.assertIn('ε-LRP', [row[2] for row in table[1:]])

  def test_rows_tell_kinds_networks_and_stages(self):
    networks = [
      _seen('a', 'relu', {'elrp': 0.2}, {'elrp': 0.1}),
      _seen('b', 'attention', {}, refused=['elrp']),
    ]
    header, *rows = tables.kind_rows(networks, ('elrp',), 20)
    found = {
      (row[0], row[2]): dict(zip(header, row, strict=True)) for row in rows
    }
    self.assertLen(rows, 6)
    self.assertAlmostEqual(found['relu', 'elrp']['gain_blur'], 0.2)
    self.assertAlmostEqual(found['relu', 'elrp']['spearman_randomised'], 0.1)
    self.assertTrue(np.isnan(found['attention', 'elrp']['gain']))
    self.assertEqual(found['all', 'elrp']['refused'], 1)
    header, *rows = tables.network_rows(networks, ('elrp',), 20)
    self.assertLen(rows, 2 * 2 * 2)
    self.assertEqual(rows[0][:4], ['a', 'relu', 'elrp', 'blur'])
    self.assertEqual(rows[4][-1], 'No rule.')
    _, *rows = tables.stage_rows(networks, ('elrp',))
    self.assertEqual([row[3] for row in rows], [0.5, 1.0, 0.5, 1.0])
    self.assertAlmostEqual(rows[1][5], 0.1)


if __name__ == '__main__':
  absltest.main()
