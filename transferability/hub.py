"""A hub: a shelf of networks that is searched by their descriptors.

A folder:

  hub.json       what all descriptors share
  names.sqlite   which network is in which row
  norms.f4       float32 of each row
  first.u8       the first words of each code, [rows, FIRST]
  others.u8      the other words

To add a network, its row is written and then its name: nothing of the others is
read or changed. A search reads the first words of all networks, an eighth of
their codes, block by block; the whole codes of the best of them; and, where
somebody has them, the exact affinities of the best of these.
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import mmap
import os
import pathlib
import sqlite3

import numpy as np

from toolkit_basics import files
from transferability import descriptors
from transferability.descriptors import Descriptor, Sketcher

FIRST = 64  # Words of a code that are read of all networks.
_BLOCK = 2**14  # Rows compared at once: 8 MB.
_CANDIDATES = 4000  # Whose whole codes are read.
_EXACT = 1000  # Whose exact affinities are asked for.
_THREADS = 2  # More only wait for the disk.
_FORMAT = 1

Exact = Callable[[Sequence[str]], Sequence[float]]


class HubError(ValueError):
  """A hub cannot do what was asked."""


class Hub:
  """Networks on a shelf, any number; see the module.

  Attributes:
    folder: Where it is.
    sketcher: Of its descriptors.
  """

  def __init__(self, folder: files.Path, sketcher: Sketcher | None = None):
    """Opens a hub, or makes one.

    Args:
      folder: Where it is, or shall be.
      sketcher: Of its descriptors; default: that of a hub that is there.

    Raises:
      HubError: If the hub that is there has descriptors of another kind.
    """
    self.folder = pathlib.Path(folder)
    header = self.folder / 'hub.json'
    if not header.exists():
      self.folder.mkdir(parents=True, exist_ok=True)
      made = sketcher or Sketcher()
      content = {'format': _FORMAT, 'size': made.size, 'seed': made.seed}
      files.write_json(header, content)
    found = files.read_json(header)
    if found.get('format') != _FORMAT:
      raise HubError(f'{header}: this version reads the format {_FORMAT}.')
    self.sketcher = Sketcher(found['size'], found['seed'])
    if sketcher not in (None, self.sketcher):
      raise HubError(
        f'{self.folder} has descriptors of {self.sketcher}, not of {sketcher}; '
        'use another folder.'
      )
    self._names = sqlite3.connect(self.folder / 'names.sqlite')
    with self._names:
      self._names.execute(
        'CREATE TABLE IF NOT EXISTS networks '
        '(row INTEGER PRIMARY KEY, name TEXT UNIQUE)'
      )

  def __len__(self) -> int:
    """Returns the number of networks; counts them."""
    query = 'SELECT count(*) FROM networks WHERE name IS NOT NULL'
    return self._names.execute(query).fetchone()[0]

  def __contains__(self, name: str) -> bool:
    return self._row(name) is not None

  def add(self, name: str, descriptor: Descriptor) -> None:
    """Puts a network on the shelf, in a time that the others do not change.

    Raises:
      HubError: If there is one of this name, or the descriptor is of another
        size.
    """
    self.add_all([name], [descriptor.norm], descriptor.code[None])

  def add_all(
    self, names: Sequence[str], norms: Sequence[float], codes: np.ndarray
  ) -> None:
    """Puts several networks on the shelf; all or none.

    Args:
      names: Of the networks.
      norms: Of their descriptors.
      codes: uint64 [networks, words].
    """
    words = self.sketcher.words
    if codes.shape != (len(names), words) or len(norms) != len(names):
      raise HubError(
        f'{self.folder}: codes of shape {codes.shape} for {len(names)} '
        f'networks; each needs {words} words.'
      )
    with self._names:  # Until it is committed, nobody reads the new rows.
      self._names.execute('BEGIN IMMEDIATE')
      start = self._rows()
      try:
        self._names.executemany(
          'INSERT INTO networks VALUES (?, ?)', enumerate(names, start)
        )
      except sqlite3.IntegrityError as error:
        raise HubError(
          f'{self.folder}: {names[0]!r}, or one that comes with it, is there '
          'already; remove it first.'
        ) from error
      norms = np.asarray(norms, '<f4')[:, None]
      for path, part in zip(
        self._paths(), self._parts(norms, codes), strict=True
      ):
        _write(path, start, part)

  def remove(self, name: str) -> None:
    """Takes a network off the shelf; its row stays, and is not found again."""
    row = self._row(name)
    if row is None:
      raise HubError(f'{self.folder}: no network {name!r}.')
    _write(self._paths()[0], row, np.full((1, 1), np.nan, '<f4'))
    with self._names:
      # The row stays, so that the next one comes behind it.
      self._names.execute(
        'UPDATE networks SET name = NULL WHERE row = ?', (row,)
      )

  def descriptor(self, name: str) -> Descriptor:
    """Returns that of a network on the shelf."""
    row = self._row(name)
    if row is None:
      raise HubError(f'{self.folder}: no network {name!r}.')
    norms, *codes = self._opened()
    return Descriptor(
      float(norms[row, 0]), np.concatenate([c[row] for c in codes])
    )

  def neighbours(
    self,
    query: Descriptor,
    k: int = 10,
    exact: Exact | None = None,
  ) -> list[tuple[str, float]]:
    """Returns the k nearest networks and their affinities, nearest first.

    Affinities are estimates from the codes, or exact where that is possible.

    Args:
      query: Of a network, which may be on the shelf, and is then found.
      k: How many.
      exact: Returns the exact affinities with networks by name, NaN where
        their full points are not kept.
    """
    norms, first, others = self._opened()
    if not len(norms):
      return []
    found = self._scan(query, norms, first)
    rows = np.sort(_best(found, max(_CANDIDATES, k)))
    rows = rows[np.isfinite(found[rows])]
    # Sorted, so that the file is read from its beginning to its end.
    codes = np.concatenate([first[rows], others[rows]], axis=1)
    values = descriptors.affinities(query, norms[rows, 0], codes)
    order = _best(values, max(_EXACT, k) if exact else k)
    names = self._names_of(rows[order])
    values = values[order].astype(np.float64)
    if exact:
      known = np.asarray(exact(names), np.float64)
      values = np.where(np.isnan(known), values, known)
    best = np.argsort(-values, kind='stable')[:k]
    return [(names[i], float(values[i])) for i in best]

  def _scan(
    self, query: Descriptor, norms: np.ndarray, first: np.ndarray
  ) -> np.ndarray:
    """Returns estimates from the first words of all codes, [rows]."""
    found = np.empty(len(norms), np.float32)

    def compare(start: int) -> None:
      part = slice(start, start + _BLOCK)
      values = descriptors.affinities(query, norms[part, 0], first[part])
      found[part] = np.where(np.isnan(values), -np.inf, values)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
      list(pool.map(compare, range(0, len(norms), _BLOCK)))
    return found

  def _paths(self) -> tuple[pathlib.Path, ...]:
    names = 'norms.f4', 'first.u8', 'others.u8'
    return tuple(self.folder / name for name in names)

  def _parts(
    self, norms: np.ndarray, codes: np.ndarray
  ) -> tuple[np.ndarray, ...]:
    codes = codes.astype('<u8', copy=False)
    return norms, codes[:, :FIRST], codes[:, FIRST:]

  def _opened(self) -> list[np.ndarray]:
    """Returns norms [rows, 1], and first and other words, memory-mapped."""
    rows, words = self._rows(), self.sketcher.words
    first = min(FIRST, words)
    shapes = ((1, '<f4'), (first, '<u8'), (words - first, '<u8'))
    return [
      _mapped(path, kind, (rows, columns), path.name == 'others.u8')
      for path, (columns, kind) in zip(self._paths(), shapes, strict=True)
    ]

  def _rows(self) -> int:
    """Returns how many rows there are, those of removed networks included."""
    found = self._names.execute('SELECT max(row) FROM networks').fetchone()[0]
    return 0 if found is None else found + 1

  def _row(self, name: str) -> int | None:
    found = self._names.execute(
      'SELECT row FROM networks WHERE name = ?', (name,)
    ).fetchone()
    return None if found is None else found[0]

  def _names_of(self, rows: np.ndarray) -> list[str]:
    query = 'SELECT name FROM networks WHERE row = ?'
    found = (self._names.execute(query, (int(row),)).fetchone() for row in rows)
    return [name for (name,) in found]

  def close(self) -> None:
    """Closes the file of names; the hub cannot be used afterwards."""
    self._names.close()

  def __enter__(self) -> 'Hub':
    return self

  def __exit__(self, *exception) -> None:
    self.close()


def _best(values: np.ndarray, count: int) -> np.ndarray:
  """Returns the places of the largest values, the largest first."""
  count = min(count, len(values))
  chosen = np.argpartition(-values, count - 1)[:count]
  return chosen[np.lexsort((chosen, -values[chosen]))]


def _mapped(
  path: pathlib.Path, kind: str, shape: tuple[int, int], few: bool
) -> np.ndarray:
  """Returns the rows of a file, which are read when they are looked at.

  Args:
    path: Of the file.
    kind: Of its numbers.
    shape: Rows and columns.
    few: Whether few rows will be looked at: what is beside them is not read.
  """
  if 0 in shape:
    return np.zeros(shape, kind)
  with open(path, 'rb') as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  if hasattr(mapped, 'madvise'):
    mapped.madvise(mmap.MADV_RANDOM if few else mmap.MADV_SEQUENTIAL)
  return np.frombuffer(mapped, kind, shape[0] * shape[1]).reshape(shape)


def _write(path: pathlib.Path, start: int, rows: np.ndarray) -> None:
  """Writes rows at their place in a file, which grows with them."""
  if rows.size:
    path.touch()
    with open(path, 'r+b') as file:
      file.seek(start * rows[:1].nbytes)
      file.write(np.ascontiguousarray(rows).tobytes())
      file.flush()
      os.fsync(file.fileno())
