"""Places one more network in model spaces that a run has left.

Nothing of the other networks is touched or computed again (the paper, section
3.3): a new network costs its own maps, a removed one nothing. The tables,
figures and page of the run are then written anew.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np

from attribution import methods
from experiments import (
  evaluation,
  network_errors,
  pipeline,
  probing,
  results,
  similarities,
)
from experiments.run_record import RunRecord
from frozen_graphs import narrowing
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import progress
from transferability import map_transforms, sketches
from transferability.model_space import ModelSpace, Spaces


def open_spaces(folder: str | os.PathLike) -> dict[str, ModelSpace]:
  """Returns the spaces of a folder, by the names of their folders.

  Args:
    folder: A space; or a folder with a space for each method and map transform,
      as a run's `model_space/`; or the run's folder.

  Raises:
    FileNotFoundError: If there is no space.
  """
  folder = pathlib.Path(folder)
  for place in ('model_space/*', '.', '*'):
    if found := sorted(folder.glob(f'{place}/space.json')):
      return {p.parent.resolve().name: ModelSpace(p.parent) for p in found}
  raise FileNotFoundError(
    f'No model space in {folder}; pass the folder of a run, its model_space/ '
    'or one space of it.'
  )


def _first(spaces: Spaces) -> ModelSpace:
  """Returns a space of maps.

  Raises:
    ValueError: If there are only probes, which know a part of the images.
  """
  maps = probing.of_maps(spaces)
  if not maps:
    raise ValueError(
      f'{next(iter(spaces.values())).folder} holds the probes of a run, which '
      'join it with its maps; pass the folder of the run.'
    )
  return next(iter(maps.values()))


def load_probe(
  spaces: Spaces, given: Mapping[str, Any] | None = None
) -> ProbeSet:
  """Loads the images that spaces were made with, and checks that they are.

  Args:
    spaces: By name.
    given: Which images; of `probe`, `probe_dir`, `num_images` and `seed` what
      the run of the spaces does not say, or says wrongly.

  Raises:
    ValueError: If they are others, or it is not known which they are.
  """
  space = _first(spaces)
  record = results.record_of(space)
  known = {
    'probe': space.settings['probe_set'],
    'probe_dir': None,
    'num_images': space.num_images,
    'seed': 0,
  }
  # The space names a folder of images wherever one is; a flag need not.
  flags = {} if record is None else {**record.flags, 'probe': known['probe']}
  values = {n: flags.get(n, v) for n, v in known.items()} | dict(given or {})
  height, width, _ = space.settings['image_shape']
  is_known = known['probe'] != probe_sets.OF_PYTHON or 'probe' in (given or {})
  if not is_known:
    raise ValueError(
      f'{space.folder} was made with images that were given in Python, as an '
      'array or a list; pass them (`images`), or a file of them (`probe`).'
    )
  loaded = values.pop('probe')
  if not isinstance(loaded, ProbeSet):
    loaded = probe_sets.load(
      loaded, image_size=(height, width), progress=progress.track, **values
    )
  if loaded.digests != space.image_digests:
    raise ValueError(
      f'{space.folder} was made with other images than {loaded.name!r}, '
      f'{values}: they differ in number, order or content. Pass the `probe`, '
      '`probe_dir`, `num_images` and `seed` of its run.'
    )
  return loaded


def projection(
  spaces: Spaces,
  batch_size: int | None = None,
  device: str | None = None,
  on_bad_map: str = 'error',
) -> pipeline.Projection:
  """Returns how the models of spaces were projected.

  Args:
    spaces: By name.
    batch_size: Images computed at once; None: as of the first model.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    on_bad_map: See `pipeline.Projection`.
  """
  first = _first(spaces)
  if batch_size is None:
    names = first.models
    batch_size = first.manifest(names[0])['batch_size'] if names else 50
  maps = probing.of_maps(spaces)
  settings = [space.settings for space in maps.values()]
  options = {each['method']: each['options'] for each in settings}
  transforms = [
    each.get('map_transform', map_transforms.NONE) for each in settings
  ]
  record = results.complete(spaces)
  flags = {} if record is None else record.flags
  probed = spaces.get(probing.SPACE)
  return pipeline.Projection(
    tuple(methods.create(name, **own) for name, own in options.items()),
    protocol=settings[0]['protocol'],
    batch_size=batch_size,
    device=device,
    precision=settings[0].get('precision', narrowing.SINGLE),
    point=settings[0].get('point', sketches.FULL),
    on_bad_map=on_bad_map,
    way_on='`on_bad_map=drop_image` goes on without the image.',
    save_maps=flags.get('save_maps', False),
    keep_representations=similarities.takes(
      flags.get('similarities', ()), 'representations'
    ),
    representation_side=results.LAYER_SIDE
    if record is not None and record.noted('kind') == 'zoo'
    else None,
    map_transforms=tuple(dict.fromkeys(transforms)),
    probes=probing.probes_of(probed.settings) if probed else None,
    probe_point=sketches.point_of(probed.settings if probed else {}),
  )


def _fitted(encoder: Encoder, how: pipeline.Projection, spaces: Spaces) -> Bank:
  """Returns a bank of an encoder that takes the images of spaces.

  Raises:
    ValueError: If it cannot.
  """
  space = _first(spaces)
  height, width, channels = space.settings['image_shape']
  bank = pipeline.resized(Bank('', (encoder,)), (height, width))
  (fitted,) = bank.encoders
  if fitted != encoder:
    logging.info('%s: T is "%s".', encoder.name, fitted.preprocessing)
  size = pipeline.check_encoder(
    fitted, bank.network(fitted.name), how, (height, width, channels)
  )
  made = tuple(space.settings.get('sketched_shape', space.map_shape))[:2]
  if not how.inverse and size != made:
    raise ValueError(
      f'{encoder.name}: its input has the size {size}, those of the other '
      f'networks {made}; protocol released_code compares maps '
      'in the coordinates of the inputs, which must be of one size.'
    )
  return bank


def _record(spaces: Spaces) -> RunRecord | None:
  """Returns the record of the run whose spaces these are; says if of none."""
  record = results.complete(spaces)
  if record is None:
    logging.info(
      'These are not all spaces of a run that has its results; only they are '
      'changed.'
    )
  return record


def _has(space: ModelSpace, name: str) -> bool:
  return name in (*space.models, *space.unfinished)


def _check_name(name: str, spaces: Spaces) -> None:
  for space in spaces.values():
    for other in (*space.models, *space.unfinished):
      if other != name and other.lower() == name.lower():
        raise ValueError(
          f'{space.folder} has a network {other!r}; {name!r} differs in case '
          'only, which some file systems do not tell apart.'
        )


@contextlib.contextmanager
def _all_or_nothing(
  spaces: Spaces, name: str, record: RunRecord | None
) -> Iterator[None]:
  """Leaves spaces, and their run, as they were if the block raises."""
  before = [
    (space, _has(space, name), space.dropped_images)
    for space in spaces.values()
  ]
  try:
    yield
  except BaseException:
    for space, was_there, dropped in before:
      space.restore_images(np.setdiff1d(space.dropped_images, dropped))
      if not was_there and _has(space, name):
        space.remove(name)
    if record and not any(was_there for _, was_there, _ in before):
      results.forget(record, name)
    raise


def insert(
  folder: str | os.PathLike,
  encoder: Encoder,
  probe: Mapping[str, Any] | None = None,
  batch_size: int | None = None,
  device: str | None = None,
  on_bad_map: str = 'error',
) -> dict[str, ModelSpace]:
  """Places a network in the spaces of a folder; see `open_spaces`.

  A network whose graph takes another size than that of the images gets a
  `resize` before its T. If the folder is that of a run, its tables, figures and
  page are written anew.

  Returns:
    The spaces by name.

  Raises:
    ValueError: If the network or the images do not fit the spaces, which then
      stay as they were.
  """
  spaces = open_spaces(folder)
  _check_name(encoder.name, spaces)
  record = _record(spaces)
  how = projection(spaces, batch_size, device, on_bad_map)
  with network_errors.computing(encoder.name):
    bank = _fitted(encoder, how, spaces)
  output, observer = pathlib.Path(), None  # Nothing is kept without a run.
  if record is not None:
    results.bank_of(record, spaces)  # An error in the bank is found here.
    output = record.output
    if record.noted('kind') == 'zoo':
      observer = results.Measured(output)
  images = load_probe(spaces, probe)
  with _all_or_nothing(spaces, encoder.name, record):
    pipeline.project(
      bank, images, how, output, observer=observer, spaces=spaces
    )
  if record is not None:
    results.note_inserted(record, encoder)
    results.rewrite(record, images, spaces)
  return spaces


def remove(
  folder: str | os.PathLike,
  name: str,
  probe: Mapping[str, Any] | None = None,
) -> list[str]:
  """Removes a network from the spaces of a folder.

  If the folder is that of a run, its tables, figures and page are written anew.

  Args:
    folder: See `open_spaces`.
    name: Of the network.
    probe: Which images; see `load_probe`. Some are shown on the run's page.

  Returns:
    The spaces it was in.

  Raises:
    ValueError: If it is in none, or a run would have one network left.
  """
  spaces = open_spaces(folder)
  holding = [each for each, space in spaces.items() if _has(space, name)]
  if not holding:
    known = sorted({n for space in spaces.values() for n in space.models})
    raise ValueError(f'{folder} has no model {name!r}; it has {known}.')
  record = _record(spaces)
  if record is not None:
    left = set(results.bank_of(record, spaces).names) - {name}
    if len(left) < 2:
      raise ValueError(
        f'{folder} would have {len(left)} network left; a run compares two or '
        'more. Delete its folder instead.'
      )
    images = load_probe(spaces, probe)
  for space in holding:
    spaces[space].remove(name)
  if record is not None:
    results.forget(record, name)
    results.rewrite(record, images, spaces)
  return holding


def placement(space: ModelSpace, name: str) -> list[tuple]:
  """Returns where a model stands among the others, a header first.

  In the space of probes by `attribution_span`, as a source for each of them; by
  `attribution_kernel` if it has sketches.

  Returns:
    For each other model, the nearest first: its name, the affinity, and the
    rank of the new model among its sources.
  """
  names = space.models
  if space.folder.name == probing.SPACE:
    is_sketched = probing.is_sketched(space)
    measure = probing.OF_SKETCHES if is_sketched else similarities.DEFAULT[0]
    found = probing.image_scores(space, names, [measure])
    matrix = found[measure].mean(axis=0)
  else:
    matrix = space.affinity(names)
  index = names.index(name)
  np.fill_diagonal(matrix, -np.inf)
  # Equal affinities stand in the order of insertion, as in a ranking.
  ranks = np.argsort(np.argsort(-matrix, axis=1, kind='stable'), axis=1) + 1
  to_it = matrix[:, index]
  order = np.argsort(-to_it, kind='stable')[: len(names) - 1]
  header = ('target', 'affinity', f'rank_of_{name}', 'of')
  return [
    header,
    *(
      (names[i], float(to_it[i]), int(ranks[i, index]), len(names) - 1)
      for i in order
    ),
  ]


def table(space: ModelSpace, name: str) -> str:
  """Returns `placement` as text; affinities have four digits that count."""
  header, *rows = placement(space, name)
  return evaluation.format_table(
    [header, *((row[0], f'{row[1]:.4g}', *row[2:]) for row in rows)]
  )
