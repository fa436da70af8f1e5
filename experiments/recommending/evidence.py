"""What was looked at becomes evidence: scores, draws, floors, and warnings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import dataclasses
import math

import numpy as np

from experiments.recommending.looks import LookedAt
from transferability.recommendation import chances
from transferability.recommendation.decision import CandidateEvidence
from transferability.recommendation.scores import Scorer
from transferability.recommendation.situations import Situation

FEWEST_DRAWN = 20  # Images; of fewer, no halves are drawn.
_DEAD = 0.9  # Share of units without variance that is worth a word.
_SATURATED = 0.5  # Share of values at the upper end of their range.
_CLEARLY = 1.1  # How much further above its floor another range must be.
_DEVIATIONS = 3.0
_HALVES_OF_RANGES = 20


@dataclasses.dataclass(frozen=True)
class Testimony:
  """What was found of one candidate.

  Attributes:
    scores: By measure; without those that it has none of.
    draws: Of the first measure over draws of the images.
    own: By measure of the noise floor, on the images that twins saw.
    twins: By measure of the noise floor, of its twins.
    notes: What else is to be said, in sentences.
    fault: Why it has no score; empty if it has one.
  """

  scores: Mapping[str, float]
  draws: Sequence[float]
  own: Mapping[str, float]
  twins: Mapping[str, Sequence[float]]
  notes: Sequence[str] = ()
  fault: str = ''


def gather(
  situation: Situation,
  looks: Mapping[str, LookedAt],
  scorer: Scorer,
  faults: Mapping[str, str],
  *,
  num_draws: int,
  seed: int,
  track: Callable[..., Iterable],
) -> CandidateEvidence:
  """Returns the evidence about the candidates that were looked at.

  Args:
    situation: Whose measures are asked.
    looks: By candidate.
    scorer: Asks them.
    faults: Of candidates that could not be looked at.
    num_draws: Of the images, for intervals.
    seed: Of the draws.
    track: Shows progress.
  """
  drawn = draw(looks, scorer, num_draws, seed)
  found = {
    name: ask(name, looks[name], situation, scorer, drawn)
    for name in track(looks, description='Scoring candidates')
  }
  for name, other in duplicates(looks).items():
    note = f'{name} is the same network as {other}'
    notes = (*found[name].notes, note)
    found[name] = dataclasses.replace(found[name], notes=notes)
  return assemble(situation, found, faults, _number(looks))


def _number(looks: Mapping[str, LookedAt]) -> int:
  return len(next(iter(looks.values())).features) if looks else 0


def draw(
  looks: Mapping[str, LookedAt], scorer: Scorer, num_draws: int, seed: int
) -> np.ndarray:
  """Returns draws of the images, int64 [draws, m]; none of too few."""
  if _number(looks) < FEWEST_DRAWN:
    return np.zeros((0, 0), np.int64)
  return chances.halves(_number(looks), num_draws, seed, scorer.strata)


def ask(
  name: str,
  look: LookedAt,
  situation: Situation,
  scorer: Scorer,
  drawn: np.ndarray,
) -> Testimony:
  """Returns what is found of one candidate."""
  first, *beside = situation.measures
  one = _Candidate(first, scorer, look)
  try:
    scores = {first: one.score(first)}
    draws = one.draws(drawn)
    own = {measure: one.score(measure, one.few) for measure in situation.floor}
  except ValueError as error:
    reason = ' '.join(str(error).split())
    return Testimony({}, [], {}, {}, (), f'{name}: {reason}')
  for measure in beside:
    # What only stands beside need not be defined, as PARC of one feature.
    with contextlib.suppress(ValueError):
      scores[measure] = one.score(measure)
  twins = {
    measure: [one.of_others(features, measure) for features in look.twins]
    for measure in situation.floor
  }
  notes = one.notes(name, situation.of_ranges, twins[situation.of_ranges])
  return Testimony(scores, draws, own, twins, notes)


def assemble(
  situation: Situation,
  found: Mapping[str, Testimony],
  faults: Mapping[str, str],
  num_images: int,
) -> CandidateEvidence:
  """Returns what was found of candidates as the evidence about all."""
  lost = {name: one.fault for name, one in found.items() if one.fault}
  every = list(found.values())
  num_draws = max((len(one.draws) for one in every), default=0)
  num_twins = max(
    (len(twins) for one in every for twins in one.twins.values()), default=0
  )

  def row(values: Sequence[float], size: int) -> Sequence[float]:
    return values if len(values) else [math.nan] * size

  draws = np.array([row(one.draws, num_draws) for one in every]).T
  twins = [
    [row(one.twins.get(measure, ()), num_twins) for one in every]
    for measure in situation.floor
  ]
  return CandidateEvidence(
    situation=situation,
    names=tuple(found),
    scores={
      measure: np.array([one.scores.get(measure, math.nan) for one in every])
      for measure in situation.measures
    },
    draws=draws if num_draws else None,
    own=np.array(
      [
        [one.own.get(measure, math.nan) for one in every]
        for measure in situation.floor
      ]
    ),
    twins=np.reshape(twins, (len(situation.floor), len(found), num_twins)),
    notes={name: one.notes for name, one in found.items() if one.notes},
    faults={**faults, **lost},
    trained={},
    num_images=num_images,
  )


class _Candidate:
  """One candidate's scores."""

  def __init__(self, measure: str, scorer: Scorer, look: LookedAt):
    self._measure, self._scorer, self._look = measure, scorer, look
    self._prepared = scorer.prepare(look.features)
    others = [t for t in (*look.twins, *look.ranges.values()) if t is not None]
    few = len(others[0]) if others else len(look.features)
    self.few = np.arange(few)
    self._all = np.arange(len(look.features))

  def score(
    self, measure: str | None = None, rows: np.ndarray | None = None
  ) -> float:
    """Returns the score of some images; all, and the first measure, if None."""
    rows = self._all if rows is None else rows
    return self._scorer.score(measure or self._measure, self._prepared, rows)

  def draws(self, drawn: Sequence[np.ndarray]) -> list[float]:
    """Returns the scores of draws of all images."""
    return self._scorer.draws(self._measure, self._prepared, self._all, drawn)

  def of_others(
    self, features: np.ndarray | None, measure: str | None = None
  ) -> float:
    """Returns the score of other features of the few; NaN if it has none."""
    if features is None:
      return math.nan
    try:
      prepared = self._scorer.prepare(features)
      return self._scorer.score(measure or self._measure, prepared, self.few)
    except ValueError:  # A twin whose features are dead.
      return math.nan

  def notes(self, name: str, measure: str, twins: Sequence[float]) -> list[str]:
    """Returns what is to be said of it, in sentences."""
    found = described(name, self._look)
    found += [
      f'{name} scores higher by {other}, not by the range of its own '
      'preprocessing; is that right?'
      for other in self.better_ranges(measure, twins)
    ]
    return found

  def better_ranges(self, measure: str, twins: Sequence[float]) -> list[str]:
    """Returns which ranges of values suit it clearly better than its own."""
    found: list[str] = []
    known = np.array(twins)[np.isfinite(twins)]
    if len(known) < 2:
      return found
    own = self.score(measure, self.few)
    floor = known.mean()
    # Above its floor, and by more than twins differ among themselves.
    least = max(_CLEARLY * (own - floor), _DEVIATIONS * known.std(ddof=1))
    for name, features in self._look.ranges.items():
      other = self.of_others(features, measure)
      if not other - floor > least:
        continue
      halves = chances.halves(len(self.few), _HALVES_OF_RANGES)
      of_both = [
        self._scorer.draws(measure, prepared, self.few, halves)
        for prepared in (self._scorer.prepare(features), self._prepared)
      ]
      gains = np.subtract(*of_both)
      if gains.mean() > _DEVIATIONS * gains.std():
        found.append(name)
    return found


def described(name: str, look: LookedAt) -> list[str]:
  """Returns what is wrong with the units of a representation, in words."""
  found = []
  flat = look.features.reshape(len(look.features), -1)
  deviation = flat.std(axis=0)
  dead = float(np.mean(deviation <= 1e-6 * (deviation.max() or 1.0)))
  if dead > _DEAD:
    found.append(f'{dead:.0%} of the units of {name} are dead')
  top, bottom = float(flat.max()), float(flat.min())
  at_top = float(np.mean(flat >= top - 1e-3 * (top - bottom)))
  if top > bottom and at_top > _SATURATED:
    found.append(f'{at_top:.0%} of the values of {name} are saturated')
  return found


def duplicates(looks: Mapping[str, LookedAt]) -> dict[str, str]:
  """Returns candidates whose features are those of one before, and which."""
  found: dict[str, str] = {}
  names = list(looks)
  for i, name in enumerate(names):
    mine = looks[name].features
    for other in names[:i]:
      theirs = looks[other].features
      scale = float(np.abs(theirs).max()) or 1.0
      if mine.shape == theirs.shape and other not in found:
        if np.abs(mine - theirs).max() <= 1e-4 * scale:
          found[name] = other
          break
  return found
