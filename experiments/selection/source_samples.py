"""Source-data measures of candidates whose own training data are at hand.

Networks of a mini bank were trained on procedural scenes with the labels of
their tasks: a source is a network, its scenes and its task's labels. Features
of scenes and of the target's images are by the source's own network, as OTCE's
authors take them; only domain similarity, which is a distance of data and must
not be compared between networks, takes one network for all. Measures that need
the source's labels to be the target's have no meaning between tasks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import os
import pathlib
import time
from typing import Any

import numpy as np

from experiments.selection import features, targets
from experiments.selection.features import Candidate, Features
from experiments.selection.label_free import Near
from experiments.selection.targets import LabelledImages, Target
from probe_data import images as image_lib
from probe_data import scene_dataset, scene_labels, scenes
from taskonomy_models.bank import Bank
from taskonomy_models.mini import building
from taskonomy_models.mini.tasks import MINI_TASKS
from toolkit_basics import memo
from transferability import deviations, source_data
from transferability.source_data import registry

FAMILY = 'source data'
_OWN_NETWORK = ('f_otce', 'jc_otce', 'otce')
_ONE_NETWORK = ('domain_similarity',)
_CELLS = 4  # A side, of dense labels.
_CLASSES = 10  # Of labels that are no classes.
_MOST = 200  # Samples of either side that transport plans move.


@dataclasses.dataclass(frozen=True, eq=False)
class SourceSamples:
  """What sources were trained on.

  Attributes:
    images: uint8 [n, S, S, 3].
    labels: By network, integers [n] of its own task.
  """

  images: np.ndarray
  labels: Mapping[str, np.ndarray]


def has_samples(bank: Bank) -> bool:
  """Returns whether it is known what a bank's networks were trained on.

  Names do not tell: the original Taskonomy networks have the same ones.
  """
  recipe = os.path.join(bank.folder, building.RECIPE)
  is_mini = bool(bank.folder) and os.path.isfile(recipe)
  return is_mini and set(bank.names) <= set(MINI_TASKS)


def first_scenes(
  folder: str | os.PathLike,
  split: str,
  number: int,
  size: int,
  workers: int = 1,
  progress: Callable[..., Iterable] | None = None,
) -> dict[str, np.ndarray]:
  """Returns the first scenes of a split: of the whole split, if it is there.

  Scenes are drawn one by one, so that these are the same in any case.

  Args:
    folder: Where rendered scenes are kept.
    split: Of the mini bank's data.
    number: How many.
    size: Side of the pictures.
    workers: Processes that render.
    progress: See `scene_dataset.build`.
  """
  whole = getattr(building.DataSizes(), split)
  path = pathlib.Path(folder) / scene_dataset.folder_name(split, whole, size)
  total = whole if path.exists() and number <= whole else number
  data = scene_dataset.build(
    *(os.fspath(folder), split, total, size), workers=workers, progress=progress
  )
  return {name: values[:number] for name, values in data.items()}


def load(
  bank: Bank,
  folder: str | os.PathLike,
  number: int,
  image_size: tuple[int, int],
  workers: int = 1,
  progress: Callable[..., Iterable] | None = None,
) -> SourceSamples:
  """Returns the first of a mini bank's training scenes.

  Args:
    bank: Of `has_samples`.
    folder: Where rendered scenes are kept.
    number: How many.
    image_size: Height and width of the pictures.
    workers: Processes that render.
    progress: See `scene_dataset.build`.
  """
  data = first_scenes(
    folder, 'train', number, max(image_size), workers, progress
  )
  return _samples(bank, data['image'], data, image_size)


def render(
  bank: Bank,
  number: int,
  image_size: tuple[int, int],
  track: Callable[..., Iterable],
) -> SourceSamples:
  """Returns the first of a mini bank's training scenes; keeps none.

  Args:
    bank: Of `has_samples`.
    number: How many.
    image_size: Height and width of the pictures.
    track: Shows progress.
  """
  seeds = [scenes.scene_seed('train', i, 0) for i in range(number)]
  found = [
    scene_labels.labelled_images([seed], building.IMAGE_SIZE)
    for seed in track(seeds, description='Rendering training scenes')
  ]
  pictures = np.concatenate([picture for picture, _ in found])
  labels = {
    name: np.concatenate([each[name] for _, each in found])
    for name in bank.names
  }
  return _samples(bank, pictures, labels, image_size)


def _samples(
  bank: Bank,
  pictures: np.ndarray,
  labels: Mapping[str, np.ndarray],
  image_size: tuple[int, int],
) -> SourceSamples:
  pictures = np.asarray(pictures)
  if pictures.shape[1:3] != tuple(image_size):
    pictures = np.stack([image_lib.fit(p, image_size) for p in pictures])
  return SourceSamples(
    pictures,
    {name: classes_of(name, labels[name]) for name in bank.names},
  )


def classes_of(task: str, labels: np.ndarray) -> np.ndarray:
  """Returns a class for each picture by the labels of a mini task, [n].

  The class itself where there is one for each picture. Otherwise ten classes
  of equal size along the first principal component of the labels, dense ones
  as means over 4 x 4 cells (a choice of this library).

  Args:
    task: Its name.
    labels: [n] or [n, outputs], or dense [n, h, w] or [n, h, w, outputs].
  """
  kind = MINI_TASKS[task]
  labels = np.asarray(labels)
  if kind.classes and not kind.dense:
    return labels.astype(np.int64)
  if kind.classes:
    labels = labels[..., None] == np.arange(kind.outputs)
  values = labels.astype(np.float32)
  if kind.dense:
    values = values.reshape(*values.shape[:3], -1)
    values = features.pool(values, _CELLS)
  values = values.reshape(len(values), -1).astype(np.float64)
  values = (values - values.mean(axis=0)) / deviations.unit(values, axis=0)
  # The sign of a component is that of its largest entry: the same everywhere.
  _, _, rows = np.linalg.svd(values, full_matrices=False)
  first = rows[0] * np.sign(rows[0][np.argmax(np.abs(rows[0]))])
  return targets.quantise(values @ first, _CLASSES, len(values))


def compute(
  samples: SourceSamples,
  candidates: Sequence[Candidate],
  data: LabelledImages,
  extracted: Mapping[str, Features],
  cases: Mapping[str, tuple[str, Sequence[str]]],
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  *,
  grid: int,
  **options,
) -> Near:
  """Returns the source-data scores of candidates.

  Args:
    samples: What the candidates were trained on.
    candidates: Networks.
    data: Images and targets.
    extracted: Features of the images.
    cases: By case, its target and its candidates.
    output: Gets `source_features/` and `source_data/`.
    track: Shows progress.
    grid: Cells a side of the features.
    **options: `batch_size` and `device`.
  """
  output = pathlib.Path(output)
  where = grid, output / 'source_features', track
  own = features.extract_all(candidates, samples.images, *where, **options)
  common, kept = candidates[0].name, memo.Memo(output / 'source_data')
  scores: dict[str, dict[str, dict[str, float]]] = {}
  spent = dict.fromkeys((*_OWN_NETWORK, *_ONE_NETWORK), 0.0)
  for case, (name, names) in track(
    cases.items(), description='Source-data measures'
  ):
    pairs = {
      measure: {
        n: _pair(
          samples.labels[n],
          *(own[by], extracted[by]),
          *(data.targets[name], data.num_train),
        )
        for n in names
        for by in [common if measure in _ONE_NETWORK else n]
      }
      for measure in spent
    }
    key = [_MOST, [pairs[m] for m in (_OWN_NETWORK[0], _ONE_NETWORK[0])]]
    found = kept.recall(case, key, functools.partial(_scored, pairs))
    scores[case] = found['scores']
    for measure, seconds in found['seconds'].items():
      spent[measure] += seconds
  shown = {
    measure: (
      'all candidates of a target, features given',
      seconds / max(1, len(cases)),
    )
    for measure, seconds in spent.items()
  }
  return Near(tuple(spent), scores, shown, FAMILY)


def _scored(pairs: Mapping[str, Mapping[str, tuple]]) -> dict[str, Any]:
  """Returns scores and seconds by measure, as JSON."""
  scores, seconds = {}, {}
  for measure, by_candidate in pairs.items():
    started = time.perf_counter()
    terms = {
      name: registry.terms(measure, *pair, **_options(measure))
      for name, pair in by_candidate.items()
    }
    scores[measure] = registry.combine(measure, terms)
    seconds[measure] = time.perf_counter() - started
  return {'scores': scores, 'seconds': seconds}


def _options(measure: str) -> dict[str, int]:
  """Returns options that draw as many samples of either side."""
  known = source_data.info(measure).options
  return {'num_samples': _MOST} if 'num_samples' in known else {}


def _pair(
  labels: np.ndarray,
  of_source: Features,
  of_target: Features,
  target: Target,
  num_train: int,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
  """Returns features and labels of the source, and of the target."""
  known = target.rows < num_train
  rows = target.rows[known]
  return (
    (of_source.flat, labels),
    (of_target.flat[rows], target.labels[known]),
  )
