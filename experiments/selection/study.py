"""Scores candidates, trains for the truth, and compares the two.

A case is one target and the candidates that compete for it. What a case found
is kept in a file of its own, so that a killed run goes on with the next.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import os
import pathlib
import time

import numpy as np

from experiments import network_errors
from experiments.selection import fine_tuning as fine_tuning_lib
from experiments.selection import static_lists, truth
from experiments.selection.features import Features
from experiments.selection.label_free import Near
from experiments.selection.targets import LabelledImages, Target
from taskonomy_models.encoder import Encoder
from taskonomy_models.mini import readouts
from toolkit_basics import memo
from transferability import agreement, history, scoring

# Scores that need more than a measure may: how good a candidate was for the
# other targets, and training once more under another seed.
OTHER_TARGETS, ANOTHER_SEED = 'other_targets', 'another_seed'


@dataclasses.dataclass(frozen=True)
class Case:
  """One target and its candidates.

  Attributes:
    name: Also of its files.
    target: Its name.
    candidates: Their names.
  """

  name: str
  target: str
  candidates: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CaseSettings:
  """What the results depend on, besides images and networks.

  Attributes:
    measures: See `scoring.names`.
    seeds: Of the readouts, each trained once.
    recipe: Of the readouts.
    fine_tuning: If given, the truth is fine-tuning by this instead of readouts.
  """

  measures: tuple[str, ...]
  seeds: tuple[int, ...] = (0, 1)
  recipe: readouts.ReadoutRecipe = readouts.ReadoutRecipe()
  fine_tuning: fine_tuning_lib.FineTuning | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What was found for a case.

  Attributes:
    case: See `Case`.
    scores: By measure and candidate, larger is better.
    performance: By candidate, one for each seed.
    sweep: TransRate by form, epsilon and candidate; empty if it was not asked.
    seconds: By measure, and of `training`; all candidates together.
    problems: By measure, why scores are missing.
    diverged: By candidate whose training diverged, what it reached.
  """

  case: Case
  scores: Mapping[str, Mapping[str, float]]
  performance: Mapping[str, Sequence[float]]
  sweep: Mapping[str, Mapping[float, Mapping[str, float]]]
  seconds: Mapping[str, float]
  problems: Mapping[str, str]
  diverged: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def candidates(self) -> tuple[str, ...]:
    return self.case.candidates

  @property
  def truth(self) -> np.ndarray:
    """float64 [candidates], mean over seeds."""
    return np.array([np.mean(self.performance[n]) for n in self.candidates])

  def vector(self, scores: Mapping[str, float]) -> np.ndarray:
    """Returns scores in the order of the candidates."""
    return np.array([scores[name] for name in self.candidates], np.float64)


def conduct(
  cases: Sequence[Case],
  data: LabelledImages,
  features: Mapping[str, Features],
  settings: CaseSettings,
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  beside: Sequence[Near] = (),
  encoders: Mapping[str, Encoder] | None = None,
  known: history.History | None = None,
) -> list[Outcome]:
  """Returns the outcome of every case; those in the folder are read.

  Args:
    cases: What to compare.
    data: Images and targets.
    features: Of all candidates, of all images.
    settings: How.
    output: Gets `cases/`.
    track: Shows progress.
    beside: Families that are compared beside the label-based measures, each
      for some or all of the cases.
    encoders: By candidate; needed for fine-tuning only.
    known: Earlier transfers, of which baselines are made.
  """
  outcomes = []
  kept = memo.Memo(pathlib.Path(output) / 'cases')
  for case in track(cases, description='Scoring and training'):
    key = {
      'target': data.targets[case.target],
      'num_train': data.num_train,
      'features': [[n, features[n].digest] for n in case.candidates],
      'settings': settings,
    }
    compute = functools.partial(
      _conduct, case, data, features, settings, encoders or {}
    )
    content = kept.recall(case.name, key, compute)
    content['sweep'] = {
      form: {float(epsilon): scores for epsilon, scores in rows.items()}
      for form, rows in content['sweep'].items()
    }
    outcome = Outcome(case, **content)
    scores = dict(outcome.scores)
    for family in beside:
      scores |= family.scores.get(case.name, {})
    if known is not None:
      target = data.targets[case.target]
      scores |= static_lists.of_history(
        known, target.name, target.network, case.candidates, scores
      )
    outcomes.append(dataclasses.replace(outcome, scores=scores))
  return with_baselines(outcomes)


def _conduct(
  case: Case,
  data: LabelledImages,
  features: Mapping[str, Features],
  settings: CaseSettings,
  encoders: Mapping[str, Encoder],
) -> dict[str, object]:
  target = data.targets[case.target]
  known = target.rows < data.num_train
  labelled = {
    name: features[name].flat[target.rows[known]] for name in case.candidates
  }
  scores = scoring.score(settings.measures, labelled, target.labels[known])
  sweep = {}
  if any(name.startswith('transrate') for name in settings.measures):
    sweep = scoring.transrate_sweep(labelled, target.labels[known])
  if settings.fine_tuning is None:
    trained = truth.train_readouts(
      target,
      {name: features[name].values for name in case.candidates},
      data.num_train,
      settings.seeds,
      settings.recipe,
    )
  else:
    chosen = {name: encoders[name] for name in case.candidates}
    trained = _fine_tune(target, data, chosen, settings)
  return {
    'scores': scores.values,
    'performance': trained.performance,
    'sweep': sweep,
    'seconds': {**scores.seconds, 'training': trained.seconds},
    'problems': scores.problems,
    'diverged': trained.diverged,
  }


def _fine_tune(
  target: Target,
  data: LabelledImages,
  encoders: Mapping[str, Encoder],
  settings: CaseSettings,
) -> truth.Truth:
  started, found = time.perf_counter(), {}
  for name, encoder in encoders.items():
    with network_errors.computing(encoder.name):
      found[name] = [
        fine_tuning_lib.fine_tune(
          *(encoder, target, data.images, data.num_train),
          settings.fine_tuning,
          seed,
        )
        for seed in settings.seeds
      ]
  return truth.settle(target, found, time.perf_counter() - started)


def with_baselines(outcomes: Sequence[Outcome]) -> list[Outcome]:
  """Adds what a measure should beat, and what it cannot be better than."""
  result, known = [], measured(outcomes)
  for outcome in outcomes:
    extra = {}
    if len(known.targets) > 1:
      names = outcome.candidates
      standing = history.predict_all(known, outcome.case.target, names)
      if np.isfinite(standing).any():
        found = map(float, standing)
        extra[OTHER_TARGETS] = dict(zip(names, found, strict=True))
    seeds = {len(values) for values in outcome.performance.values()}
    if min(seeds) > 1:
      extra[ANOTHER_SEED] = {
        name: float(np.mean(values[1:]))
        for name, values in outcome.performance.items()
      }
    result.append(
      dataclasses.replace(outcome, scores={**outcome.scores, **extra})
    )
  return result


def measured(outcomes: Sequence[Outcome]) -> history.History:
  """Returns what was measured, as a history."""
  targets = tuple(dict.fromkeys(o.case.target for o in outcomes))
  networks = tuple(dict.fromkeys(n for o in outcomes for n in o.candidates))
  scores = np.full((len(targets), len(networks)), np.nan)
  for outcome in outcomes:
    row = targets.index(outcome.case.target)
    for name, value in zip(outcome.candidates, outcome.truth, strict=True):
      scores[row, networks.index(name)] = value
  return history.History(targets, networks, scores)


def compare(
  outcome: Outcome, num_draws: int
) -> dict[str, agreement.Agreement | None]:
  """Returns the agreement of each measure, None where scores are missing.

  `another_seed` is compared with the first seed alone.
  """
  found = {}
  for name, scores in outcome.scores.items():
    values = outcome.vector(scores)
    performances = outcome.truth
    if name == ANOTHER_SEED:
      performances = np.array(
        [outcome.performance[n][0] for n in outcome.candidates]
      )
    found[name] = (
      agreement.compare(values, performances, num_draws)
      if np.isfinite(values).all()
      else None
    )
  return found
