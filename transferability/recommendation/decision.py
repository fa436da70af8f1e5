"""Evidence about candidates becomes an answer."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from transferability.recommendation import calibration, chances, floor
from transferability.recommendation.situations import Situation

K = calibration.K
CANNOT_TELL_APART = 0.2  # Chance to be really better than the first.
LITTLE = 0.2  # Stated chance of the first to be the best; below, it is said.
FEW_IMAGES = 50
_INTERVAL = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class CandidateEvidence:
  """What was found of the candidates, n of them.

  Attributes:
    situation: What the measures are chosen by.
    names: Of the candidates.
    scores: By measure, [n]; NaN where a candidate has none.
    draws: Of the first measure over draws of the images, [B, n]; or None.
    own: Of the F measures of the noise floor on the images that the twins saw,
      [F, n].
    twins: Of these, of the randomised twins, [F, n, K].
    notes: Of each candidate, what else is to be said of it, in sentences.
    faults: Of candidates that cannot be used, why.
    trained: Performance of readouts that were really trained, by name.
    num_images: That the scores are of.
  """

  situation: Situation
  names: tuple[str, ...]
  scores: Mapping[str, np.ndarray]
  draws: np.ndarray | None
  own: np.ndarray
  twins: np.ndarray
  notes: Mapping[str, Sequence[str]]
  faults: Mapping[str, str]
  trained: Mapping[str, float]
  num_images: int


@dataclasses.dataclass(frozen=True)
class CandidateRow:
  """One candidate of the answer.

  Attributes:
    rank: 1 is the best.
    name: Of the network.
    score: By the first measure.
    low: Lower end of the 95 % interval over draws of the images; NaN if there
      were none.
    high: Upper end.
    p_best: Chance to be the best by measured transfer, in [0, 1].
    p_among: Chance to be among the best K.
    p_beats_first: Chance to be better than the first.
    share_among: Share of the draws of the images that put it among the first
      K.
    floor: What its untrained twins score; NaN if unknown.
    others: Scores by the other measures.
    trained: Performance of a readout that was really trained, NaN if none.
    is_untrained: Whether it does not exceed its noise floor.
    notes: What else is to be said of it, in sentences.
  """

  rank: int
  name: str
  score: float
  low: float
  high: float
  p_best: float
  p_among: float
  p_beats_first: float
  share_among: float
  floor: float
  others: Mapping[str, float]
  trained: float
  is_untrained: bool
  notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Decision:
  """The answer.

  Attributes:
    situation: What it is based on.
    rows: Candidates with a score, the recommended one first.
    recommended: Name of the network to transfer from; None if there is none.
    tied: Those that cannot be told apart from it.
    k: Of 'among the best k'.
    num_images: That it is based on.
    faults: Of candidates that have no score, why.
  """

  situation: Situation
  rows: tuple[CandidateRow, ...]
  recommended: str | None
  tied: tuple[str, ...]
  k: int
  num_images: int
  faults: Mapping[str, str]

  def row(self, name: str) -> CandidateRow:
    """Returns the row of a candidate."""
    return next(row for row in self.rows if row.name == name)


def decide(
  evidence: CandidateEvidence, noise: chances.Noise, seed: int = 0
) -> Decision:
  """Returns the answer that evidence allows.

  Candidates that do not exceed their noise floor come last, though they may
  really be good, and have chances as all others. Where readouts were trained,
  what they reached orders those that have one.

  Args:
    evidence: Of the candidates.
    noise: Of the first measure, as it was calibrated.
    seed: Of the simulation.
  """
  first = evidence.situation.measures[0]
  scores = np.asarray(evidence.scores[first], np.float64)
  found = floor.find_by_all(evidence.own, evidence.twins)
  known = np.isfinite(scores)
  able = known & ~found.is_below
  pick = int(np.argmax(np.where(able, scores, -np.inf))) if able.any() else None
  unit = chances.spread(scores, found.level)
  k = min(K, max(1, int(known.sum()) - 1))
  said = chances.simulate(scores, evidence.draws, unit, noise, k, seed, pick)
  reached = evidence.trained
  trained = np.array([reached.get(name, np.nan) for name in evidence.names])
  low, high, share = _over_draws(evidence.draws, scores, k)
  # The last key counts first: the able, the trained by what they reached.
  filled = np.where(np.isfinite(trained), trained, -np.inf)
  order = np.lexsort((-np.nan_to_num(scores, nan=-np.inf), -filled, ~able))
  columns = {
    'score': scores,
    'low': low,
    'high': high,
    'p_best': said.best,
    'p_among': said.among,
    'p_beats_first': said.beats_first,
    'share_among': share,
    'floor': found.level,
    'trained': trained,
  }
  kept = [i for i in order if np.isfinite(scores[i])]
  rows = _rows(evidence, kept, columns, found.is_below)
  recommended = rows[0].name if rows and able.any() else None
  return Decision(
    evidence.situation,
    tuple(rows),
    recommended,
    _tied(rows, recommended),
    k,
    evidence.num_images,
    dict(evidence.faults),
  )


def _rows(
  evidence: CandidateEvidence,
  order: Sequence[int],
  columns: Mapping[str, np.ndarray],
  is_below: np.ndarray,
) -> list[CandidateRow]:
  """Returns the candidates in an order, each with its numbers."""
  _, *beside = evidence.situation.measures
  rows = []
  for rank, i in enumerate(order, start=1):
    name = evidence.names[i]
    rows.append(
      CandidateRow(
        rank=rank,
        name=name,
        others={
          measure: float(evidence.scores[measure][i])
          for measure in beside
          if measure in evidence.scores
        },
        is_untrained=bool(is_below[i]),
        notes=tuple(evidence.notes.get(name, ())),
        **{column: float(values[i]) for column, values in columns.items()},
      )
    )
  return rows


def _tied(
  rows: Sequence[CandidateRow], recommended: str | None
) -> tuple[str, ...]:
  """Returns who may well be better than the one that is recommended.

  Nobody, where training has settled it.
  """
  if recommended is None or np.isfinite(rows[0].trained):
    return ()
  return tuple(
    row.name
    for row in rows[1:]
    if not row.is_untrained and row.p_beats_first >= CANNOT_TELL_APART
  )


def _over_draws(
  draws: np.ndarray | None, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns intervals, and how often a candidate is among the first k."""
  nothing = np.full(len(scores), np.nan)
  if draws is None or not len(draws):
    return nothing, nothing, nothing
  around = scores + draws - draws.mean(axis=0)
  tail = (1 - _INTERVAL) / 2
  low, high = np.quantile(around, [tail, 1 - tail], axis=0)
  filled = np.where(np.isfinite(around), around, -np.inf)
  ordered = np.argsort(-filled, axis=1)[:, :k]
  counts = np.bincount(ordered.ravel(), minlength=len(scores))
  return low, high, counts / len(draws)
