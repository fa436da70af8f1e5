"""Projects the models of a bank over probe images into model spaces.

The unit of work is one model and one range of images, aligned to batches, so
that a resumed run computes the very batches an uninterrupted one does.
"""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import itertools
import os
import pathlib
import time

import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution import overrides
from attribution.explainer import Explainer
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing
from experiments.map_files import MapFile
from experiments.projection import ON_BAD_MAP as ON_BAD_MAP
from experiments.projection import PROTOCOLS as PROTOCOLS
from experiments.projection import Observer, Projection
from experiments.projection import space_name as space_name
from frozen_graphs import session
from frozen_graphs.errors import about
from frozen_graphs.network import Network
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from taskonomy_models.networks import Networks
from toolkit_basics import progress
from transferability import map_transforms
from transferability.model_space import ModelSpace
from transferability.points import BadMapError, Writer

_REPRESENTATION = ' representation'  # No method can have this name.


def representation_path(output: str | os.PathLike, model: str) -> pathlib.Path:
  """Returns where a model's representations are, float32 [images, ...]."""
  return pathlib.Path(output) / 'representations' / f'{model}.npy'


def _fixed_size(bank: Bank, encoder: Encoder) -> tuple[int | None, int | None]:
  """Returns (height, width) of an encoder's input as far as it is fixed."""
  return bank.network(encoder.name).input_shape[:2]


def _input_size(bank: Bank, encoder: Encoder) -> tuple[int | None, int | None]:
  """Returns height and width of an encoder's input if T or the graph fix it."""
  with about(encoder.name):
    t = Preprocessing.parse(encoder.preprocessing)
    shapes = [t.output_shape((side, side, 3))[:2] for side in (500, 600)]
  if shapes[0] != shapes[1]:
    shapes = [_fixed_size(bank, encoder)]
  return shapes[0]


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
  sizes = [_input_size(bank, encoder) for encoder in bank.encoders]
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
  height, width = _fixed_size(bank, encoder)
  if None in (height, width) or found == (height, width):
    return encoder
  if t.output_shape((height, width, 3))[:2] != (height, width):
    return encoder
  return dataclasses.replace(
    encoder, preprocessing=f'resize({height}, {width}) | {t}'
  )


def check(
  bank: Bank, projection: Projection, image_shape: tuple[int, int, int]
) -> None:
  """Finds what would stop a run later: graphs, rules, tensors, T, device.

  Args:
    bank: The models.
    projection: How they will be projected.
    image_shape: Of the probe images.

  Raises:
    ValueError: If a model cannot be projected; the message names it.
  """
  if len(bank.encoders) < 2:
    raise ValueError(
      f'The bank {bank.name!r} has {len(bank.encoders)} encoder; two or more '
      'are needed to compare them.'
    )
  session.check_device(projection.device)
  sizes = {
    encoder.name: check_encoder(
      encoder, bank.network(encoder.name), projection, image_shape
    )
    for encoder in bank.encoders
  }
  if not projection.inverse and len(set(sizes.values())) > 1:
    raise ValueError(
      'protocol released_code compares maps in the coordinates of the '
      f'inputs, but the encoders take several sizes: {sizes}. Use '
      '--protocol=paper.'
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
  for encoder in track(bank.encoders, description='Checking models'):
    try:
      network = bank.network(encoder.name)
      check_encoder(encoder, network, projection, image_shape)
    except ValueError as error:
      refused[encoder.name] = str(error)
  return refused


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
  if any(method.rule for method in projection.methods):
    overrides.marked(network, methods_lib.product_rule(projection.methods))
  with about(encoder.name):
    preprocessing = Preprocessing.parse(encoder.preprocessing)
    shape = preprocessing.output_shape(image_shape)
  if any(e not in (None, n) for e, n in zip(expected, shape, strict=True)):
    raise ValueError(
      f'{encoder.name}: the graph takes inputs of shape {expected}, but '
      f'"{encoder.preprocessing}" makes {shape} of images of '
      f'shape {image_shape}. Add a resize to the preprocessing, or pass '
      'another --image_size.'
    )
  if not projection.inverse and preprocessing.steps[-1].must_be_last:
    raise ValueError(
      f'{encoder.name}: protocol released_code averages over the last axis, '
      f'which is not that of the channels after "{preprocessing}". Use '
      '--protocol=paper.'
    )
  return shape[:2]


class _Model:
  """What one model still lacks, and where its maps go."""

  def __init__(
    self,
    encoder: Encoder,
    networks: Networks,
    projection: Projection,
    spaces: Mapping[str, ModelSpace],
    output: pathlib.Path,
  ):
    self.encoder, self._networks = encoder, networks
    self._projection, self._spaces = projection, spaces
    manifest = {
      'graph_sha256': networks.get(encoder).digest,
      'input_tensor': encoder.input_tensor,
      'representation_tensor': encoder.representation_tensor,
      'preprocessing': str(Preprocessing.parse(encoder.preprocessing)),
      'batch_size': projection.batch_size,
      'tensorflow': tf.__version__,
      'numpy': np.__version__,
    }
    self._writers: dict[str, Writer] = {
      name: space.writer(encoder.name, manifest)
      for name, space in spaces.items()
    }
    number = len(next(iter(self._writers.values())).done)
    self._files: dict[str, MapFile] = {}
    if projection.save_maps:
      self._files = {
        method.name: MapFile(
          output / 'maps' / method.name / f'{encoder.name}.npy', number
        )
        for method in projection.methods
      }
    if projection.keep_representations:
      path = representation_path(output, encoder.name)
      self._files[_REPRESENTATION] = MapFile(path, number)

  def missing(self) -> list[int]:
    """Returns the starts of the batches that are not done."""
    done = np.logical_and.reduce([w.done for w in self._writers.values()])
    if not all(file.is_started for file in self._files.values()):
      done = np.zeros_like(done)
    size = self._projection.batch_size
    return [
      start
      for start in range(0, len(done), size)
      if not done[start : start + size].all()
    ]

  def project(
    self, images: np.ndarray, starts: Iterable[int], observer: Observer
  ) -> None:
    """Explains the batches that begin at `starts`."""
    projection, encoder = self._projection, self.encoder
    with Explainer(
      self._networks.get(encoder),
      preprocessing=encoder.preprocessing,
      methods=projection.methods,
      batch_size=projection.batch_size,
      device=projection.device,
    ) as explainer:
      seconds, number = 0.0, 0
      for start in starts:
        batch = images[start : start + projection.batch_size]
        started = time.monotonic()
        found = explainer.explain(batch, inverse=projection.inverse)
        seconds += time.monotonic() - started
        number += len(batch)
        if _REPRESENTATION in self._files:
          self._files[_REPRESENTATION].write(start, found.representation)
        self._write_maps(start, found.maps)
      ruled = explainer.summary.num_ruled
      observer.finished(self.encoder, number, seconds, ruled)

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
      self._write(name, start, map_transforms.apply(transform, values))

  def _write(self, name: str, start: int, maps: np.ndarray) -> None:
    try:
      self._writers[name].write(start, maps)
    except BadMapError as error:
      if self._projection.on_bad_map == 'error':
        raise ValueError(
          f'{error} (Method {name}; --resume --on_bad_map=drop_image goes on '
          'without the image.)'
        ) from error
      for space in self._spaces.values():
        space.drop_images(error.images)
      self._writers[name].write(start, maps)

  def finish(self) -> None:
    self._networks.drop(self.encoder)
    for writer in self._writers.values():
      writer.finish()
    for file in self._files.values():
      file.finish()

  def remove(self) -> None:
    """Takes the model out of all spaces."""
    for space in self._spaces.values():
      space.remove(self.encoder.name)


def _map_shape(
  bank: Bank, projection: Projection, image: np.ndarray, transform: str
) -> tuple[int, ...]:
  shape = image.shape
  if not projection.inverse:
    preprocessing = Preprocessing.parse(bank.encoders[0].preprocessing)
    shape = preprocessing(image[None]).shape[1:3]
  return map_transforms.apply(transform, np.zeros((1, *shape))).shape[1:]


def _settings(
  probe: ProbeSet,
  projection: Projection,
  method: AttributionMethod,
  transform: str,
) -> dict[str, object]:
  settings = {
    'probe_set': probe.name,
    'method': method.name,
    'options': dataclasses.asdict(method),
    'protocol': projection.protocol,
    'image_shape': list(probe.images.shape[1:]),
  }
  if transform != map_transforms.NONE:
    settings['map_transform'] = transform
  return settings


def project(
  bank: Bank,
  probe: ProbeSet,
  projection: Projection,
  output: str | os.PathLike,
  track: Callable[..., Iterable] = progress.track,
  observer: Observer | None = None,
) -> dict[str, ModelSpace]:
  """Projects every model of a bank; what is there already is kept.

  Args:
    bank: Two or more models.
    probe: The images.
    projection: How.
    output: Gets `model_space/<space>/`, and `maps/<method>/<model>.npy` if
      maps are saved (float32 [images, H, W, C], not normalised), and
      `representations/<model>.npy` if they are kept.
    track: Shows progress, as `toolkit_basics.progress.track`.
    observer: Is told how each model ended.

  Returns:
    The model spaces by name: that of the method, followed by the map transform
    if there is one (see `space_name`).

  Raises:
    ValueError: If a model cannot be projected, or the folder holds points that
      were made under other settings.
  """
  output = pathlib.Path(output)
  check(bank, projection, probe.images.shape[1:])
  spaces = {
    name: ModelSpace.create(
      output / 'model_space' / name,
      settings=_settings(probe, projection, method, transform),
      image_ids=probe.ids,
      image_digests=probe.digests,
      map_shape=_map_shape(bank, projection, probe.images[0], transform),
      dtype=projection.dtype,
    )
    for name, method, transform in projection.spaces()
  }
  models = [
    _Model(encoder, bank.networks, projection, spaces, output)
    for encoder in bank.encoders
  ]
  _project_models(models, probe.images, track, observer or Observer())
  return spaces


def _project_models(
  models: Sequence[_Model],
  images: np.ndarray,
  track: Callable[..., Iterable],
  observer: Observer,
) -> None:
  """Projects models one after the other, with one bar of progress for all."""
  work = [(model, model.missing()) for model in models]
  every = [(model, start) for model, starts in work for start in starts]
  remaining = iter(track(every, description='Projecting models'))
  for model, starts in work:
    left = (start for _, start in itertools.islice(remaining, len(starts)))
    try:
      if starts:
        model.project(images, left, observer)
      model.finish()
    except ValueError as error:
      observer.failed(model.encoder, error)
      model.remove()
      collections.deque(left, maxlen=0)
  next(remaining, None)  # The last one is done, too.


def project_encoder(
  bank: Bank,
  probe: ProbeSet,
  projection: Projection,
  spaces: Mapping[str, ModelSpace],
  output: str | os.PathLike,
  track: Callable[..., Iterable] = progress.track,
  observer: Observer | None = None,
) -> None:
  """Projects one more model into spaces that exist; the others stay.

  Args:
    bank: Of this model alone.
    probe: The images of the spaces.
    projection: As the others were projected.
    spaces: By name; spaces of the projection that are not there are left out.
    output: Gets maps and representations, if they are kept.
    track: Shows progress.
    observer: Is told how it ended.

  Raises:
    ValueError: If the model cannot be projected, or a space has another model
      of its name.
  """
  session.check_device(projection.device)
  (encoder,) = bank.encoders
  network = bank.network(encoder.name)
  check_encoder(encoder, network, projection, probe.images.shape[1:])
  model = _Model(
    encoder, bank.networks, projection, spaces, pathlib.Path(output)
  )
  _project_models([model], probe.images, track, observer or Observer())


def dropped_images(spaces: Mapping[str, ModelSpace]) -> list[str]:
  """Returns the images that are left out of the spaces, by their ids."""
  dropped = {
    space.image_ids[i]: None
    for space in spaces.values()
    for i in space.dropped_images
  }
  return list(dropped)


def method_objects(
  names: Sequence[str], epsilon: float | None = None
) -> tuple[AttributionMethod, ...]:
  """Returns methods by name, with epsilon for those that have one."""
  options = {} if epsilon is None else {'epsilon': epsilon}
  return methods_lib.create_all(names, **options)
