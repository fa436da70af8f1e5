"""Maps or representations as they are, a `.npy` file for each model."""

import contextlib
import os
import pathlib

import numpy as np

from toolkit_basics import files


class MapFile:
  """A `.npy` file, float32 [images, ...], that is filled batch by batch.

  Until it is finished it has another name, under which a later process goes
  on with it.
  """

  def __init__(self, path: pathlib.Path, num_images: int):
    self._path = path
    self._num_images = num_images
    self._partial = path.with_name(f'.{path.name}.partial')

  @property
  def is_started(self) -> bool:
    """Whether rows that were written before may be relied on."""
    return self._path.exists() or self._partial.exists()

  def write(self, start: int, maps: np.ndarray) -> None:
    """Writes the maps of images start, start + 1, ... [n, ...]."""
    maps = np.ascontiguousarray(maps, '<f4')
    if self._path.exists():  # A part is computed anew.
      with contextlib.suppress(FileNotFoundError):  # Another one was faster.
        os.replace(self._path, self._partial)
    if not self._partial.exists():
      self._make((self._num_images, *maps.shape[1:]))
    files.write_rows(self._partial, start, maps)

  def _make(self, shape: tuple[int, ...]) -> None:
    """Makes the file, unless another process was faster."""
    self._path.parent.mkdir(parents=True, exist_ok=True)
    temporary = self._path.with_name(f'.{self._path.name}.{os.getpid()}.new')
    # Zeros, which take no space until they are written over.
    with files.room_for(self._path):
      np.lib.format.open_memmap(temporary, 'w+', '<f4', shape)
    try:
      os.link(temporary, self._partial)  # Fails if it is there.
    except FileExistsError:
      pass
    except OSError:  # A file system without links.
      os.replace(temporary, self._partial)
    temporary.unlink(missing_ok=True)

  def finish(self) -> None:
    """Makes the file durable and gives it its name."""
    if self._partial.exists():
      with open(self._partial, 'rb') as file:
        os.fsync(file.fileno())
      os.replace(self._partial, self._path)
    # Left by processes that were killed.
    for path in self._path.parent.glob(f'.{self._path.name}.*new'):
      path.unlink(missing_ok=True)

  def delete(self) -> None:
    """Deletes the file, finished or not."""
    for path in (self._path, self._partial):
      path.unlink(missing_ok=True)
