"""Really trains readouts of the best candidates, and settles it."""

from collections.abc import Mapping

import numpy as np

from experiments.selection import targets, truth
from experiments.selection.targets import Target
from taskonomy_models.mini import readouts
from transferability.recommendation import scores
from transferability.recommendation.labels import TargetLabels

_TEST = 0.3  # Of the images; readouts never see them.
_SEEDS = (0, 1)
_MOST_FEATURES = 4096


def train(
  features: Mapping[str, np.ndarray], labels: TargetLabels, seed: int = 0
) -> dict[str, float]:
  """Returns what readouts reach on images that they were not trained on.

  Args:
    features: By candidate, [n, h, w, c].
    labels: Classes or a number of each image.
    seed: Of what is set apart to test on.

  Returns:
    By candidate the accuracy, or R^2 of a number; mean over two trainings.

  Raises:
    ValueError: If labels are of pixels, several numbers, or classes too rare.
  """
  if labels.are_dense or (
    not labels.are_classes and labels.values.shape[1] > 1
  ):
    raise ValueError(
      '`train` needs a class or a number for each image; the labels are '
      f'{labels.described}.'
    )
  order, num_train = _order(labels, seed)
  target = _target(labels.at(order), num_train)
  coarse = {
    name: scores.coarser(values, _MOST_FEATURES)[order].astype(np.float32)
    for name, values in features.items()
  }
  recipe = readouts.ReadoutRecipe()
  found = truth.train_readouts(target, coarse, num_train, _SEEDS, recipe)
  return {name: float(np.mean(v)) for name, v in found.performance.items()}


def _order(labels: TargetLabels, seed: int) -> tuple[np.ndarray, int]:
  """Returns the images in another order, those to train on first."""
  rng = np.random.default_rng([seed, 11])
  number = len(labels)
  order = rng.permutation(number)
  if labels.strata is None:
    return order, number - round(_TEST * number)
  test = []
  for label in np.unique(labels.strata):
    rows = order[labels.strata[order] == label]
    test.append(rows[: round(_TEST * len(rows))])
  test = np.concatenate(test)
  train = order[~np.isin(order, test)]
  return np.concatenate([train, test]), len(train)


def _target(labels: TargetLabels, num_train: int) -> Target:
  if labels.are_classes:
    return targets.classification('target', labels.values, num_train)
  return targets.regression('target', labels.values[:, 0], num_train, 10)
