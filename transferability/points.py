"""One point of a model space: the unit rows of one model, and their records.

The folder of a point appears by one rename, empty but complete. A row then
counts as finished once its record, which holds its CRC-32, is written; the
record is written after the row. So a process may be killed at any instant, and
even after a power failure a row that was lost is known by its record.
"""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import math
import os
import pathlib
import re
import shutil
from typing import Any
import zlib

import numpy as np

from toolkit_basics import files
from transferability import affinity, settings

_NAME = re.compile(
  r'[A-Za-z0-9_](?:[A-Za-z0-9_.+=@ -]{0,126}[A-Za-z0-9_+=@-])?'
)
_RECORDED = 1 << 32
_REPAIR = 'Remove the model and add it again.'


class ModelSpaceError(ValueError):
  """A model space cannot do what was asked."""


class SettingsError(ModelSpaceError):
  """A point or a space was made under other settings than those wanted."""


class BadMapError(ModelSpaceError):
  """Attribution maps without a direction: all zero, or not finite.

  Attributes:
    model: Name of the model.
    images: Indices of all images concerned, as `drop_images` takes them.
  """

  def __init__(self, message: str, model: str, images: tuple[int, ...]):
    super().__init__(message)
    self.model = model
    self.images = images


def is_model_name(name: str) -> bool:
  """Whether a model may have this name, which is also its folder's."""
  return _NAME.fullmatch(name) is not None


def check_model_name(name: str) -> None:
  if not is_model_name(name):
    raise ModelSpaceError(
      f'{name!r} cannot name a model: use at most 128 letters, digits, spaces '
      'and _ . + = @ -, the first a letter, digit or _, and no space or dot at '
      'the end.'
    )


@dataclasses.dataclass(frozen=True)
class Point:
  """The folder of one model: manifest.json, rows.npy and finished.npy."""

  folder: pathlib.Path  # Of this model alone, called like it; may be missing.
  shape: tuple[int, int]  # Number of images, and of entries of a row.
  dtype: np.dtype  # Storage type of the rows.

  @property
  def model(self) -> str:
    return self.folder.name

  def exists(self) -> bool:
    return self.folder.exists()

  def create(self, sequence: int, manifest: Mapping[str, Any]) -> None:
    """Makes the folder, complete with empty rows, in one rename."""
    models = self.folder.parent
    models.mkdir(exist_ok=True)
    new = files.temporary_name(self.folder)
    shutil.rmtree(new, ignore_errors=True)
    entry = {'model': self.model, 'sequence': sequence, 'manifest': manifest}
    try:
      new.mkdir()
      _create_array(new / 'rows.npy', self.shape, self.dtype)
      _create_array(new / 'finished.npy', self.shape[:1], np.dtype('<u8'))
      files.write_atomically(new / 'manifest.json', settings.to_bytes(entry))
      os.rename(new, self.folder)
      files.sync(models)
    except OSError:
      # Another process may have been faster; its folder is as good as ours.
      if not self.exists():
        raise
    finally:
      self._sweep()

  def empty(self) -> None:
    """Makes rows and records anew, none of them finished."""
    for name, shape, dtype in (
      ('finished.npy', self.shape[:1], np.dtype('<u8')),
      ('rows.npy', self.shape, self.dtype),
    ):
      new = files.temporary_name(self.folder / name)
      _create_array(new, shape, dtype)
      os.replace(new, self.folder / name)

  def remove(self) -> None:
    """Deletes the folder: at once for all readers, then its files."""
    doomed = files.temporary_name(self.folder)
    os.rename(self.folder, doomed)
    self._sweep()

  def entry(self) -> dict[str, Any]:
    """Returns the content of the manifest file.

    Raises:
      FileNotFoundError: If there is no such point.
      ModelSpaceError: If the file is damaged, or of another model.
    """
    path = self.folder / 'manifest.json'
    try:
      entry = files.read_json(path)
      complete = {'model', 'sequence', 'manifest'} <= entry.keys()
    except (ValueError, AttributeError) as error:
      raise ModelSpaceError(f'{path}: not a manifest ({error}).') from error
    if not complete or entry['model'] != self.model:
      raise ModelSpaceError(
        f'{path}: not the manifest of {self.model!r}; a model cannot be '
        'renamed, nor may two names differ only in case on this file system.'
      )
    return entry

  def rows(self) -> np.memmap:
    """Returns the rows, read-only [num_images, row size]."""
    return self._open('rows.npy', self.shape, self.dtype)

  def records(self) -> np.ndarray:
    """Returns uint64 [num_images]: 0, or 2^32 + the CRC-32 of the row."""
    return np.array(self._open('finished.npy', self.shape[:1], '<u8'))

  def done(self) -> np.ndarray:
    """Returns which rows are finished, bool [num_images]."""
    return self.records() != 0

  def store(self, images: Sequence[int], rows: np.ndarray) -> None:
    """Writes rows, then their records."""
    rows = rows.astype(self.dtype)
    records = np.array([record(row) for row in rows], '<u8')
    _overwrite(self.folder / 'rows.npy', self.rows().offset, images, rows)
    self._store_records(images, records)

  def lost_rows(self) -> list[int]:
    """Returns the rows that do not match their records."""
    rows, records = self.rows(), self.records()
    recorded = np.flatnonzero(records)
    return [int(i) for i in recorded if record(rows[i]) != records[i]]

  def forget_lost_rows(self) -> None:
    """Makes rows that do not match their records unfinished again."""
    if lost := self.lost_rows():
      self._store_records(lost, np.zeros(len(lost), '<u8'))

  def sync(self) -> None:
    """Makes rows and records durable."""
    for name in ('rows.npy', 'finished.npy'):
      files.sync(self.folder / name)

  def _store_records(self, images: Sequence[int], records: np.ndarray) -> None:
    path = self.folder / 'finished.npy'
    offset = self._open('finished.npy', self.shape[:1], '<u8').offset
    _overwrite(path, offset, images, records)

  def _open(
    self, name: str, shape: tuple[int, ...], dtype: np.dtype | str
  ) -> np.memmap:
    path = self.folder / name
    try:
      files.check_regular(path)
      array = np.load(path, mmap_mode='r')
      if path.stat().st_size != array.offset + array.nbytes:
        raise ValueError('it is longer than its array')
    except (OSError, ValueError, EOFError) as error:
      raise ModelSpaceError(
        f'{path}: not a whole .npy file ({error}). {_REPAIR}'
      ) from error
    if array.dtype != dtype or array.shape != shape:
      raise ModelSpaceError(
        f'{path}: holds {array.dtype} {array.shape}, but the space needs '
        f'{dtype} {shape}. {_REPAIR}'
      )
    return array

  def _sweep(self) -> None:
    """Deletes what was renamed away, or left by a process that was killed."""
    ours = re.compile(rf'\.{re.escape(self.model)}\.[0-9]+\.partial')
    for left in os.listdir(self.folder.parent):
      if ours.fullmatch(left):
        shutil.rmtree(self.folder.with_name(left), ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Writer:
  """Fills the rows of one model, in any order, by one process or several.

  `ModelSpace.writer` makes it.
  """

  point: Point
  map_shape: tuple[int, ...]
  image_ids: Sequence[str]
  dropped: pathlib.Path

  def __post_init__(self):
    self.point.forget_lost_rows()

  @property
  def done(self) -> np.ndarray:
    """Which rows are finished, bool [num_images]."""
    return self.point.done()

  def write(self, start: int, maps: np.ndarray) -> None:
    """Stores the maps of images start, start + 1, ... at unit norm.

    Rows that are finished already stay as they are. On return the rows are
    with the operating system: a process killed later loses none of them.

    Args:
      start: Index of the first image.
      maps: Real [n, *map_shape].

    Raises:
      BadMapError: If maps are all zero or not finite, except of dropped
        images; nothing is written then.
    """
    maps = np.asarray(maps)
    num_images = len(self.image_ids)
    if maps.shape[1:] != self.map_shape or not (
      0 <= start <= num_images - len(maps)
    ):
      raise ModelSpaceError(
        f'Model {self.point.model!r}: maps of shape {maps.shape} from image '
        f'{start} do not fit {num_images} images of {self.map_shape}.'
      )
    pending = np.flatnonzero(~self.done[start : start + len(maps)])
    rows, bad = affinity.unit_rows(
      maps[pending].reshape(len(pending), math.prod(self.map_shape))
    )
    self._refuse({start + int(pending[i]): why for i, why in bad.items()})
    self.point.store((start + pending).tolist(), rows)

  def finish(self) -> None:
    """Makes the rows durable, against a power failure too.

    Raises:
      ModelSpaceError: If rows are missing.
    """
    done = self.done
    if not done.all():
      raise ModelSpaceError(
        f'Model {self.point.model!r}: {np.sum(~done)} of {len(done)} rows are '
        f'missing, the first is that of image {np.argmin(done)}.'
      )
    self.point.sync()

  def _refuse(self, bad: Mapping[int, str]) -> None:
    dropped = set(dropped_images(self.dropped))
    bad = {image: why for image, why in bad.items() if image not in dropped}
    if not bad:
      return
    image, why = next(iter(bad.items()))
    others = f' (and {len(bad) - 1} more of this batch)' if len(bad) > 1 else ''
    raise BadMapError(
      f'Model {self.point.model!r}, image {image} '
      f'({self.image_ids[image]}){others}: the attribution map {why}, so it '
      'has no direction. Drop the image for all models, or leave out the '
      'model.',
      self.point.model,
      tuple(bad),
    )


def record(row: np.ndarray) -> int:
  """Returns the record of a finished row; never 0."""
  return _RECORDED + zlib.crc32(np.ascontiguousarray(row).data)


def dropped_images(folder: pathlib.Path) -> list[int]:
  """Returns sorted indices: each names an empty file of the folder."""
  with contextlib.suppress(FileNotFoundError):
    return sorted(int(name) for name in os.listdir(folder) if name.isdecimal())
  return []


def _create_array(
  path: pathlib.Path, shape: tuple[int, ...], dtype: np.dtype
) -> None:
  """Makes a .npy file of zeros, which takes no space until it is written."""
  with files.room_for(path):
    np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
  files.sync(path)


def _overwrite(
  path: pathlib.Path, offset: int, indices: Sequence[int], rows: np.ndarray
) -> None:
  """Overwrites rows of an array file.

  Plain writes, not a memory map: a full disk is an OSError, not a signal.
  """
  with files.room_for(path), open(path, 'r+b') as file:
    for index, row in zip(indices, rows, strict=True):
      file.seek(offset + int(index) * row.nbytes)
      file.write(row.tobytes())
