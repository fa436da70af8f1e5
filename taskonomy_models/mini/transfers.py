"""Really trains the transfers of a mini bank, and reads its oracle off them.

A transfer is a small readout from a frozen source encoder to a target task.
The oracle follows Taskonomy (Zamir et al., CVPR 2018, section 3.3): losses on
each test picture, win rates of each pair of sources, the principal
eigenvector of their ratios.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import functools
import itertools
import os
from typing import Any

import numpy as np

from attribution import preprocessing
from frozen_graphs import graph
from taskonomy_models import tasks
from taskonomy_models.mini import building, readouts
from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini.building import Scenes
from taskonomy_models.mini.tasks import MINI_TASKS, PLAIN, MiniTask
from toolkit_basics import files, memo
from transferability import oracle as oracles

EVALUATION_SPLITS = ('validation', 'test')
_SPLITS = ('transfer', *EVALUATION_SPLITS)
_NOISES = (0.0, MINI_TASKS['denoise'].noise)
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


def _representations(bank: str) -> memo.Memo[np.ndarray]:
  folder = os.path.join(bank, 'transfers', 'representations')
  return memo.Memo(folder, memo.ARRAY)


def _losses(bank: str) -> memo.Memo[dict[str, np.ndarray]]:
  return memo.Memo(os.path.join(bank, 'transfers', 'losses'), memo.ARRAYS)


def _parts(source: str) -> dict[str, tuple[int, str, float]]:
  """Returns number, split and noise of each part of a source's work."""
  return {
    f'{source}-{split}{"-noisy" if noise else ""}': (number, split, noise)
    for number, split in enumerate(_SPLITS)
    for noise in _NOISES
  }


def _key(bank: str, source: str, scenes: Scenes) -> dict[str, Any]:
  """Returns what a source's representations depend on."""
  return {
    'graph': files.sha256(os.path.join(bank, f'{source}.pb')),
    'task': MINI_TASKS[source],
    'scenes': scenes.sizes,
  }


def _inputs(
  task: MiniTask, images: np.ndarray, noise: float, seed: list[int]
) -> np.ndarray:
  """T without the masked centre: a transfer sees the whole picture.

  The same seed gives the same noise, whatever the source.
  """
  text = PLAIN if task.masked else task.preprocessing
  inputs = preprocessing.Preprocessing.parse(text)(images)
  if noise:
    drawn = np.random.default_rng(seed).normal(0, noise, images.shape)
    inputs = inputs + drawn[..., : inputs.shape[-1]]
  return inputs.astype(np.float32)


def represent(source: str, bank: str, scenes: Scenes) -> None:
  """Writes a source's representations of every split, clean and noisy."""
  task = MINI_TASKS[source]
  graph_def = graph.load_graph_def(os.path.join(bank, f'{source}.pb'))
  forward = mini_network.forward(graph_def)

  def compute(number, split, noise):
    images = scenes.split(split)['image']
    batches = (
      _inputs(task, images[i : i + _BATCH], noise, [number, i])
      for i in range(0, len(images), _BATCH)
    )
    return np.concatenate([forward(b) for b in batches])

  for name, part in _parts(source).items():
    key = _key(bank, source, scenes)
    _representations(bank).recall(name, key, functools.partial(compute, *part))


def _alike(representations: Sequence[np.ndarray]) -> list[list[int]]:
  """Returns the numbers of the sources of each shape of representation."""
  groups: dict[tuple, list[int]] = {}
  for number, found in enumerate(representations):
    groups.setdefault(found.shape[1:], []).append(number)
  return list(groups.values())


def is_represented(source: str, bank: str, scenes: Scenes) -> bool:
  """Returns whether all that `represent` writes is there, of these scenes."""
  key, known = _key(bank, source, scenes), _representations(bank)
  return all(known.has(part, key) for part in _parts(source))


def representation_of(
  bank: str, source: str, split: str, noisy: bool
) -> np.ndarray:
  """Returns what `represent` wrote of a split, float32 [pictures, h, w, c]."""
  name = f'{source}-{split}{"-noisy" if noisy else ""}'
  return _representations(bank).read(name)


def transfer(
  target: str,
  num_images: int,
  seed: int,
  plan: TransferPlan,
  bank: str,
  scenes: Scenes,
  key: dict[str, Any],
) -> None:
  """Trains readouts from all sources to a target; keeps their losses.

  Those are, for each evaluation split, float32 [sources, pictures].
  """
  task = MINI_TASKS[target]

  def load(split):
    noisy = bool(task.noise)
    found = [
      representation_of(bank, source, split, noisy) for source in plan.sources
    ]
    return found, scenes.split(split)[target]

  features, labels = load('transfer')
  order = np.random.default_rng([seed, num_images]).permutation(len(labels))
  held_out, rest = np.sort(order[: plan.held_out]), order[plan.held_out :]
  rows = np.sort(rest[:num_images])
  recipe = dataclasses.replace(plan.recipe, seed=seed)
  scored = {split: load(split) for split in EVALUATION_SPLITS}
  losses = {
    split: np.zeros((len(found), len(answers)), np.float32)
    for split, (found, answers) in scored.items()
  }
  for members in _alike(features):
    known = np.stack([features[number] for number in members])
    readout = readouts.Readouts(task, known[:, rows], labels[rows], recipe)
    readout.train(known[:, held_out], labels[held_out])
    for split, (found, answers) in scored.items():
      chosen = np.stack([found[number] for number in members])
      losses[split][members] = readout.score(chosen, answers)
  _losses(bank).keep(f'{target}-{num_images}-{seed}', key, losses)


def measure(
  bank: str,
  scenes: Scenes,
  plan: TransferPlan,
  workers: int,
  progress: Callable[..., Iterable],
) -> None:
  """Trains all transfers of a plan; what is there already is kept.

  Args:
    bank: Folder with the graph of each source, NAME.pb; the results go to
      its folder `transfers`.
    scenes: To train and to test on; those that are not there are rendered.
    plan: What to train.
    workers: Processes, of one thread each.
    progress: As `toolkit_basics.progress.track`.
  """
  scenes.build(workers, progress)
  keys = {source: _key(bank, source, scenes) for source in plan.sources}
  building.parallel(
    represent,
    [
      (source, bank, scenes)
      for source in plan.sources
      if not is_represented(source, bank, scenes)
    ],
    workers,
    'Representing scenes',
    progress,
  )
  how = {'held_out': plan.held_out, 'recipe': plan.recipe}
  missing = []
  for unit in itertools.product(plan.num_images, plan.seeds, plan.targets):
    number, seed, target = unit
    key = {'sources': keys, 'to': MINI_TASKS[target], **how}
    if not _losses(bank).has(f'{target}-{number}-{seed}', key):
      missing.append((target, number, seed, plan, bank, scenes, key))
  building.parallel(transfer, missing, workers, 'Training transfers', progress)


def load_losses(
  bank: str, plan: TransferPlan, target: str, num_images: int, split: str
) -> np.ndarray:
  """Returns losses [seeds, sources, pictures]."""
  kept = _losses(bank)
  return np.stack(
    [kept.read(f'{target}-{num_images}-{seed}')[split] for seed in plan.seeds]
  )


def _by_win_rates(losses: np.ndarray) -> np.ndarray:
  """Every picture under every seed is one trial of the win rates."""
  trials = np.concatenate(list(losses), axis=1)
  return oracles.ahp_affinity(oracles.win_rates(trials))


def _by_mean_loss(losses: np.ndarray) -> np.ndarray:
  return -losses.mean(axis=(0, 2))


def derive_oracle(
  bank: str,
  plan: TransferPlan,
  num_images: int,
  split: str,
  seeds: Sequence[int] | None = None,
  row: Callable[[np.ndarray], np.ndarray] = _by_win_rates,
) -> oracles.Oracle:
  """Returns the oracle of transfers trained on `num_images` pictures.

  Args:
    bank: Folder that `measure` wrote to.
    plan: What was measured.
    num_images: One of the plan's.
    split: One of EVALUATION_SPLITS.
    seeds: Which of the plan's seeds; all if None.
    row: Returns a target's affinities, from losses [seeds, sources, pictures].
  """
  plan = plan if seeds is None else dataclasses.replace(plan, seeds=seeds)
  rows = [
    row(load_losses(bank, plan, target, num_images, split))
    for target in plan.targets
  ]
  return oracles.Oracle.from_affinity(
    np.stack(rows), tuple(plan.targets), tuple(plan.sources)
  )


def stability_table(bank: str, plan: TransferPlan) -> list[tuple]:
  """Returns how much oracles of the test split agree, a header first.

  Columns: what is compared, mean row Spearman, share of relevant sources in
  common, lowest row Spearman and its target.
  """
  rows = [('comparison', 'spearman', 'overlap', 'lowest', 'lowest_target')]

  def compare(name, chosen):
    spearman, overlap = oracles.stability(chosen)
    first, second = chosen[0], chosen[-1]
    lowest = {
      target: oracles.row_spearman(ranking, second.ranking[target])
      for target, ranking in first.ranking.items()
    }
    worst = min(lowest, key=lowest.get)
    rows.append((name, spearman, overlap, lowest[worst], worst))

  def derive(number, split='test', **options):
    return derive_oracle(bank, plan, number, split, **options)

  for number in plan.num_images:
    if len(plan.seeds) > 1:
      single = [derive(number, seeds=(seed,)) for seed in plan.seeds]
      compare(f'seeds, {number} images', single)
    compare(
      f'validation and test scenes, {number} images',
      [derive(number, 'validation'), derive(number)],
    )
    compare(
      f'win rates and mean loss, {number} images',
      [derive(number), derive(number, row=_by_mean_loss)],
    )
  for number in plan.num_images[1:]:
    first = plan.num_images[0]
    compare(f'{first} and {number} images', [derive(first), derive(number)])
  return rows


def loss_table(bank: str, plan: TransferPlan, num_images: int) -> list[tuple]:
  """Returns each transfer's mean test loss over seeds, a header first."""
  rows = [('target', *plan.sources)]
  for target in plan.targets:
    losses = load_losses(bank, plan, target, num_images, 'test')
    rows.append((target, *losses.mean(axis=(0, 2))))
  return rows


def write_oracle(bank: str, plan: TransferPlan) -> None:
  """Writes the oracle of the most pictures and its tables into the bank.

  `bank.json` then names the oracle. `oracle.csv` (ranking),
  `oracle_affinity.csv`, `oracle_validation.csv` (on
  scenes of their own, for choices), `oracle_few.csv` (the fewest pictures, if
  there are several numbers), `oracle_stability.csv` (between seeds only if
  there are several) and `transfer_losses.csv`.
  """
  most, fewest = max(plan.num_images), min(plan.num_images)
  oracles_of = [
    (most, 'test', 'oracle.csv', 'oracle_affinity.csv'),
    (most, 'validation', 'oracle_validation.csv'),
  ]
  if fewest < most:
    oracles_of.append((fewest, 'test', 'oracle_few.csv'))
  for number, split, *names in oracles_of:
    oracle = derive_oracle(bank, plan, number, split)
    oracle.save(*(os.path.join(bank, name) for name in names))
  for name, table in (
    ('oracle_stability.csv', stability_table(bank, plan)),
    ('transfer_losses.csv', loss_table(bank, plan, most)),
  ):
    files.write_csv(os.path.join(bank, name), table)
  building.write_bank(bank)
