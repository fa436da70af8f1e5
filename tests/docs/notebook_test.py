"""Tests of the notebook: it is executed as it is, on a few images."""

import json
import pathlib
import re
import tempfile
from unittest import mock

from absl.testing import absltest
import nbformat
import pytest

from tests import module_graph
from tests.docs import notebook

# As papermill does it: a cell after the one that has the tag `parameters`.
_PARAMETERS = 'NUM_IMAGES = 3'
# Runs last, and prints the runs that the notebook's TensorBoard serves.
_READ_TENSORBOARD = """
import json, time, urllib.request
from tensorboard import manager

(board,) = manager.get_all()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(300):
  with opener.open(f'http://localhost:{board.port}/data/runs') as answer:
    runs = json.load(answer)
  if len(runs) >= 9:
    break
  time.sleep(0.1)
print(json.dumps(runs))
"""


def _source(name: str) -> str:
  (cell,) = (cell for cell in notebook.read().cells if cell.id == name)
  return cell.source


@pytest.mark.slow
class ExecutedTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    content = notebook.read()
    (index,) = (
      index
      for index, cell in enumerate(content.cells)
      if 'parameters' in cell.metadata.get('tags', ())
    )
    content.cells.insert(index + 1, nbformat.v4.new_code_cell(_PARAMETERS))
    content.cells.append(
      nbformat.v4.new_code_cell(_READ_TENSORBOARD, id='read-tensorboard')
    )
    notebook.execute(content, pathlib.Path(temporary.name))
    cls.cells = {cell.id: cell for cell in content.cells}

  def _outputs(self, name: str, kind: str) -> list[str]:
    return [
      output['data'][kind]
      for output in self.cells[name].outputs
      if kind in output.get('data', ())
    ]

  def test_it_shows_the_table_of_methods_and_baselines(self):
    (table,) = self._outputs('table', 'text/markdown')
    names = re.findall(r'^\| `(\w+)` \|', table, re.MULTILINE)
    self.assertContainsSubset(
      ['saliency', 'gradient_times_input', 'elrp', 'random', 'oracle'], names
    )
    self.assertIn('| P@1 | P@3 | P@5 |', table)
    self.assertRegex(table, r'`oracle`( \| 1\.000){5} \|')

  def test_it_shows_the_pictures_of_the_run(self):
    for name in ('table', 'maps', 'affinity', 'tree'):
      with self.subTest(name):
        (picture,) = self._outputs(name, 'image/jpeg')
        self.assertGreater(len(picture), 10_000)

  def test_it_places_the_new_network_among_all_others(self):
    (printed,) = self.cells['placement'].outputs
    title, header, *rows = printed['text'].splitlines()
    self.assertStartsWith(title, 'mine among the others')
    self.assertRegex(header, r'^target +affinity +rank_of_mine +of +space$')
    self.assertLen(rows, 20 * len({row.split()[-1] for row in rows}))

  def test_it_ends_in_tensorboard_on_the_folder_of_the_run(self):
    frame = self._outputs('tensorboard', 'text/html')
    self.assertLen(frame, 1, self.cells['tensorboard'].outputs)
    self.assertIn('<iframe', frame[0])
    (printed,) = self.cells['read-tensorboard'].outputs
    runs = json.loads(printed['text'])
    self.assertContainsSubset(['saliency', 'elrp', 'oracle', 'summary'], runs)

  def test_nothing_is_installed_where_the_packages_are(self):
    self.assertEmpty(self.cells['install'].outputs)


class FileTest(absltest.TestCase):
  def test_it_reads_as_a_page_small_and_without_noise(self):
    content = notebook.read()
    nbformat.validate(content)
    cells = {cell.id: cell for cell in content.cells}
    for name in ('run', 'answer', 'maps', 'affinity', 'tree', 'table'):
      self.assertNotEmpty(cells[name].outputs, name)
    self.assertNotEmpty(cells['placement'].outputs)
    for cell in content.cells:
      for output in cell.get('outputs', ()):
        self.assertNotEqual(output.get('name'), 'stderr', cell.id)
        self.assertNotEqual(output.output_type, 'error', cell.id)
    self.assertLess(notebook.PATH.stat().st_size, 2_000_000)

  def test_it_tells_question_answer_why_and_how_far_to_trust_it(self):
    text = '\n'.join(cell.source for cell in notebook.read().cells)
    places = [
      text.index(part)
      for part in (
        'The question',
        '# The answer',
        '# Why',
        '# How far to trust',
      )
    ]
    self.assertEqual(places, sorted(places))

  def test_the_address_of_the_repository_stands_in_one_place(self):
    text = '\n'.join(cell.source for cell in notebook.read().cells)
    self.assertLen(re.findall(r'^REPOSITORY = ', text, re.M), 1)
    self.assertNotIn('github.com', text)

  def test_without_packages_and_repository_it_says_what_to_do(self):
    code = _source('install').split('  if not found:')[0]
    folder = self.create_tempdir().full_path
    with (
      mock.patch('importlib.util.find_spec', return_value=None),
      mock.patch.object(pathlib.Path, 'cwd', return_value=pathlib.Path(folder)),
    ):
      with self.assertRaisesRegex(ValueError, 'Set REPOSITORY'):
        exec(code, {})

  def test_in_a_checkout_it_finds_the_packages(self):
    code = _source('install').split('  if not found:')[0]
    inside = notebook.PATH.parent
    names = {}
    with (
      mock.patch('importlib.util.find_spec', return_value=None),
      mock.patch.object(pathlib.Path, 'cwd', return_value=inside),
    ):
      exec(code, names)
    self.assertEqual(names['found'], [module_graph.ROOT])


if __name__ == '__main__':
  absltest.main()
