"""Really trains the transfers of a mini bank, and reads its oracle off them.

A transfer is a small readout from a frozen source encoder to a target task.
The oracle follows Taskonomy (Zamir et al., CVPR 2018, section 3.3): losses on
each test picture, win rates of each pair of sources, the principal
eigenvector of their ratios.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import json
import os

import numpy as np
import tensorflow as tf

from attribution import graph
from attribution import preprocessing
from experiments import mini_bank
from taskonomy_models import mini_tasks
from taskonomy_models import readouts
from taskonomy_models import tasks
from transferability import oracle as oracles

EVALUATION_SPLITS = ('validation', 'test')
_BATCH = 100


@dataclasses.dataclass(frozen=True)
class TransferPlan:
  """Which transfers are trained.

  Attributes:
    sources: Tasks whose encoders are transferred from.
    targets: Tasks that are transferred to.
    num_images: Training pictures; one oracle each.
    seeds: Of pictures, weights and batches.
    held_out: Transfer scenes that choose the readouts' checkpoints.
    recipe: Of the readouts; its seed is replaced.
  """

  sources: Sequence[str] = tuple(task.name for task in tasks.TASKS)
  targets: Sequence[str] = tuple(task.name for task in tasks.TARGETS)
  num_images: Sequence[int] = (2000, 200)
  seeds: Sequence[int] = (0, 1, 2)
  held_out: int = 500
  recipe: readouts.ReadoutRecipe = readouts.ReadoutRecipe()

  def units(self) -> list[tuple[str, int, int]]:
    """Returns every (target, num_images, seed)."""
    return [
      (target, number, seed)
      for number in self.num_images
      for seed in self.seeds
      for target in self.targets
    ]


def _representations_path(folder, source, split, noisy) -> str:
  noisy = '-noisy' if noisy else ''
  return os.path.join(folder, f'{source}-{split}{noisy}.npy')


def _inputs(
  task: mini_tasks.MiniTask, images: np.ndarray, noise: float, seed: list[int]
) -> np.ndarray:
  """T without the masked centre: a transfer sees the whole picture.

  The same seed gives the same noise, whatever the source.
  """
  text = mini_tasks.PLAIN if task.masked else task.preprocessing
  inputs = preprocessing.Preprocessing.parse(text)(images)
  if noise:
    drawn = np.random.default_rng(seed).normal(0, noise, images.shape)
    inputs = inputs + drawn[..., : inputs.shape[-1]]
  return inputs.astype(np.float32)


def represent(
  source: str,
  bank: str,
  data_folder: str,
  sizes: mini_bank.DataSizes,
  output: str,
) -> None:
  """Writes a source's representations of every split, clean and noisy."""
  task = mini_tasks.MINI_TASKS[source]
  graph_def = graph.load_graph_def(os.path.join(bank, f'{source}.pb'))
  forward = tf.compat.v1.wrap_function(
    lambda: tf.compat.v1.import_graph_def(graph_def, name=''), []
  ).prune('input:0', ['representation:0'])
  for number, split in enumerate(('transfer', *EVALUATION_SPLITS)):
    images = mini_bank.split_data(data_folder, sizes, split)['image']
    for noise in (0.0, mini_tasks.MINI_TASKS['denoise'].noise):
      path = _representations_path(output, source, split, noise)
      if os.path.exists(path):
        continue
      values = np.concatenate(
        [
          forward(
            tf.constant(
              _inputs(task, images[i : i + _BATCH], noise, [number, i])
            )
          )[0]
          for i in range(0, len(images), _BATCH)
        ]
      )
      with open(path + '.partial', 'wb') as file:
        np.save(file, values)
      os.replace(path + '.partial', path)


def _losses_path(folder: str, target: str, num_images: int, seed: int) -> str:
  return os.path.join(folder, f'{target}-{num_images}-{seed}.npz')


def transfer(
  target: str,
  num_images: int,
  seed: int,
  plan: TransferPlan,
  data_folder: str,
  sizes: mini_bank.DataSizes,
  representations: str,
  output: str,
) -> None:
  """Trains readouts from all sources to a target; writes their losses.

  The file holds, for each evaluation split, float32 [sources, pictures].
  """
  task = mini_tasks.MINI_TASKS[target]
  noisy = task.noise > 0

  def load(split):
    stacked = np.stack(
      [
        np.load(_representations_path(representations, source, split, noisy))
        for source in plan.sources
      ]
    )
    return stacked, mini_bank.split_data(data_folder, sizes, split)[target]

  features, labels = load('transfer')
  order = np.random.default_rng([seed, num_images]).permutation(len(labels))
  held_out, rest = np.sort(order[: plan.held_out]), order[plan.held_out :]
  rows = np.sort(rest[:num_images])
  readout = readouts.Readouts(
    task,
    features[:, rows],
    labels[rows],
    dataclasses.replace(plan.recipe, seed=seed),
  )
  readout.train(features[:, held_out], labels[held_out])
  losses = {split: readout.score(*load(split)) for split in EVALUATION_SPLITS}
  path = _losses_path(output, target, num_images, seed)
  with open(path + '.partial', 'wb') as file:
    np.savez(file, **losses)
  os.replace(path + '.partial', path)


def measure(
  bank: str,
  data_folder: str,
  sizes: mini_bank.DataSizes,
  plan: TransferPlan,
  workers: int,
  progress: Callable[..., Iterable],
) -> None:
  """Trains all transfers of a plan; what is there already is kept.

  Args:
    bank: Folder with the graph of each source, NAME.pb; the results go to
      its folder `transfers`.
    data_folder: Where the rendered scenes are kept.
    sizes: Of the data.
    plan: What to train.
    workers: Processes, of one thread each.
    progress: As `experiments.progress.track`.
  """
  representations = os.path.join(bank, 'transfers', 'representations')
  losses = os.path.join(bank, 'transfers', 'losses')
  os.makedirs(representations, exist_ok=True)
  os.makedirs(losses, exist_ok=True)
  mini_bank.build_data(data_folder, sizes, workers, progress)
  mini_bank.parallel(
    represent,
    [
      (source, bank, data_folder, sizes, representations)
      for source in plan.sources
    ],
    workers,
    'Representing scenes',
    progress,
  )
  common = (plan, data_folder, sizes, representations, losses)
  units = [
    unit for unit in plan.units()
    if not os.path.exists(_losses_path(losses, *unit))
  ]
  mini_bank.parallel(
    transfer,
    [(*unit, *common) for unit in units],
    workers,
    'Training transfers',
    progress,
  )


def load_losses(
  bank: str, plan: TransferPlan, target: str, num_images: int, split: str
) -> np.ndarray:
  """Returns losses [seeds, sources, pictures]."""
  folder = os.path.join(bank, 'transfers', 'losses')
  stacked = []
  for seed in plan.seeds:
    with np.load(_losses_path(folder, target, num_images, seed)) as file:
      stacked.append(file[split])
  return np.stack(stacked)
