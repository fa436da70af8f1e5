"""Heads of a mini bank's networks: what they predict, beside what they see.

The decoders that encoders are trained with are not kept, for they would take as
much room again. A head is a readout as those of the transfers (`readouts`), of
the network's own task, trained on its own training scenes for as many steps as
the network was; it is frozen into the graph behind the representation.
"""

from collections.abc import Callable, Iterable
import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from frozen_graphs import graph
from taskonomy_models.bank import Bank, Folder
from taskonomy_models.encoder import Encoder
from taskonomy_models.mini import building, readouts
from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini import training as mini_training
from taskonomy_models.mini.building import Scenes
from taskonomy_models.mini.tasks import MINI_TASKS
from toolkit_basics import files

GraphDef = tf.compat.v1.GraphDef

PREDICTION = 'prediction:0'
RECIPE = readouts.ReadoutRecipe(steps=mini_training.Recipe().steps)
_HELD_OUT = 1 / 24  # Of the scenes: they choose the checkpoint.
_BATCH = 100


def add_all(
  bank: Bank,
  output: str | os.PathLike,
  scenes: Scenes,
  *,
  workers: int = 1,
  progress: Callable[..., Iterable],
) -> Bank:
  """Writes a copy of a mini bank whose networks have heads.

  Args:
    bank: Its networks are named as tasks of the mini bank.
    output: Folder of the copy; a network that is there, whole and of the same
      making, is kept.
    scenes: To train on; those that are not there are rendered.
    workers: Processes, of one thread each.
    progress: As `toolkit_basics.progress.track`.

  Raises:
    ValueError: If a network has the name of no such task.
  """
  if unknown := sorted(set(bank.names) - set(MINI_TASKS)):
    raise ValueError(
      f'{unknown[0]!r} of the bank {bank.name!r} is no task of the mini bank, '
      'so that there are no labels to train its head on.'
    )
  folder = Folder(output, bank.name)
  missing = [
    (encoder, str(output), bank.name, scenes)
    for encoder in bank.encoders
    if not folder.has(encoder.name, _provenance(encoder, scenes))
  ]
  if missing:
    scenes.build(workers, progress)
  building.parallel(_add, missing, workers, 'Training heads', progress)
  tables = ('oracle', 'oracle_affinity', 'oracle_losses')
  copied = {
    name: _copy(path, folder)
    for name in tables
    if (path := getattr(bank, name)) is not None
  }
  return folder.describe(bank.names, image_size=bank.image_size, **copied)


def _copy(path: str, folder: Folder) -> str:
  copy = folder.path / os.path.basename(path)
  with open(path, 'rb') as file:
    files.write_atomically(copy, file.read())
  return str(copy)


def _provenance(encoder: Encoder, scenes: Scenes) -> dict[str, Any]:
  return {
    'encoder': encoder.sha256,
    'head': dataclasses.asdict(RECIPE),
    'scenes': scenes.sizes.train,
  }


def _add(encoder: Encoder, output: str, name: str, scenes: Scenes) -> None:
  """Trains the head of a network, and writes both into a bank."""
  graph_def = graph.load_graph_def(encoder.graph)
  found = with_head(graph_def, train(encoder, graph_def, scenes))
  Folder(output, name).add(
    dataclasses.replace(encoder, prediction_tensor=PREDICTION),
    found,
    _provenance(encoder, scenes),
  )


def train(
  encoder: Encoder, graph_def: GraphDef, scenes: Scenes
) -> readouts.Readouts:
  """Returns the readout of a network's own task, trained.

  Args:
    encoder: Of the bank.
    graph_def: Its graph.
    scenes: Their split `train` is learned from.
  """
  task, data = MINI_TASKS[encoder.name], scenes.split('train')
  t = Preprocessing.parse(encoder.preprocessing)
  seen = _represent(graph_def, t, data['image'])[None]
  labels = np.asarray(data[encoder.name])
  at = len(labels) - max(1, round(_HELD_OUT * len(labels)))
  head = readouts.Readouts(task, seen[:, :at], labels[:at], RECIPE)
  head.train(seen[:, at:], labels[at:])
  return head


def _represent(
  graph_def: GraphDef, t: Preprocessing, images: np.ndarray
) -> np.ndarray:
  """Returns the representations of pictures, float32 [n, h, w, c]."""
  forward = mini_network.forward(graph_def)
  parts = range(0, len(images), _BATCH)
  return np.concatenate([forward(t(images[i : i + _BATCH])) for i in parts])


def with_head(graph_def: GraphDef, head: readouts.Readouts) -> GraphDef:
  """Returns a network's graph with a head behind it, up to PREDICTION.

  Its weights are stored as float16, as those of the network.
  """
  build = head.frozen(0)
  with tf.Graph().as_default() as built:
    (representation,) = tf.graph_util.import_graph_def(
      graph_def, return_elements=['representation:0'], name=''
    )
    with tf.name_scope('head'):
      predicted = build(representation)
    tf.identity(predicted, name=PREDICTION.partition(':')[0])
  found = built.as_graph_def()
  mini_network.half_precision(found)
  return found
