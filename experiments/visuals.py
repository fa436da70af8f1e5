"""Draws what a run found: its figures, its page, TensorBoard summaries."""

from collections.abc import Mapping
import os
import pathlib

import numpy as np

from experiments import evaluation as evaluations
from experiments import figures, report, summaries
from experiments.evaluation import Evaluation
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability.model_space import ModelSpace

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


def _groups(bank: Bank) -> list[str | None] | None:
  if bank.groups is None:
    return None
  return [encoder.group for encoder in bank.encoders]


def _shown_as(probe: ProbeSet) -> str:
  return pathlib.Path(probe.name).name


def draw_affinities(
  bank: Bank,
  probe: ProbeSet,
  evaluation: Evaluation,
  output: str | os.PathLike,
) -> None:
  """Writes heat map and tree of each affinity to `figures/`."""
  folder = pathlib.Path(output) / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  labels, groups = [e.label for e in bank.encoders], _groups(bank)
  shown_as = _shown_as(probe)
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
    figures.task_tree(
      folder / f'tree_{method}.png',
      tree,
      labels,
      groups,
      f'Task similarity tree: {label}, {shown_as}',
      axis_label=_TREE_AXIS[evaluation.protocol],
    )


def draw(
  bank: Bank,
  probe: ProbeSet,
  spaces: Mapping[str, ModelSpace],
  evaluation: Evaluation,
  output: str | os.PathLike,
  settings: Mapping[str, object],
) -> None:
  """Writes `figures/`, `report.html` and `tensorboard/`.

  Args:
    bank: The models.
    probe: The images.
    spaces: By method.
    evaluation: Of these spaces.
    output: Folder of the run.
    settings: Flags, shown in TensorBoard.
  """
  output = pathlib.Path(output)
  folder = output / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  labels, shown_as = [e.label for e in bank.encoders], _shown_as(probe)
  maps = {}
  for method, space in spaces.items():
    shown = space.kept_images[:_EXAMPLES]
    maps[method] = example_maps(space, evaluation.names, shown)
    path = folder / f'maps_{method}.png'
    figures.map_grid(path, probe.images[shown], maps[method], labels, method)
  draw_affinities(bank, probe, evaluation, output)
  curves = {name: score.curve for name, score in evaluation.scores.items()}
  for kind in ('precision', 'recall') if curves else ():
    figures.precision_recall_curves(folder / f'{kind}.png', curves, kind)
  oracle = evaluations.load_oracle(bank)
  targets = () if oracle is None else oracle.targets
  common = {
    'labels': labels,
    'groups': _groups(bank),
    'images': probe.images[shown],
    'maps': maps,
    'settings': settings,
  }
  report.write(
    output / 'report.html',
    title=f'{bank.name} on {shown_as}',
    lead=(
      f'{len(labels)} networks, {len(probe)} images, protocol '
      f'{evaluation.protocol}.'
    ),
    evaluation=evaluation,
    relevant={target: oracle.relevant(target) for target in targets},
    tree_axis=_TREE_AXIS[evaluation.protocol],
    **common,
  )
  summaries.write(
    output / 'tensorboard',
    methods=list(spaces),
    affinities=evaluation.affinities,
    precision_recall=curves,
    **common,
  )
