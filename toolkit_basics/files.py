"""Files: whole or absent, of bounded size, with their digests; CSV and JSON."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import stat
from typing import Any, BinaryIO

import numpy as np

Path = str | os.PathLike[str]

_MAX_JSON_BYTES = 2**28
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_LEFT_OVER = re.compile(r'\..+\.[0-9]+\.partial')


def temporary_name(path: Path) -> pathlib.Path:
  """Returns what a file or folder is called until it is whole."""
  path = pathlib.Path(path)
  return path.with_name(f'.{path.name}.{os.getpid()}.partial')


def is_left_over(name: str) -> bool:
  """Returns whether a name, without folder, is that of something not whole."""
  return _LEFT_OVER.fullmatch(name) is not None


def sweep(folder: Path, recursive: bool = True) -> None:
  """Deletes what is not whole; links to other folders are not followed.

  Only for who knows that nobody else is writing there.

  Args:
    folder: Where to look.
    recursive: Whether to look into its folders too.
  """
  for place, folders, names in os.walk(folder):
    for name in filter(is_left_over, names):
      os.unlink(os.path.join(place, name))
    for name in filter(is_left_over, folders):
      path = os.path.join(place, name)
      if not os.path.islink(path):
        shutil.rmtree(path)
    if not recursive:
      return


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
  """Lets errors for want of room say for which file."""
  try:
    yield
  except OSError as error:
    if error.errno in _NO_ROOM and error.filename is None:
      error.filename = str(path)
    raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
  """Opens a file that takes the place of `path` when the block ends.

  Until then it has a temporary name beside `path`, .NAME.PROCESS.partial. If
  the block raises, nothing is left of it, and `path` is as it was; if the
  process is killed, `sweep` deletes it.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = temporary_name(path)
  try:
    with room_for(path), open(temporary, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  sync(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
  """Writes a file that is never seen in part; missing folders are made."""
  with replacing(path) as file:
    file.write(data)


def sync(path: Path) -> None:
  """Makes the content of a file durable, or renames inside of a folder."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def write_rows(path: Path, start: int, rows: np.ndarray) -> None:
  """Writes rows of the array in a `.npy` file, which must be as wide.

  Plainly, not through a memory map: a full disk is an OSError, not a signal.
  """
  array = np.load(path, mmap_mode='r')
  with room_for(path), open(path, 'r+b') as file:
    file.seek(array.offset + start * array[:1].nbytes)
    file.write(np.ascontiguousarray(rows, array.dtype).tobytes())


def open_regular(path: Path, error: type[ValueError] = ValueError) -> BinaryIO:
  """Opens a file of others to be read, and never waits for one that is none.

  Raises:
    ValueError: Or `error`, if it is a pipe, a device or the like.
    OSError: If it cannot be opened.
  """
  descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
  mode = os.fstat(descriptor).st_mode
  if not stat.S_ISREG(mode):
    os.close(descriptor)
    if stat.S_ISDIR(mode):
      raise IsADirectoryError(
        errno.EISDIR, 'Is a folder, not a file', str(path)
      )
    raise error(f'{path} is no file, but a pipe, a device or a socket.')
  return open(descriptor, 'rb')


def check_regular(path: Path, error: type[ValueError] = ValueError) -> None:
  """Raises as `open_regular` does, for what others will open by its name."""
  open_regular(path, error).close()


def read_bounded(
  path: Path, max_bytes: int, error: type[ValueError] = ValueError
) -> bytes:
  """Returns the content of a file of others, which may be of any size.

  One larger than `max_bytes`, or that is no regular file, is refused, by
  `error`, before it is read.
  """
  with open_regular(path, error) as file:
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
      raise error(
        f'{path} has {size} bytes, more than the {max_bytes} allowed.'
      )
    return file.read(size)  # Reading with a bound would take that much memory.


def sha256(*contents: Path | bytes | memoryview) -> str:
  """Returns the SHA-256 of files and of bytes, one after the other, in hex."""
  digest = hashlib.sha256()
  for content in contents:
    if not isinstance(content, str | os.PathLike):
      digest.update(content)
      continue
    with open_regular(content) as file:
      while block := file.read(2**20):
        digest.update(block)
  return digest.hexdigest()


def as_json(content: Any) -> bytes:
  """Returns a content as `write_json` writes it."""
  return (json.dumps(content, indent=2) + '\n').encode()


def write_json(path: Path, content: Any) -> None:
  write_atomically(path, as_json(content))


def read_json(path: Path) -> Any:
  """Returns the content of a JSON file.

  Raises:
    ValueError: If it is not JSON in UTF-8, has a key twice in one object, is
      nested too deep, too large, or no regular file; the message names the
      file.
  """
  content = read_bounded(path, _MAX_JSON_BYTES)
  try:
    return json.loads(content.decode('utf-8-sig'), object_pairs_hook=_once)
  except RecursionError as error:
    raise ValueError(f'{path}: its JSON is nested too deep.') from error
  except ValueError as error:
    raise ValueError(f'{path}: not JSON in UTF-8 ({error}).') from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns an object; JSON would take the last of values of one key."""
  found: dict[str, Any] = {}
  for name, value in pairs:
    if name in found:
      raise ValueError(f'the key {name!r:.60} is there twice in one object')
    found[name] = value
  return found


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
  """Writes rows as UTF-8 CSV; floats in shortest round-trip form."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerows([_cell(value) for value in row] for row in rows)
  write_atomically(path, text.getvalue().encode())


def read_csv(path: Path) -> list[list[str]]:
  """Returns the rows of a CSV file that are not blank, cells stripped.

  Raises:
    ValueError: If the file is not UTF-8 CSV, or holds no row.
  """
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
  except (UnicodeDecodeError, csv.Error) as error:
    raise ValueError(f'{path}: not a CSV file in UTF-8 ({error}).') from error
  rows = [row for row in rows if any(row)]
  if not rows:
    raise ValueError(f'{path}: the table is empty; a header row is expected.')
  return rows


def _cell(value: object) -> object:
  return repr(float(value)) if isinstance(value, float) else value
