"""Labelled scenes on disk: rendered once, in parallel, then memory-mapped."""

from collections.abc import Callable, Iterable
import concurrent.futures
import multiprocessing
import os
import pathlib
import shutil

import numpy as np

from probe_data import scene_labels, scenes

_CHUNK = 100
_VERSION = 1  # Raise it when scenes or labels change.


def _render_chunk(folder: str, seeds: list[int], size: int, first: int) -> int:
  """Renders some scenes into the open arrays of a data set."""
  pictures, labels = scene_labels.labelled_images(seeds, size)
  for name, values in {'image': pictures, **labels}.items():
    array = np.load(os.path.join(folder, f'{name}.npy'), mmap_mode='r+')
    array[first : first + len(values)] = values
    array.flush()
  return len(seeds)


def _allocate(folder: str, num_images: int, size: int) -> None:
  pictures, labels = scene_labels.labelled_images([0], size)
  for name, values in {'image': pictures, **labels}.items():
    np.lib.format.open_memmap(
      os.path.join(folder, f'{name}.npy'),
      mode='w+',
      dtype=values.dtype,
      shape=(num_images, *values.shape[1:]),
    ).flush()


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
  name = folder_name(split, num_images, size, seed)
  target = os.path.join(folder, name)
  if not os.path.exists(target):
    partial = os.path.join(folder, f'.{name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    _allocate(partial, num_images, size)
    seeds = [scenes.scene_seed(split, i, seed) for i in range(num_images)]
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
      jobs = [
        pool.submit(
          _render_chunk, partial, seeds[first : first + _CHUNK], size, first
        )
        for first in range(0, num_images, _CHUNK)
      ]
      finished = concurrent.futures.as_completed(jobs)
      if progress is not None:
        finished = progress(
          finished, total=len(jobs), description=f'Rendering {split} scenes'
        )
      for job in finished:
        job.result()
    os.replace(partial, target)
  return {
    path.stem: np.load(path, mmap_mode='r')
    for path in sorted(pathlib.Path(target).glob('*.npy'))
  }
