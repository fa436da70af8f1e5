"""Builds the mini bank: trains its encoders and measures its transfers."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from attribution import preprocessing
from probe_data import scene_dataset
from taskonomy_models import bank as banks
from taskonomy_models import tasks
from taskonomy_models.encoder import Encoder
from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini import tasks as mini_tasks
from taskonomy_models.mini import training as mini_training
from taskonomy_models.mini.architectures import registry
from toolkit_basics import files, memo, spawning

IMAGE_SIZE = 64
RECIPE = 'recipe.json'  # In a bank's folder: how it was trained.
_TASK_NAMES = tuple(mini_tasks.MINI_TASKS)
_TABLES = {
  'oracle': 'oracle.csv',
  'oracle_affinity': 'oracle_affinity.csv',
  'oracle_losses': 'transfer_losses.csv',
}


@dataclasses.dataclass(frozen=True)
class DataSizes:
  """How many scenes of each split there are."""

  train: int = 12000
  transfer: int = 2500
  validation: int = 1000
  test: int = 1000


@dataclasses.dataclass(frozen=True)
class Scenes:
  """The rendered scenes.

  Attributes:
    folder: Where they are kept.
    sizes: How many there are.
  """

  folder: str
  sizes: DataSizes = DataSizes()

  def build(self, workers: int, progress=None) -> None:
    """Renders every split, unless it is there."""
    for split, number in dataclasses.asdict(self.sizes).items():
      scene_dataset.build(
        *(self.folder, split, number, IMAGE_SIZE),
        workers=workers,
        progress=progress,
      )

  def path(self, split: str, name: str) -> str:
    """Returns the file of a split's pictures (`image`), or of its labels."""
    number = getattr(self.sizes, split)
    folder = scene_dataset.folder_name(split, number, IMAGE_SIZE)
    return os.path.join(self.folder, folder, f'{name}.npy')

  def split(self, name: str) -> dict[str, np.ndarray]:
    """Returns the pictures and labels of a split, memory-mapped."""
    number = getattr(self.sizes, name)
    return scene_dataset.build(self.folder, name, number, IMAGE_SIZE)


def one_thread() -> None:
  """Makes TensorFlow deterministic; to be called before it runs anything."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  tf.config.experimental.enable_op_determinism()


def _key(
  name: str, recipe: mini_training.Recipe, scenes: Scenes
) -> dict[str, Any]:
  """Returns what a task's network depends on."""
  task = mini_tasks.MINI_TASKS[name]
  return {'task': task, 'recipe': recipe, 'scenes': scenes.sizes}


def _is_there(
  name: str, recipe: mini_training.Recipe, scenes: Scenes, output: str
) -> bool:
  known = memo.Memo(output).find(name, _key(name, recipe, scenes))
  path = os.path.join(output, f'{name}.pb')
  is_there = known is not None and os.path.exists(path)
  return is_there and files.sha256(path) == known['graph_sha256']


def train_task(
  name: str, recipe: mini_training.Recipe, scenes: Scenes, output: str
) -> None:
  """Trains one task's network and writes NAME.pb, then NAME.json."""
  task = mini_tasks.MINI_TASKS[name]
  training, test = (
    mini_training.Data(data['image'], data[name])
    for data in (scenes.split('train'), scenes.split('test'))
  )
  encoder, results = mini_training.train(
    task,
    recipe,
    training,
    test,
    preprocessing.Preprocessing.parse(task.preprocessing),
    task_number=_TASK_NAMES.index(name),
  )
  graph_def = mini_network.freeze(encoder, IMAGE_SIZE)
  content = graph_def.SerializeToString(deterministic=True)
  files.write_atomically(os.path.join(output, f'{name}.pb'), content)
  results = {**results, 'graph_sha256': files.sha256(content)}
  memo.Memo(output).keep(name, _key(name, recipe, scenes), results)


def parallel(
  function: Callable,
  arguments: Sequence[tuple],
  workers: int,
  description: str,
  progress: Callable[..., Iterable],
) -> None:
  """Calls a function in processes of one thread each."""
  if not arguments:
    return
  with spawning.calls(function, arguments, workers, one_thread) as done:
    for _ in progress(done, total=len(arguments), description=description):
      pass


def train_bank(
  output: str,
  scenes: Scenes,
  recipe: mini_training.Recipe,
  *,
  tasks: Sequence[str] = _TASK_NAMES,
  workers: int = 1,
  progress: Callable[..., Iterable],
) -> None:
  """Trains the networks of a bank; those that are there are kept.

  Args:
    output: Folder of the bank; gets a graph and the losses of each task and
      `recipe.json`.
    scenes: To train on; those that are not there are rendered.
    recipe: How to train.
    tasks: Which tasks, by name.
    workers: Processes, of one thread each: the weights do not depend on it.
    progress: As `toolkit_basics.progress.track`.

  Raises:
    ValueError: If the folder holds networks of another recipe.
  """
  os.makedirs(output, exist_ok=True)
  sizes = dataclasses.asdict(scenes.sizes)
  settings = dataclasses.asdict(recipe) | {'data': sizes}
  recipe_path = os.path.join(output, RECIPE)
  if os.path.exists(recipe_path):
    found = recipe_of(output)
    if found != settings:
      raise ValueError(
        f'{output} holds networks trained by {found}, not by {settings}; '
        'choose another `output`.'
      )
  files.write_json(recipe_path, settings)
  scenes.build(workers, progress)
  parallel(
    train_task,
    [
      (name, recipe, scenes, output)
      for name in tasks
      if not _is_there(name, recipe, scenes, output)
    ],
    workers,
    'Training networks',
    progress,
  )


def recipe_of(bank: str) -> dict:
  """Returns how a bank was trained: the fields of its recipe, and `data`.

  A bank from before there were several architectures does not name its own.

  Raises:
    ValueError: If the folder has no such bank.
  """
  path = os.path.join(bank, RECIPE)
  if not os.path.exists(path):
    raise ValueError(
      f'{bank} is no folder of a mini bank: it has no {RECIPE}, which '
      'train_mini_bank writes.'
    )
  found = files.read_json(path)
  return {'architecture': registry.DEFAULT, **found}


def data_sizes(bank: str) -> DataSizes:
  """Returns the sizes of the data that a bank was trained on."""
  return DataSizes(**recipe_of(bank)['data'])


def write_bank(output: str) -> None:
  """Writes `bank.json` and `training.csv` of the networks in a folder.

  The table has, for each task, the loss on test scenes, that of the best
  constant outputs, their ratio, and the seconds of training.
  """
  folder = banks.Folder(output, 'mini')
  rows = [('task', 'test_loss', 'constant_loss', 'ratio', 'seconds')]
  for task in tasks.TASKS:
    path = os.path.join(output, f'{task.name}.json')
    if not os.path.exists(path):
      continue
    losses = files.read_json(path)
    test, constant = losses['test_loss'], losses['constant_loss']
    rows.append((task.name, test, constant, test / constant, losses['seconds']))
    encoder = Encoder(
      name=task.name,
      graph='',
      input_tensor='input:0',
      representation_tensor='representation:0',
      preprocessing=mini_tasks.MINI_TASKS[task.name].preprocessing,
      label=task.label,
      group=task.group,
    )
    folder.add(encoder, folder.graph(task.name).read_bytes())
  files.write_csv(os.path.join(output, 'training.csv'), rows)
  tables = {}
  for key, name in _TABLES.items():
    if os.path.exists(path := os.path.join(output, name)):
      tables[key] = path
  order = tuple(task.name for task in tasks.TASKS)
  folder.describe(order, image_size=IMAGE_SIZE, **tables)
