"""Tables as CSV, and files that are either whole or absent."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import hashlib
import io
import json
import os
import pathlib
from typing import Any, BinaryIO

Path = str | os.PathLike[str]

# For each target its sources, best first, without the target itself.
Rankings = Mapping[str, tuple[str, ...]]


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
  """Opens a temporary file beside `path` to write to.

  At the end of the block it is flushed and renamed; if the block raises, it is
  deleted.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    with open(temporary, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  sync_folder(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
  """Writes a file that is either whole or not there."""
  with open_atomically(path) as file:
    file.write(data)


def sync_folder(folder: Path) -> None:
  """Makes renames inside `folder` durable."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sha256(path: Path) -> str:
  """Returns the SHA-256 of a file as hexadecimal digits."""
  digest = hashlib.sha256()
  with open(path, 'rb') as file:
    while block := file.read(1 << 20):
      digest.update(block)
  return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
  """Writes a value as JSON that people can read too."""
  write_atomically(path, (json.dumps(content, indent=2) + '\n').encode())


def read_json(path: Path) -> Any:
  """Returns the value in a file of JSON.

  Raises:
    ValueError: If the file is not JSON.
  """
  return json.loads(pathlib.Path(path).read_text(encoding='utf-8'))


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


def write_rankings(path: Path, rankings: Rankings) -> None:
  """Writes rankings as CSV: target, rank_1, rank_2, ..."""
  width = max(map(len, rankings.values()), default=0)
  header = ['target', *(f'rank_{k}' for k in range(1, width + 1))]
  write_csv(path, [header, *([t, *row] for t, row in rankings.items())])


def read_rankings(path: Path) -> dict[str, tuple[str, ...]]:
  """Reads rankings from CSV; rank_0, the target itself, may be there too."""
  header, *rows = read_csv(path)
  with_self = 'rank_0' in header
  ranks = range(0 if with_self else 1, len(header) - (1 if with_self else 0))
  expected = ['target', *(f'rank_{k}' for k in ranks)]
  if header != expected or len(header) < 2:
    raise ValueError(
      f'{path}: the header is {header}; expected target, rank_1, rank_2, ...'
    )
  ranking = {}
  for target, *row in rows:
    if target in ranking:
      raise ValueError(f'{path}: target {target!r} has two rows.')
    if len(row) != len(header) - 1 or '' in (target, *row):
      raise ValueError(
        f'{path}: the row of target {target!r} is {row}, but the header has '
        f'{len(header) - 1} ranks.'
      )
    if with_self and row[0] != target:
      raise ValueError(
        f'{path}: rank_0 of target {target!r} is {row[0]!r}; it must be the '
        'target itself.'
      )
    ranking[target] = tuple(row[with_self:])
  return ranking


def duplicates(names: Iterable[str]) -> list[str]:
  """Returns the names that occur more than once, sorted."""
  counts = collections.Counter(names)
  return sorted(name for name, count in counts.items() if count > 1)


def _cell(value: object) -> object:
  return repr(float(value)) if isinstance(value, float) else value
