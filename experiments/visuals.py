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
from transferability.model_space import ModelSpace
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


def _labels(bank: Bank) -> tuple[list[str], list[str | None]]:
  """Returns label and group of each model; says which have no group."""
  if without := [e.label for e in bank.encoders if e.group is None]:
    if bank.groups:
      logging.info('No group, so drawn in grey: %s.', ', '.join(without))
  labels = [encoder.label for encoder in bank.encoders]
  return labels, [encoder.group for encoder in bank.encoders]


def _draw_affinities(
  bank: Bank,
  probe: ProbeSet,
  evaluation: Evaluation,
  folder: pathlib.Path,
  bar: progress.Bar,
) -> None:
  """Writes heat map and tree of each affinity."""
  labels, groups = _labels(bank)
  shown_as = pathlib.Path(probe.name).name
  for method, matrix in evaluation.affinities.items():
    tree, label = evaluation.trees[method], figures.method_label(method)
    figures.affinity_heat_map(
      folder / f'affinity_{method}.png',
      matrix,
      labels,
      tree.leaf_order,
      f'Affinity: {label}, {shown_as}',
      groups,
    )
    bar.advance()
    figures.task_tree(
      folder / f'tree_{method}.png',
      tree,
      labels,
      groups,
      f'Task similarity tree: {label}, {shown_as}',
      axis_label=_TREE_AXIS[evaluation.protocol],
    )
    bar.advance()


def _draw_curves(
  curves: Mapping[str, PrecisionRecall], folder: pathlib.Path, bar: progress.Bar
) -> None:
  """Writes precision and recall; removes those of other networks if none."""
  for kind in ('precision', 'recall'):
    path = folder / f'{kind}.png'
    if curves:
      figures.precision_recall_curves(path, curves, kind)
    for suffix in () if curves else ('.png', '.pdf'):
      path.with_suffix(suffix).unlink(missing_ok=True)
    bar.advance()


def draw(
  bank: Bank,
  probe: ProbeSet,
  spaces: Mapping[str, ModelSpace],
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
  labels, groups = _labels(bank)
  shown = next(iter(spaces.values())).kept_images[:_EXAMPLES]
  shared = {'labels': labels, 'groups': groups, 'settings': settings}
  shared['images'] = probe.images[shown]
  shared['maps'] = {
    method: example_maps(space, evaluation.names, shown)
    for method, space in spaces.items()
  }
  curves = {name: score.curve for name, score in evaluation.scores.items()}
  evaluations = [evaluation] if more is None else [evaluation, more]
  steps = len(spaces) + 2 * sum(len(e.affinities) for e in evaluations) + 4
  with progress.Bar(steps, 'Drawing figures') as bar:
    for method, maps in shared['maps'].items():
      path = folder / f'maps_{method}.png'
      figures.map_grid(path, shared['images'], maps, labels, method)
      bar.advance()
    for each in evaluations:
      _draw_affinities(bank, probe, each, folder, bar)
    _draw_curves(curves, folder, bar)
    report.write(
      folder.parent / 'report.html',
      title=f'{bank.name} on {pathlib.Path(probe.name).name}',
      lead=_lead(bank, probe, evaluation),
      evaluation=evaluation,
      tree_axis=_TREE_AXIS[evaluation.protocol],
      **shared,
    )
    bar.advance()
    summaries.write(
      folder.parent / 'tensorboard',
      affinities=evaluation.affinities,
      precision_recall=curves,
      **shared,
    )
    bar.advance()


def _lead(bank: Bank, probe: ProbeSet, evaluation: Evaluation) -> str:
  lead = f'{len(bank.encoders)} networks, {len(probe)} images, protocol '
  lead += f'{evaluation.protocol}.'
  if evaluation.unscored:
    names = ', '.join(evaluation.unscored)
    lead += f' Not scored, as the oracle does not know them: {names}.'
  return lead
