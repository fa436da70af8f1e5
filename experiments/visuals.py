"""Draws what a run found: its figures and TensorBoard summaries."""

from collections.abc import Mapping
import os
import pathlib

import numpy as np

from experiments import figures, summaries
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
  shape = (
    space.map_shape if len(space.map_shape) == 3 else (*space.map_shape, 1)
  )
  return np.stack(
    [
      np.asarray(space.rows(name)[images], np.float32).reshape(-1, *shape)
      for name in names
    ]
  )


def draw(
  bank: Bank,
  probe: ProbeSet,
  spaces: Mapping[str, ModelSpace],
  evaluation: Evaluation,
  output: str | os.PathLike,
  settings: Mapping[str, object],
) -> None:
  """Writes `figures/*.png` and `tensorboard/`.

  Args:
    bank: The models.
    probe: The images.
    spaces: By method.
    evaluation: Of these spaces; affinities of more kinds are drawn too.
    output: Folder of the run.
    settings: Flags, shown in TensorBoard.
  """
  output = pathlib.Path(output)
  folder = output / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  labels = [encoder.label for encoder in bank.encoders]
  shown_as = pathlib.Path(probe.name).name
  groups = None
  if bank.groups is not None:
    groups = [encoder.group for encoder in bank.encoders]
  maps = {}
  for method, space in spaces.items():
    shown = space.kept_images[:_EXAMPLES]
    maps[method] = example_maps(space, evaluation.names, shown)
    figures.map_grid(
      folder / f'maps_{method}.png',
      probe.images[shown],
      maps[method],
      labels,
      method,
    )
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
  curves = {name: score.curve for name, score in evaluation.scores.items()}
  for kind in ('precision', 'recall') if curves else ():
    figures.curves(folder / f'{kind}.png', curves, kind)
  summaries.write(
    output / 'tensorboard',
    labels=labels,
    groups=groups,
    methods=list(spaces),
    images=probe.images[shown],
    maps=maps,
    affinities=evaluation.affinities,
    precision_recall=curves,
    settings=settings,
  )
