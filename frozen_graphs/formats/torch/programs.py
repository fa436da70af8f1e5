"""Reads files of programs of PyTorch: torch.export's .pt2, and TorchScript.

Both are run by PyTorch to be exported, and PyTorch unpickles a part of them: a
file can do what its author wants. So they are read only if that is said.
"""

import os
import pathlib
from typing import Any
import zipfile

from frozen_graphs.errors import GraphError, at_the_door
from frozen_graphs.formats.torch import exporting, surgery

TRUSTED = 'code'
_SCRIPTS = ('.pt', '.pth', '.ts', '.torchscript', '.jit')


def kind_of(path: str | os.PathLike) -> str | None:
  """Returns 'export' or 'script', None for a file without a program."""
  path = pathlib.Path(path)
  suffix = path.suffix.lower()
  if not path.is_file():
    return None
  if suffix == '.pt2':
    return 'export'
  if suffix not in _SCRIPTS:
    return None
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except (OSError, zipfile.BadZipFile):
    return None
  has_code = any('/code/' in name for name in names)
  return 'script' if has_code else None


def read(path: str | os.PathLike, trust: str | None) -> tuple[Any, Any]:
  """Returns a module, and the exported program that it is, or None.

  Args:
    path: Of the file.
    trust: 'code' if what the file holds may be run.

  Raises:
    GraphError: If it may not, or the file cannot be loaded.
  """
  if trust != TRUSTED:
    raise GraphError(
      f'{os.fspath(path)} is a program of PyTorch: to read it is to run code '
      'that is in it. If it is your own, or you trust its author as you trust '
      f"a program: `trust='{TRUSTED}'`. Else ask for an "
      '.onnx file, which is read as data.'
    )
  torch = surgery.require()
  with (
    at_the_door(path, f'be loaded by PyTorch {torch.__version__}'),
    exporting.quietly(),
    surgery.gradients(),
  ):
    if kind_of(path) == 'script':
      return torch.jit.load(os.fspath(path), map_location='cpu').eval(), None
    program = torch.export.load(os.fspath(path))
    return program.module(), program


def example(program: Any) -> tuple[Any, str | None]:
  """Returns the images that a program was exported with, or None.

  And how it wants them to be called, None if it takes them by their place. Most
  networks of transformers are called with `pixel_values=images`.
  """
  given, named = (program and program.example_inputs) or ((), {})
  if given or len(named) != 1:
    return (given[0] if given else None), None
  ((name, images),) = named.items()
  return images, name
