"""How far a measure may be trusted, measured where the truth is known.

On a bank whose transfers were really measured, every target is a case: scores
of its candidates, and how each of them really transferred. The noise of
`chances` is what makes the outcomes likeliest; what is stated of a target is
checked with the noise of the other targets. So that it holds for fewer
candidates too, random parts of each case count as cases.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import functools
import importlib.resources

import numpy as np

from toolkit_basics import files
from transferability.recommendation import chances
from transferability.recommendation.chances import Chances, Noise

K = 3  # 'Among the best three.'
_SCALES = np.geomspace(0.02, 3.0, 17)
_PARTS = 6  # Of each case, besides the whole.
_FEWEST = 5  # Candidates of a part.
_CLIP = 1e-3
_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
_FILE = 'recommendation.json'
_MIXED = '_mixed'


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredTarget:
  """One target whose transfers were measured.

  Attributes:
    target: Its name.
    scores: Of the candidates, [n].
    draws: Scores over draws of the images, [B, n], or None.
    level: Of the noise floor, [n], or None.
    losses: Of the measured transfers, [n]; lower is better.
    is_below: Whether they are at the noise floor, [n]; None if unknown.
  """

  target: str
  scores: np.ndarray
  draws: np.ndarray | None
  level: np.ndarray | None
  losses: np.ndarray
  is_below: np.ndarray | None = None

  def part(self, chosen: np.ndarray) -> 'MeasuredTarget':
    """Returns the case of some of the candidates."""
    return MeasuredTarget(
      self.target,
      self.scores[chosen],
      None if self.draws is None else self.draws[:, chosen],
      None if self.level is None else self.level[chosen],
      self.losses[chosen],
      None if self.is_below is None else self.is_below[chosen],
    )

  @functools.cached_property
  def ranks(self) -> np.ndarray:
    """How many candidates are really better, [n]."""
    return (self.losses[None] < self.losses[:, None]).sum(axis=1)

  @property
  def excess(self) -> float:
    """By which share the loss of the pick is above the least loss.

    NaN if no candidate is above the noise floor.
    """
    able = np.isfinite(self.scores)
    if self.is_below is not None:
      able &= ~self.is_below
    if not able.any():
      return float('nan')
    pick = int(np.argmax(np.where(able, self.scores, -np.inf)))
    return float(self.losses[pick] / self.losses.min() - 1)

  def stated(self, noise: Noise) -> Chances:
    """Returns what is said of the candidates with a noise."""
    unit = chances.spread(self.scores, self.level)
    return chances.simulate(self.scores, self.draws, unit, noise, K)


@dataclasses.dataclass(frozen=True)
class Calibration:
  """What is known of a measure.

  Attributes:
    measure: Its name.
    noise: For `chances`.
    bank: On which it was measured.
    num_cases: How many targets that bank has.
    right: Of those, how often a candidate within 5 % of the least loss stood
      first.
    reliability: For each range of stated chances to be among the best three:
      low, high, mean stated, share that was true, number of statements; each
      target with the noise of the others.
  """

  measure: str
  noise: Noise
  bank: str
  num_cases: int
  right: int
  reliability: tuple[tuple[float, float, float, float, int], ...]


def with_parts(
  cases: Sequence[MeasuredTarget], seed: int = 0
) -> list[MeasuredTarget]:
  """Returns the cases, and random parts of each."""
  rng = np.random.default_rng(seed)
  found = list(cases)
  for case in cases:
    number = len(case.scores)
    for _ in range(_PARTS if number > _FEWEST else 0):
      size = rng.integers(_FEWEST, number)
      found.append(case.part(rng.permutation(number)[:size]))
  return found


def fit(cases: Sequence[MeasuredTarget]) -> Noise:
  """Returns the noise that makes the outcomes of cases likeliest."""
  return Noise(float(_SCALES[np.argmax(_likelihoods(cases).sum(axis=0))]))


def _likelihoods(cases: Sequence[MeasuredTarget]) -> np.ndarray:
  """Returns the mean log likelihood of each case at each scale."""
  found = np.empty((len(cases), len(_SCALES)))
  for row, case in enumerate(cases):
    for column, scale in enumerate(_SCALES):
      stated = case.stated(Noise(float(scale)))
      found[row, column] = _log(stated.best, case.ranks < 1)
      found[row, column] += _log(stated.among, case.ranks < K)
  return found


def _log(stated: np.ndarray, is_true: np.ndarray) -> float:
  stated = np.clip(stated, _CLIP, 1 - _CLIP)
  return float(np.mean(np.log(np.where(is_true, stated, 1 - stated))))


def measure(
  name: str, cases: Sequence[MeasuredTarget], bank: str
) -> Calibration:
  """Returns what cases say of the measure that made their scores.

  Args:
    name: Of the measure.
    cases: Of one bank, a case for each target.
    bank: Its name.

  Raises:
    ValueError: If there are fewer than three targets.
  """
  if len(cases) < 3:
    raise ValueError(
      f'{bank} has {len(cases)} targets; a calibration needs 3 or more.'
    )
  every = with_parts(cases)
  likelihoods = _likelihoods(every)
  targets = np.array([case.target for case in every])
  pairs = []
  for target in dict.fromkeys(targets.tolist()):
    others = likelihoods[targets != target].sum(axis=0)
    noise = Noise(float(_SCALES[np.argmax(others)]))
    for case in (c for c in every if c.target == target):
      pairs.append((case.stated(noise).among, case.ranks < K))
  best = Noise(float(_SCALES[np.argmax(likelihoods.sum(axis=0))]))
  right = sum(case.excess <= 0.05 for case in cases)
  return Calibration(
    name, best, bank, len(cases), int(right), reliability(pairs)
  )


def reliability(
  pairs: Iterable[tuple[np.ndarray, np.ndarray]],
) -> tuple[tuple[float, float, float, float, int], ...]:
  """Returns how often statements of a kind were true.

  Args:
    pairs: Stated chances, and whether it was so; arrays of one length.

  Returns:
    For each range that has statements: low, high, mean stated, share that was
    true, number.
  """
  stated, is_true = (np.concatenate(each) for each in zip(*pairs, strict=True))
  rows = []
  for low, high in zip(_BINS[:-1], _BINS[1:], strict=True):
    inside = (stated >= low) & ((stated < high) | (high == 1.0))
    if inside.any():
      means = float(stated[inside].mean()), float(is_true[inside].mean())
      rows.append((low, high, *means, int(inside.sum())))
  return tuple(rows)


def save(path: files.Path, table: dict[str, Calibration]) -> None:
  """Writes the calibrations of situations."""
  content = {name: dataclasses.asdict(each) for name, each in table.items()}
  files.write_json(path, content)


def read(path: files.Path) -> dict[str, Calibration]:
  """Returns the calibrations that `save` wrote, by situation.

  Raises:
    ValueError: If the file holds something else.
  """
  content = files.read_json(path)
  try:
    return {
      name: Calibration(
        **{
          **entry,
          'noise': Noise(**entry['noise']),
          'reliability': tuple(map(tuple, entry['reliability'])),
        }
      )
      for name, entry in content.items()
    }
  except (AttributeError, KeyError, TypeError) as error:
    raise ValueError(f'{path} holds no calibrations.') from error


def key_of(situation: str, are_mixed: bool) -> str:
  """Returns the name of a calibration.

  Args:
    situation: Its name.
    are_mixed: Whether the candidates are of several architectures, of which
      measures know less.
  """
  return f'{situation}{_MIXED}' if are_mixed else situation


def of(situation: str, are_mixed: bool = False) -> Calibration:
  """Returns the calibration that holds for candidates; see `key_of`."""
  known = stored()
  return known.get(key_of(situation, are_mixed), known[situation])


@functools.cache
def stored() -> dict[str, Calibration]:
  """Returns the calibrations that this package comes with, by situation."""
  folder = importlib.resources.files('transferability') / 'data'
  with importlib.resources.as_file(folder / _FILE) as path:
    return read(path)
