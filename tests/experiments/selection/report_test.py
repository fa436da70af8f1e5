"""Tests of the page of a selection."""

import pathlib
import warnings

from absl.testing import absltest
import cv2
import numpy as np

from experiments.selection import report, study
from experiments.selection.features import Features
from toolkit_basics import files
from transferability.scoring import EPSILONS


class PageTest(absltest.TestCase):
  def test_it_names_the_network_to_take_and_the_best_measures_first(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    header = ['case', 'candidate', 'performance', 'logme', 'parc']
    rows = [['birds', 'a', 0.2, 1.0, 2.0], ['birds', 'b', 0.7, 3.0, 1.0]]
    files.write_csv(folder / 'scores.csv', [header, *rows])
    summary = [['measure', 'family'], ['another_seed', 'baseline']]
    summary += [['parc', 'labels'], ['logme', 'labels']]
    files.write_csv(folder / 'summary.csv', summary)
    (folder / 'figures').mkdir()
    for name in ('summary', 'birds'):
      path = str(folder / 'figures' / f'{name}.png')
      cv2.imwrite(path, np.zeros((4, 4, 3), np.uint8))
    report.write_page(folder, {'bank': 'mini'})
    text = (folder / 'report.html').read_text(encoding='utf-8')
    self.assertIn('birds: transfer from b.', text)
    self.assertIn('Without training, parc, logme order', text)
    self.assertLess(text.index('"b", "0.700"'), text.index('"a", "0.200"'))
    self.assertEqual(text.count('data:image/webp'), 2)

  def test_networks_that_reach_the_same_are_named_together(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    header = ['case', 'candidate', 'performance', 'logme']
    reached = {'a': 0.5, 'b': 0.2, 'c': 0.5}
    some = [['x', name, value, 1.0] for name, value in reached.items()]
    all_equal = [['y', name, 0.5, 1.0] for name in 'ab']
    files.write_csv(folder / 'scores.csv', [header, *some, *all_equal])
    x, y = report.candidates_text(folder)
    self.assertStartsWith(x, 'x: transfer from a or c, which reach the same.')
    self.assertStartsWith(y, 'y: all networks reach the same; none is to be')

  def test_performances_that_are_equal_have_no_agreement_and_no_warning(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    values = {'a': 1.0, 'b': 2.0, 'c': 4.0}
    outcome = study.Outcome(
      study.Case('x', 'x', tuple(values)),
      {'logme': values},
      dict.fromkeys(values, [0.5]),
      {'paper': dict.fromkeys(EPSILONS, values)},
      {'logme': 0.1, 'training': 1.0},
      {},
    )
    seen = {name: Features(np.zeros((2, 1, 1, 1)), 0.1) for name in values}
    with warnings.catch_warnings():
      warnings.simplefilter('error', RuntimeWarning)
      report.write([outcome], seen, folder, 10)
    self.assertLen(files.read_csv(folder / 'summary.csv'), 1)

  def test_a_form_of_transrate_may_be_defined_for_some_cases_only(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    names, outcomes = ('a', 'b', 'c'), []
    for case, forms in (('x', ('paper',)), ('y', ('paper', 'experiments'))):
      values = dict(zip(names, (1.0, 2.0, 4.0), strict=True))
      outcomes.append(
        study.Outcome(
          study.Case(case, case, names),
          {'transrate': values},
          {name: [value] for name, value in values.items()},
          {form: dict.fromkeys(EPSILONS, values) for form in forms},
          {'transrate': 0.1, 'training': 1.0},
          {},
        )
      )
    seen = {name: Features(np.zeros((2, 1, 1, 1)), 0.1) for name in names}
    report.write(outcomes, seen, folder, 10)
    _, *rows = files.read_csv(folder / 'epsilon.csv')
    self.assertEqual(
      {(row[0], row[1]) for row in rows},
      {('x', 'paper'), ('y', 'paper'), ('y', 'experiments')},
    )
    self.assertTrue((folder / 'figures' / 'epsilon_experiments.png').exists())


if __name__ == '__main__':
  absltest.main()
