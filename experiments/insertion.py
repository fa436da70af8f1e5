"""Places one more network in model spaces that a run has left.

Nothing of the other networks is touched or computed again (the paper, section
3.3): a new network costs its own maps, a removed one nothing.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from attribution import methods
from experiments import evaluation, pipeline
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models.encoder import Encoder
from toolkit_basics import progress
from transferability import map_transforms
from transferability.model_space import ModelSpace

_PROBE_FLAGS = ('probe', 'probe_dir', 'num_images', 'seed')


@dataclasses.dataclass(frozen=True)
class Probe:
  """Which images a space was made with; None where its run says so."""

  probe: str | None = None
  probe_dir: str | None = None
  num_images: int | None = None
  seed: int | None = None


_AS_THE_RUN = Probe()


def open_spaces(folder: str | os.PathLike) -> dict[str, ModelSpace]:
  """Returns the spaces of a folder by method.

  Args:
    folder: A space, or a folder with a space for each method, as a run's
      `model_space/`, or the run's folder.

  Raises:
    FileNotFoundError: If there is no space.
  """
  folder = pathlib.Path(folder)
  if (folder / 'model_space').is_dir():
    folder = folder / 'model_space'
  if (folder / 'space.json').exists():
    found = [folder]
  else:
    found = sorted(path.parent for path in folder.glob('*/space.json'))
  if not found:
    raise FileNotFoundError(
      f'No model space in {folder}; pass the folder of a run, its model_space/ '
      'or one method of it.'
    )
  spaces = [ModelSpace(path) for path in found]
  return {space.settings['method']: space for space in spaces}


def load_probe(spaces: Mapping[str, ModelSpace], probe: Probe) -> ProbeSet:
  """Loads the images that spaces were made with, and checks that they are.

  Raises:
    ValueError: If they are others, or it is not known which they are.
  """
  space = next(iter(spaces.values()))
  known = _run_flags(space.folder)
  values = {
    name: getattr(probe, name)
    if getattr(probe, name) is not None
    else known.get(name)
    for name in _PROBE_FLAGS
  }
  if values['probe'] is None:
    values['probe'] = space.settings['probe_set']
  if values['num_images'] is None:
    values['num_images'] = space.num_images
  height, width, _ = space.settings['image_shape']
  loaded = probe_sets.load(
    values['probe'],
    probe_dir=values['probe_dir'],
    num_images=values['num_images'],
    image_size=(height, width),
    seed=values['seed'] or 0,
    progress=progress.track,
  )
  if loaded.digests != space.image_digests:
    raise ValueError(
      f'{space.folder} was made with other images than {values}: they differ '
      'in number, order or content. Pass the `probe`, `probe_dir`, '
      '`num_images` and `seed` of its run.'
    )
  return loaded


def _run_flags(space: pathlib.Path) -> dict[str, Any]:
  """Returns the flags of the run that a space belongs to, if it has left any.

  A run's spaces are two folders below its record; a study's, whose settings
  have other names, are not.
  """
  path = space.resolve().parent.parent / 'run.json'
  try:
    return json.loads(path.read_text(encoding='utf-8'))['flags']
  except (OSError, ValueError, KeyError):
    return {}


def projection(
  spaces: Mapping[str, ModelSpace],
  batch_size: int,
  device: str | None = None,
  on_bad_map: str = 'error',
) -> pipeline.Projection:
  """Returns how the models of spaces were projected."""
  first = next(iter(spaces.values()))
  settings = [space.settings for space in spaces.values()]
  options = {each['method']: each['options'] for each in settings}
  transforms = [
    each.get('map_transform', map_transforms.NONE) for each in settings
  ]
  return pipeline.Projection(
    tuple(methods.create(name, **own) for name, own in options.items()),
    protocol=first.settings['protocol'],
    batch_size=batch_size,
    device=device,
    on_bad_map=on_bad_map,
    map_transforms=tuple(dict.fromkeys(transforms)),
  )


def insert(
  folder: str | os.PathLike,
  encoder: Encoder,
  probe: Probe = _AS_THE_RUN,
  batch_size: int = 50,
  device: str | None = None,
  on_bad_map: str = 'error',
) -> dict[str, ModelSpace]:
  """Places a network in the spaces of a folder; see `open_spaces`.

  Returns:
    The spaces by method.

  Raises:
    ValueError: If the network or the images do not fit the spaces.
  """
  spaces = open_spaces(folder)
  how = projection(spaces, batch_size, device, on_bad_map)
  shape = next(iter(spaces.values())).settings['image_shape']
  pipeline.check_encoder(encoder, encoder.load(), how, tuple(shape))
  images = load_probe(spaces, probe)
  pipeline.project_encoder(encoder, images, how, spaces)
  return spaces


def remove(folder: str | os.PathLike, name: str) -> list[str]:
  """Removes a network from the spaces of a folder.

  Returns:
    The methods of the spaces it was in.

  Raises:
    ValueError: If it is in none.
  """
  removed = []
  spaces = open_spaces(folder)
  for method, space in spaces.items():
    if name in (*space.models, *space.unfinished):
      space.remove(name)
      removed.append(method)
  if not removed:
    known = sorted({n for space in spaces.values() for n in space.models})
    raise ValueError(f'{folder} has no model {name!r}; it has {known}.')
  return removed


def placement(space: ModelSpace, name: str) -> list[tuple]:
  """Returns where a model stands among the others, a header first.

  Returns:
    For each other model, the nearest first: its name, the affinity, and the
    rank of the new model among its sources.
  """
  names = space.models
  matrix = space.affinity(names)
  index = names.index(name)
  np.fill_diagonal(matrix, -np.inf)
  # Equal affinities stand in the order of insertion, as in a ranking.
  ranks = np.argsort(np.argsort(-matrix, axis=1, kind='stable'), axis=1) + 1
  order = np.argsort(-matrix[index], kind='stable')[: len(names) - 1]
  header = ('target', 'affinity', f'rank_of_{name}', 'of')
  return [
    header,
    *(
      (names[i], float(matrix[index, i]), int(ranks[i, index]), len(names) - 1)
      for i in order
    ),
  ]


def table(space: ModelSpace, name: str) -> str:
  """Returns `placement` as text."""
  return evaluation.format_table(placement(space, name))
