"""Tests that the commands and code on how to bring a network are true."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
import pytest

from attribution.preprocessing import Preprocessing
from frozen_graphs.formats import registry
from taskonomy_models import keras_networks
from tests import mini_run_testing

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / 'docs' / 'your_own_network.md').read_text(encoding='utf-8')
_README = (_ROOT / 'README.md').read_text(encoding='utf-8')
_MAX_LINES = 11


def _blocks(text: str, language: str) -> list[str]:
  return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


class OwnNetworkTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.names = ()

  def _write_run(self) -> None:
    run = self.folder / 'results' / 'taskonomy-scenes'
    self.names = mini_run_testing.write(run)
    self.assertLen(self.names, 3)

  def _shell(self, commands: str) -> str:
    """Runs commands of the page in a folder; `python` is this one."""
    program = self.folder / 'bin' / 'python'
    program.parent.mkdir(exist_ok=True)
    program.unlink(missing_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([os.fspath(program.parent), os.environ['PATH']])
    result = subprocess.run(
      ['bash', '-e', '-c', commands],
      capture_output=True,
      text=True,
      check=False,
      cwd=self.folder,
      env={**os.environ, 'PATH': path, 'PYTHONPATH': os.fspath(_ROOT)},
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    return result.stdout

  def _assert_places(self, new: str, printed: str) -> None:
    for name in self.names:
      self.assertRegex(printed, rf'(?m)^{name} +-?\d')
    self.assertIn(f'rank_of_{new}', printed)

  @pytest.mark.slow
  def test_python_places_a_model_in_less_than_twelve_lines(self):
    (block,) = _blocks(_PAGE, 'python')
    lines = [line for line in block.splitlines() if line.strip()]
    self.assertLessEqual(len(lines), _MAX_LINES)
    self._write_run()
    printed = io.StringIO()
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(self.folder)
    with contextlib.redirect_stdout(printed):
      exec(compile(block, 'your_own_network.md', 'exec'), {})
    os.chdir(_ROOT)
    self._assert_places('mobilenet', printed.getvalue())
    self.assertTrue((self.folder / 'model.keras').exists())

  @pytest.mark.slow
  def test_shell_places_a_file_with_two_commands(self):
    (block,) = _blocks(_PAGE, 'bash')
    self.assertLen(block.strip().splitlines(), 2)
    self._write_run()
    model = keras_networks.build('mobilenet_025', weights='random')
    model.save(self.folder / 'model.keras')
    self._assert_places('mine', self._shell(block))

  def test_readme_shows_the_same(self):
    section = _README.split('## Your own network\n')[1].split('\n## ')[0]
    for language in ('python', 'bash'):
      self.assertEqual(_blocks(section, language)[:1], _blocks(_PAGE, language))
    self.assertIn('(docs/your_own_network.md)', section)

  def test_every_preprocessing_on_the_page_can_be_parsed(self):
    cells = re.findall(r'\| `(resize.*?)` \|\n', _PAGE)
    self.assertLen(cells, 5)
    for cell in cells:
      t = Preprocessing.parse(cell.replace(r'\|', '|'))
      self.assertEqual(t.output_shape((300, 300, 3)), (224, 224, 3))

  def test_every_format_has_its_row(self):
    table = _PAGE.split('## Which formats are read')[1].split('\n\n')[2]
    rows = table.splitlines()[2:]
    # Graph and layers models of TensorFlow.js share one.
    # Weights alone are read for the zoo, by the architectures it names.
    formats = set(registry.FORMATS) - {'tfjs_layers_model', 'weights'}
    self.assertLen(rows, len(formats))

  def test_links_lead_somewhere(self):
    for link in re.findall(r'\]\(([^)#]+)\)', _PAGE):
      self.assertTrue((_ROOT / 'docs' / link).exists(), link)


if __name__ == '__main__':
  absltest.main()
