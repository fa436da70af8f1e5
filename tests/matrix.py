"""Runs tests with the oldest and newest versions that the setup allows.

  python -m tests.matrix --folder=/tmp/matrix
  python -m tests.matrix --folder=/tmp/matrix --only=3.10-oldest

Makes a virtual environment for each row, where Python of that version is
installed, and runs a selection of tests in it: what is next to TensorFlow,
Keras and OpenCV. Prints a table of versions and outcomes. A row takes minutes,
and two gigabytes of the folder.
"""

import dataclasses
import json
import os
import pathlib
import re
import runpy
import shutil
import subprocess
from unittest import mock

import setuptools

import toolkit_basics.cli as cli
from tests.module_graph import ROOT
from toolkit_basics import files

FLAGS = cli.Flags()
_FOLDER = FLAGS.path('folder', 'Where environments are made, and kept.')
_ONLY = FLAGS.list('only', 'Only these rows, by name.', [])
_TESTS = FLAGS.list(
  'tests',
  'What is run in each.',
  [
    'tests/attribution/overrides_test.py',
    'tests/attribution/methods_test.py',
    'tests/frozen_graphs/loading_test.py',
    'tests/frozen_graphs/formats/keras',
    'tests/probe_data/image_files_test.py',
    'tests/transferability/model_space_test.py',
    'tests/experiments/bad_models_test.py',
  ],
)
FLAGS.require(_FOLDER)
_SHOWN = ('tensorflow', 'keras', 'tf_keras', 'numpy', 'opencv-python', 'h5py')
# Of others, these say which they go with.
_PULLED = ('tensorflow', 'keras', 'tf-keras', 'opencv-python')


@dataclasses.dataclass(frozen=True)
class Row:
  """An environment.

  Attributes:
    python: Version, as '3.10'.
    which: `oldest` or `newest` of what the setup allows.
  """

  python: str
  which: str

  @property
  def name(self) -> str:
    return f'{self.python}-{self.which}'


ROWS = tuple(
  Row(python, which)
  for which, pythons in (
    ('oldest', ('3.10', '3.11', '3.12')),
    ('newest', ('3.10', '3.11', '3.12', '3.13')),
  )
  for python in pythons
)


def requirements() -> list[str]:
  """Returns what the setup says is needed, with the tests'."""
  with mock.patch.object(setuptools, 'setup') as setup:
    runpy.run_path(str(ROOT / 'setup.py'))
  given = setup.call_args.kwargs
  return [*given['install_requires'], *given['extras_require']['test']]


def oldest(needed: list[str]) -> list[str]:
  """Returns constraints: the lowest version of what others pull up."""
  bounds = {}
  for text in needed:
    if match := re.match(r'([\w-]+)>=([\d.]+)', text):
      bounds[match[1]] = match[2]
  wanted = {name: bounds[name] for name in _PULLED if name in bounds}
  return [
    f'{name}~={version if version.count(".") > 1 else version + ".0"}'
    for name, version in wanted.items()
  ]


def _runs(python: str) -> bool:
  """Returns whether it does: what only stands for a version does not."""
  tried = [python, '-c', '']
  return not subprocess.run(tried, capture_output=True, check=False).returncode


def conduct(row: Row, folder: pathlib.Path, tests: list[str]) -> list[str]:
  """Returns the cells of a row of the table."""
  python = shutil.which(f'python{row.python}')
  if python is None or not _runs(python):
    return [row.name, f'no python{row.python} here']
  place, needed = folder / row.name, requirements()
  own = str(place / 'bin' / 'python')
  if not (place / 'done').exists():
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, '-m', 'venv', str(place)], check=True)
    limits = place / 'constraints.txt'
    chosen = oldest(needed) if row.which == 'oldest' else []
    files.write_atomically(limits, '\n'.join(chosen).encode())
    made = subprocess.run(
      [own, '-m', 'pip', 'install', '-q', '-c', str(limits), *needed],
      capture_output=True,
      text=True,
      check=False,
    )
    if made.returncode:
      lines = made.stderr.strip().splitlines() or ['?']
      return [row.name, f'cannot be installed: {lines[-1][:90]}']
    (place / 'done').touch()
  ended = subprocess.run(
    [own, '-m', 'pytest', '-q', '-n0', '-p', 'no:cacheprovider', *tests],
    cwd=ROOT,
    env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'},
    capture_output=True,
    text=True,
    check=False,
  )
  files.write_atomically(place / 'log.txt', ended.stdout.encode())
  last = (ended.stdout.strip().splitlines() or ['?'])[-1]
  return [row.name, *_versions(own), last]


def _versions(python: str) -> list[str]:
  listed = subprocess.run(
    [python, '-m', 'pip', 'list', '--format=json'],
    capture_output=True,
    text=True,
    check=True,
  ).stdout
  found = {
    entry['name'].replace('-', '_'): entry['version']
    for entry in json.loads(listed)
  }
  return [found.get(name.replace('-', '_'), '?') for name in _SHOWN]


def main() -> None:
  folder = pathlib.Path(_FOLDER.value)
  print('|'.join(['row', *_SHOWN, 'outcome']))
  for row in ROWS:
    if not _ONLY.value or row.name in _ONLY.value:
      print('|'.join(conduct(row, folder, _TESTS.value)), flush=True)


if __name__ == '__main__':
  cli.run(main, FLAGS)
