"""Finding image files and drawing a sample of those that can be read."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
import dataclasses
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np

from probe_data import images
from probe_data.errors import ImageFileError, ProbeSetError

_NUM_THREADS = min(8, os.cpu_count() or 1)
_RUN = 'run.json'  # In the folder of a run, whose figures are no probe images.
_MAX_LISTED = 10  # Unreadable files that one message names.


@dataclasses.dataclass(frozen=True)
class Drawing:
  """Which of many files are drawn, and what becomes of them."""

  num_images: int  # Or all that can be read if those are fewer.
  image_size: tuple[int, int]  # Height and width, see `images.fit`.
  seed: int  # Of the draw.
  on_bad_image: str  # 'skip' or 'error'.
  # Wraps the iterable of pictures, see `probe_sets.load`.
  progress: Callable[..., Iterable[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
  """Pictures of some of many files."""

  pictures: np.ndarray  # uint8 [num_images, height, width, 3], RGB.
  names: tuple[str, ...]  # The file of each picture.
  # Name and reason of each unreadable file that was drawn.
  skipped: tuple[tuple[str, str], ...]


def find(folder: str | os.PathLike[str]) -> dict[str, str]:
  """Returns the path of each image file below a folder, by its relative path.

  A file counts by its extension. Hidden files and folders are passed over;
  linked folders are followed, but none is entered twice; those that cannot be
  read are skipped, and named, as are those with the results of a run.

  Raises:
    ProbeSetError: If there are none.
  """
  files = dict(_walk(os.fspath(folder)))
  found = {
    name: path
    for name, path in files.items()
    if os.path.splitext(name)[1].lower() in images.EXTENSIONS
  }
  if not found:
    raise ProbeSetError(
      f'No image files in the folder {folder} or below it (it holds '
      f'{_extensions(files)}). Put images such as .jpg or .png files there.'
    )
  return found


def _walk(folder: str) -> Iterator[tuple[str, str]]:
  """Yields relative names and paths of files; each folder is seen once."""
  stack, seen, unreadable = [('', folder)], set(), []
  while stack:
    relative, path = stack.pop()
    try:
      status = os.stat(path)
      if (status.st_dev, status.st_ino) in seen:
        continue
      seen.add((status.st_dev, status.st_ino))
      with os.scandir(path) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
      if not relative:
        raise
      unreadable.append(f'{_printable(relative)}: {error.strerror}')
      continue
    if relative and any(entry.name == _RUN for entry in ordered):
      logging.info(
        '%s: passed over the results of a run in %s.',
        _printable(folder),
        _printable(relative),
      )
      continue
    inner = []
    for entry in ordered:
      if entry.name.startswith('.'):
        continue
      if os.path.isdir(entry.path):  # False of a link that leads to itself.
        inner.append((f'{relative}{entry.name}/', entry.path))
      else:
        yield relative + entry.name, entry.path
    stack += reversed(inner)
  if unreadable:
    listed = '; '.join(unreadable[:_MAX_LISTED])
    logging.warning(
      '%s: skipped %d folders that cannot be read (%s).',
      _printable(folder),
      len(unreadable),
      listed,
    )


def _extensions(files: Iterable[str]) -> str:
  counts = collections.Counter(
    os.path.splitext(name)[1] or 'none' for name in files
  )
  listed = ', '.join(
    f'{kind}: {count}' for kind, count in counts.most_common(5)
  )
  return f'files with the extensions {listed}' if listed else 'no files'


def read_list(path: str | os.PathLike[str]) -> dict[str, str]:
  """Returns the path of each file that a text file lists, one a line.

  Paths are relative to the folder of the list; empty lines are passed over.

  Raises:
    ProbeSetError: If the list is empty, repeats a file, or is not UTF-8.
  """
  path = pathlib.Path(path)
  try:
    lines = path.read_text(encoding='utf-8-sig').split('\n')
  except UnicodeDecodeError:
    raise ProbeSetError(
      f'{path} is not a text file in UTF-8 with one path a line.'
    ) from None
  files: dict[str, str] = {}
  for number, line in enumerate(lines, 1):
    name = line.strip()
    if name in files:
      raise ProbeSetError(f'{path}, line {number} repeats {name!r}.')
    if name:
      files[name] = os.path.join(path.parent, name)
  if not files:
    raise ProbeSetError(f'{path} lists no files: write one path a line.')
  return files


def sample(files: dict[str, str], drawing: Drawing, where: str) -> Sample:
  """Decodes files drawn at random, others in place of unreadable ones.

  The order of drawing depends only on the seed and the sorted names, the order
  of the result only on the names. `files` are paths by names; `where` is their
  folder or list, for messages.

  Raises:
    ProbeSetError: If no file can be read, or one cannot and that is an error.
  """
  names, wanted = sorted(files), drawing.num_images
  rng = np.random.default_rng(drawing.seed)
  drawn = [names[i] for i in rng.permutation(len(names))]
  skipped: dict[str, str] = {}
  pictures = drawing.progress(
    _decode_until(drawing, drawn, files, skipped),
    total=min(wanted, len(drawn)),
    description='Decoding images',
  )
  found = dict(pictures)
  if skipped:
    _report(skipped, drawing.on_bad_image, len(found), where)
  if len(found) < wanted:
    logging.info(
      '%s has %d images of the %d asked for.', where, len(found), wanted
    )
  order = sorted(found)
  return Sample(
    np.stack([found[name] for name in order]),
    tuple(_printable(name) for name in order),
    tuple((_printable(name), skipped[name]) for name in sorted(skipped)),
  )


def _decode_until(
  drawing: Drawing,
  drawn: Sequence[str],
  files: dict[str, str],
  skipped: dict[str, str],
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields name and picture until there are enough; adds to `skipped`."""

  def read(name: str) -> np.ndarray | ImageFileError:
    try:
      return images.fit(images.read(files[name]), drawing.image_size)
    except ImageFileError as error:
      return error

  position, missing = 0, drawing.num_images
  with futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
    while missing and position < len(drawn):
      batch = drawn[position : position + missing]
      position += len(batch)
      for name, picture in zip(batch, pool.map(read, batch), strict=True):
        if isinstance(picture, ImageFileError):
          skipped[name] = str(picture)
        else:
          missing -= 1
          yield name, picture
      if skipped and drawing.on_bad_image == 'error':
        return


def _report(
  skipped: dict[str, str], on_bad_image: str, num_found: int, where: str
) -> None:
  """Warns of unreadable files, or raises if that was asked or none is left."""
  listed = '; '.join(
    f'{_printable(name)}: {skipped[name]}'
    for name in sorted(skipped)[:_MAX_LISTED]
  )
  if len(skipped) > _MAX_LISTED:
    listed += f'; and {len(skipped) - _MAX_LISTED} more'
  if on_bad_image == 'error':
    raise ProbeSetError(
      f'{where} has unreadable images, {len(skipped)} of those drawn '
      f"({listed}). Repair or remove them, or use on_bad_image='skip'."
    )
  if not num_found:
    raise ProbeSetError(
      f'{where} has no image that can be read among {len(skipped)} files '
      f'({listed}).'
    )
  logging.warning(
    '%s: skipped %d unreadable images (%s).', where, len(skipped), listed
  )


def _printable(name: str) -> str:
  """Returns a file name as text that can be written as UTF-8."""
  return os.fsencode(name).decode('utf-8', 'backslashreplace')
