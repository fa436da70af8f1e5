"""How far affinities of half precision are from those of single precision.

A part of the images is projected in single precision too, and affinities over
these images are compared.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import os
import pathlib
import shutil

import numpy as np
from scipy import stats

from experiments import pipeline, probing
from experiments.pipeline import Projection
from experiments.run_record import RunRecord
from frozen_graphs import narrowing
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from toolkit_basics import progress
from transferability.affinity import mean_cosine
from transferability.model_space import ModelSpace, Spaces

IMAGES = 50  # Compared, at most.
_FOLDER = '.single_precision'  # Hidden: no part of the results.


def note(
  record: RunRecord,
  bank: Bank,
  probe: ProbeSet,
  projection: Projection,
  spaces: Spaces,
) -> None:
  """Records the deviations of a run of half precision, as `precision`."""
  if projection.precision != narrowing.SINGLE:
    with record.stage('precision'):
      found = deviations(bank, probe, projection, spaces, record.output)
    record.note('precision', found)


def deviations(
  bank: Bank,
  probe: ProbeSet,
  projection: Projection,
  spaces: Spaces,
  output: str | os.PathLike,
  track: Callable[..., Iterable] = progress.track,
  images: int = IMAGES,
) -> dict[str, dict[str, float | None]]:
  """Returns how affinities of half precision differ from single precision.

  Args:
    bank: The models of the spaces.
    probe: The images of the spaces.
    projection: How the spaces were made.
    spaces: By name.
    output: A folder, in which a hidden one is made and deleted again.
    track: Shows progress.
    images: How many are compared, at most.

  Returns:
    By space: `images` that are compared; `max_difference` of an affinity of two
    models, between 0 and 2; `spearman`, the rank correlation of the affinities
    of all pairs, None of less than three pairs. Empty in single precision.
  """
  if projection.precision == narrowing.SINGLE:
    return {}
  spaces = probing.of_maps(spaces)
  dropped = np.concatenate([s.dropped_images for s in spaces.values()])
  kept = np.setdiff1d(np.arange(len(probe)), dropped)[:images]
  folder = pathlib.Path(output) / _FOLDER
  exact = pipeline.project(
    bank,
    _part(probe, kept),
    dataclasses.replace(
      projection,
      precision=narrowing.SINGLE,
      probes=None,
      save_maps=False,
      keep_representations=False,
      on_bad_map='drop_image',
    ),
    folder,
    track,
  )
  found = {
    name: _compared(space, exact[name], kept, bank.names)
    for name, space in spaces.items()
  }
  shutil.rmtree(folder)
  return found


def _part(probe: ProbeSet, kept: np.ndarray) -> ProbeSet:
  return dataclasses.replace(
    probe,
    images=probe.images[kept],
    ids=tuple(probe.ids[i] for i in kept),
    digests=tuple(probe.digests[i] for i in kept),
  )


def _compared(
  space: ModelSpace, exact: ModelSpace, kept: np.ndarray, names: Sequence[str]
) -> dict[str, float | None]:
  """Returns the row of `deviations` of a space.

  Args:
    space: Of half precision.
    exact: Of single precision, some of the images.
    kept: Which images these are.
    names: Of the models.
  """
  images = kept[exact.kept_images]
  cosines = space.image_cosines(names)
  chosen = cosines[np.searchsorted(space.kept_images, images)]
  pairs = np.triu_indices(len(chosen[0]), 1)
  half, single = mean_cosine(chosen)[pairs], exact.affinity(names)[pairs]
  return {
    'images': len(images),
    'max_difference': float(np.abs(half - single).max()),
    'spearman': float(stats.spearmanr(half, single).statistic)
    if len(half) > 2
    else None,
  }
