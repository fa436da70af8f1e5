"""Projects the models of a bank over probe images into model spaces.

The unit of work is one model and one range of images, aligned to batches, so
that a resumed run computes the very batches an uninterrupted one does.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
import math
import os
import pathlib
import queue
import tempfile
import time

import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution import overrides
from attribution.explainer import Explainer
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing
from attribution.probes import Probes
from experiments import network_errors, probing, ray_executor
from experiments.map_files import MapFile
from experiments.selection.features import pool
from frozen_graphs import batch_sizes, narrowing, session
from frozen_graphs.errors import about
from frozen_graphs.network import Network
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder, Networks
from toolkit_basics import processes, progress
from transferability import map_transforms, sketches
from transferability.model_space import ModelSpace, Spaces
from transferability.points import BadMapError

PROTOCOLS = ('paper', 'released_code')
ON_BAD_MAP = ('error', 'drop_image')
EXECUTORS = ('local', 'ray')
_REPRESENTATION = ' representation'  # No method can have this name.
_UNIT = 10  # Batches that one node computes with one building of the graph.
# How much more memory than its inputs a network takes: of a ResNet-50.
_ACTIVATIONS = 150
# What a process takes beside: TensorFlow, and copies of the graph.
_PROCESS_BYTES, _COPIES = 700 * 2**20, 4


@dataclasses.dataclass(frozen=True)
class Projection:
  """How models are projected.

  Attributes:
    methods: Attribution methods; all share a model's forward pass.
    protocol: `paper`: maps keep W x H x C and T is inverted. `released_code`:
      maps are averaged over channels, with their sign, in the coordinates of
      the encoders' inputs, which must have one size.
    batch_size: Images that are processed at once.
    device: For example '/GPU:0'; several, with commas between them, work at the
      same time, each on one model; None is TensorFlow's choice.
    precision: Of the products in networks, see `narrowing.narrow`.
    on_bad_map: `error`, or `drop_image`: an image on which any map of any
      model has no direction is left out for all models and methods.
    way_on: What the caller can do about such a map, for messages.
    point: What a space keeps of maps: `full`, or `sketch:m`, that is m numbers
      of each; see `transferability.sketches`.
    dtype: Storage type of the model space, float16 or float32.
    save_maps: Whether to keep the maps themselves too.
    keep_representations: Whether to keep the representations, which come from
      the same forward pass.
    representation_side: Layers that are kept have at most so many cells a
      side, of the means over larger ones, and their channels last; None keeps
      representations as the networks give them.
    map_transforms: What is done to maps before they enter a space, see
      `transferability.map_transforms`; each makes a space for each method.
    probes: How networks are probed along random directions, which makes the
      space `probes`; None if they are not.
    probe_point: What the space `probes` keeps: `full`, or `sketch:m`, that is m
      numbers of each probe, which tell `attribution_kernel` alone.
    workers: Processes that work at the same time, each on one model; 0 for as
      many as there are cores, and as fit into the free memory. What comes out
      does not depend on it.
    executor: `local`, or `ray`: units of one model and some of the images are
      computed on a Ray cluster, all nodes of which see the files of the bank
      and of the output under the same paths.
    num_gpus_per_task: GPUs that a unit takes on a Ray cluster.
    memory_mb: What all processes together may take of the memory of a machine:
      fewer images are computed at once then, by fewer processes; None is half
      of what is free, and as many images as `batch_size` says. Results differ
      by rounding.
  """

  methods: tuple[AttributionMethod, ...]
  protocol: str = 'paper'
  batch_size: int = 50
  device: str | None = None
  precision: str = narrowing.SINGLE
  on_bad_map: str = 'error'
  way_on: str = ''
  point: str = sketches.FULL
  dtype: str = 'float16'
  save_maps: bool = False
  keep_representations: bool = False
  representation_side: int | None = None
  map_transforms: tuple[str, ...] = (map_transforms.NONE,)
  probes: Probes | None = None
  probe_point: str = sketches.FULL
  workers: int = 1
  executor: str = 'local'
  num_gpus_per_task: float = 0
  memory_mb: int | None = None

  def __post_init__(self):
    for name, value, known in (
      ('protocol', self.protocol, PROTOCOLS),
      ('on_bad_map', self.on_bad_map, ON_BAD_MAP),
      ('executor', self.executor, EXECUTORS),
    ):
      if value not in known:
        raise ValueError(f'Unknown {name} {value!r}; choose from {known}.')
    narrowing.check(self.precision)
    for point in (self.point, self.probe_point):
      sketches.size_of(point)  # Checked.
    names = [method.name for method in self.methods]
    if not names or len(set(names)) < len(names):
      raise ValueError(f'Methods must be one or more, each once, not {names}.')
    chosen = self.map_transforms
    for transform in chosen:
      map_transforms.check(transform)
    if not chosen or len(set(chosen)) < len(chosen):
      raise ValueError(
        f'Map transforms must be one or more, each once, not {chosen}.'
      )

  @property
  def memory_bytes(self) -> int | None:
    """`memory_mb` in bytes."""
    return None if self.memory_mb is None else self.memory_mb * 2**20

  @property
  def devices(self) -> tuple[str | None, ...]:
    """The devices that work at the same time."""
    return session.devices(self.device) or (None,)

  @property
  def every_method(self) -> tuple[AttributionMethod, ...]:
    """The methods, and that of the probes."""
    if self.probes is None:
      return self.methods
    return (*self.methods, self.probes.method)

  @property
  def inverse(self) -> bool:
    """Whether maps are brought back to the coordinates of the images."""
    return self.protocol == 'paper'

  def spaces(self) -> list[tuple[str, AttributionMethod, str]]:
    """Returns name, method and map transform of each space of maps."""
    return [
      (space_name(method.name, transform), method, transform)
      for method in self.methods
      for transform in self.map_transforms
    ]


def space_name(method: str, transform: str = map_transforms.NONE) -> str:
  """Returns what the space of a method and a map transform is called."""
  return method if transform == map_transforms.NONE else f'{method}@{transform}'


class Observer:
  """Is told how each model of a projection ended."""

  def finished(
    self, encoder: Encoder, images: int, seconds: float, ruled: int
  ) -> None:
    """Called when images of a model were explained.

    Args:
      encoder: The model.
      images: How many were explained now.
      seconds: What that took, without building the graph.
      ruled: Number of activations whose gradient a method overrides.
    """

  def failed(self, encoder: Encoder, error: ValueError) -> None:
    """Called when a model cannot be projected; on return it is left out.

    The default is to stop.
    """
    raise network_errors.NetworkError(str(error), encoder.name) from error


def representation_path(output: str | os.PathLike, model: str) -> pathlib.Path:
  """Returns where a model's representations are, float32 [images, ...]."""
  return pathlib.Path(output) / 'representations' / f'{model}.npy'


def probe_size(bank: Bank, side: int = 0) -> tuple[int, int]:
  """Returns height and width of the probe images that suit a bank.

  What the bank states, or else the largest input of its encoders, where their
  T or graph fixes it; if nothing does, 256 x 256 as in the paper.

  Args:
    bank: The encoders.
    side: If not 0, the answer is squares of this side, whatever the bank.
  """
  if side or bank.image_size:
    return (side or bank.image_size,) * 2
  sizes = []
  for encoder in bank.encoders:
    with about(encoder.name):
      t = Preprocessing.parse(encoder.preprocessing)
      small, large = (t.output_shape((n, n, 3))[:2] for n in (500, 600))
    if small != large:  # T does not fix it.
      small = bank.network(encoder.name).input_shape[:2]
    sizes.append(small)
  height, width = (
    max((n for n in sides if n), default=256)
    for sides in zip(*sizes, strict=True)
  )
  return height, width


def load_probe(
  bank: Bank,
  probe: str | os.PathLike,
  image_size: tuple[int, int] | None = None,
  track: Callable[..., Iterable] = progress.track,
  **options,
) -> ProbeSet:
  """Loads a probe set at the size that suits a bank.

  Args:
    bank: The encoders that will see it.
    probe: See `probe_sets.load`.
    image_size: Height and width, if not those of `probe_size`.
    track: Shows progress.
    **options: Others of `probe_sets.load`, such as `num_images`.
  """
  size = image_size or probe_size(bank)
  return probe_sets.load(probe, image_size=size, progress=track, **options)


def resized(bank: Bank, image_size: tuple[int, int]) -> Bank:
  """Returns a bank that takes images of another size.

  An encoder whose graph takes one size only, and whose T does not bring images
  to it, gets a `resize` before its T.

  Args:
    bank: The encoders.
    image_size: Height and width.

  Raises:
    ValueError: If a T cannot be read.
  """
  encoders = tuple(_resized(bank, e, image_size) for e in bank.encoders)
  return dataclasses.replace(bank, encoders=encoders)


def _resized(
  bank: Bank, encoder: Encoder, image_size: tuple[int, int]
) -> Encoder:
  t = Preprocessing.parse(encoder.preprocessing)
  found = t.output_shape((*image_size, 3))[:2]
  height, width, _ = bank.network(encoder.name).input_shape
  if None in (height, width) or found == (height, width):
    return encoder
  if t.output_shape((height, width, 3))[:2] != (height, width):
    return encoder
  return dataclasses.replace(
    encoder, preprocessing=f'resize({height}, {width}) | {t}'
  )


def check(
  bank: Bank,
  projection: Projection,
  image_shape: tuple[int, int, int],
  least: int = 2,
) -> None:
  """Finds what would stop a run later: graphs, rules, tensors, T, device.

  Args:
    bank: The models.
    projection: How they will be projected.
    image_shape: Of the probe images.
    least: How many models there must be.

  Raises:
    ValueError: If a model cannot be projected; the message names it.
  """
  if len(bank.encoders) < least:
    raise ValueError(
      f'The bank {bank.name!r} has {len(bank.encoders)} encoder; two or more '
      'are needed to compare them.'
    )
  for device in projection.devices:
    session.check_device(device)
  if projection.executor == 'ray':
    ray_executor.check()
  sizes = {}
  for encoder, size in _input_sizes(bank, projection, image_shape):
    if isinstance(size, Exception):
      raise size
    sizes[encoder.name] = size
  if not projection.inverse and len(set(sizes.values())) > 1:
    raise ValueError(
      'protocol released_code compares maps in the coordinates of the '
      f'inputs, but the encoders take several sizes: {sizes}. Use '
      '`protocol=paper`.'
    )


def refusals(
  bank: Bank,
  projection: Projection,
  image_shape: tuple[int, int, int],
  track: Callable[..., Iterable] = progress.track,
) -> dict[str, str]:
  """Returns the models that cannot be projected, and why.

  Arguments as those of `check`, which stops at the first one.
  """
  refused = {}
  found = _input_sizes(bank, projection, image_shape)
  for _ in track(bank.encoders, description='Checking models'):
    encoder, size = next(found)
    try:
      with network_errors.computing(encoder.name):
        if isinstance(size, Exception):
          raise size
    except ValueError as error:
      refused[encoder.name] = str(error)
  return refused


def _input_sizes(
  bank: Bank, projection: Projection, image_shape: tuple[int, int, int]
) -> Iterator[tuple[Encoder, tuple[int, int] | Exception]]:
  """Yields each model with the size of its input, or why it is refused.

  It is looked at once; for lack of room here, by copies of this process.
  """
  networks, rule = bank.networks, None
  if any(method.rule for method in projection.every_method):
    rule = methods_lib.product_rule(projection.every_method)
  what = 'input size', rule, projection.inverse, tuple(image_shape)

  def look(encoder: Encoder) -> tuple[str, tuple[int, int]] | Exception:
    try:
      network = networks.get(encoder)
      size = check_encoder(encoder, network, projection, image_shape)
      return network.digest, size
    except Exception as error:
      return processes.sendable(error)

  new = [e for e in bank.encoders if networks.found(e, what) is None]
  has_room = networks.have_room(new)
  workers = 1 if has_room else _workers(projection, (1, *image_shape), new)
  looks = processes.results(look, new, workers)
  for encoder in bank.encoders:
    size = networks.found(encoder, what)
    if size is None:
      found = next(looks)
      if isinstance(found, Exception):
        yield encoder, found
        continue
      digest, size = found
      networks.note_digest(encoder, digest)
      networks.note(encoder, what, size)
    yield encoder, size


def check_encoder(
  encoder: Encoder,
  network: Network,
  projection: Projection,
  image_shape: tuple[int, int, int],
) -> tuple[int, int]:
  """Finds what would stop a model's projection; see `check`.

  Returns:
    Height and width of its input.
  """
  expected = network.input_shape
  if any(method.rule for method in projection.every_method):
    rule = methods_lib.product_rule(projection.every_method)
    overrides.marked(network, rule)
  with about(encoder.name):
    preprocessing = Preprocessing.parse(encoder.preprocessing)
    shape = preprocessing.output_shape(image_shape)
  if any(e not in (None, n) for e, n in zip(expected, shape, strict=True)):
    raise ValueError(
      f'{encoder.name}: the graph takes inputs of shape {expected}, but '
      f'"{encoder.preprocessing}" makes {shape} of images of '
      f'shape {image_shape}. Add a resize to the preprocessing, or pass '
      'another `image_size`.'
    )
  if not projection.inverse and preprocessing.steps[-1].must_be_last:
    raise ValueError(
      f'{encoder.name}: protocol released_code averages over the last axis, '
      f'which is not that of the channels after "{preprocessing}". Use '
      '`protocol=paper`.'
    )
  return shape[:2]


@dataclasses.dataclass(frozen=True)
class _Outcome:
  """What became of a model: see `Observer.finished`, or an error."""

  images: int = 0
  seconds: float = 0.0
  ruled: int = 0
  error: ValueError | None = None


class _Model:
  """What one model still lacks, and where its maps go."""

  def __init__(
    self,
    encoder: Encoder,
    networks: Networks,
    projection: Projection,
    spaces: Spaces,
    output: pathlib.Path,
  ):
    self.encoder, self._networks = encoder, networks
    self.output = output
    self._projection, self._spaces = projection, spaces
    manifest = {
      'graph_sha256': networks.digest(encoder),
      'input_tensor': encoder.input_tensor,
      'representation_tensor': encoder.representation_tensor,
      'preprocessing': str(Preprocessing.parse(encoder.preprocessing)),
      'batch_size': projection.batch_size,
      'tensorflow': tf.__version__,
      'numpy': np.__version__,
    }
    self._writers = {
      name: space.writer(encoder.name, manifest)
      for name, space in spaces.items()
    }
    self._probed = self._writers.pop(probing.SPACE, None)
    number = len(next(iter(self._writers.values())).done)
    paths = {}
    if projection.save_maps:
      for method in projection.methods:
        folder = output / 'maps' / method.name
        paths[method.name] = folder / f'{encoder.name}.npy'
    if projection.keep_representations:
      paths[_REPRESENTATION] = representation_path(output, encoder.name)
    self._files = {name: MapFile(paths[name], number) for name in paths}

  def missing(self) -> list[int | np.ndarray]:
    """Returns what is not done: starts of batches, then images to probe."""
    done = np.logical_and.reduce([w.done for w in self._writers.values()])
    if not all(file.is_started for file in self._files.values()):
      done = np.zeros_like(done)
    size = self._projection.batch_size
    starts = [
      start
      for start in range(0, len(done), size)
      if not done[start : start + size].all()
    ]
    return starts + list(probing.missing(self._probed) if self._probed else ())

  def project(
    self,
    images: np.ndarray,
    work: Iterable[int | np.ndarray],
    device: str | None,
  ) -> '_Outcome':
    """Explains batches and probes images, as `missing` returns them."""
    projection, name = self._projection, self.encoder.name
    with network_errors.computing(name):
      opened = self._explainer(device)
    self._networks.drop(self.encoder)  # The explainer has the weights.
    with opened as explainer:
      seconds, number = 0.0, 0
      for start in work:
        if isinstance(start, np.ndarray):
          self._probe(explainer, images, start)
          processes.advance()
          continue
        batch = images[start : start + projection.batch_size]
        started = time.monotonic()
        with network_errors.computing(name):
          # What is not finite is up to `on_bad_map`.
          found = explainer.explain(
            batch, inverse=projection.inverse, may_be_infinite=True
          )
        seconds += time.monotonic() - started
        number += len(batch)
        if _REPRESENTATION in self._files:
          kept = self._kept(found.representation)
          self._files[_REPRESENTATION].write(start, kept)
        self._write_maps(start, found.maps)
        processes.advance()
      return _Outcome(number, seconds, explainer.summary.num_ruled)

  def _kept(self, representation: np.ndarray) -> np.ndarray:
    """Returns what is kept of a representation [n, ...]."""
    side = self._projection.representation_side
    if side is None:
      return representation
    return pool(self.encoder.channels_last(representation), side)

  def _explainer(self, device: str | None) -> Explainer:
    projection, encoder = self._projection, self.encoder
    return Explainer(
      self._networks.get(encoder),
      preprocessing=encoder.preprocessing,
      methods=projection.methods,
      probe_methods=[projection.probes.method] if projection.probes else (),
      batch_size=projection.batch_size,
      device=device,
      precision=projection.precision,
    )

  def _probe(
    self, explainer: Explainer, images: np.ndarray, indices: np.ndarray
  ) -> None:
    assert self._probed is not None and self._projection.probes is not None
    probing.project(
      explainer,
      images,
      indices,
      self._projection.probes,
      self._spaces[probing.SPACE],
      self._probed,
      self._projection.on_bad_map,
      self._projection.way_on,
    )

  def _write_maps(self, start: int, maps: Mapping[str, np.ndarray]) -> None:
    """Stores the maps of each method, and what each transform makes of them."""
    for name, values in maps.items():
      if name in self._files:
        self._files[name].write(start, values)
    for name, method, transform in self._projection.spaces():
      if name not in self._writers:
        continue
      values = maps[method.name]
      if not self._projection.inverse:
        values = values.mean(axis=-1)
      values = map_transforms.apply(transform, values)
      size = sketches.size_of(self._projection.point)
      if size is not None:
        values = sketches.sketched(values, start, size)
      self._write(name, start, values)

  def _write(self, name: str, start: int, maps: np.ndarray) -> None:
    try:
      self._writers[name].write(start, maps)
    except BadMapError as error:
      if self._projection.on_bad_map == 'error':
        raise ValueError(
          f'{error} (Method {name}.) {self._projection.way_on}'.rstrip()
        ) from error
      for each in self._writers:
        self._spaces[each].drop_images(error.images)
      self._writers[name].write(start, maps)

  def outcome(
    self,
    images: np.ndarray,
    device: str | None,
    work: Sequence[int | np.ndarray],
  ) -> _Outcome:
    """Does a part of what is missing, in whatever process or thread.

    Returns what became of it.
    """
    left = collections.deque(work)
    try:
      return self.project(images, (left.popleft() for _ in work), device)
    except ValueError as error:
      # Also the piece that it was working on counts as done.
      for _ in range(min(len(left) + 1, len(work))):
        processes.advance()
      return _Outcome(error=processes.sendable(error))

  def unit(self, images: str, work: Sequence[int | np.ndarray]) -> '_Unit':
    """Returns a part of what is missing, with all that it needs.

    Args:
      images: Path of a file of all images.
      work: Some of `missing`.
    """
    encoder = self.encoder
    if isinstance(encoder.graph, str) and os.path.exists(encoder.graph):
      encoder = dataclasses.replace(
        encoder, graph=os.path.abspath(encoder.graph)
      )
    return _Unit(
      encoder,
      self._projection,
      {n: str(space.folder.resolve()) for n, space in self._spaces.items()},
      os.path.abspath(self.output),
      images,
      work,
    )

  def finish(self) -> None:
    self._networks.drop(self.encoder)
    for writer in (*self._writers.values(), self._probed):
      if writer is not None:
        writer.finish()
    for file in self._files.values():
      file.finish()

  def remove(self) -> None:
    """Takes the model out of all spaces."""
    for space in self._spaces.values():
      space.remove(self.encoder.name)


def _workers(
  projection: Projection, shape: Sequence[int], encoders: Sequence[Encoder]
) -> int:
  """Returns how many processes shall project models."""
  if projection.device and 'CPU' not in projection.device.upper():
    return 1  # Of a GPU, one process takes all.
  image, budget = math.prod(shape[1:]) * 4 * _ACTIVATIONS, None
  each = projection.batch_size * image
  if projection.memory_bytes is not None:  # One image at once is enough.
    budget = projection.memory_bytes - batch_sizes.peak_bytes()
    largest = max((e.file_size for e in encoders), default=0)
    each = _PROCESS_BYTES + image + _COPIES * largest
  return processes.chosen(projection.workers, len(encoders), each, budget)


def _share(projection: Projection, workers: int) -> int | None:
  """Returns the bytes of memory that each process may take, None for any."""
  budget = projection.memory_bytes
  if budget is None or workers == 1:
    return budget
  return max(0, budget - batch_sizes.peak_bytes()) // workers


def _new_spaces(
  bank: Bank, probe: ProbeSet, projection: Projection, folder: pathlib.Path
) -> dict[str, ModelSpace]:
  """Makes the spaces of a projection; those that are there are opened."""
  shape, size = probe.images.shape[1:], None
  if not projection.inverse:
    t = Preprocessing.parse(bank.encoders[0].preprocessing)
    shape = size = t(probe.images[:1]).shape[1:3]
  spaces = {}
  for name, method, transform in projection.spaces():
    settings = {
      'probe_set': probe.name,
      'method': method.name,
      'options': dataclasses.asdict(method),
      'protocol': projection.protocol,
      'image_shape': list(probe.images.shape[1:]),
    }
    if transform != map_transforms.NONE:
      settings['map_transform'] = transform
    if projection.precision != narrowing.SINGLE:
      settings['precision'] = projection.precision
    numbers = sketches.size_of(projection.point)
    transformed = map_transforms.apply(transform, np.zeros((1, *shape)))
    if numbers is not None:
      settings['point'] = projection.point
      settings['sketched_shape'] = list(transformed.shape[1:])
    spaces[name] = ModelSpace.create(
      folder / name,
      settings=settings,
      image_ids=probe.ids,
      image_digests=probe.digests,
      map_shape=(numbers,) if numbers else transformed.shape[1:],
      dtype=projection.dtype,
    )
  if projection.probes is not None:
    spaces[probing.SPACE] = probing.create(
      folder / probing.SPACE,
      probe,
      projection.probes,
      projection.protocol,
      size,
      projection.dtype,
      projection.probe_point,
    )
  return spaces


_Pieces = Sequence[tuple[_Model, Sequence[int | np.ndarray]]]


def _on_devices(
  pieces: _Pieces,
  projection: Projection,
  images: np.ndarray,
  advanced: Callable[[int], object],
) -> Iterator[_Outcome]:
  """Yields what becomes of models, each of which has a device for itself."""
  free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
  for device in projection.devices:
    free.put(device)

  def on_a_free_one(piece) -> _Outcome:
    device = free.get()
    try:
      return piece[0].outcome(images, device, piece[1])
    finally:
      free.put(device)

  return processes.in_threads(
    on_a_free_one, pieces, len(projection.devices), advanced
  )


@dataclasses.dataclass(frozen=True)
class _Unit:
  """One model and a range of images, for whatever machine."""

  encoder: Encoder
  projection: Projection
  spaces: Mapping[str, str]  # Their folders.
  output: str
  images: str  # A file of all images.
  work: Sequence[int | np.ndarray]

  def outcome(self) -> _Outcome:
    spaces = {name: ModelSpace(path) for name, path in self.spaces.items()}
    output = pathlib.Path(self.output)
    model = _Model(self.encoder, Networks(), self.projection, spaces, output)
    images = np.load(self.images, mmap_mode='r')
    share = _share(self.projection, processes.cores())  # It has one of them.
    with batch_sizes.memory_budget(share):
      return model.outcome(images, self.projection.devices[0], self.work)


def _on_ray(
  pieces: _Pieces,
  projection: Projection,
  images: np.ndarray,
  advanced: Callable[[int], object],
) -> Iterator[_Outcome]:
  """Yields what becomes of models, whose images are shared out on a cluster."""
  output = pathlib.Path(pieces[0][0].output if pieces else '.')
  output.mkdir(parents=True, exist_ok=True)
  # Hidden: no part of the results.
  with tempfile.TemporaryDirectory(prefix='.ray-', dir=output) as folder:
    path = pathlib.Path(folder).resolve() / 'images.npy'
    np.save(path, images)
    parts = [
      [
        model.unit(str(path), work[start : start + _UNIT])
        for start in range(0, len(work), _UNIT)
      ]
      for model, work in pieces
    ]
    units = list(itertools.chain(*parts))
    ended = ray_executor.results(
      _Unit.outcome,
      units,
      lambda number: advanced(len(units[number].work)),
      projection.num_gpus_per_task,
    )
    for part in parts:
      yield _together([next(ended) for _ in part])


def _together(parts: Sequence[_Outcome]) -> _Outcome:
  """Returns what became of a model, of what became of its units."""
  errors = [part.error for part in parts if part.error is not None]
  return _Outcome(
    sum(part.images for part in parts),
    sum(part.seconds for part in parts),
    max(part.ruled for part in parts),
    errors[0] if errors else None,
  )


def _outcomes(
  models: Sequence[_Model],
  projection: Projection,
  probe: ProbeSet,
  track: Callable[..., Iterable],
) -> Iterator[tuple[_Model, _Outcome | None]]:
  """Yields each model with what became of it; None if nothing was missing.

  One bar shows the progress of all.
  """
  work = [(model, model.missing()) for model in models]
  steps = [(m.encoder.name, start) for m, starts in work for start in starts]
  bar = iter(track(steps, description='Projecting models'))
  next(bar, None)
  todo = [(model, missing) for model, missing in work if missing]

  def advanced(more: int) -> None:
    collections.deque(itertools.islice(bar, more), maxlen=0)

  if projection.executor == 'ray':
    ended = _on_ray(todo, projection, probe.images, advanced)
  elif len(projection.devices) > 1:
    ended = _on_devices(todo, projection, probe.images, advanced)
  else:
    encoders = [model.encoder for model, _ in todo]
    workers = _workers(projection, probe.images.shape, encoders)
    share = _share(projection, workers)

    def outcome(piece: tuple[_Model, Sequence[int | np.ndarray]]) -> _Outcome:
      with batch_sizes.memory_budget(share):
        return piece[0].outcome(probe.images, projection.devices[0], piece[1])

    ended = processes.results(outcome, todo, workers, advanced)
  for model, missing in work:
    yield model, next(ended) if missing else None
  next(bar, None)  # The last one is done, too.


def project(
  bank: Bank,
  probe: ProbeSet,
  projection: Projection,
  output: str | os.PathLike,
  track: Callable[..., Iterable] = progress.track,
  observer: Observer | None = None,
  spaces: Spaces | None = None,
) -> Spaces:
  """Projects every model of a bank; what is there already is kept.

  Args:
    bank: Two or more models; one is enough where `spaces` are given.
    probe: The images.
    projection: How.
    output: Gets `model_space/<space>/`, and `maps/<method>/<model>.npy` if
      maps are saved (float32 [images, H, W, C], not normalised), and
      `representations/<model>.npy` if they are kept.
    track: Shows progress, as `toolkit_basics.progress.track`.
    observer: Is told how each model ended.
    spaces: Spaces of this projection, by name, that the models join, instead of
      those in `output`. Some may be left out.

  Returns:
    The model spaces by name: that of the method, followed by the map transform
    if there is one (see `space_name`), and `probes` if networks are probed.

  Raises:
    ValueError: If a model cannot be projected, or the folder holds points that
      were made under other settings.
  """
  output, observer = pathlib.Path(output), observer or Observer()
  check(bank, projection, probe.images.shape[1:], 2 if spaces is None else 1)
  if spaces is None:
    spaces = _new_spaces(bank, probe, projection, output / 'model_space')
  models = [
    _Model(encoder, bank.networks, projection, spaces, output)
    for encoder in bank.encoders
  ]
  for model, outcome in _outcomes(models, projection, probe, track):
    try:
      if outcome is not None:
        if outcome.error is not None:
          raise outcome.error
        found = outcome.images, outcome.seconds, outcome.ruled
        observer.finished(model.encoder, *found)
      model.finish()
    except ValueError as error:
      observer.failed(model.encoder, error)
      model.remove()
  return spaces


def method_objects(
  names: Sequence[str], epsilon: float | None = None
) -> tuple[AttributionMethod, ...]:
  """Returns methods by name, with epsilon for those that have one."""
  options = {} if epsilon is None else {'epsilon': epsilon}
  return methods_lib.create_all(names, **options)
