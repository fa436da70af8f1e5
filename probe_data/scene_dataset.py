"""Labelled scenes on disk: rendered once, in parallel, then memory-mapped.

One run renders at a time in a folder, others wait for it; a run that was
stopped is gone on with.
"""

from collections.abc import Callable, Iterable
import os
import pathlib
import shutil
import time

from absl import logging
import numpy as np

from probe_data import scene_labels, scenes
from toolkit_basics import claims, files, spawning

_CHUNK = 100
_PATIENCE = 1.0  # Seconds between looks at what another run renders.
_ALLOCATED = 'arrays.done'
_VERSION = 1  # Raise it when scenes or labels change.


def _mark(folder: pathlib.Path, first: int) -> pathlib.Path:
  """Returns the file that says that the scenes from `first` on are rendered."""
  return folder / f'{first}.done'


def _render_chunk(
  folder: pathlib.Path, seeds: list[int], size: int, first: int
) -> int:
  """Renders some scenes into the open arrays of a data set."""
  pictures, labels = scene_labels.labelled_images(seeds, size)
  for name, values in {'image': pictures, **labels}.items():
    path = folder / f'{name}.npy'
    files.write_rows(path, first, values)
    files.sync(path)
  _mark(folder, first).touch()
  return len(seeds)


def _allocate(folder: pathlib.Path, num_images: int, size: int) -> None:
  pictures, labels = scene_labels.labelled_images([0], size)
  for name, values in {'image': pictures, **labels}.items():
    np.lib.format.open_memmap(
      folder / f'{name}.npy',
      mode='w+',
      dtype=values.dtype,
      shape=(num_images, *values.shape[1:]),
    ).flush()


def _render(
  target: pathlib.Path,
  split: str,
  num_images: int,
  size: int,
  seed: int,
  workers: int,
  progress: Callable[..., Iterable] | None,
) -> None:
  """Renders a data set; goes on with one that was cut off."""
  partial = target.with_name(f'.{target.name}.partial')
  if not (partial / _ALLOCATED).exists():
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _allocate(partial, num_images, size)
    (partial / _ALLOCATED).touch()
  seeds = [scenes.scene_seed(split, i, seed) for i in range(num_images)]
  todo = [
    first
    for first in range(0, num_images, _CHUNK)
    if not _mark(partial, first).exists()
  ]
  chunks = [
    (partial, seeds[first : first + _CHUNK], size, first) for first in todo
  ]
  with spawning.calls(_render_chunk, chunks, workers) as finished:
    if progress is not None:
      finished = progress(
        finished, total=len(chunks), description=f'Rendering {split} scenes'
      )
    for _ in finished:
      pass
  for mark in partial.glob('*.done'):
    mark.unlink()
  os.replace(partial, target)


def folder_name(split: str, num_images: int, size: int, seed: int = 0) -> str:
  """Returns how the folder of a data set is called."""
  return f'scenes-v{_VERSION}-{split}-{num_images}-{size}-{seed}'


def build(
  folder: str,
  split: str,
  num_images: int,
  size: int,
  *,
  seed: int = 0,
  workers: int = 1,
  progress: Callable[..., Iterable] | None = None,
) -> dict[str, np.ndarray]:
  """Renders a data set of scenes, or opens it if it is there.

  Args:
    folder: Where data sets are kept; this one gets a folder in it.
    split: One of `scenes.SPLITS`.
    num_images: N.
    size: Side of the pictures, S; dense labels have half of it.
    seed: Which scenes of the split.
    workers: Processes.
    progress: Called as `progress(iterable, total=, description=)`.

  Returns:
    Read-only memory maps: `image`, uint8 RGB [N, S, S, 3], and the labels of
    each task as `scene_labels.labelled_images` gives them.
  """
  target = pathlib.Path(folder, folder_name(split, num_images, size, seed))
  while not target.exists():
    try:
      with claims.folder(folder):
        if not target.exists():  # Whoever had the folder may have rendered it.
          _render(target, split, num_images, size, seed, workers, progress)
    except claims.InUseError as error:
      logging.log_every_n_seconds(
        logging.INFO,
        'Waiting for scenes that another run renders: %s',
        60,
        error,
      )
      time.sleep(_PATIENCE)
  return {
    path.stem: np.load(path, mmap_mode='r')
    for path in sorted(target.glob('*.npy'))
  }
