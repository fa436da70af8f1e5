"""Times a shelf of many networks, and measures what descriptors lose.

  python -m benchmarks.hub --num_networks=1000000 --folder=DIR
  python -m benchmarks.hub --space=RUN/model_space/elrp

The first simulates networks: families of twenty around random points, whose
members have affinities of 0.2 to 0.8 with each other and up to 0.5 with all
others, as networks of the mini bank have; adds their descriptors to a hub;
searches it with the file read from the disk, and asks for the full points of
the best. The second compares affinities of a run's networks with those that
their descriptors tell, by the size of the descriptors and the number of images.
"""

import os
import pathlib
import tempfile
import time

import numpy as np

import toolkit_basics.cli as cli
from benchmarks import report
from toolkit_basics import progress
from transferability.descriptors import Descriptor, Sketcher, deviation
from transferability.hub import Hub
from transferability.model_space import ModelSpace

FLAGS = cli.Flags()
_NETWORKS = FLAGS.integer(
  'num_networks', 'Number of networks on the shelf.', 100_000, lower_bound=100
)
_QUERIES = FLAGS.integer(
  'queries', 'Networks whose neighbours are looked for.', 20, lower_bound=1
)
_FOLDER = FLAGS.path('folder', 'Where the hub is made; by default a new one.')
_SPACE = FLAGS.path('space', 'A space of a run, of which descriptors are made.')
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_FAMILY, _DIMENSIONS, _TOGETHER = 20, 64, 2000
_SIZES = (512, 1024, 2048, 4096, 16384)


def points(count: int, rng: np.random.Generator) -> np.ndarray:
  """Returns the full points of networks, float32 [count, 64], unit norm."""
  shape = -(-count // _FAMILY), _DIMENSIONS
  centres = rng.normal(size=shape).astype(np.float32)
  share = rng.uniform(0.5, 0.9, (count, 1)).astype(np.float32)
  own = rng.normal(size=(count, _DIMENSIONS)).astype(np.float32)
  found = np.sqrt(share) * centres[np.arange(count) // _FAMILY]
  found += np.sqrt(1 - share) * own
  return found / np.linalg.norm(found, axis=1, keepdims=True)


def fill(hub: Hub, vectors: np.ndarray, rng: np.random.Generator) -> None:
  """Adds networks, some at a time."""
  planes = rng.normal(size=(_DIMENSIONS, 64 * hub.sketcher.words))
  planes = planes.astype(np.float32)
  starts = range(0, len(vectors), _TOGETHER)
  for start in progress.track(starts, description='Adding networks'):
    part = vectors[start : start + _TOGETHER]
    codes = np.packbits(part @ planes > 0, axis=1, bitorder='little')
    names = [str(start + i) for i in range(len(part))]
    hub.add_all(names, np.ones(len(part)), codes.view('<u8'))


def forget(folder: pathlib.Path) -> None:
  """Makes the system read a folder's files from the disk again."""
  for path in folder.iterdir():
    with open(path, 'rb') as file:
      os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def search(
  hub: Hub, vectors: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float, float]:
  """Returns seconds of a cold and a warm search, and recall@10 of both kinds.

  The recall of codes alone, and with the best re-ranked by full points.
  """
  seconds, recalls, plain = [], [], []
  for query in rng.integers(len(vectors), size=_QUERIES.value).tolist():
    exact = vectors @ vectors[query]
    wanted = {str(i) for i in np.argsort(-exact)[:10]}
    descriptor = hub.descriptor(str(query))
    forget(hub.folder)
    for _ in range(2):
      start = time.perf_counter()
      found = hub.neighbours(
        descriptor,
        10,
        lambda names, exact=exact: exact[[int(name) for name in names]],
      )
      seconds.append(time.perf_counter() - start)
    recalls.append(len(wanted & {name for name, _ in found}) / 10)
    found = hub.neighbours(descriptor, 10)
    plain.append(len(wanted & {name for name, _ in found}) / 10)
  cold, warm = np.median(seconds[::2]), np.median(seconds[1::2])
  return (
    float(cold),
    float(warm),
    float(np.mean(recalls)),
    float(np.mean(plain)),
  )


def insertion(hubs: list[Hub]) -> list[float]:
  """Returns the median seconds of an insertion into each, side by side."""
  rng = np.random.default_rng(2)
  words = hubs[0].sketcher.words
  seconds = [[] for _ in hubs]
  for number in range(101):
    code = rng.integers(2**63, size=words, dtype=np.uint64)
    for each, times in zip(hubs, seconds, strict=True):
      start = time.perf_counter()
      each.add(f'new {number}', Descriptor(1.0, code))
      times.append(time.perf_counter() - start)
  for number in range(101):
    for each in hubs:
      each.remove(f'new {number}')
  return [float(np.median(times)) for times in seconds]


def of_shelf(folder: pathlib.Path) -> dict[str, float]:
  """Measures a hub of simulated networks."""
  rng = np.random.default_rng(0)
  count = _NETWORKS.value
  vectors = points(count, rng)
  with Hub(folder / 'large') as hub, Hub(folder / 'small') as small:
    for each, its_own in ((hub, vectors), (small, vectors[:10])):
      if len(each) != len(its_own):  # It is not there from an earlier call.
        fill(each, its_own, rng)
    cold, warm, recall, plain = search(hub, vectors, rng)
    few, many = insertion([small, hub])
  size = sum(path.stat().st_size for path in (folder / 'large').iterdir())
  return {
    'networks': count,
    'neighbours_seconds': cold,
    'neighbours_seconds_warm': warm,
    'recall_at_10': recall,
    'recall_at_10_of_codes_alone': plain,
    'insertion_seconds': many,
    'insertion_time_ratio': many / few,
    'gigabytes_on_disk': size / 1e9,
  }


def of_space(folder: str) -> dict[str, float]:
  """Measures what descriptors lose of the affinities of a space."""
  space = ModelSpace(folder)
  pairs = np.triu_indices(len(space.models), 1)
  cosines = space.image_cosines()
  numbers: dict[str, float] = {}
  for size in _SIZES:
    error = _error(space, Sketcher(size), cosines, len(cosines))[pairs]
    signs = 64 * Sketcher(size).words
    numbers |= {
      f'sketch_{size}_bytes_max_difference': float(np.abs(error).max()),
      f'sketch_{size}_bytes_deviation': float(np.sqrt(np.mean(error**2))),
      f'sketch_{size}_bytes_bound': deviation(signs),
    }
  for images in (10, 100, len(cosines)):
    error = _error(space, Sketcher(), cosines, images)[pairs]
    name = f'sketch_4kb_max_difference_{images}_images'
    numbers[name] = float(np.abs(error).max())
  return numbers


def _error(
  space: ModelSpace, sketcher: Sketcher, cosines: np.ndarray, images: int
) -> np.ndarray:
  """Returns how much estimates of affinities over some images are wrong."""
  kept = space.kept_images[:images]
  made = [
    sketcher.of((int(i), space.rows(name)[i]) for i in kept)
    for name in space.models
  ]
  found = np.array([[a.affinity(b) for b in made] for a in made])
  return found - cosines[:images].mean(axis=0)


def main() -> None:
  before = report.machine()
  if _SPACE.value:
    report.tell(of_space(_SPACE.value), _JSON.value, before)
    return
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(_FOLDER.value or temporary)
    report.tell(of_shelf(folder), _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
