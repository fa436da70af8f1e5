"""The model space: each model is a point, its attribution maps on all images.

On disk a space is a folder:

  space.json             settings, images with their digests, map shape, dtype
  models/NAME/           one folder per model, and nothing about it elsewhere:
    manifest.json        what made the point, and its place in the order
    rows.npy             [images, row size], each row of unit Euclidean norm
    finished.npy         uint64 [images]: 0, or 2^32 + the CRC-32 of the row
  dropped/INDEX          empty; image INDEX is left out for every model

A model's folder appears by one rename, and a row counts only after its record
is written, which happens after the row itself is on the disk. So a process may
be killed at any instant, several may add different models or different rows of
one model, and the finished files do not depend on any of that.
"""

import json
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from transferability import affinity, files

_FORMAT = 1
_DTYPES = ('float32', 'float16')
_NAME = re.compile(
  r'[A-Za-z0-9_](?:[A-Za-z0-9_.+=@ -]{0,126}[A-Za-z0-9_+=@-])?'
)
_RECORDED = np.uint64(1 << 32)
# Entries of unit rows become integers below 2^26 or so, and sums of their
# products integers below 2^53: float64 adds them without any rounding.
_FIXED_POINT = 2.0**26


class ModelSpaceError(ValueError):
  """A model space cannot do what was asked; nothing was changed."""


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


class ModelSpace:
  """Points of models that were projected under the same settings."""

  def __init__(self, folder: files.Path):
    """Opens an existing space; `create` makes one.

    Raises:
      FileNotFoundError: If there is no space.
      ModelSpaceError: If its description is damaged.
    """
    self.folder = pathlib.Path(folder)
    path = self.folder / 'space.json'
    if not path.exists():
      raise FileNotFoundError(
        f'{self.folder}: no model space ({path} missing).'
      )
    header = _read_json(path)
    if header.get('format') != _FORMAT:
      raise ModelSpaceError(
        f'{path}: format {header.get("format")!r}; this version reads '
        f'{_FORMAT!r}.'
      )
    try:
      self.settings: dict[str, Any] = header['settings']
      self.image_ids = tuple(header['image_ids'])
      self.image_digests = tuple(header['image_digests'])
      self.map_shape = tuple(int(n) for n in header['map_shape'])
      self.dtype = np.dtype(header['dtype']).newbyteorder('<')
    except (KeyError, TypeError, ValueError) as error:
      raise ModelSpaceError(
        f'{path}: damaged description ({error!r}).'
      ) from error
    self.row_size = int(np.prod(self.map_shape))

  @classmethod
  def create(
    cls,
    folder: files.Path,
    *,
    settings: Mapping[str, Any],
    image_ids: Sequence[str],
    image_digests: Sequence[str],
    map_shape: Sequence[int],
    dtype: str = 'float32',
  ) -> 'ModelSpace':
    """Makes a space, or opens the one which is there if it is the same.

    Args:
      folder: Where the space lives.
      settings: What all points share (method, epsilon, protocol, ...), as JSON.
      image_ids: One name per image.
      image_digests: One digest of the pixels per image.
      map_shape: Shape of one attribution map.
      dtype: Storage type of the rows, float32 or float16.

    Raises:
      SettingsError: If the folder holds a space of other settings or images;
        the message says which differ.
    """
    header = {
      'format': _FORMAT,
      'settings': _as_json(settings, 'settings'),
      'map_shape': [int(n) for n in map_shape],
      'dtype': str(dtype),
      'image_ids': list(image_ids),
      'image_digests': list(image_digests),
    }
    if not header['image_ids'] or len(image_ids) != len(image_digests):
      raise ModelSpaceError(
        f'{folder}: {len(image_ids)} image ids and {len(image_digests)} '
        'digests; one of each is needed per image, and at least one image.'
      )
    if dtype not in _DTYPES:
      raise ModelSpaceError(f'{folder}: dtype {dtype!r}; one of {_DTYPES}.')
    if not header['map_shape'] or min(header['map_shape']) < 1:
      raise ModelSpaceError(f'{folder}: maps cannot have shape {map_shape}.')
    path = pathlib.Path(folder) / 'space.json'
    if path.exists():
      if difference := _difference(_read_json(path), header):
        raise SettingsError(
          f'{folder}: the model space was made under other settings: '
          f'{difference}. Use another folder, or remove this one.'
        )
    else:
      files.write_atomically(path, _json_bytes(header))
    return cls(folder)

  @classmethod
  def open(cls, folder: files.Path) -> 'ModelSpace':
    """Opens an existing space."""
    return cls(folder)

  @property
  def num_images(self) -> int:
    return len(self.image_ids)

  @property
  def models(self) -> tuple[str, ...]:
    """Names of the finished models, in the order of insertion."""
    return tuple(name for name in self._stored() if self._done(name).all())

  @property
  def unfinished(self) -> tuple[str, ...]:
    """Names of models that lack rows, in the order of insertion."""
    return tuple(name for name in self._stored() if not self._done(name).all())

  def manifest(self, model: str) -> dict[str, Any]:
    """Returns what was given to `writer` when the model was added."""
    return self._entry(model)['manifest']

  def writer(self, model: str, manifest: Mapping[str, Any]) -> 'Writer':
    """Adds a model, or resumes adding it.

    Args:
      model: Name of the model, also its folder's.
      manifest: What made the point (digest of the graph, tensors, T, ...), as
        JSON. A model that is there already must have the same.

    Raises:
      ModelSpaceError: If the name cannot be that of a folder.
      SettingsError: If the stored manifest differs.
    """
    if not _NAME.fullmatch(model):
      raise ModelSpaceError(
        f'{model!r} cannot name a model: use at most 128 letters, digits, '
        'spaces and _ . + = @ -, the first a letter, digit or _, and no space '
        'or dot at the end.'
      )
    manifest = _as_json(manifest, f'the manifest of {model!r}')
    if not self._model_folder(model).exists():
      self._insert(model, manifest)
    if difference := _difference(self.manifest(model), manifest):
      raise SettingsError(
        f'{self.folder}: model {model!r} was computed differently: '
        f'{difference}. Remove it first, or use another name.'
      )
    self._check_files(model)
    return Writer(self, model)

  def remove(self, model: str) -> None:
    """Deletes the files of a model, finished or not; no other file changes."""
    self._entry(model)
    # A folder with a leading dot is no model: it is gone at once, even if the
    # process is killed before all of its files are.
    doomed = self._model_folder(f'.removed-{model}-{os.getpid()}')
    os.rename(self._model_folder(model), doomed)
    shutil.rmtree(doomed)

  def rows(self, model: str) -> np.memmap:
    """Returns the unit rows [num_images, row_size], read-only, memory-mapped.

    The row of a dropped image is zero if that map of the model had no
    direction.
    """
    self._require_finished([model])
    return np.load(self._model_folder(model) / 'rows.npy', mmap_mode='r')

  def drop_images(self, images: Iterable[int]) -> None:
    """Leaves images out for every model, those added later included."""
    images = [int(image) for image in images]
    for image in images:
      self._check_image(image)
    folder = self.folder / 'dropped'
    folder.mkdir(exist_ok=True)
    for image in images:
      (folder / str(image)).touch()
    files.sync_folder(folder)

  @property
  def dropped_images(self) -> np.ndarray:
    """Sorted indices of the images left out, int64."""
    folder = self.folder / 'dropped'
    names = os.listdir(folder) if folder.exists() else []
    return np.array(sorted(int(name) for name in names), np.int64)

  @property
  def kept_images(self) -> np.ndarray:
    """Sorted indices of the images in use, int64."""
    return np.setdiff1d(np.arange(self.num_images), self.dropped_images)

  def affinity(
    self, models: Sequence[str] | None = None, memory_bytes: int = 1 << 28
  ) -> np.ndarray:
    """Returns the mean cosine of each pair of models over the kept images.

    An entry is a function of the two points alone, to the last bit: neither
    the other models, their order, `memory_bytes`, nor the number of threads
    changes it. For this, entries of rows are rounded to multiples of 2^-26,
    which makes all sums of products exact; it moves a mean cosine by about
    1e-9.

    Args:
      models: Names; by default all that are finished.
      memory_bytes: About how much memory to use beside the result.

    Returns:
      Symmetric float64 [num_models, num_models], unit diagonal.
    """
    models = self.models if models is None else tuple(models)
    self._require_finished(models)
    size = self._block_size(len(models), memory_bytes)
    blocks = [
      range(i, min(i + size, len(models))) for i in range(0, len(models), size)
    ]
    result = np.eye(len(models))
    for a, rows in enumerate(blocks):
      for columns in blocks[a:]:
        mean = self._mean_cosines(
          [models[i] for i in rows], [models[j] for j in columns], memory_bytes
        )
        result[rows.start : rows.stop, columns.start : columns.stop] = mean
        result[columns.start : columns.stop, rows.start : rows.stop] = mean.T
    return result

  def neighbours(
    self, model: str, k: int | None = None, memory_bytes: int = 1 << 28
  ) -> list[tuple[str, float]]:
    """Returns the k nearest other models (by default all) and affinities.

    The most similar comes first; equal ones stand in the order of insertion.
    """
    self._require_finished([model])
    others = [other for other in self.models if other != model]
    size = self._block_size(len(others), memory_bytes)
    mean = [
      value
      for i in range(0, len(others), size)
      for value in self._mean_cosines(
        [model], others[i : i + size], memory_bytes
      )[0]
    ]
    order = np.argsort(-np.array(mean), kind='stable')[:k]
    return [(others[i], float(mean[i])) for i in order]

  def image_cosines(self, models: Sequence[str] | None = None) -> np.ndarray:
    """Returns float64 [kept images, num_models, num_models], all in memory.

    Their mean over images is the affinity; resampling images gives its spread.
    """
    models = self.models if models is None else tuple(models)
    self._require_finished(models)
    return np.stack(list(self._cosines(models, models, 1 << 28)))

  def _mean_cosines(
    self, rows: Sequence[str], columns: Sequence[str], memory_bytes: int
  ) -> np.ndarray:
    total = np.zeros((len(rows), len(columns)))
    # One image after the other, so that blocks of any size add up alike.
    for cosines in self._cosines(rows, columns, memory_bytes):
      total += cosines
    return total / len(self.kept_images)

  def _cosines(
    self, rows: Sequence[str], columns: Sequence[str], memory_bytes: int
  ) -> Iterator[np.ndarray]:
    """Yields [rows, columns] for each kept image."""
    kept = self.kept_images
    if not len(kept):
      raise ModelSpaceError(f'{self.folder}: all images are dropped.')
    bytes_per_image = 8 * self.row_size * (len(rows) + len(columns))
    step = max(1, memory_bytes // bytes_per_image)
    for start in range(0, len(kept), step):
      images = kept[start : start + step]
      a = self._fixed_point(rows, images)
      b = a if rows == columns else self._fixed_point(columns, images)
      for x, y in zip(a, b, strict=True):
        norms = np.outer(_squared_norms(x), _squared_norms(y))
        yield np.clip(x @ y.T / np.sqrt(norms), -1, 1)

  def _fixed_point(
    self, models: Sequence[str], images: np.ndarray
  ) -> np.ndarray:
    """Returns whole numbers, float64 [images, models, row_size]."""
    result = np.empty((len(images), len(models), self.row_size))
    for i, model in enumerate(models):
      stored, records = self.rows(model), self._records(model)
      for image, row in zip(images, result[:, i], strict=True):
        if _record(stored[image]) != records[image]:
          raise ModelSpaceError(
            f'{self._model_folder(model)}: the row of image {image} '
            f'({self.image_ids[image]}) is corrupt. Remove the model and add '
            'it again.'
          )
        np.multiply(stored[image], _FIXED_POINT, out=row, dtype=np.float64)
      np.rint(result[:, i], out=result[:, i])
    return result

  def _block_size(self, num_models: int, memory_bytes: int) -> int:
    fitting = memory_bytes // (2 * 8 * self.row_size)
    return max(1, min(num_models, fitting))

  def _model_folder(self, model: str) -> pathlib.Path:
    return self.folder / 'models' / model

  def _stored(self) -> list[str]:
    """Names of all models, finished or not, in the order of insertion.

    Processes that add models at the same time may take the same number; the
    name then decides, so that everybody sees one order.
    """
    folder = self.folder / 'models'
    names = os.listdir(folder) if folder.exists() else []
    names = [name for name in names if _NAME.fullmatch(name)]
    return sorted(names, key=lambda name: (self._entry(name)['sequence'], name))

  def _entry(self, model: str) -> dict[str, Any]:
    path = self._model_folder(model) / 'manifest.json'
    if not _NAME.fullmatch(model) or not path.exists():
      raise ModelSpaceError(
        f'{self.folder}: no model {model!r}; there are {self._stored()}.'
      )
    entry = _read_json(path)
    if not {'sequence', 'manifest'} <= entry.keys():
      raise ModelSpaceError(f'{path}: damaged manifest.')
    return entry

  def _insert(self, model: str, manifest: dict[str, Any]) -> None:
    """Makes the model's folder, complete with empty rows, in one rename."""
    entries = [self._entry(name)['sequence'] for name in self._stored()]
    entry = {'sequence': 1 + max(entries, default=-1), 'manifest': manifest}
    folder = self._model_folder(model)
    folder.parent.mkdir(exist_ok=True)
    new = self._model_folder(f'.new-{model}-{os.getpid()}')
    shutil.rmtree(new, ignore_errors=True)
    try:
      new.mkdir()
      _create_array(
        new / 'rows.npy', self.dtype, (self.num_images, self.row_size)
      )
      _create_array(new / 'finished.npy', np.dtype('<u8'), (self.num_images,))
      files.write_atomically(new / 'manifest.json', _json_bytes(entry))
      os.rename(new, folder)
      files.sync_folder(folder.parent)
    except OSError:
      # Another process may have been faster; its folder is as good as ours.
      if not folder.exists():
        raise
    finally:
      for left in folder.parent.glob(f'.new-{model}-*'):
        shutil.rmtree(left, ignore_errors=True)

  def _check_files(self, model: str) -> None:
    """Refuses files that are cut off, or not of this space."""
    expected = {
      'rows.npy': (self.dtype, (self.num_images, self.row_size)),
      'finished.npy': (np.dtype('<u8'), (self.num_images,)),
    }
    for name, (dtype, shape) in expected.items():
      path = self._model_folder(model) / name
      try:
        array = np.load(path, mmap_mode='r')
      except (OSError, ValueError, EOFError) as error:
        raise ModelSpaceError(
          f'{path}: not a whole .npy file ({error}). Remove the model and add '
          'it again.'
        ) from error
      if array.dtype != dtype or array.shape != shape:
        raise ModelSpaceError(
          f'{path}: holds {array.dtype} {array.shape}, but the space needs '
          f'{dtype} {shape}. Remove the model and add it again.'
        )

  def _records(self, model: str) -> np.ndarray:
    return np.load(self._model_folder(model) / 'finished.npy')

  def _done(self, model: str) -> np.ndarray:
    self._check_files(model)
    return self._records(model) != 0

  def _require_finished(self, models: Sequence[str]) -> None:
    if not models:
      raise ModelSpaceError(f'{self.folder}: no finished model.')
    if repeated := files.duplicates(models):
      raise ModelSpaceError(f'{repeated} are given more than once.')
    for model in models:
      self._entry(model)
      done = self._done(model)
      if not done.all():
        raise ModelSpaceError(
          f'{self.folder}: model {model!r} has {done.sum()} of '
          f'{len(done)} rows; resume the run that adds it.'
        )

  def _check_image(self, image: int) -> None:
    if not 0 <= image < self.num_images:
      raise ModelSpaceError(
        f'{self.folder}: there is no image {image}; the space has '
        f'{self.num_images}.'
      )


class Writer:
  """Fills the rows of one model, in any order, by one process or several."""

  def __init__(self, space: ModelSpace, model: str):
    """Use `ModelSpace.writer`."""
    self._space = space
    self._model = model
    folder = space.folder / 'models' / model
    self._rows, self._finished = folder / 'rows.npy', folder / 'finished.npy'

  @property
  def done(self) -> np.ndarray:
    """Which rows are finished, bool [num_images]."""
    return np.load(self._finished) != 0

  def write(self, start: int, maps: np.ndarray) -> None:
    """Stores the maps of images start, start + 1, ... at unit norm.

    Rows that are finished already stay as they are. On return all rows are on
    the disk and recorded.

    Args:
      start: Index of the first image.
      maps: Real [n, *map_shape].

    Raises:
      BadMapError: If maps are all zero or not finite, except of dropped
        images; nothing is written then.
    """
    space = self._space
    maps = np.asarray(maps)
    if (
      maps.shape[1:] != space.map_shape
      or start < 0
      or (start + len(maps) > space.num_images)
    ):
      raise ModelSpaceError(
        f'Model {self._model!r}: maps of shape {maps.shape} from image {start} '
        f'do not fit {space.num_images} images of {space.map_shape}.'
      )
    pending = np.flatnonzero(~self.done[start : start + len(maps)])
    rows, bad = affinity.unit_rows(maps[pending].reshape(len(pending), -1))
    self._refuse({start + int(pending[i]): why for i, why in bad.items()})
    rows = rows.astype(space.dtype)
    images = start + pending
    _write_rows(self._rows, images, rows, sync=True)
    records = np.array([_record(row) for row in rows], '<u8')
    _write_rows(self._finished, images, records, sync=False)

  def finish(self) -> None:
    """Makes the records durable.

    Raises:
      ModelSpaceError: If rows are missing.
    """
    done = self.done
    if not done.all():
      raise ModelSpaceError(
        f'Model {self._model!r}: {np.sum(~done)} of {len(done)} rows are '
        f'missing, the first is that of image {np.argmin(done)}.'
      )
    with open(self._finished, 'rb') as file:
      os.fsync(file.fileno())

  def _refuse(self, bad: Mapping[int, str]) -> None:
    dropped = set(self._space.dropped_images.tolist())
    bad = {image: why for image, why in bad.items() if image not in dropped}
    if not bad:
      return
    image, why = next(iter(bad.items()))
    others = f' (and {len(bad) - 1} more of this batch)' if len(bad) > 1 else ''
    raise BadMapError(
      f'Model {self._model!r}, image {image} '
      f'({self._space.image_ids[image]}){others}: the attribution map {why}, '
      'so it has no direction. Drop the image for all models, or leave out '
      'the model.',
      self._model,
      tuple(bad),
    )


def _squared_norms(rows: np.ndarray) -> np.ndarray:
  return np.square(rows).sum(axis=1)


def _record(row: np.ndarray) -> np.uint64:
  return _RECORDED + np.uint64(zlib.crc32(np.ascontiguousarray(row)))


def _create_array(
  path: pathlib.Path, dtype: np.dtype, shape: tuple[int, ...]
) -> None:
  """Makes a .npy file of zeros, which takes no space until it is written."""
  np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
  with open(path, 'rb') as file:
    os.fsync(file.fileno())


def _write_rows(
  path: pathlib.Path, indices: np.ndarray, rows: np.ndarray, sync: bool
) -> None:
  """Overwrites rows of a .npy file.

  Plain writes, not a memory map: a full disk is an OSError, not a signal.
  """
  offset = np.load(path, mmap_mode='r').offset
  with open(path, 'r+b') as file:
    for index, row in zip(indices, rows, strict=True):
      file.seek(offset + int(index) * row.nbytes)
      file.write(row.tobytes())
    if sync:
      file.flush()
      os.fsync(file.fileno())


def _as_json(value: Mapping[str, Any], what: str) -> dict[str, Any]:
  """Returns the value as JSON gives it back: tuples become lists."""
  try:
    return json.loads(json.dumps(dict(value), allow_nan=False))
  except (TypeError, ValueError) as error:
    raise ModelSpaceError(f'Cannot store {what} as JSON: {error}.') from error


def _json_bytes(value: Mapping[str, Any]) -> bytes:
  return (json.dumps(value, indent=1, sort_keys=True) + '\n').encode()


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ModelSpaceError(f'{path}: not valid JSON ({error}).') from error
  if not isinstance(value, dict):
    raise ModelSpaceError(f'{path}: expected a JSON object.')
  return value


def _difference(found: Any, wanted: Any, where: str = '') -> str:
  """Returns where two JSON values first differ, or the empty string."""
  if isinstance(found, dict) and isinstance(wanted, dict):
    keys = sorted(found.keys() | wanted.keys())
    pairs = [(f'{where}.{k}', found.get(k), wanted.get(k)) for k in keys]
  elif (
    isinstance(found, list)
    and isinstance(wanted, list)
    and (len(found) == len(wanted))
  ):
    pairs = [
      (f'{where}[{i}]', a, b)
      for i, (a, b) in enumerate(zip(found, wanted, strict=True))
    ]
  else:
    if isinstance(found, list) and isinstance(wanted, list):
      found, wanted = f'{len(found)} entries', f'{len(wanted)} entries'
    same = found == wanted
    return '' if same else f'{where.lstrip(".")} is {found!r}, not {wanted!r}'
  differences = (_difference(a, b, name) for name, a, b in pairs)
  return next((difference for difference in differences if difference), '')
