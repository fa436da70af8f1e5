"""The model space: each model is a point, its attribution maps on all images.

On disk a space is a folder:

  space.json         settings, images with their digests, map shape, dtype
  models/NAME/       all about one model, and nothing about it elsewhere:
    manifest.json    what made the point, and its place in the order
    rows.npy         [images, row size], each row of unit Euclidean norm
    finished.npy     uint64 [images]: 0, or 2^32 + the CRC-32 of the row
  dropped/INDEX      empty; image INDEX is left out for every model

Several processes may add different models, or different rows of one model, at
the same time. What the finished files hold does not depend on it, nor on how
often a process was killed on the way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import os
import pathlib
from typing import Any

import numpy as np

from toolkit_basics import files
from transferability import gram, points
from transferability import settings as settings_lib
from transferability.affinity import mean_cosine
from transferability.descriptors import Descriptor, Sketcher
from transferability.points import ModelSpaceError, SettingsError, Writer
from transferability.ranking_files import duplicates

DTYPES = ('float32', 'float16')
_HEADER = 'space.json'
_FORMAT = 1
_MEMORY_BYTES = 1 << 26
_SKETCHER = Sketcher()


class ModelSpace:
  """Points of models that were projected under the same settings.

  Attributes:
    folder: Where the space lives.
    settings: What all points share.
    image_ids: One name per image.
    image_digests: One digest per image.
    map_shape: Shape of an attribution map.
    dtype: Storage type of the rows.
  """

  def __init__(self, folder: files.Path):
    """Opens an existing space; `create` makes one.

    Raises:
      FileNotFoundError: If there is no space.
      ModelSpaceError: If its description is damaged.
    """
    self.folder = pathlib.Path(folder)
    header = _read_header(self.folder)
    self.settings: dict[str, Any] = header['settings']
    self.image_ids: tuple[str, ...] = tuple(header['image_ids'])
    self.image_digests: tuple[str, ...] = tuple(header['image_digests'])
    self.map_shape: tuple[int, ...] = tuple(header['map_shape'])
    self.dtype = np.dtype(header['dtype']).newbyteorder('<')

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
    folder = pathlib.Path(folder)
    if not len(image_ids) or len(image_ids) != len(image_digests):
      raise ModelSpaceError(
        f'{folder}: {len(image_ids)} image ids and {len(image_digests)} '
        'digests; one of each is needed per image, and at least one image.'
      )
    if dtype not in DTYPES:
      raise ModelSpaceError(f'{folder}: dtype {dtype!r} is none of {DTYPES}.')
    if not len(map_shape) or min(map_shape) < 1:
      raise ModelSpaceError(f'{folder}: maps cannot have shape {map_shape}.')
    header = {
      'format': _FORMAT,
      'settings': settings_lib.normalised(settings, 'the settings'),
      'map_shape': [int(n) for n in map_shape],
      'dtype': dtype,
      'image_ids': list(image_ids),
      'image_digests': list(image_digests),
    }
    path = folder / _HEADER
    if not path.exists():
      files.write_atomically(path, settings_lib.to_bytes(header))
    if text := settings_lib.difference(_read_header(folder), header):
      raise SettingsError(
        f'{folder}: the model space was made under other settings: {text}. Use '
        'another folder, or remove this one.'
      )
    return cls(folder)

  @property
  def num_images(self) -> int:
    return len(self.image_ids)

  @property
  def row_size(self) -> int:
    """Number of entries of a stored row."""
    return int(np.prod(self.map_shape))

  @property
  def models(self) -> tuple[str, ...]:
    """Names of the finished models, in the order of insertion."""
    return tuple(
      name for name in self._stored() if self._point(name).done().all()
    )

  @property
  def unfinished(self) -> tuple[str, ...]:
    """Names of models that lack rows, in the order of insertion."""
    return tuple(
      name for name in self._stored() if not self._point(name).done().all()
    )

  def manifest(self, model: str) -> dict[str, Any]:
    """Returns what was given to `writer` when the model was added."""
    return self._existing(model).entry()['manifest']

  def writer(self, model: str, manifest: Mapping[str, Any]) -> Writer:
    """Adds a model, or resumes adding it.

    Args:
      model: Name of the model, also its folder's.
      manifest: What made the point (digest of the graph, tensors, T, ...), as
        JSON. A model that is there already must have the same.

    Raises:
      ModelSpaceError: If the name cannot be that of a folder.
      SettingsError: If the stored manifest differs.
    """
    points.check_model_name(model)
    manifest = settings_lib.normalised(manifest, f'the manifest of {model!r}')
    point = self._point(model)
    if not point.exists():
      sequences = self._sequences().values()
      point.create(1 + max(sequences, default=-1), manifest)
    if text := settings_lib.difference(point.entry()['manifest'], manifest):
      raise SettingsError(
        f'{self.folder}: model {model!r} was computed differently: {text}. '
        'Remove it first, or use another name.'
      )
    return Writer(point, self.map_shape, self.image_ids, self._dropped)

  def discard_damaged(self) -> dict[str, str]:
    """Makes room for what was damaged since it was written.

    Rows that do not match their records are unfinished again; a model of which
    it is not known what made it is removed.

    Returns:
      What was found, by model.
    """
    found = {}
    folder = self.folder / 'models'
    names = os.listdir(folder) if folder.exists() else ()
    for name in sorted(filter(points.is_model_name, names)):
      point = self._point(name)
      try:
        point.entry()
      except (OSError, ModelSpaceError) as error:
        point.remove()
        found[name] = str(error)
        continue
      try:
        lost = len(point.lost_rows())
        point.forget_lost_rows()
      except ModelSpaceError as error:
        point.empty()
        found[name] = str(error)
        continue
      if lost:
        found[name] = f'{lost} rows are not those that were written'
    return found

  def remove(self, model: str) -> None:
    """Deletes a model, finished or not; no file of another one changes."""
    self._existing(model).remove()

  def rows(self, model: str) -> np.memmap:
    """Returns the unit rows [num_images, row_size], read-only, memory-mapped.

    The row of a dropped image is zero if that map of the model had no
    direction.
    """
    return self._finished([model])[0].rows()

  def drop_images(self, images: Iterable[int]) -> None:
    """Leaves images out for every model, those added later included."""
    images = [int(image) for image in images]
    for image in images:
      if not 0 <= image < self.num_images:
        raise ModelSpaceError(
          f'{self.folder}: there is no image {image}; the space has '
          f'{self.num_images}.'
        )
    self._dropped.mkdir(exist_ok=True)
    for image in images:
      (self._dropped / str(image)).touch()
    files.sync(self._dropped)

  def restore_images(self, images: Iterable[int]) -> None:
    """Takes images that were dropped into use again.

    Only for images that were dropped since all models were finished: they have
    their rows.
    """
    for image in images:
      (self._dropped / str(int(image))).unlink(missing_ok=True)

  @property
  def dropped_images(self) -> np.ndarray:
    """Sorted indices of the images left out, int64."""
    return np.array(points.dropped_images(self._dropped), np.int64)

  @property
  def kept_images(self) -> np.ndarray:
    """Sorted indices of the images in use, int64."""
    return np.setdiff1d(np.arange(self.num_images), self.dropped_images)

  def affinity(
    self,
    models: Sequence[str] | None = None,
    memory_bytes: int = _MEMORY_BYTES,
  ) -> np.ndarray:
    """Returns the mean cosine of each pair of models over the kept images.

    An entry is a function of its two points alone, to the last bit: other
    models, their order, `memory_bytes` and the number of threads do not
    change it (see gram.py).

    Args:
      models: Names; by default all that are finished.
      memory_bytes: About how much memory to use beside the result.

    Returns:
      Symmetric float64 [num_models, num_models], unit diagonal.
    """
    found = self._finished(self.models if models is None else models)
    size = gram.block_size(len(found), self.row_size, memory_bytes)
    starts = range(0, len(found), size)
    result = np.empty((len(found), len(found)))
    for a in starts:
      for b in starts[a // size :]:
        rows, columns = slice(a, a + size), slice(b, b + size)
        mean = self._mean_cosines(found[rows], found[columns], memory_bytes)
        result[rows, columns] = mean
        result[columns, rows] = mean.T
    return result

  def neighbours(
    self,
    model: str,
    k: int | None = None,
    memory_bytes: int = _MEMORY_BYTES,
  ) -> list[tuple[str, float]]:
    """Returns the k nearest other models (by default all) and affinities.

    The most similar comes first; equal ones stand in the order of insertion.
    """
    self._finished([model])
    others = [name for name in self.models if name != model]
    if not others:
      return []
    values = self.affinities_with(model, others, memory_bytes)
    order = np.argsort(-values, kind='stable')[:k]
    return [(others[i], float(values[i])) for i in order]

  def affinities_with(
    self,
    model: str,
    others: Sequence[str],
    memory_bytes: int = _MEMORY_BYTES,
  ) -> np.ndarray:
    """Returns the affinities of one model with others, float64 [others]."""
    point, columns = self._finished([model]), self._finished(others)
    size = gram.block_size(len(columns), self.row_size, memory_bytes)
    values = np.empty(len(columns))
    for a in range(0, len(columns), size):
      block = columns[a : a + size]
      values[a : a + size] = self._mean_cosines(point, block, memory_bytes)
    return values

  def descriptor(
    self, model: str, sketcher: Sketcher = _SKETCHER
  ) -> Descriptor:
    """Returns a model's point in a few bytes, for a `Hub`.

    Of the images in use: descriptors made before and after images are dropped
    must not be compared.
    """
    (point,) = self._finished([model])
    rows = gram.stacks([point], self._images_in_use())
    pairs = zip(self.kept_images.tolist(), rows, strict=True)
    return sketcher.of((image, row[0]) for image, row in pairs)

  def image_cosines(self, models: Sequence[str] | None = None) -> np.ndarray:
    """Returns float64 [kept images, num_models, num_models], all in memory.

    Their mean over images is the affinity; resampling images gives its spread.
    """
    found = self._finished(self.models if models is None else models)
    images = self._images_in_use()
    return np.stack(list(gram.cosines(found, found, images, _MEMORY_BYTES)))

  def stacks(self, models: Sequence[str] | None = None) -> Iterator[np.ndarray]:
    """Yields the maps of each kept image, float32 [models, *map_shape].

    Raises:
      ModelSpaceError: If a stored row does not match its record.
    """
    found = self._finished(self.models if models is None else models)
    for rows in gram.stacks(found, self._images_in_use()):
      yield rows.reshape(len(found), *self.map_shape)

  def _mean_cosines(
    self,
    rows: Sequence[points.Point],
    columns: Sequence[points.Point],
    memory_bytes: int,
  ) -> np.ndarray:
    images = self._images_in_use()
    return mean_cosine(gram.cosines(rows, columns, images, memory_bytes))

  def _images_in_use(self) -> np.ndarray:
    images = self.kept_images
    if not len(images):
      raise ModelSpaceError(f'{self.folder}: all images are dropped.')
    return images

  @property
  def _dropped(self) -> pathlib.Path:
    return self.folder / 'dropped'

  def _point(self, model: str) -> points.Point:
    shape = (self.num_images, self.row_size)
    return points.Point(self.folder / 'models' / model, shape, self.dtype)

  def _sequences(self) -> dict[str, int]:
    """Returns the place in the order of each model, finished or not."""
    folder = self.folder / 'models'
    sequences = {}
    for name in os.listdir(folder) if folder.exists() else ():
      if points.is_model_name(name):
        try:
          sequences[name] = self._point(name).entry()['sequence']
        except FileNotFoundError:
          continue  # Another process has just removed it.
    return sequences

  def _stored(self) -> list[str]:
    """Returns the names of all models in the order of insertion.

    Processes that add models at the same time may take the same place; the
    name then decides, so that everybody sees one order.
    """
    sequences = self._sequences()
    return sorted(sequences, key=lambda name: (sequences[name], name))

  def _existing(self, model: str) -> points.Point:
    if not points.is_model_name(model) or not self._point(model).exists():
      raise ModelSpaceError(
        f'{self.folder}: no model {model!r}; there are {self._stored()}.'
      )
    return self._point(model)

  def _finished(self, models: Sequence[str]) -> list[points.Point]:
    if not len(models):
      raise ModelSpaceError(f'{self.folder}: no finished model.')
    if repeated := duplicates(models):
      raise ModelSpaceError(f'{repeated} are given more than once.')
    found = [self._existing(model) for model in models]
    for point in found:
      done = point.done()
      if not done.all():
        raise ModelSpaceError(
          f'{self.folder}: model {point.model!r} has {done.sum()} of '
          f'{len(done)} rows; resume the run that adds it.'
        )
    return found


Spaces = Mapping[str, ModelSpace]  # By name.


def _read_header(folder: pathlib.Path) -> dict[str, Any]:
  path = folder / _HEADER
  if not path.exists():
    raise FileNotFoundError(f'{folder}: no model space ({path} is missing).')
  try:
    header = files.read_json(path)
    if header['format'] != _FORMAT:
      raise ModelSpaceError(
        f'{path}: format {header["format"]!r}; this version reads {_FORMAT}.'
      )
    if header['dtype'] not in DTYPES:
      raise ModelSpaceError(f'{path}: unknown dtype {header["dtype"]!r}.')
    for key in ('settings', 'image_ids', 'image_digests', 'map_shape'):
      len(header[key])
  except (ValueError, KeyError, TypeError) as error:
    if isinstance(error, ModelSpaceError):
      raise
    raise ModelSpaceError(
      f'{path}: not the description of a model space ({error!r}).'
    ) from error
  return header
