"""Tests of the table of all methods, and of its copy in the docs."""

import re

from absl.testing import absltest

from tests import module_graph
from transferability import catalogue, measures, similarity


class CatalogueTest(absltest.TestCase):
  def test_docs_hold_the_table_as_it_is_written(self):
    text = (module_graph.ROOT / 'docs' / 'measures.md').read_text('utf-8')
    self.assertIn('\n\n' + catalogue.markdown() + '\n', text)

  def test_every_measure_and_every_row_of_the_slides_is_there_once(self):
    names = [method.name for method in catalogue.methods()]
    self.assertLen(set(names), len(names))
    others = ('Attribution maps', 'Taskonomy', 'Task2Vec', 'RSA', 'DEPARA')
    missing = ('DS', 'Zhang et al.', 'Tong et al.')
    self.assertCountEqual(
      names, (*(f'`{name}`' for name in measures.names()), *others, *missing)
    )
    self.assertCountEqual(
      [m.name for m in catalogue.methods() if not m.is_implemented], missing
    )

  def test_every_cell_has_one_of_the_answers(self):
    for method in catalogue.methods():
      for answer in (
        method.source_free,
        method.training_free,
        method.optimisation_free,
        method.unsupervised,
        method.layer_selection,
      ):
        self.assertIn(answer.split(',')[0], ('yes', 'no', '?'), method.name)

  def test_measures_of_probabilities_need_a_trained_classifier(self):
    rows = {method.name: method for method in catalogue.methods()}
    for name in ('leep', 'nce'):
      self.assertEqual(rows[f'`{name}`'].unsupervised, 'no')
      self.assertEqual(rows[f'`{name}`'].layer_selection, 'no')
    self.assertEqual(rows['`logme`'].layer_selection, 'yes')

  def test_files_and_similarities_that_rows_name_exist(self):
    for method in catalogue.methods():
      for name in re.findall(r'`([^`]+)`', method.where):
        if name.endswith('.py'):
          self.assertTrue((module_graph.ROOT / name).exists(), name)
        elif '.' not in name and name != 'depara':
          self.assertIn(name, similarity.names())

  def test_no_cell_breaks_the_table(self):
    lines = catalogue.markdown().splitlines()
    self.assertLen(lines, len(catalogue.methods()) + 2)
    for line in lines:
      self.assertEqual(line.count('|'), len(catalogue.COLUMNS) + 1)


if __name__ == '__main__':
  absltest.main()
