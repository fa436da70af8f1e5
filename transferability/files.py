"""Tables as CSV, and files that are either whole or absent."""

import collections
import csv
import io
import os
import pathlib
from collections.abc import Iterable, Sequence

Path = str | os.PathLike[str]


def write_atomically(path: Path, data: bytes) -> None:
  """Writes a temporary file beside `path`, flushes it, then renames it."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    with open(temporary, 'wb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
  """Makes renames inside `folder` durable."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


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


def duplicates(names: Iterable[str]) -> list[str]:
  """Returns the names that occur more than once, sorted."""
  counts = collections.Counter(names)
  return sorted(name for name, count in counts.items() if count > 1)


def _cell(value: object) -> object:
  return repr(float(value)) if isinstance(value, float) else value
