"""The space of probes: maps of random directions, beside those of methods.

A network has K maps an image there instead of one, on some of the run's images.
They are stored like any map, at unit norm over all K; what is read off them are
the measures of `transferability.subspaces`. Or a sketch of their kernel over
pixels is, right after they are made: see `transferability.sketches`.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from attribution import methods
from attribution.explainer import Explainer
from attribution.probes import Probes, pooled
from experiments import network_errors
from probe_data.probe_sets import ProbeSet
from transferability import sketches, subspaces
from transferability.descriptors import Descriptor, Sketcher
from transferability.model_space import ModelSpace, Spaces
from transferability.points import BadMapError, Writer

SPACE = 'probes'  # Its name; no method can have it.
OF_SKETCHES = 'attribution_kernel'  # The measure that sketches tell.
_IMAGES = 8  # Probed at once.


def create(
  folder: pathlib.Path,
  probe: ProbeSet,
  probes: Probes,
  protocol: str,
  input_size: tuple[int, int] | None,
  dtype: str,
  point: str = sketches.FULL,
) -> ModelSpace:
  """Makes the space of probes, or opens the one that is there.

  Args:
    folder: Of the space.
    probe: All images of the run.
    probes: How networks are probed.
    protocol: See `pipeline.Projection`.
    input_size: Height and width of the encoders' inputs, for maps in their
      coordinates and averaged over channels; None for those of the images.
    dtype: Storage type.
    point: `full`, or `sketch:m`: K m numbers and one more of each image.
  """
  shape = probe.images.shape[1:]
  if input_size is not None:
    shape = (*input_size, 1)
  sides = [min(side, probes.side) for side in shape[:2]]
  chosen = probes.chosen(len(probe.ids))
  maps = (probes.count, *sides, shape[2])
  numbers = sketches.size_of(point)
  kept = {'point': point, 'sketched_shape': list(maps)} if numbers else {}
  return ModelSpace.create(
    folder,
    settings={
      **kept,
      'probe_set': probe.name,
      'method': probes.method.name,
      'options': dataclasses.asdict(probes.method),
      'protocol': protocol,
      'image_shape': list(probe.images.shape[1:]),
      'probes': {
        'count': probes.count,
        'num_images': probes.num_images,
        'seed': probes.seed,
        'side': probes.side,
      },
    },
    image_ids=[probe.ids[i] for i in chosen],
    image_digests=[probe.digests[i] for i in chosen],
    map_shape=(probes.count * numbers + 1,) if numbers else maps,
    dtype=dtype,
  )


def probes_of(settings: dict[str, Any]) -> Probes:
  """Returns how the networks of a space with these settings were probed."""
  method = methods.create(settings['method'], **settings['options'])
  return Probes(method, **settings['probes'])


def missing(writer: Writer) -> Iterator[np.ndarray]:
  """Yields the indices of images whose probes are not done, a few at a time."""
  done = writer.done
  for start in range(0, len(done), _IMAGES):
    indices = np.arange(start, min(start + _IMAGES, len(done)))
    if not done[indices].all():
      yield indices


def project(
  explainer: Explainer,
  images: np.ndarray,
  indices: np.ndarray,
  probes: Probes,
  space: ModelSpace,
  writer: Writer,
  on_bad_map: str,
  way_on: str = '',
) -> None:
  """Probes a network on some images of the space, and stores the maps.

  Args:
    explainer: Of the network, with the method of the probes.
    images: All images of the run.
    indices: Of images in the space.
    probes: How.
    space: Of probes.
    writer: Of the network in it.
    on_bad_map: See `pipeline.Projection`, as for `way_on`.

  Raises:
    ValueError: If all maps of an image are zero, or one is not finite.
  """
  batch = images[probes.chosen(len(images))[indices]]
  inverse = space.settings['protocol'] == 'paper'
  with network_errors.computing(explainer.name):
    directions = probes.directions(
      explainer.digest,
      [space.image_digests[i] for i in indices],
      explainer.count_units(batch),
    )
    maps = explainer.probe(probes.method.name, batch, directions, inverse)
  if not inverse:
    maps = maps.mean(axis=-1, keepdims=True)
  maps = pooled(maps, probes.side)
  if is_sketched(space):
    size = space.map_shape[0] - 1
    maps = np.stack(
      [
        sketches.of_kernel(rows.reshape(len(rows), -1), int(image), size)
        for image, rows in zip(indices, maps, strict=True)
      ]
    )
  try:
    writer.write(int(indices[0]), maps)
  except BadMapError as error:
    if on_bad_map == 'error':
      message = f'{error} (Maps of directions.) {way_on}'
      raise ValueError(message.rstrip()) from error
    space.drop_images(error.images)
    writer.write(int(indices[0]), maps)


def of_maps(spaces: Spaces) -> dict[str, ModelSpace]:
  """Returns the spaces that hold one map an image: all but that of probes."""
  return {name: each for name, each in spaces.items() if name != SPACE}


def is_sketched(space: ModelSpace) -> bool:
  """Whether a space of probes has sketches of kernels, and no maps."""
  return sketches.point_of(space.settings) != sketches.FULL


def descriptor(
  space: ModelSpace, model: str, sketcher: Sketcher | None = None
) -> Descriptor:
  """Returns a network's attribution kernels in a few bytes, for a `Hub`.

  Args:
    space: Of probes, with sketches; images in use are taken.
    model: Its name.
    sketcher: By default that of descriptors of maps.

  Raises:
    ValueError: If the space has maps.
  """
  if not is_sketched(space):
    raise ValueError(
      f'{space.folder} has maps of random directions; a descriptor is made of '
      'sketches of their kernels (`--point=sketch:m`).'
    )
  points = [sketches.kernel_points(row) for (row,) in space.stacks([model])]
  pairs = zip(space.kept_images.tolist(), points, strict=True)
  found = (sketcher or Sketcher()).of(pairs)
  norm = np.sqrt(np.mean(np.square(points).sum(axis=1)))
  return dataclasses.replace(found, norm=float(norm))


def image_scores(
  space: ModelSpace, models: Sequence[str], measures: Sequence[str]
) -> dict[str, np.ndarray]:
  """Returns what measures of subspaces say of each image.

  Args:
    space: Of probes.
    models: Their names.
    measures: Of `subspaces.MEASURES`.

  Returns:
    By measure, float64 [images, models, models], rows targets, columns sources.

  Raises:
    ValueError: If the space has sketches, which do not tell a measure.
  """
  if is_sketched(space):
    if others := [name for name in measures if name != OF_SKETCHES]:
      raise ValueError(
        f'{others[0]} needs maps of random directions in full; '
        f'{space.folder} has sketches, which tell {OF_SKETCHES} alone.'
      )
    rows = space.stacks(models)
    return dict.fromkeys(measures, np.stack([*map(sketches.kernels, rows)]))

  def of_image(gram: np.ndarray) -> np.ndarray:
    return np.stack([subspaces.MEASURES[name](gram) for name in measures])

  found = subspaces.of_images(space.stacks(models), of_image)
  return {name: found[:, i] for i, name in enumerate(measures)}
