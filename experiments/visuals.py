"""Draws what a run found: its figures, its page, TensorBoard summaries."""

from collections.abc import Mapping
import os
import pathlib

from absl import logging
import numpy as np

from experiments import figures, report, summaries
from experiments.evaluation import Evaluation
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from toolkit_basics import progress
from transferability.model_space import ModelSpace, Spaces
from transferability.ranking import PrecisionRecall

_EXAMPLES = 5
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


def _draw_affinities(
  shown: report.Shown,
  evaluation: Evaluation,
  name: str,
  folder: pathlib.Path,
  bar: progress.Bar,
) -> None:
  """Writes heat map and tree of each affinity; `name` is that of the images."""
  for method, matrix in evaluation.affinities.items():
    tree, label = evaluation.trees[method], figures.method_label(method)
    figures.affinity_heat_map(
      folder / f'affinity_{method}.png',
      matrix,
      shown.labels,
      tree.leaf_order,
      f'Affinity: {label}, {name}',
      shown.groups,
    )
    bar.advance()
    figures.task_tree(
      folder / f'tree_{method}.png',
      tree,
      shown.labels,
      shown.groups,
      f'Task similarity tree: {label}, {name}',
      axis_label=shown.tree_axis,
    )
    bar.advance()


def _draw_curves(
  curves: Mapping[str, PrecisionRecall], folder: pathlib.Path, bar: progress.Bar
) -> None:
  """Writes precision and recall; removes those of other networks if none."""
  for kind in ('precision', 'recall'):
    if curves:
      figures.precision_recall_curves(folder / f'{kind}.png', curves, kind)
    for suffix in () if curves else ('png', 'pdf'):
      (folder / f'{kind}.{suffix}').unlink(missing_ok=True)
    bar.advance()


def draw(
  bank: Bank,
  probe: ProbeSet,
  spaces: Spaces,
  evaluation: Evaluation,
  output: str | os.PathLike,
  settings: Mapping[str, object],
  more: Evaluation | None = None,
) -> None:
  """Writes `figures/`, `report.html` and `tensorboard/`.

  Args:
    bank: The models.
    probe: The images.
    spaces: By method.
    evaluation: Of these spaces.
    output: Folder of the run.
    settings: Flags, shown in TensorBoard.
    more: Another evaluation, of which only the affinities are drawn.
  """
  folder = pathlib.Path(output) / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  if without := [e.label for e in bank.encoders if e.group is None]:
    if bank.groups:
      logging.info('No group, so drawn in grey: %s.', ', '.join(without))
  lead = f'{len(bank.encoders)} networks, {len(probe)} images, protocol '
  lead += f'{evaluation.protocol}.'
  if unscored := ', '.join(evaluation.unscored):
    lead += f' Not scored, as the oracle does not know them: {unscored}.'
  images = next(iter(spaces.values())).kept_images[:_EXAMPLES]
  name = pathlib.Path(probe.name).name
  shown = report.Shown(
    title=f'{bank.name} on {name}',
    lead=lead,
    labels=[encoder.label for encoder in bank.encoders],
    groups=[encoder.group for encoder in bank.encoders],
    evaluation=evaluation,
    images=probe.images[images],
    maps={
      method: example_maps(space, evaluation.names, images)
      for method, space in spaces.items()
    },
    settings=settings,
    tree_axis=_TREE_AXIS[evaluation.protocol],
  )
  curves = {name: score.curve for name, score in evaluation.scores.items()}
  evaluations = [evaluation] if more is None else [evaluation, more]
  steps = len(spaces) + 2 * sum(len(e.affinities) for e in evaluations) + 4
  with progress.Bar(steps, 'Drawing figures') as bar:
    for method, maps in shown.maps.items():
      path = folder / f'maps_{method}.png'
      figures.map_grid(path, shown.images, maps, shown.labels, method)
      bar.advance()
    for each in evaluations:
      _draw_affinities(shown, each, name, folder, bar)
    _draw_curves(curves, folder, bar)
    report.write(folder.parent / 'report.html', shown)
    bar.advance()
    summaries.write(folder.parent / 'tensorboard', shown)
    bar.advance()
