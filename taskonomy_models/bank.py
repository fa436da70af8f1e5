"""Banks: folders of frozen encoders described by a `bank.json`.

The mini bank of this package is stored in the same form as a bank of one's
own:

  {"name": "mine",
   "encoders": [{"name": "depth", "graph": "depth.pb", "input": "input:0",
                 "representation": "representation:0",
                 "preprocessing": "resize(64) | range(-1, 1)",
                 "label": "Depth", "group": "3d", "sha256": "...",
                 "prediction": "prediction:0"}],
   "oracle": "oracle.csv",
   "oracle_affinity": "oracle_affinity.csv",
   "oracle_losses": "transfer_losses.csv",
   "image_size": 64}

label, group, sha256, prediction (what the network predicts, if its graph has a
head), image_size and the three tables of the oracle may be left out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import tempfile
from typing import Any

import pooch
import tensorflow as tf

from frozen_graphs.errors import about
from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder, Networks
from toolkit_basics import files

_FILE = 'bank.json'
_SHOWN = 8  # Names in its repr.
_SOURCES = 'sources.json'  # What each graph was made from.
_FIELDS = {  # Of an encoder, by how bank.json calls them.
  'name': 'name',
  'label': 'label',
  'group': 'group',
  'graph': 'graph',
  'input': 'input_tensor',
  'representation': 'representation_tensor',
  'preprocessing': 'preprocessing',
  'sha256': 'sha256',
  'prediction': 'prediction_tensor',
}
_OPTIONAL = ('label', 'group', 'sha256', 'prediction')
_REQUIRED = tuple(key for key in _FIELDS if key not in _OPTIONAL)
# The measured transfers: ranking, affinities, losses.
_TABLES = ('oracle', 'oracle_affinity', 'oracle_losses')
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.+=@-]{0,127}')
# Banks that the package holds, by the folder in it. Those that are held out had
# no part in the choice of anything; see docs/mini_bank.md.
_EMBEDDED = {
  'mini': 'mini',
  'mini_seed1': 'mini_held_out/seed1',
  'mini_independent': 'mini_held_out/independent',
  'mini_architectures': 'mini_held_out/architectures',
}

# Banks by name; anything else is a folder.
NAMED = (*_EMBEDDED, 'task_bank')


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
    folder: Where the bank was loaded from; empty if it is in memory.
    networks: What was loaded of its graphs.
  """

  name: str
  encoders: tuple[Encoder, ...]
  oracle: str | None = None
  image_size: int | None = None
  folder: str = ''
  oracle_affinity: str | None = None
  oracle_losses: str | None = None
  networks: Networks = dataclasses.field(
    default_factory=Networks, repr=False, compare=False
  )

  def __post_init__(self):
    names = [name.lower() for name in self.names]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
      raise BankError(f'encoders named more than once: {repeated}.')

  def __repr__(self) -> str:
    number = len(self.encoders)
    shown = ', '.join(self.names[:_SHOWN]) + ', ...' * (number > _SHOWN)
    truth = ', with measured transfers' if self.oracle else ''
    plural = 's' * (number != 1)
    return f'<Bank {self.name}: {number} network{plural}{truth}: {shown}>'

  def network(self, name: str) -> Network:
    """Returns the network of an encoder, which is loaded once.

    Raises:
      ValueError: If there is none of the name, or its graph cannot be used.
      OSError: If its file cannot be read.
    """
    for encoder in self.encoders:
      if encoder.name == name:
        return self.networks.get(encoder)
    raise BankError(f'No encoder {name!r}; there are {list(self.names)}.')

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(encoder.name for encoder in self.encoders)

  def only(self, names: Collection[str]) -> 'Bank':
    """Returns a bank of some of the encoders, in the order of this one.

    Raises:
      BankError: If there is none of a name.
    """
    if unknown := sorted({*names} - {*self.names}):
      raise BankError(
        f'The bank {self.name!r} has no network {unknown[0]!r}; choose from '
        f'{", ".join(self.names)}.'
      )
    kept = tuple(e for e in self.encoders if e.name in names)
    return dataclasses.replace(self, encoders=kept)

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
    graphs = {e.name: self.networks.digest(e) for e in self.encoders}
    bank = self.folder and files.sha256(os.path.join(self.folder, _FILE))
    tables = {name: getattr(self, name) for name in _TABLES}
    return {
      'bank': bank or None,
      'graphs': graphs,
      **{name: path and files.sha256(path) for name, path in tables.items()},
    }


def task_bank_folder() -> pathlib.Path:
  """Returns where the bank named 'task_bank' is looked for."""
  return pathlib.Path(pooch.os_cache('attribution-transfer')) / 'task_bank'


def _folder(name_or_folder: str) -> pathlib.Path:
  if name_or_folder in _EMBEDDED:
    return pathlib.Path(__file__).parent / _EMBEDDED[name_or_folder]
  if name_or_folder == 'task_bank':
    folder = task_bank_folder()
    if not (folder / _FILE).exists():
      raise FileNotFoundError(
        f'No task bank in {folder}. Put it there with `python -m '
        'taskonomy_models.convert_task_bank`, which converts the released '
        'Taskonomy encoders, or pass the folder in which it is.'
      )
    return folder
  return pathlib.Path(name_or_folder)


def _text(entry: Mapping, key: str) -> str:
  value = entry[key]
  if not isinstance(value, str) or not value:
    raise BankError(f'{key!r} must be a text, not {value!r}.')
  return value


def _path(folder: pathlib.Path, name: str, is_needed: bool = True) -> str:
  """Returns the path of a file that must lie in the bank's folder."""
  path = folder / name
  real = pathlib.Path(os.path.realpath(path))  # Of links in a circle, too.
  if not real.is_relative_to(os.path.realpath(folder)):
    raise BankError(
      f'{name!r} lies outside the bank; put the file into {folder}.'
    )
  if is_needed and not path.is_file():
    raise BankError(f'there is no file {path}.')
  return str(path)


def check_name(name: str) -> None:
  """Raises BankError if a text cannot name an encoder."""
  if not _NAME.fullmatch(name):
    raise BankError(
      f'{name!r} cannot name an encoder; use at most 128 letters, digits and '
      '_ . + = @ -, the first a letter, digit or _.'
    )


def _check_keys(entry: Any, required: Sequence, optional: Sequence) -> None:
  if not isinstance(entry, dict):
    raise BankError(f'an object is needed, not {entry!r}.')
  if missing := [key for key in required if key not in entry]:
    raise BankError(f'{missing} missing; found {sorted(entry)}.')
  if unknown := sorted(set(entry) - {*required, *optional}):
    raise BankError(f'unknown {unknown}; known are {[*required, *optional]}.')


def _encoder(entry: Any, folder: pathlib.Path, needs_graph: bool) -> Encoder:
  _check_keys(entry, _REQUIRED, _OPTIONAL)
  fields = {_FIELDS[key]: _text(entry, key) for key in entry}
  check_name(fields['name'])
  fields['graph'] = _path(folder, fields['graph'], needs_graph)
  return Encoder(**{'label': fields['name'], **fields})


def load(
  name_or_folder: str,
  needs_graphs: bool = True,
  names: Collection[str] | None = None,
) -> Bank:
  """Returns the bank of a name (see NAMED) or in a folder.

  Args:
    name_or_folder: Which.
    needs_graphs: Whether the files of all its graphs must be there.
    names: Only these of its encoders, if not None; the files of others may be
      missing.

  Raises:
    BankError: If `bank.json` is not as described above, or it has no encoder of
      a name; the message names the file and the entry.
    FileNotFoundError: If there is none.
  """
  folder = _folder(name_or_folder)
  if names is None:
    return _read(folder, needs_graphs)
  bank = _read(folder, needs_graphs=False).only(names)
  for encoder in bank.encoders:
    if needs_graphs and not os.path.isfile(encoder.graph):
      raise BankError(
        f'{folder / _FILE}: {encoder.name}: there is no file {encoder.graph}.'
      )
  return bank


def _read(folder: pathlib.Path, needs_graphs: bool = True) -> Bank:
  path = folder / _FILE
  if not path.is_file():
    raise FileNotFoundError(
      f'No bank {str(folder)!r}: {path} is missing. Pass one of {list(NAMED)}, '
      f'or a folder with a {_FILE}.'
    )
  try:
    content = files.read_json(path)
  except ValueError as error:
    raise BankError(str(error)) from error
  with about(path):
    return _parsed(content, folder, needs_graphs)


def _parsed(content: Any, folder: pathlib.Path, needs_graphs: bool) -> Bank:
  _check_keys(content, ('name', 'encoders'), (*_TABLES, 'image_size'))
  if not isinstance(content['encoders'], list) or not content['encoders']:
    raise BankError('a list of encoders is needed.')
  encoders = []
  for number, entry in enumerate(content['encoders'], start=1):
    with about(f'encoder {number}'):
      encoders.append(_encoder(entry, folder, needs_graphs))
  size = content.get('image_size')
  if size is not None and (type(size) is not int or size < 1):
    raise BankError(f'image_size must be a side, not {size!r}.')
  tables = {
    key: _path(folder, _text(content, key))
    for key in _TABLES
    if content.get(key) is not None
  }
  if tables and 'oracle' not in tables:
    raise BankError(f'{sorted(tables)} without an oracle.')
  return Bank(
    name=_text(content, 'name'),
    encoders=tuple(encoders),
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


class Folder:
  """The folder of a bank, and the only writer of one.

  Networks are added one at a time; after each the folder is a whole bank.
  Several processes may add to it at once.

  Attributes:
    path: Of the folder, which need not exist.
  """

  def __init__(self, path: str | os.PathLike, name: str | None = None):
    """Opens a folder.

    Args:
      path: Of the folder.
      name: Of the bank, if there is none yet; default: the folder's.
    """
    self.path = pathlib.Path(path)
    self._name = name or os.path.basename(os.path.realpath(path)) or 'bank'

  def bank(self) -> Bank:
    """Returns the bank as it is; one without encoders if there is none.

    Encoders whose graphs were lost are left out.
    """
    if (self.path / _FILE).exists():
      bank = _read(self.path, needs_graphs=False)
      there = tuple(e for e in bank.encoders if os.path.isfile(e.graph))
      return dataclasses.replace(bank, encoders=there)
    return Bank(self._name, (), folder=str(self.path))

  def graph(self, name: str) -> pathlib.Path:
    """Returns where an encoder's graph is."""
    return self.path / f'{name}.pb'

  def provenance(self) -> dict[str, dict[str, Any]]:
    """Returns what each encoder was made from, as it was said to `add`.

    Raises:
      BankError: If the file of it is damaged.
    """
    path = self.path / _SOURCES
    try:
      found = files.read_json(path) if path.exists() else {}
      if {type(entry) for entry in found.values()} <= {dict}:
        return found
    except (ValueError, AttributeError):
      pass
    raise BankError(f'{path} is damaged; delete it to start anew.')

  def has(self, name: str, provenance: Mapping[str, Any]) -> bool:
    """Whether an encoder is there, whole, and was made from just that."""
    found = self.provenance().get(name)
    if found is None or not provenance.items() <= found.items():
      return False
    path = self.graph(name)
    return path.is_file() and files.sha256(path) == found.get('graph_sha256')

  def check_source(self, name: str, provenance: Mapping[str, Any]) -> None:
    """Raises BankError if an encoder is known to be made from something else.

    Args:
      name: Of an encoder that is there.
      provenance: What is wanted of what was said to `add`.
    """
    found = self.provenance().get(name)
    digests = {each.name: each.sha256 for each in self.bank().encoders}
    if found is None or found.get('graph_sha256') != digests[name]:
      return  # It was added by other means.
    for key, value in provenance.items():
      if found.get(key) != value:
        raise BankError(
          f'{self.path} has {name} with {key} {found.get(key)}, not {value}; '
          'choose another `output`.'
        )

  def check_free(self, name: str, overwrite: bool = False) -> None:
    """Raises BankError if the bank cannot take an encoder of a name.

    Raises:
      OSError: If nothing can be written into the folder, or it cannot be made.
    """
    check_name(name)
    self._check_writable()
    for other in self.bank().names:
      if other == name and not overwrite:
        raise BankError(
          f'{self.path} has a network {name!r} already. Choose another name, '
          'or pass `overwrite`.'
        )
      if other != name and other.lower() == name.lower():
        raise BankError(
          f'{self.path} has a network {other!r}; {name!r} differs in case '
          'only, which some file systems do not tell apart.'
        )

  def _check_writable(self) -> None:
    places = (self.path, *self.path.absolute().parents)
    if self.path.exists() and not self.path.is_dir():
      raise BankError(f'{self.path} is no folder; choose another `output`.')
    try:
      with tempfile.TemporaryFile(dir=next(p for p in places if p.exists())):
        pass
    except OSError as error:
      error.filename = str(self.path)
      raise

  def add(
    self,
    encoder: Encoder,
    graph: tf.compat.v1.GraphDef | bytes | Iterable[bytes],
    provenance: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = True,
    **changes: Any,
  ) -> Encoder:
    """Writes a graph, and then the bank with its encoder.

    Args:
      encoder: Its graph and sha256 are filled in.
      graph: The GraphDef, or its bytes, or these part by part.
      provenance: What it was made from, as JSON, for `has`.
      overwrite: Replace an encoder of the same name.
      **changes: Of the bank, see `describe`.

    Returns:
      The entry.
    """
    if isinstance(graph, tf.compat.v1.GraphDef):
      graph = graph.SerializeToString(deterministic=True)
    if isinstance(graph, bytes):
      graph = [graph]
    with self._locked():
      self.check_free(encoder.name, overwrite)
      with (
        files.replacing(self.path / _FILE) as description,
        files.replacing(self.graph(encoder.name)) as file,
      ):
        digest = hashlib.sha256()
        for part in graph:
          digest.update(part)
          file.write(part)
        encoder = dataclasses.replace(
          encoder,
          graph=str(self.graph(encoder.name)),
          sha256=digest.hexdigest(),
        )
        entries = {each.name: each for each in self.bank().encoders}
        entries[encoder.name] = encoder
        if provenance is not None:
          known = self.provenance()
          known[encoder.name] = {**provenance, 'graph_sha256': encoder.sha256}
          files.write_json(self.path / _SOURCES, known)
        # Where there is no room for it, the graph is not replaced either.
        description.write(self._content(tuple(entries.values()), changes))
        description.flush()
    return encoder

  def describe(self, order: Sequence[str] = (), **changes: Any) -> Bank:
    """Writes what a bank says of all its encoders; returns the bank.

    Args:
      order: Names of encoders that come first, in this order.
      **changes: Fields of `Bank`, such as `oracle` and `image_size`.
    """
    with self._locked():
      entries = {each.name: each for each in self.bank().encoders}
      names = [name for name in order if name in entries]
      names = dict.fromkeys([*names, *entries])
      content = self._content(tuple(entries[name] for name in names), changes)
      files.write_atomically(self.path / _FILE, content)
    return self.bank()

  def _content(self, encoders: Sequence[Encoder], changes: Mapping) -> bytes:
    """Returns the content of `bank.json`, with changes of the bank."""
    known = {key: value for key, value in changes.items() if value is not None}
    bank = dataclasses.replace(self.bank(), encoders=encoders, **known)
    return files.as_json(_described(bank, self.path))

  @contextlib.contextmanager
  def _locked(self) -> Iterator[None]:
    """Keeps other writers out."""
    self.path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(self.path, os.O_RDONLY)
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX)
      yield
    finally:
      os.close(descriptor)


def _described(bank: Bank, folder: pathlib.Path) -> dict[str, Any]:
  """Returns the content of the `bank.json` in a folder."""

  def known(entry: Mapping[str, Any]) -> dict[str, Any]:
    paths = {
      key: os.path.relpath(entry[key], folder)
      for key in ('graph', *_TABLES)
      if entry.get(key)
    }
    return {k: v for k, v in {**entry, **paths}.items() if v is not None}

  return known(
    {
      'name': bank.name,
      'encoders': [
        known({key: getattr(encoder, name) for key, name in _FIELDS.items()})
        for encoder in bank.encoders
      ],
      **{name: getattr(bank, name) for name in _TABLES},
      'image_size': bank.image_size,
    }
  )
