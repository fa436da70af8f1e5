"""Really trains transfers from two and three sources at once.

Taskonomy's transfers of higher order (Zamir et al., CVPR 2018, section 3.2):
a readout gets the representations of several frozen encoders side by side. All
combinations are too many; as there, the five best single sources of a target
are paired, and the best pair is extended by each of the others (a beam of one).
Single sources are trained in the same way, so that losses compare.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import itertools
import os
import shutil

import numpy as np

from taskonomy_models import tasks
from taskonomy_models.mini import building, readouts, transfers
from taskonomy_models.mini.building import Scenes
from taskonomy_models.mini.tasks import MINI_TASKS, MiniTask
from toolkit_basics import files, memo
from transferability import oracle as oracles

Combination = tuple[str, ...]
# Test losses, by target and sources.
Losses = dict[tuple[str, Combination], float]


@dataclasses.dataclass(frozen=True)
class HigherOrderPlan:
  """Which transfers are trained.

  Attributes:
    targets: Tasks that are transferred to.
    num_best: How many single sources of a target are combined.
    num_images: Training pictures.
    held_out: Transfer scenes that choose the readouts' checkpoints.
    recipe: Of the readouts, and its seed.
  """

  targets: Sequence[str] = tuple(task.name for task in tasks.TARGETS)
  num_best: int = 5
  num_images: int = 2000
  held_out: int = 500
  recipe: readouts.ReadoutRecipe = readouts.ReadoutRecipe()


def prepare(
  bank: str,
  scenes: Scenes,
  work: str,
  workers: int,
  progress: Callable[..., Iterable],
) -> None:
  """Writes the representations of all sources; those that are there stay.

  Args:
    bank: Folder with the graph of each source, NAME.pb.
    scenes: To train and to test on.
    work: Folder that gets copies of the graphs, and `transfers/`.
    workers: Processes.
    progress: As `toolkit_basics.progress.track`.
  """
  scenes.build(workers, progress)
  os.makedirs(work, exist_ok=True)
  for source in MINI_TASKS:
    name = f'{source}.pb'
    if not os.path.exists(os.path.join(work, name)):
      shutil.copyfile(os.path.join(bank, name), os.path.join(work, name))
  missing = [
    (source, work, scenes)
    for source in MINI_TASKS
    if not transfers.is_represented(source, work, scenes)
  ]
  building.parallel(
    transfers.represent, missing, workers, 'Representing scenes', progress
  )


def measure(
  bank: str,
  scenes: Scenes,
  work: str,
  plan: HigherOrderPlan,
  workers: int,
  progress: Callable[..., Iterable],
) -> Losses:
  """Trains all transfers of a plan; what is in the work folder is kept.

  Args:
    bank: Folder of a mini bank with `oracle_validation.csv`, by which the best
      single sources are chosen: test scenes have no part in a choice.
    scenes: To train and to test on.
    work: Folder for what is computed on the way.
    plan: What to train.
    workers: Processes, of one thread each.
    progress: As `toolkit_basics.progress.track`.

  Returns:
    Mean loss on test scenes by target and sources, of one source or several.
  """
  prepare(bank, scenes, work, workers, progress)
  ranking = oracles.Oracle.load(os.path.join(bank, 'oracle_validation.csv'))
  kept = _kept(work)
  jobs, keys = [], {}
  for target in plan.targets:
    best = ranking.ranking[target][: plan.num_best]
    keys[target] = _key(bank, scenes, plan, target, best)
    if not kept.has(target, keys[target]):
      jobs.append((target, best, plan, work, scenes, keys[target]))
  building.parallel(train_target, jobs, workers, 'Training transfers', progress)
  found: Losses = {}
  for target in plan.targets:
    for text, loss in kept.read(target).items():
      found[target, tuple(text.split('+'))] = loss
  return found


def _kept(work: str) -> memo.Memo:
  return memo.Memo(os.path.join(work, 'higher_order'))


def _key(
  bank: str,
  scenes: Scenes,
  plan: HigherOrderPlan,
  target: str,
  best: Sequence[str],
) -> dict[str, object]:
  graphs = {
    source: files.sha256(os.path.join(bank, f'{source}.pb'))
    for source in MINI_TASKS
  }
  how = dataclasses.replace(plan, targets=())
  return {
    'graphs': graphs,
    'scenes': scenes.sizes,
    'plan': how,
    'to': MINI_TASKS[target],
    'best': list(best),
  }


def train_target(
  target: str,
  best: Sequence[str],
  plan: HigherOrderPlan,
  work: str,
  scenes: Scenes,
  key: Mapping[str, object],
) -> None:
  """Trains singles, pairs and triples of one target, and keeps their losses."""
  data = _Data(target, plan, work, scenes)
  losses = data.losses([(source,) for source in MINI_TASKS])
  pairs = list(itertools.combinations(best, 2))
  losses |= data.losses(pairs)
  # The beam goes on from the pair that is best on validation scenes.
  start = min(pairs, key=data.validated.__getitem__)
  losses |= data.losses(
    [(*start, source) for source in best if source not in start]
  )
  texts = {'+'.join(sources): loss for sources, loss in losses.items()}
  _kept(work).keep(target, key, texts)


class _Data:
  """The representations and labels of one target's transfers."""

  def __init__(
    self, target: str, plan: HigherOrderPlan, work: str, scenes: Scenes
  ):
    self._task: MiniTask = MINI_TASKS[target]
    self._plan, self._work, self._scenes = plan, work, scenes
    self.validated: dict[Combination, float] = {}
    labels = scenes.split('transfer')[target]
    seed = [plan.recipe.seed, plan.num_images]
    order = np.random.default_rng(seed).permutation(len(labels))
    self._held_out = np.sort(order[: plan.held_out])
    rest = order[plan.held_out :]
    self._rows = np.sort(rest[: plan.num_images])

  def _load(
    self, combinations: Sequence[Combination], split: str
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns [combinations, n, h, w, channels] and labels."""
    read = transfers.representation_of
    noisy = bool(self._task.noise)
    found = [
      np.concatenate(
        [read(self._work, source, split, noisy) for source in sources], axis=-1
      )
      for sources in combinations
    ]
    return np.stack(found), self._scenes.split(split)[self._task.name]

  def losses(
    self, combinations: Sequence[Combination]
  ) -> dict[Combination, float]:
    """Trains readouts of combinations of one size; returns test losses."""
    features, labels = self._load(combinations, 'transfer')
    readout = readouts.Readouts(
      self._task,
      features[:, self._rows],
      labels[self._rows],
      self._plan.recipe,
    )
    readout.train(features[:, self._held_out], labels[self._held_out])
    del features
    means = {
      split: readout.score(*self._load(combinations, split)).mean(axis=1)
      for split in transfers.EVALUATION_SPLITS
    }
    validated = map(float, means['validation'])
    self.validated |= dict(zip(combinations, validated, strict=True))
    return dict(zip(combinations, map(float, means['test']), strict=True))
