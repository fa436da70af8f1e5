"""Banks: folders of frozen encoders described by a `bank.json`.

The mini bank of this package is stored in the same form as a bank of one's
own:

  {"name": "mine",
   "encoders": [{"name": "depth", "graph": "depth.pb", "input": "input:0",
                 "representation": "representation:0",
                 "preprocessing": "resize(64) | range(-1, 1)",
                 "label": "Depth", "group": "3d", "sha256": "..."}],
   "oracle": "oracle.csv",
   "oracle_affinity": "oracle_affinity.csv",
   "oracle_losses": "transfer_losses.csv",
   "image_size": 64}

label, group, sha256, image_size and the three tables of the oracle may be left
out.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import re
from typing import Any

import pooch

from taskonomy_models import encoder as encoder_lib
from taskonomy_models.encoder import Encoder

_FILE = 'bank.json'
_REQUIRED = ('name', 'graph', 'input', 'representation', 'preprocessing')
_OPTIONAL = ('label', 'group', 'sha256')
# The measured transfers: ranking, affinities, losses.
_TABLES = ('oracle', 'oracle_affinity', 'oracle_losses')
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.+=@-]{0,127}')
_MINI = pathlib.Path(__file__).parent / 'mini'

# Banks by name; any other value of --bank is a folder.
NAMED = ('mini', 'task_bank')


class BankError(ValueError):
  """A bank that cannot be used; the message names file and entry."""


@dataclasses.dataclass(frozen=True)
class Bank:
  """Encoders that are compared with each other.

  Attributes:
    name: Of the bank.
    encoders: In the order of the bank's file.
    oracle: Path of the measured ranking (CSV), or None.
    oracle_affinity: Path of the affinities it follows from, or None.
    oracle_losses: Path of the losses of the transfers, or None.
    image_size: Side of the probe images that suits the encoders, or None.
    folder: Where the bank was loaded from.
  """

  name: str
  encoders: tuple[Encoder, ...]
  oracle: str | None = None
  image_size: int | None = None
  folder: str = ''
  oracle_affinity: str | None = None
  oracle_losses: str | None = None

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(encoder.name for encoder in self.encoders)

  @property
  def groups(self) -> dict[str, str]:
    """Group of each encoder that has one."""
    return {e.name: e.group for e in self.encoders if e.group is not None}

  def digests(self) -> dict[str, Any]:
    """Returns the sha256 of each file that the bank consists of.

    Returns:
      `bank`, of the description; `graphs`, by encoder; `oracle` and the other
      tables, None for each that is not there.

    Raises:
      ValueError: If a graph is not the one that the bank describes.
    """
    return {
      'bank': encoder_lib.file_digest(os.path.join(self.folder, _FILE)),
      'graphs': {encoder.name: encoder.digest() for encoder in self.encoders},
      **{
        name: getattr(self, name)
        and encoder_lib.file_digest(getattr(self, name))
        for name in _TABLES
      },
    }


def task_bank_folder() -> pathlib.Path:
  """Returns where the bank named 'task_bank' is looked for."""
  return pathlib.Path(pooch.os_cache('attribution-transfer')) / 'task_bank'


def _folder(name_or_folder: str) -> pathlib.Path:
  if name_or_folder == 'mini':
    return _MINI
  if name_or_folder == 'task_bank':
    folder = task_bank_folder()
    if not (folder / _FILE).exists():
      raise FileNotFoundError(
        f'No task bank in {folder}. Put it there with `python -m '
        'taskonomy_models.convert_task_bank`, which converts the released '
        'Taskonomy encoders, or pass its folder as --bank.'
      )
    return folder
  return pathlib.Path(name_or_folder)


def _text(entry: Mapping, key: str, where: str) -> str:
  value = entry[key]
  if not isinstance(value, str) or not value:
    raise BankError(f'{where}: {key!r} must be a text, not {value!r}.')
  return value


def _inside(folder: pathlib.Path, name: str, where: str) -> str:
  """Returns the path of a file that must lie in the bank's folder."""
  path = folder / name
  if not path.resolve().is_relative_to(folder.resolve()):
    raise BankError(
      f'{where}: {name!r} lies outside the bank; put the file into {folder}.'
    )
  if not path.is_file():
    raise BankError(f'{where}: there is no file {path}.')
  return str(path)


def check_name(name: str, where: str = 'A bank') -> None:
  """Raises BankError if a text cannot name an encoder."""
  if not _NAME.fullmatch(name):
    raise BankError(
      f'{where}: {name!r} cannot name an encoder; use at most 128 letters, '
      'digits and _ . + = @ -, the first a letter, digit or _.'
    )


def _check_keys(entry, required, optional, where: str) -> None:
  if not isinstance(entry, dict):
    raise BankError(f'{where}: an object is needed, not {entry!r}.')
  if missing := [key for key in required if key not in entry]:
    raise BankError(f'{where}: {missing} missing; found {sorted(entry)}.')
  if unknown := sorted(set(entry) - {*required, *optional}):
    raise BankError(
      f'{where}: unknown {unknown}; known are {[*required, *optional]}.'
    )


def _encoder(entry, folder: pathlib.Path, where: str) -> Encoder:
  _check_keys(entry, _REQUIRED, _OPTIONAL, where)
  texts = {key: _text(entry, key, where) for key in entry}
  check_name(texts['name'], where)
  return Encoder(
    name=texts['name'],
    graph=_inside(folder, texts['graph'], where),
    input_tensor=texts['input'],
    representation_tensor=texts['representation'],
    preprocessing=texts['preprocessing'],
    label=texts.get('label', texts['name']),
    group=texts.get('group'),
    sha256=texts.get('sha256'),
  )


def load(name_or_folder: str) -> Bank:
  """Returns the bank of a name (see NAMED) or in a folder.

  Raises:
    BankError: If `bank.json` is not as described above; the message names the
      file and the entry.
    FileNotFoundError: If there is none.
  """
  folder = _folder(name_or_folder)
  path = folder / _FILE
  if not path.is_file():
    raise FileNotFoundError(
      f'No bank {name_or_folder!r}: {path} is missing. Pass one of '
      f'{list(NAMED)}, or a folder with a {_FILE}.'
    )
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise BankError(f'{path} is not JSON: {error}') from error
  _check_keys(
    content, ('name', 'encoders'), (*_TABLES, 'image_size'), str(path)
  )
  if not isinstance(content['encoders'], list) or not content['encoders']:
    raise BankError(f'{path}: a list of encoders is needed.')
  encoders = tuple(
    _encoder(entry, folder, f'{path}, encoder {number}')
    for number, entry in enumerate(content['encoders'], start=1)
  )
  names = [encoder.name.lower() for encoder in encoders]
  if repeated := sorted({name for name in names if names.count(name) > 1}):
    raise BankError(f'{path}: encoders named more than once: {repeated}.')
  size = content.get('image_size')
  if size is not None and (type(size) is not int or size < 1):
    raise BankError(f'{path}: image_size must be a side, not {size!r}.')
  tables = {
    key: _inside(folder, _text(content, key, str(path)), str(path))
    for key in _TABLES
    if content.get(key) is not None
  }
  if tables and 'oracle' not in tables:
    raise BankError(f'{path}: {sorted(tables)} without an oracle.')
  return Bank(
    name=_text(content, 'name', str(path)),
    encoders=encoders,
    image_size=size,
    folder=str(folder),
    **tables,
  )


def merge(first: Bank, second: Bank) -> Bank:
  """Returns the encoders of two banks as one bank, without an oracle.

  Raises:
    BankError: If an encoder of one has the name of one of the other.
  """
  taken = {name.lower() for name in first.names}
  if both := [name for name in second.names if name.lower() in taken]:
    raise BankError(
      f'The banks {first.name!r} and {second.name!r} cannot be merged: both '
      f'have encoders named {both}. Rename those of one.'
    )
  return Bank(
    name=f'{first.name}+{second.name}',
    encoders=(*first.encoders, *second.encoders),
  )


def save(bank: Bank) -> None:
  """Writes `bank.json` into the bank's folder, which holds its graphs."""

  def relative(path: str) -> str:
    return os.path.relpath(path, bank.folder)

  encoders = [
    {
      'name': encoder.name,
      'label': encoder.label,
      'group': encoder.group,
      'graph': relative(encoder.graph),
      'input': encoder.input_tensor,
      'representation': encoder.representation_tensor,
      'preprocessing': encoder.preprocessing,
      'sha256': encoder.sha256,
    }
    for encoder in bank.encoders
  ]
  content = {
    'name': bank.name,
    'encoders': [
      {key: value for key, value in entry.items() if value is not None}
      for entry in encoders
    ],
    **{
      name: getattr(bank, name) and relative(getattr(bank, name))
      for name in _TABLES
    },
    'image_size': bank.image_size,
  }
  content = {key: value for key, value in content.items() if value is not None}
  path = pathlib.Path(bank.folder) / _FILE
  temporary = path.with_suffix('.partial')
  temporary.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
  os.replace(temporary, path)
