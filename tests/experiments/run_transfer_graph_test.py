"""Tests of the choice of sources for a budget, as a user runs it."""

import json
import pathlib

from absl.testing import absltest
import numpy as np

from experiments import transfer_affinities, transfer_choices
from tests import bank_testing, command_testing
from toolkit_basics import files
from transferability import affinity
from transferability.oracle import Oracle


def _rows(path):
  header, *rows = files.read_csv(path)
  return [dict(zip(header, row, strict=True)) for row in rows]


class ChoiceTest(absltest.TestCase):
  def test_ratios_are_known_though_that_of_the_own_network_is_missing(self):
    values = np.exp(np.random.default_rng(0).normal(size=(3, 4)))
    names = ('a', 'b', 'c', 'd')
    found = []
    for own in (1e-3, np.nan, 0.0):
      np.fill_diagonal(values, own)
      choice = transfer_choices.Choice.of(
        Oracle.from_affinity(values, names[:3], names),
        {},
        order=1,
        budget=2,
        targets=None,
        sources=None,
      )
      found.append([choice.truth.quality_of('a', (s,)) for s in names[1:]])
    np.testing.assert_allclose(found[1:], [found[0]] * 2)


class RunTransferGraphTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(absltest.TEST_TMPDIR.value, 'run_transfer_graph')
    cls.bank = cls.folder / 'bank'
    content = bank_testing.write(cls.bank)
    values = np.full((3, 4), 0.5)
    for i, (_, ranking) in enumerate(bank_testing.RANKING.items()):
      for rank, name in enumerate(ranking):
        values[i, bank_testing.NAMES.index(name)] = 0.3 - 0.1 * rank
    targets = tuple(bank_testing.RANKING)
    affinity.save_matrix(
      cls.bank / 'oracle_affinity.csv',
      *(values, bank_testing.NAMES, targets, 'target'),
    )
    content['oracle_affinity'] = 'oracle_affinity.csv'
    (cls.bank / 'bank.json').write_text(json.dumps(content))
    bank_testing.write_images(cls.folder / 'images', 8)
    losses = {
      (t, (s,)): 0.9 - values[i, j]
      for i, t in enumerate(targets)
      for j, s in enumerate(bank_testing.NAMES)
    }
    losses['alpha', ('beta', 'gamma')] = 0.1
    transfer_choices.write_losses(cls.folder / 'pairs.csv', losses)

  def run_some(self, *commands):
    return command_testing.run_or_look(
      'experiments.run_transfer_graph',
      *(transfer_choices, 'write'),
      *(
        [kind, f'--output={self.folder / output}', *arguments]
        for kind, output, *arguments in commands
      ),
    )

  def test_guesses_are_judged_by_the_banks_transfers(self):
    mine = [f'--bank={self.bank}', f'--probe={self.folder / "images"}']
    mine += ['--budget=2', '--num_images=6', '--batch_size=3']
    affinities = '--affinity=oracle,other_targets,elrp,cka'
    first, again, pairs = self.run_some(
      ('compute', 'own', *mine, affinities),
      ('look', 'own', *mine, affinities, '--resume'),
      (
        *('compute', 'pairs', *mine, '--affinity=oracle,cka', '--order=2'),
        f'--higher_order={self.folder / "pairs.csv"}',
      ),
    )
    self.assertEqual(first[0], 0, first[2])
    self.assertEqual(again[0], 0, again[2])
    self.assertIn('nothing was computed again', again[1])
    rows = _rows(self.folder / 'own' / 'quality.csv')
    names = ['oracle', 'other_targets', 'elrp', 'cka']
    self.assertEqual(list(dict.fromkeys(r['affinity'] for r in rows)), names)
    self.assertLen(rows, 4 * len(names))
    for row in rows:
      found, best, optimum = (
        float(row[c]) for c in ('quality', 'best_of_sources', 'optimum')
      )
      self.assertLessEqual(found, best + 1e-9)
      self.assertLessEqual(best, optimum + 1e-9)
      self.assertLessEqual(len(row['sources'].split()), int(row['budget']))
    for name in names:
      graph = _rows(self.folder / 'own' / f'graph_{name}.csv')
      self.assertEqual(
        {row['target'] for row in graph}, set(bank_testing.RANKING)
      )
      figure = self.folder / 'own' / 'figures' / f'graph_{name}.png'
      self.assertTrue(figure.exists())
    self.assertEqual(pairs[0], 0, pairs[2])
    for name in ('oracle', 'cka'):
      graph = _rows(self.folder / 'pairs' / f'graph_{name}.csv')
      self.assertLen(graph, 3)
    served = {
      row['target']: row['sources']
      for row in _rows(self.folder / 'pairs' / 'graph_oracle.csv')
    }
    self.assertEqual(served['alpha'], 'beta+gamma')

  def test_taskonomys_own_numbers_need_no_network(self):
    oracle = Oracle.taskonomy()
    static = transfer_affinities.static_order(oracle)
    path = self.folder / 'static.csv'
    affinity.save_matrix(path, static, oracle.sources, oracle.targets, 'target')
    (found,) = self.run_some(
      (
        *('compute', 'published', '--bank=taskonomy', '--budget=2'),
        f'--affinity=oracle,other_targets,{path}',
        '--sources=denoise,rgb2sfnorm,rgb2depth,class_1000',
      ),
    )
    self.assertEqual(found[0], 0, found[2])
    rows = _rows(self.folder / 'published' / 'quality.csv')
    two = {r['affinity']: r for r in rows if r['budget'] == '2'}
    self.assertEqual(two['oracle']['sources'], 'denoise rgb2sfnorm')
    self.assertAlmostEqual(float(two['oracle']['quality']), 0.6636, places=4)
    self.assertEqual(two['static']['quality'], two['other_targets']['quality'])

  def test_wrong_input_ends_in_one_line(self):
    plain = self.folder / 'plain'
    bank_testing.write(plain)
    published = '--bank=taskonomy'
    results = self.run_some(
      ('compute', 'w1', f'--bank={plain}'),
      ('compute', 'w2', published, '--affinity=elrp'),
      ('compute', 'w3', published, '--affinity=luck'),
      ('compute', 'w4', published, '--budget=21'),
      ('compute', 'w5', published, '--order=2'),
      ('compute', 'w6', published, '--targets=luck'),
      ('compute', 'w7', published, f'--affinity={self.bank}/oracle.csv'),
      ('compute', 'w8', published, '--affinity=oracle,a/elrp.csv,b/elrp.csv'),
      ('compute', 'w9', published, '--sources=denoise,denoise', '--budget=1'),
      ('compute', 'wa', published, f'--higher_order={self.folder}/pairs.csv'),
      ('compute', 'wb', published, '--order=2', '--higher_order=no.csv'),
      (
        *('compute', 'wc', published, '--order=2'),
        f'--higher_order={self.folder}/pairs.csv',
      ),
    )
    for result, message in zip(
      results,
      (
        "'small' has no measured transfers",
        'elrp needs networks',
        "No affinity is named 'luck'; choose from oracle",
        'A budget of 21 exceeds the 20 sources',
        'measure_higher_order',
        "No measured target is named 'luck'",
        'oracle.csv',
        "each of another name, not ['oracle', 'elrp', 'elrp']",
        "Give each source once, not ['denoise']",
        'pass --order=2 or --order=3',
        "No such file or directory: 'no.csv'",
        "--higher_order names 'alpha', which is no network",
      ),
      strict=True,
    ):
      self.assertEqual(result[0], 1, result)
      self.assertIn(message, result[2])
      self.assertLen(result[2].strip().splitlines(), 1)

  def test_a_wrong_table_of_losses_is_told_by_its_row(self):
    path = self.folder / 'losses.csv'
    for row, message in (
      ('alpha,beta', 'row 2: .* no target, sources'),
      ('alpha,beta,many', 'row 2: .* loss above 0'),
      ('alpha,beta,0', 'row 2: .* loss above 0'),
      ('alpha,beta,nan', 'row 2: .* loss above 0'),
      ('alpha,beta,1\nalpha,beta,2', 'row 3: .* there twice'),
    ):
      path.write_text(f'target,sources,loss\n{row}\n')
      with self.assertRaisesRegex(ValueError, message):
        transfer_choices.read_losses(path)

  def test_a_table_that_has_changed_is_no_run_to_go_on_with(self):
    oracle = Oracle.taskonomy()
    path = self.folder / 'mine.csv'
    names = oracle.sources, oracle.targets, 'target'
    affinity.save_matrix(path, oracle.affinity, *names)
    mine = ['--bank=taskonomy', f'--affinity={path}', '--budget=1']
    mine += ['--sources=denoise,rgb2sfnorm,rgb2depth']
    (first,) = self.run_some(('compute', 'mine', *mine))
    self.assertEqual(first[0], 0, first[2])
    affinity.save_matrix(path, -oracle.affinity, *names)
    (again,) = self.run_some(('look', 'mine', *mine, '--resume'))
    self.assertEqual(again[0], 1)
    self.assertIn('files that have changed since', again[2])


if __name__ == '__main__':
  absltest.main()
