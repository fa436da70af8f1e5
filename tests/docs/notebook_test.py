"""Tests of the notebook: it is executed as it is, on a few images."""

import contextlib
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
import nbclient
import nbformat
import pytest

from tests import module_graph

_PATH = module_graph.ROOT / 'notebooks' / 'reproduce.ipynb'
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
  if len(runs) >= 12:
    break
  time.sleep(0.1)
print(json.dumps(runs))
"""


def _read() -> nbformat.NotebookNode:
  return nbformat.read(_PATH, as_version=4)


def _source(name: str) -> str:
  (cell,) = (cell for cell in _read().cells if cell.id == name)
  return cell.source


@contextlib.contextmanager
def _stopping_tensorboard(folder: pathlib.Path):
  """Stops the TensorBoards that tell of themselves below a folder."""
  try:
    yield
  finally:
    for path in folder.glob('.tensorboard-info/pid-*.info'):
      with contextlib.suppress(ProcessLookupError):
        os.kill(json.loads(path.read_text())['pid'], signal.SIGTERM)


@pytest.mark.slow
class ExecutedTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    folder = pathlib.Path(temporary.name)
    search = os.pathsep.join([str(module_graph.ROOT), *filter(None, sys.path)])
    commands = os.pathsep.join(
      [str(pathlib.Path(sys.executable).parent), os.environ['PATH']]
    )
    environment = {
      'PYTHONPATH': search,
      'PATH': commands,
      'TMPDIR': str(folder),
      'IPYTHONDIR': str(folder / 'ipython'),
      # Not the one of notebooks, which TensorBoard's process, that is started
      # without PYTHONPATH, finds only beside itself.
      'MPLBACKEND': 'agg',
    }
    notebook = _read()
    (index,) = (
      index
      for index, cell in enumerate(notebook.cells)
      if 'parameters' in cell.metadata.get('tags', ())
    )
    notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(_PARAMETERS))
    notebook.cells.append(
      nbformat.v4.new_code_cell(_READ_TENSORBOARD, id='read-tensorboard')
    )
    client = nbclient.NotebookClient(
      notebook,
      timeout=300,
      kernel_name='python3',
      resources={'metadata': {'path': str(folder)}},
    )
    with (
      mock.patch.dict(os.environ, environment),
      _stopping_tensorboard(folder),
    ):
      client.execute()  # An error in a cell is an error here.
    cls.cells = {cell.id: cell for cell in notebook.cells}

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
        (picture,) = self._outputs(name, 'image/png')
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
    self.assertContainsSubset(
      ['saliency', 'elrp', 'precision_recall/oracle', 'settings'], runs
    )

  def test_nothing_is_installed_where_the_packages_are(self):
    self.assertEmpty(self.cells['install'].outputs)


class FileTest(absltest.TestCase):
  def test_it_is_valid_and_its_outputs_are_cleared(self):
    notebook = _read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
      if cell.cell_type == 'code':
        with self.subTest(cell.id):
          self.assertEmpty(cell.outputs)
          self.assertIsNone(cell.execution_count)

  def test_badge_and_install_cell_name_one_repository(self):
    address = r'github(?:\.com)?/([\w.-]+/[\w.-]+)'
    (badge,) = re.findall(rf'google\.com/{address}', _source('title'))
    (cloned,) = re.findall(
      r"^REPOSITORY = 'https://github\.com/(.+)'$",
      _source('install'),
      re.MULTILINE,
    )
    self.assertEqual(badge, cloned)
    self.assertIn('/blob/main/notebooks/reproduce.ipynb', _source('title'))

  def test_without_packages_and_repository_it_says_what_to_do(self):
    code = _source('install').split('  !git')[0]
    with mock.patch('importlib.util.find_spec', return_value=None):
      with self.assertRaisesRegex(ValueError, 'Set REPOSITORY'):
        exec(code, {})


if __name__ == '__main__':
  absltest.main()
