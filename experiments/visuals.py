"""Draws what a run found: its figures, its page, TensorBoard summaries."""

from collections.abc import Callable, Iterator, Mapping
import functools
import os
import pathlib

from absl import logging
import numpy as np

from experiments import figures, report, run_answer, summaries
from experiments.evaluation import Evaluation
from probe_data.probe_sets import ProbeSet
from taskonomy_models import tasks
from taskonomy_models.bank import Bank
from toolkit_basics import files, processes, progress
from transferability import sketches
from transferability.model_space import ModelSpace, Spaces

_EXAMPLES = 5
_MANY, _FEW_EXAMPLES = 24, 2  # Of more networks, fewer images are drawn.
_TREE_AXIS = {
  'paper': '1 - affinity',
  'released_code': 'distance of affinity rows',
}


def example_maps(
  space: ModelSpace, names: tuple[str, ...], images: np.ndarray
) -> np.ndarray:
  """Returns maps of some images at unit norm, [models, images, *map shape].

  A map averaged over channels gets one channel.
  """
  height, width, *channels = space.map_shape
  rows = [np.asarray(space.rows(name)[images], np.float32) for name in names]
  shape = len(names), len(images), height, width, *(channels or [1])
  return np.stack(rows).reshape(shape)


def _draw_maps(
  shown: report.Shown, folder: pathlib.Path
) -> Iterator[Callable[[], None]]:
  """Yields what draws the maps of each method, alone and over the images."""
  number = _EXAMPLES if len(shown.labels) <= _MANY else _FEW_EXAMPLES
  for method, maps in shown.maps.items():
    for suffix, overlay in (('', False), ('_overlay', True)):
      yield functools.partial(
        figures.map_grid,
        folder / f'maps_{method}{suffix}.png',
        shown.images[:number],
        maps[:, :number],
        shown.labels,
        method,
        overlay,
        shown.groups,
      )


def _draw_affinities(
  shown: report.Shown, name: str, folder: pathlib.Path
) -> Iterator[Callable[[], None]]:
  """Yields what draws heat map and tree of each affinity.

  Args:
    shown: What is drawn.
    name: That of the images.
    folder: Of the figures.
  """
  for method, matrix in shown.evaluation.affinities.items():
    tree = shown.evaluation.trees[method]
    label = figures.method_label(method)
    yield functools.partial(
      figures.affinity_heat_map,
      folder / f'affinity_{method}.png',
      matrix,
      shown.labels,
      tree.leaf_order,
      f'Affinity: {label}, {name}',
      shown.groups,
    )
    yield functools.partial(
      figures.task_tree,
      folder / f'tree_{method}.png',
      tree,
      shown.labels,
      shown.groups,
      f'Task similarity tree: {label}, {name}',
      axis_label=shown.tree_axis,
    )


def _draw_curves(
  evaluation: Evaluation, folder: pathlib.Path
) -> Iterator[Callable[[], None]]:
  """Yields what draws precision and recall.

  Those of other networks are removed if there are none.
  """
  scores = evaluation.scores
  curves = {name: score.curve for name, score in scores.items()}
  for kind in ('precision', 'recall'):
    bands = {
      name: np.stack([columns[f'{kind}_low'], columns[f'{kind}_high']])
      for name, score in scores.items()
      if f'{kind}_low' in (columns := score.columns())
    }
    path = folder / f'{kind}.png'
    if curves:
      yield functools.partial(
        figures.precision_recall_curves, path, curves, kind, bands
      )
    for suffix in () if curves else ('png', 'pdf'):
      path.with_suffix(f'.{suffix}').unlink(missing_ok=True)


def draw(
  bank: Bank,
  probe: ProbeSet,
  spaces: Spaces,
  evaluation: Evaluation,
  output: str | os.PathLike,
  settings: Mapping[str, object],
) -> None:
  """Writes `answer.md`, `figures/`, `report.html` and `tensorboard/`.

  Args:
    bank: The models.
    probe: The images.
    spaces: By method.
    evaluation: Of these spaces.
    output: Folder of the run.
    settings: Flags; `task_names` says how tasks are called, if it is one.
  """
  folder = pathlib.Path(output) / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  name = pathlib.Path(probe.name).name
  shown = _shown(bank, probe, spaces, evaluation, settings)
  assert shown.answer is not None
  answer = shown.answer.to_markdown()
  files.write_atomically(folder.parent / 'answer.md', answer.encode())
  drawings = [  # What takes longest comes first.
    functools.partial(summaries.write, folder.parent / 'tensorboard', shown),
    *_draw_maps(shown, folder),
    *_draw_affinities(shown, name, folder),
    *_draw_curves(evaluation, folder),
  ]
  with progress.Bar(len(drawings) + 1, 'Drawing figures') as bar:
    workers = processes.chosen(0, len(drawings))
    for _ in processes.results(_drawn, drawings, workers, bar.advance):
      pass
    report.write(folder.parent / 'report.html', shown)  # It links the others.
    bar.advance(1)


def _drawn(draw: Callable[[], None]) -> None:
  draw()
  processes.advance()


def _shown(
  bank: Bank,
  probe: ProbeSet,
  spaces: Spaces,
  evaluation: Evaluation,
  settings: Mapping[str, object],
) -> report.Shown:
  """Returns what is shown of a run; see `draw`."""
  if without := [e.label for e in bank.encoders if e.group is None]:
    if bank.groups:
      logging.info('No group, so drawn in grey: %s.', ', '.join(without))
  lead = f'{len(bank.encoders)} networks, {len(probe)} images, protocol '
  lead += f'{evaluation.protocol}.'
  if unscored := ', '.join(evaluation.unscored):
    lead += f' Not scored, as the oracle does not know them: {unscored}.'
  images = next(iter(spaces.values())).kept_images[:_EXAMPLES]
  naming = str(settings.get('task_names', tasks.NAMINGS[0]))
  labels = tasks.shown((e.label for e in bank.encoders), naming)
  told = run_answer.best_of(evaluation, tuple(spaces))
  resampled = run_answer.resampled_of(evaluation, spaces, told)
  return report.Shown(
    title=f'{bank.name} on {pathlib.Path(probe.name).name}',
    lead=lead,
    told=told,
    answer=run_answer.answer(evaluation, labels, told, resampled),
    labels=labels,
    groups=[encoder.group for encoder in bank.encoders],
    evaluation=evaluation,
    images=probe.images[images],
    maps={
      method: example_maps(space, evaluation.names, images)
      for method, space in spaces.items()
      if sketches.point_of(space.settings) == sketches.FULL
    },
    settings=settings,
    tree_axis=_TREE_AXIS[evaluation.protocol],
  )
