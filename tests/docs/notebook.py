"""Executes the notebook, and writes it anew with its outputs.

  python -m tests.docs.notebook

For whoever changes the notebook or what it shows; it takes minutes.
"""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import signal
import sys
import tempfile
from unittest import mock

import nbclient
import nbformat

from tests import module_graph

PATH = module_graph.ROOT / 'notebooks' / 'reproduce.ipynb'


def read() -> nbformat.NotebookNode:
  return nbformat.read(PATH, as_version=4)


def execute(notebook: nbformat.NotebookNode, folder: pathlib.Path) -> None:
  """Executes a notebook in a folder, and adds outputs to it.

  An error in a cell is an error here. What a cell starts is stopped.
  """
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
  client = nbclient.NotebookClient(
    notebook,
    timeout=None,  # How fast a machine is, is not known here.
    kernel_name='python3',
    resources={'metadata': {'path': str(folder)}},
  )
  with mock.patch.dict(os.environ, environment), _stopping_tensorboard(folder):
    client.execute()


@contextlib.contextmanager
def _stopping_tensorboard(folder: pathlib.Path) -> Iterator[None]:
  """Stops the TensorBoards that tell of themselves below a folder."""
  try:
    yield
  finally:
    for path in folder.glob('.tensorboard-info/pid-*.info'):
      with contextlib.suppress(ProcessLookupError):
        os.kill(json.loads(path.read_text())['pid'], signal.SIGTERM)


def _without_progress(
  outputs: list[nbformat.NotebookNode],
) -> list[nbformat.NotebookNode]:
  """Returns outputs without the progress bars that others have overwritten."""
  kept, text = [], ''
  for output in outputs:
    if output.get('name') == 'stdout':
      text += output.text
    else:
      kept.append(output)
  # A bar begins with a carriage return, and a line may end with one.
  lines = [
    line.rpartition('\r')[2] for line in text.replace('\r\n', '\n').split('\n')
  ]
  lines = [line for line in lines if '%|' not in line]
  if printed := '\n'.join(lines).strip('\n'):
    stream = nbformat.v4.new_output(
      'stream', name='stdout', text=printed + '\n'
    )
    kept.insert(0, stream)
  return kept


def main() -> None:
  notebook = read()
  with tempfile.TemporaryDirectory() as folder:
    execute(notebook, pathlib.Path(folder))
  for cell in notebook.cells:
    if cell.cell_type == 'code':
      cell.metadata.pop('execution', None)  # When it was, to the microsecond.
      cell.outputs = _without_progress(cell.outputs)
      if cell.id == 'tensorboard':  # What it shows is gone.
        cell.outputs = []
  nbformat.write(notebook, PATH)


if __name__ == '__main__':
  main()
