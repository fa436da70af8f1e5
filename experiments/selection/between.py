"""How alike the targets of a selection are, before anything is trained."""

from collections.abc import Mapping
import os
import pathlib

import numpy as np

from experiments.selection.features import Features
from experiments.selection.targets import LabelledImages
from transferability import affinity as affinity_lib
from transferability import agreement, source_data

DOMAIN_SIMILARITY = 'domain_similarity'
_FILE = 'between_targets.csv'


def domains(data: LabelledImages, features: Features) -> np.ndarray:
  """Returns DS of the targets' labelled images, float64 [targets, targets].

  Args:
    data: Images and targets; those that are tested on have no part.
    features: Of all images, by one network.
  """
  sides = []
  for target in data.targets.values():
    known = target.rows < data.num_train
    sides.append((features.flat[target.rows[known]], target.labels[known]))
  return np.array(
    [[source_data.score(DOMAIN_SIMILARITY, a, b) for a in sides] for b in sides]
  )


def by_scores(scores: np.ndarray) -> np.ndarray:
  """Returns how alike a measure's scores of networks are between targets.

  Args:
    scores: float64 [targets, networks]; NaN where there is none.

  Returns:
    Pearson correlations over the networks that both targets have scores of,
    float64 [targets, targets]; NaN of fewer than three, or of equal scores.
  """
  count = len(scores)
  found = np.full((count, count), np.nan)
  for i, first in enumerate(scores):
    for j, second in enumerate(scores):
      both = np.isfinite(first) & np.isfinite(second)
      if both.sum() > 2:
        sides = first[None, both], second[None, both]
        found[i, j] = agreement.pearson(*sides)[0]
  return found


def write(
  data: LabelledImages,
  features: Mapping[str, Features],
  output: str | os.PathLike,
) -> None:
  """Writes DS of the targets by the first network: `between_targets.csv`."""
  names = tuple(data.targets)
  if len(names) > 1:
    found = domains(data, next(iter(features.values())))
    affinity_lib.save_matrix(pathlib.Path(output) / _FILE, found, names)


def read(output: str | os.PathLike) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns what `write` wrote, and the targets' names.

  Raises:
    OSError: If the file cannot be read.
    ValueError: If it is no such table.
  """
  return affinity_lib.load_matrix(pathlib.Path(output) / _FILE)
