"""The space of probes: maps of random directions, beside those of methods.

A network has K maps an image there instead of one, on some of the run's images.
They are stored like any map, at unit norm over all K; what is read off them are
the measures of `transferability.subspaces`.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from attribution import methods
from attribution.explainer import Explainer
from attribution.probes import Probes, pooled
from probe_data.probe_sets import ProbeSet
from transferability import subspaces
from transferability.model_space import ModelSpace, Spaces
from transferability.points import BadMapError, Writer

SPACE = 'probes'  # Its name; no method can have it.
_IMAGES = 8  # Probed at once.


def create(
  folder: pathlib.Path,
  probe: ProbeSet,
  probes: Probes,
  protocol: str,
  input_size: tuple[int, int] | None,
  dtype: str,
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
  """
  shape = probe.images.shape[1:]
  if input_size is not None:
    shape = (*input_size, 1)
  sides = [min(side, probes.side) for side in shape[:2]]
  chosen = probes.chosen(len(probe.ids))
  return ModelSpace.create(
    folder,
    settings={
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
    map_shape=(probes.count, *sides, shape[2]),
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
) -> None:
  """Probes a network on some images of the space, and stores the maps.

  Args:
    explainer: Of the network, with the method of the probes.
    images: All images of the run.
    indices: Of images in the space.
    probes: How.
    space: Of probes.
    writer: Of the network in it.
    on_bad_map: See `pipeline.Projection`.

  Raises:
    ValueError: If all maps of an image are zero, or one is not finite.
  """
  batch = images[probes.chosen(len(images))[indices]]
  directions = probes.directions(
    explainer.digest,
    [space.image_digests[i] for i in indices],
    explainer.count_units(batch),
  )
  inverse = space.settings['protocol'] == 'paper'
  maps = explainer.probe(probes.method.name, batch, directions, inverse)
  if not inverse:
    maps = maps.mean(axis=-1, keepdims=True)
  maps = pooled(maps, probes.side)
  try:
    writer.write(int(indices[0]), maps)
  except BadMapError as error:
    if on_bad_map == 'error':
      raise ValueError(
        f'{error} (Maps of directions; `resume` with `on_bad_map=drop_image` '
        'goes on without the image.)'
      ) from error
    space.drop_images(error.images)
    writer.write(int(indices[0]), maps)


def of_maps(spaces: Spaces) -> dict[str, ModelSpace]:
  """Returns the spaces that hold one map an image: all but that of probes."""
  return {name: each for name, each in spaces.items() if name != SPACE}


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
  """

  def of_image(gram: np.ndarray) -> np.ndarray:
    return np.stack([subspaces.MEASURES[name](gram) for name in measures])

  found = subspaces.of_images(space.stacks(models), of_image)
  return {name: found[:, i] for i, name in enumerate(measures)}
