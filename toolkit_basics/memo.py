"""Results of long steps, kept so that a killed command goes on where it was.

A result is one file of a folder. `.memo/` in that folder holds, for each, the
digest of what it was computed from and that of the file. A result counts only
if both are right: one of other inputs, cut off or changed is computed anew.
"""

from collections.abc import Callable, Mapping
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any, Generic, TypeVar

import numpy as np

from toolkit_basics import files

T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Codec(Generic[T]):
  """How results are stored.

  Attributes:
    suffix: Of the file.
    write: Writes a value to a path, whole or not at all.
    read: Returns the value.
  """

  suffix: str
  write: Callable[[pathlib.Path, T], None]
  read: Callable[[pathlib.Path], T]


def _write_array(path: pathlib.Path, values: np.ndarray) -> None:
  with files.replacing(path) as file:
    np.save(file, values)


def _read_array(path: pathlib.Path) -> np.ndarray:
  return np.load(path, mmap_mode='r')


def _write_arrays(path: pathlib.Path, values: Mapping[str, Any]) -> None:
  with files.replacing(path) as file:
    np.savez(file, **values)


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(path) as arrays:
    return dict(arrays)


JSON: Codec[Any] = Codec('.json', files.write_json, files.read_json)
CSV: Codec[Any] = Codec('.csv', files.write_csv, files.read_csv)
ARRAY = Codec('.npy', _write_array, _read_array)
ARRAYS = Codec('.npz', _write_arrays, _read_arrays)


def digest(key: Any) -> str:
  """Returns the digest of JSON, in which arrays and dataclasses may stand."""
  text = json.dumps(key, sort_keys=True, default=_plain)
  return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
  if isinstance(value, np.ndarray):
    content = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
    return [value.dtype.str, value.shape, content]
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    return dataclasses.asdict(value)
  raise TypeError(f'{value!r} cannot be a part of a key.')


class Memo(Generic[T]):
  """The results of some steps, each in a file of one folder."""

  def __init__(self, folder: str | os.PathLike, codec: Codec[T] = JSON):
    self._folder, self._codec = pathlib.Path(folder), codec

  def path(self, name: str) -> pathlib.Path:
    """Returns the file of a step's result."""
    return self._folder / f'{name}{self._codec.suffix}'

  def has(self, name: str, key: Any) -> bool:
    """Returns whether a step's result is there, whole, and of this key."""
    try:
      known = files.read_json(self._record(name))
      return known == self._content(name, key)
    except (OSError, ValueError):
      return False

  def read(self, name: str) -> T:
    """Returns a step's result, whatever it was computed from.

    Raises:
      OSError: If it is not there.
    """
    return self._codec.read(self.path(name))

  def find(self, name: str, key: Any) -> T | None:
    """Returns a step's result, None if it must be computed."""
    return self.read(name) if self.has(name, key) else None

  def keep(self, name: str, key: Any, value: T) -> T:
    """Stores a step's result, and returns it as it is read later."""
    self._codec.write(self.path(name), value)
    # The result goes first: killed in between, it has no record that fits.
    files.write_json(self._record(name), self._content(name, key))
    return self.read(name)

  def recall(self, name: str, key: Any, compute: Callable[[], T]) -> T:
    """Returns a step's result; computes it if it is not there.

    Args:
      name: Of the step, and of its file.
      key: All that the result depends on: JSON, arrays and dataclasses.
      compute: Returns the result, which is not None.
    """
    known = self.find(name, key)
    return self.keep(name, key, compute()) if known is None else known

  def _record(self, name: str) -> pathlib.Path:
    return self._folder / '.memo' / f'{self.path(name).name}.json'

  def _content(self, name: str, key: Any) -> dict[str, str]:
    return {'key': digest(key), 'sha256': files.sha256(self.path(name))}
