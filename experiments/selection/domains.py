"""Which data to train on: sources that share the target's labels.

A domain is a type of room. A head is trained on scenes of one type, on a frozen
network's features, and tested on scenes of another: the source-data measures
say beforehand, from the source's samples and a few labelled ones of the target,
which types will do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import os
import time

import numpy as np

from experiments.selection import features, study, targets
from experiments.selection.features import Candidate
from experiments.selection.study import Case, Outcome
from probe_data import rooms
from taskonomy_models.encoder import Encoder
from toolkit_basics import memo
from transferability import deviations, source_data
from transferability.source_data import linear_heads

# Trained heads on the target's few labelled samples: the direct way.
FEW_SHOT = 'few_labels'
_PENALTY = 1e-2  # Of the heads, as in `transfer_measure`.


@dataclasses.dataclass(frozen=True)
class Design:
  """How domains are compared.

  Attributes:
    tasks: Names of scene targets.
    num_source: Training scenes of a source, at most.
    num_target: Labelled scenes of the target, at most.
    num_classes: Of targets that are numbers.
    grid: Cells a side of the features.
  """

  tasks: tuple[str, ...] = ('shape_class', 'mean_depth', 'wall_distance')
  num_source: int = 300
  num_target: int = 60
  num_classes: int = 5
  grid: int = 4


@dataclasses.dataclass(frozen=True, eq=False)
class _Domain:
  """Rows of the images: to train on, the few labelled ones, and to test on."""

  source: np.ndarray
  few: np.ndarray
  test: np.ndarray


def compare(
  encoder: Encoder,
  splits: Sequence[Mapping[str, np.ndarray]],
  design: Design,
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  **options,
) -> list[Outcome]:
  """Returns an outcome for each task and target domain, by one network.

  Args:
    encoder: The network.
    splits: Scenes and their labels: of sources, the few labelled ones of
      targets, and those to test on.
    design: How.
    output: Gets `features/` and `domains/`.
    track: Shows progress.
    **options: `batch_size` and `device`.
  """
  domains, chosen = _domains(splits, design)
  images = np.concatenate(
    [part['image'][rows] for part, rows in zip(splits, chosen, strict=True)]
  )
  labels = {
    task: np.concatenate(
      [
        values[rows]
        for values, rows in zip(
          targets.scene_labels(task, splits, design.num_classes),
          chosen,
          strict=True,
        )
      ]
    )
    for task in design.tasks
  }
  found = features.extract(
    Candidate(encoder.name, encoder),
    *(images, design.grid, os.path.join(output, 'features')),
    **options,
  )
  kept = memo.Memo(os.path.join(output, 'domains'))
  outcomes = []
  for task in track(design.tasks, description=f'Domains by {encoder.name}'):
    key = [design, found.digest, labels[task]]
    content = kept.recall(
      f'{encoder.name}-{task}',
      key,
      lambda y=labels[task]: _scores(found.flat.astype(float), y, domains),
    )
    for target, values in content.items():
      names = tuple(name for name in domains if name != target)
      case = Case(f'{encoder.name}-{task}-{target}', target, names)
      outcomes.append(Outcome(case, sweep={}, problems={}, **values))
  return outcomes


def _domains(
  splits: Sequence[Mapping[str, np.ndarray]], design: Design
) -> tuple[dict[str, _Domain], list[np.ndarray]]:
  """Returns domains as rows of the chosen images, and those of each split."""
  limits = design.num_source, design.num_target, None
  chosen: list[list[np.ndarray]] = [[], [], []]
  for kind in range(len(rooms.ROOM_TYPES)):
    for part, (split, limit) in enumerate(zip(splits, limits, strict=True)):
      rows = np.flatnonzero(split['class_places'] == kind)
      chosen[part].append(rows[:limit])
  flat = [np.concatenate(rows) for rows in chosen]
  starts = np.cumsum([0, *map(len, flat)])
  places = [
    np.split(
      start + np.arange(len(rows)), np.cumsum([len(r) for r in parts])[:-1]
    )
    for start, rows, parts in zip(starts[:-1], flat, chosen, strict=True)
  ]
  domains = {
    name: _Domain(*(part[kind] for part in places))
    for kind, name in enumerate(rooms.ROOM_TYPES)
  }
  return domains, flat


def _scores(
  x: np.ndarray, y: np.ndarray, domains: Mapping[str, _Domain]
) -> dict[str, dict[str, object]]:
  """Returns scores, performances and seconds by target domain, as JSON."""
  heads = {name: _Head(x[d.source], y[d.source]) for name, d in domains.items()}
  found = {}
  for target, domain in domains.items():
    few = x[domain.few], y[domain.few]
    sources = {
      name: (x[d.source], y[d.source])
      for name, d in domains.items()
      if name != target
    }
    scores, seconds = {}, {}
    for measure in source_data.names():
      started = time.perf_counter()
      values = source_data.score_sources(measure, sources, few)
      info = source_data.info(measure)
      # Scores over a pool are higher for better sources in any case.
      sign = 1 if info.higher_is_better or info.pool is not None else -1
      scores[measure] = {name: sign * v for name, v in values.items()}
      seconds[measure] = time.perf_counter() - started
    scores[FEW_SHOT] = {name: heads[name].accuracy(*few) for name in sources}
    found[target] = {
      'scores': scores,
      'performance': {
        name: [heads[name].accuracy(x[domain.test], y[domain.test])]
        for name in sources
      },
      'seconds': seconds,
    }
  return found


class _Head:
  """A linear classifier of one domain, of features that it standardises."""

  def __init__(self, x: np.ndarray, y: np.ndarray):
    self._mean, self._scale = x.mean(axis=0), deviations.unit(x, axis=0)
    self._classes, labels = np.unique(y, return_inverse=True)
    loss = linear_heads.CrossEntropy(
      self._inputs(x), labels, len(self._classes)
    )
    self._head = linear_heads.fit(loss, _PENALTY)

  def _inputs(self, x: np.ndarray) -> np.ndarray:
    return np.column_stack([(x - self._mean) / self._scale, np.ones(len(x))])

  def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
    logits = self._inputs(x) @ self._head.reshape(len(self._classes), -1).T
    return float(np.mean(self._classes[logits.argmax(axis=1)] == y))


def with_static_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
  """Adds the standing of a source for other targets, network and task alike."""
  result = []
  by_problem: dict[str, list[Outcome]] = {}
  for outcome in outcomes:
    problem = outcome.case.name.rpartition('-')[0]
    by_problem.setdefault(problem, []).append(outcome)
  for alike in by_problem.values():
    result += study.with_baselines(alike)
  return result
