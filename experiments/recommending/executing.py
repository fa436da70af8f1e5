"""Looks at candidates one after the other, here or on a Ray cluster."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import os
import pathlib
import pickle
import tempfile

import numpy as np

from experiments import network_errors, pipeline, ray_executor
from experiments.recommending import looks
from experiments.recommending.looks import LookedAt, Looking
from frozen_graphs import batch_sizes
from taskonomy_models.encoder import Encoder, Networks
from toolkit_basics import files, processes

# Of a candidate; with its features of the images that it was trained on.
Sight = tuple[LookedAt, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Where:
  """Where candidates are looked at.

  Attributes:
    executor: `local`, or `ray`: a Ray cluster, all nodes of which see the
      candidates' files and the folder under the same paths.
    num_gpus_per_task: GPUs that a candidate takes on a Ray cluster.
    memory_mb: What processes together may take of the memory of a machine;
      fewer images are computed at once then.
    folder: Gets a hidden folder, which is deleted again; for Ray.
  """

  executor: str = 'local'
  num_gpus_per_task: float = 0
  memory_mb: int | None = None
  folder: str = '.'

  def __post_init__(self):
    if self.executor not in pipeline.EXECUTORS:
      raise ValueError(
        f'Unknown executor {self.executor!r}; choose from {pipeline.EXECUTORS}.'
      )
    if self.executor == 'ray':
      ray_executor.check()

  def share(self, number: int) -> int | None:
    """Returns the bytes that one of so many processes may take."""
    return self.memory_mb and self.memory_mb * 2**20 // number


@dataclasses.dataclass(frozen=True)
class Sought:
  """What candidates are looked at for.

  Attributes:
    images: Of the target.
    source: Of their training, or None.
    how: See `Looking`; images of their training are looked at plainly.
  """

  images: np.ndarray
  source: np.ndarray | None
  how: Looking

  def sight(self, encoder: Encoder, networks: Networks) -> Sight | ValueError:
    """Returns what is seen of a candidate, or why it cannot be used."""
    plain = dataclasses.replace(self.how, num_twins=0, tries_ranges=False)
    try:
      with network_errors.computing(encoder.name):
        network = networks.get(encoder)
        seen = looks.look(encoder, network, self.images, self.how)
        trained = None
        if self.source is not None:
          trained = looks.look(encoder, network, self.source, plain).features
        networks.drop(encoder)
      return seen, trained
    except ValueError as error:
      return processes.sendable(error)


def sights(
  encoders: Sequence[Encoder],
  networks: Networks,
  sought: Sought,
  where: Where,
  track: Callable[..., Iterable],
) -> Iterator[tuple[Encoder, Sight | ValueError]]:
  """Yields what is seen of candidates, or why one cannot be used."""
  bar = iter(track(encoders, description='Looking at candidates'))
  if where.executor == 'ray':
    next(bar, None)
    found = _on_ray(encoders, sought, where, lambda number: next(bar, None))
    yield from zip(encoders, found, strict=True)
    return
  with batch_sizes.memory_budget(where.share(1)):
    for encoder in bar:
      yield encoder, sought.sight(encoder, networks)


@dataclasses.dataclass(frozen=True)
class _Look:
  """A candidate for whatever machine; what is seen goes to a file."""

  encoder: Encoder
  sought: str
  where: Where
  path: str

  def done(self) -> None:
    sought = pickle.loads(pathlib.Path(self.sought).read_bytes())
    with batch_sizes.memory_budget(self.where.share(processes.cores())):
      seen = sought.sight(self.encoder, Networks())
    files.write_atomically(self.path, pickle.dumps(seen))


def _on_ray(
  encoders: Sequence[Encoder],
  sought: Sought,
  where: Where,
  done: Callable[[int], object],
) -> Iterator[Sight | ValueError]:
  """Yields what is seen on a cluster, in the order of the candidates.

  Images and what is seen go by files, so that little goes through Ray.
  """
  output = pathlib.Path(where.folder)
  output.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='.ray-', dir=output) as name:
    folder = pathlib.Path(name).resolve()
    (folder / 'sought').write_bytes(pickle.dumps(sought))
    units = [
      _Look(
        _in_a_file(encoder, folder / f'{number}.pb'),
        str(folder / 'sought'),
        where,
        str(folder / f'{number}.seen'),
      )
      for number, encoder in enumerate(encoders)
    ]
    ended = ray_executor.results(
      _Look.done, units, done, where.num_gpus_per_task
    )
    for unit, _ in zip(units, ended, strict=True):
      yield pickle.loads(pathlib.Path(unit.path).read_bytes())


def _in_a_file(encoder: Encoder, path: pathlib.Path) -> Encoder:
  """Returns an encoder whose graph other machines can read."""
  if isinstance(encoder.graph, str):
    place = os.path.abspath(encoder.graph)
    return dataclasses.replace(encoder, graph=place)
  content = encoder.graph.SerializeToString(deterministic=True)
  path.write_bytes(content)
  return dataclasses.replace(
    encoder, graph=str(path), sha256=files.sha256(content)
  )
