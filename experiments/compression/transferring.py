"""Does a compressed network keep its rank as a source to transfer from?

An encoder of the mini bank is compressed plainly and with its maps held to what
they were. Readouts are then really trained from each to the bank's targets, as
the bank's own transfers were: on the same scenes, with the same recipe.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import os
import pathlib

import numpy as np

from attribution.preprocessing import Preprocessing
from attribution_preservation import compression, matching, networks
from attribution_preservation.compression import Order
from experiments.compression import loading
from taskonomy_models import bank as banks
from taskonomy_models import tasks
from taskonomy_models.mini import readouts, transfers
from taskonomy_models.mini.building import Scenes
from taskonomy_models.mini.tasks import MINI_TASKS
from toolkit_basics import files, memo

BEFORE = 'before'
_SPLITS = ('transfer', 'test')
_BATCH = 100
# Denoising has pictures of its own, which no other target shares.
TARGETS = tuple(t.name for t in tasks.TARGETS if not MINI_TASKS[t.name].noise)


@dataclasses.dataclass(frozen=True)
class Passing:
  """Which networks are compressed, and how readouts are trained.

  Attributes:
    source: Encoder of the mini bank.
    methods: Ways of matching.
    order: How it is compressed.
    num_images: Scenes that compressed networks learn from.
    seed: Of the readouts.
  """

  source: str
  methods: Sequence[str]
  order: Order = Order(ratio=0.6)
  num_images: int = 600
  seed: int = 0


def _represent(model, preprocess, images: np.ndarray) -> np.ndarray:
  parts = []
  for start in range(0, len(images), _BATCH):
    inputs = preprocess(images[start : start + _BATCH]).astype(np.float32)
    parts.append(model(inputs, training=False).numpy())
  return np.concatenate(parts)


def _representations(
  plan: Passing, scenes: Scenes, folder: pathlib.Path
) -> dict[str, dict[str, np.ndarray]]:
  """Returns representations of each split, by network."""
  kept = memo.Memo(folder / 'representations', memo.ARRAYS)
  model, text = loading.of_mini_bank(plan.source)
  preprocess = Preprocessing.parse(text)
  teacher = networks.split(model)

  def compute(method: str):
    network = teacher
    if method != BEFORE:
      images = scenes.split('train')['image'][: plan.num_images]
      inputs = preprocess(images).astype(np.float32)
      network = compression.compress(teacher, inputs, plan.order, method)
    return {
      split: _represent(network.model, preprocess, scenes.split(split)['image'])
      for split in _SPLITS
    }

  found = {}
  for method in (BEFORE, *plan.methods):
    key = {'source': plan.source, 'method': method, 'scenes': scenes.sizes}
    if method != BEFORE:
      key |= {'order': plan.order, 'num_images': plan.num_images}
    name = f'{plan.source}-{method}'
    found[method] = kept.recall(name, key, lambda m=method: compute(m))
  return found


def losses(
  plan: Passing,
  scenes: Scenes,
  folder: pathlib.Path,
  progress: Callable[..., Iterable],
) -> dict[str, np.ndarray]:
  """Trains readouts; what is there already is kept.

  Args:
    plan: What is compressed.
    scenes: To learn from and to test on.
    folder: That keeps representations and losses.
    progress: As `toolkit_basics.progress.track`.

  Returns:
    By target, the loss of each network on each test scene,
    float32 [1 + methods, scenes]; the network before compression is first.
  """
  found = _representations(plan, scenes, folder)
  every = [found[name] for name in (BEFORE, *plan.methods)]
  kept = memo.Memo(folder / 'losses', memo.ARRAY)
  defaults = transfers.TransferPlan()
  number = max(defaults.num_images)
  recipe = dataclasses.replace(defaults.recipe, seed=plan.seed)

  def train(target: str) -> np.ndarray:
    training, test = (scenes.split(split)[target] for split in _SPLITS)
    # As `transfers.transfer` draws them.
    order = np.random.default_rng([plan.seed, number]).permutation(
      len(training)
    )
    held_out = np.sort(order[: defaults.held_out])
    rows = np.sort(order[defaults.held_out :][:number])
    known = np.stack([each['transfer'] for each in every])
    readout = readouts.Readouts(
      MINI_TASKS[target], known[:, rows], training[rows], recipe
    )
    readout.train(known[:, held_out], training[held_out])
    return readout.score(np.stack([each['test'] for each in every]), test)

  results = {}
  for target in progress(TARGETS, description='Training readouts'):
    key = {'plan': plan, 'scenes': scenes.sizes, 'recipe': recipe}
    results[target] = kept.recall(
      f'{plan.source}-{target}', key, lambda t=target: train(t)
    )
  return results


def rank_rows(
  plan: Passing, found: dict[str, np.ndarray]
) -> list[list[object]]:
  """Returns each network's loss and rank as a source, for each target.

  A rank of 1 is the best among the bank's other encoders, whose losses are
  those that the bank ships.
  """
  header, *rows = files.read_csv(
    os.path.join(banks.load('mini').folder, 'transfer_losses.csv')
  )
  shipped = {
    row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows
  }
  names = ['Before', *(matching.label(m) for m in plan.methods)]
  table: list[list[object]] = [
    ['source', 'target', 'network', 'loss', 'over before', 'rank', 'of']
  ]
  for target, values in found.items():
    if target == plan.source:
      continue
    others = [
      float(loss)
      for name, loss in shipped[target].items()
      if name != plan.source
    ]
    means = values.mean(axis=1)
    for name, mean in zip(names, means, strict=True):
      rank = 1 + sum(other < mean for other in others)
      ratio = float(mean / means[0])
      row = [plan.source, target, name, float(mean), ratio, rank]
      table.append([*row, len(others) + 1])
  return table


def summary_rows(rows: list[list[object]]) -> list[list[object]]:
  """Returns means over targets, of `rank_rows`."""
  _, *cells = rows
  table: list[list[object]] = [
    ['source', 'network', 'loss over before', 'rank', 'targets']
  ]
  for source, name in dict.fromkeys((row[0], row[2]) for row in cells):
    own = [row for row in cells if (row[0], row[2]) == (source, name)]
    ratio = float(np.mean([row[4] for row in own]))
    rank = float(np.mean([row[5] for row in own]))
    table.append([source, name, ratio, rank, len(own)])
  return table
