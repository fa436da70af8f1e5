"""What training on a target really gives: the ground truth of a score.

A readout of one hidden layer is trained on the frozen features of each
candidate, as the mini bank's oracle was; candidates of one shape share initial
weights and batches.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import time

import numpy as np

from experiments.selection.targets import Target
from taskonomy_models.mini import readouts
from taskonomy_models.mini import tasks as mini_tasks

_HELD_OUT = 0.2  # Of the training images; they choose the checkpoint.
_GUESSED = -1.0  # R^2 that the numbers of other images, drawn at random, have.


@dataclasses.dataclass(frozen=True)
class Truth:
  """What was measured for a target.

  Attributes:
    performance: By candidate, one for each seed: accuracy on test images, or
      of a regression R^2 (1 less the squared error in units of the variance).
    seconds: Of training, all candidates and seeds together.
    diverged: By candidate whose training diverged what the worst seed reached,
      as text. It counts as a guess: see `settle`.
  """

  performance: Mapping[str, Sequence[float]]
  seconds: float
  diverged: Mapping[str, str] = dataclasses.field(default_factory=dict)


def split(
  target: Target, num_train: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns positions in `target.rows` to train on, hold out and test on."""
  train = np.flatnonzero(target.rows < num_train)
  test = np.flatnonzero(target.rows >= num_train)
  order = np.random.default_rng([seed, 7]).permutation(train)
  number = max(1, round(_HELD_OUT * len(order)))
  return np.sort(order[number:]), np.sort(order[:number]), test


def performance(target: Target, rows: np.ndarray, outputs: np.ndarray) -> float:
  """Returns accuracy or R^2, -inf of outputs that are not finite.

  Args:
    target: What was predicted.
    rows: Positions in `target.rows` of the images.
    outputs: Logits [n, C], or values [n, 1].
  """
  if not np.isfinite(outputs).all():
    return -np.inf
  if target.values is None:
    return float(np.mean(outputs.argmax(axis=1) == target.labels[rows]))
  wanted = target.values[rows]
  errors = np.mean((outputs[:, 0].astype(np.float64) - wanted) ** 2)
  return float(1 - errors / max(wanted.var(), 1e-12))


def settle(
  target: Target, found: Mapping[str, Sequence[float]], seconds: float
) -> Truth:
  """Returns what was measured, with training that diverged as a guess.

  What is worse than guessing has diverged: an R^2 below -1, which the numbers
  of other images have that are drawn at random, or outputs that are not finite.
  It counts as the guess, -1, or 1 / C of C classes: its network stands last,
  and the others keep their distances.

  Args:
    target: What was predicted.
    found: By candidate, of `performance`, one for each seed.
    seconds: Of training.
  """
  guess = least = _GUESSED
  if target.values is None:
    guess, least = 1 / target.num_classes, 0.0
  settled = {
    name: [value if value >= least else guess for value in values]
    for name, values in found.items()
  }
  diverged = {
    name: f'R^2 {worst:.3g}' if np.isfinite(worst) else 'outputs not finite'
    for name, values in found.items()
    if (worst := min(values)) < least
  }
  return Truth(settled, seconds, diverged)


def train_readouts(
  target: Target,
  features: Mapping[str, np.ndarray],
  num_train: int,
  seeds: Sequence[int],
  recipe: readouts.ReadoutRecipe,
) -> Truth:
  """Trains a readout from every candidate, for every seed.

  Args:
    target: The task.
    features: By candidate, [N, h, w, c] of all images.
    num_train: How many of the first images may be trained on.
    seeds: Of weights, batches and what is held out.
    recipe: How; its seed is replaced.
  """
  started = time.perf_counter()
  task = mini_tasks.MiniTask(
    target.name,
    target.num_classes if target.values is None else 1,
    dense=False,
    classes=target.values is None,
  )
  labels = target.labels
  if target.values is not None:
    labels = target.values[:, None].astype(np.float32)
  found, of_one_shape = {name: [] for name in features}, {}
  for name, values in features.items():
    of_one_shape.setdefault(values.shape[1:], []).append(name)
  for names in of_one_shape.values():
    stacked = np.stack([features[name][target.rows] for name in names])
    for seed in seeds:
      train, held_out, test = split(target, num_train, seed)
      trained = readouts.Readouts(
        task,
        stacked[:, train],
        labels[train],
        dataclasses.replace(recipe, seed=seed),
      )
      trained.train(stacked[:, held_out], labels[held_out])
      for name, outputs in zip(
        names, trained.predict(stacked[:, test]), strict=True
      ):
        found[name].append(performance(target, test, outputs))
  return settle(target, found, time.perf_counter() - started)
