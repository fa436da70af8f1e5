"""Earlier transfers: what they say of networks for a target that is new.

A network that served other targets well may serve this one, too: the static
order that published evaluations find hard to beat. Targets that are like the
new one may say more than others. Scores of different targets are made
comparable by standing: deviations above the mean of the target's networks.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from toolkit_basics import files
from transferability import deviations
from transferability.oracle import Oracle
from transferability.ranking_files import duplicates

COLUMNS = ('target', 'network', 'score')


@dataclasses.dataclass(frozen=True, eq=False)
class History:
  """Measured transfers.

  Attributes:
    targets: Names.
    networks: Names.
    scores: float64 [targets, networks], larger is better, NaN where it was not
      measured; each target has one or more.
  """

  targets: tuple[str, ...]
  networks: tuple[str, ...]
  scores: np.ndarray

  def __post_init__(self):
    for what, names in (('target', self.targets), ('network', self.networks)):
      if repeated := duplicates(names):
        raise ValueError(f'A history has each {what} once, not {repeated}.')
    shape = len(self.targets), len(self.networks)
    if self.scores.shape != shape or np.isinf(self.scores).any():
      raise ValueError(
        f'A history of {shape[0]} targets and {shape[1]} networks has finite '
        f'scores or NaN, not an array of shape {self.scores.shape}.'
      )
    for target, row in zip(self.targets, self.scores, strict=True):
      if not np.isfinite(row).any():
        raise ValueError(f'The history has no score for {target!r}.')

  @classmethod
  def load(cls, path: files.Path) -> 'History':
    """Reads a CSV file with the columns target, network, score.

    Raises:
      ValueError: If the file has other columns, a score is no finite number,
        or a target and a network are there twice.
      OSError: If it cannot be read.
    """
    header, *rows = files.read_csv(path)
    if tuple(header) != COLUMNS or not rows:
      raise ValueError(
        f'{path}: the columns must be {", ".join(COLUMNS)}, with a row or more '
        f'below them; found {len(rows)} rows of {", ".join(header)}.'
      )
    known: dict[tuple[str, str], float] = {}
    for number, row in enumerate(rows, start=2):
      try:
        target, network, text = row
        score = float(text)
      except ValueError:
        target, network, score = '', '', np.nan
      if not (target and network and np.isfinite(score)):
        raise ValueError(
          f'{path}, row {number}: {row} is no target, network and finite '
          'number.'
        )
      if (target, network) in known:
        raise ValueError(
          f'{path}, row {number}: {network!r} was transferred to {target!r} '
          'before.'
        )
      known[target, network] = score
    return cls.of_scores(known)

  @classmethod
  def of_scores(cls, known: Mapping[tuple[str, str], float]) -> 'History':
    """Returns the history of scores by target and network."""
    targets = tuple(dict.fromkeys(target for target, _ in known))
    networks = tuple(dict.fromkeys(network for _, network in known))
    scores = np.full((len(targets), len(networks)), np.nan)
    for (target, network), score in known.items():
      scores[targets.index(target), networks.index(network)] = score
    return cls(targets, networks, scores)

  @classmethod
  def of_oracle(cls, oracle: Oracle) -> 'History':
    """Returns an oracle's affinities, or minus its ranks if it has none.

    Of affinities above 0 the logarithms: those of Taskonomy are ratios, a few
    of which would drown the others.
    """
    scores = np.full((len(oracle.targets), len(oracle.sources)), np.nan)
    for i, target in enumerate(oracle.targets):
      for rank, name in enumerate(oracle.ranking[target]):
        j = oracle.sources.index(name)
        values = oracle.affinity
        scores[i, j] = -rank if values is None else values[i, j]
    if np.nanmin(scores) > 0:
      scores = np.log(scores)
    return cls(oracle.targets, oracle.sources, scores)

  def save(self, path: files.Path) -> None:
    """Writes what `load` reads."""
    rows = [
      (target, network, float(self.scores[i, j]))
      for i, target in enumerate(self.targets)
      for j, network in enumerate(self.networks)
      if np.isfinite(self.scores[i, j])
    ]
    files.write_csv(path, [COLUMNS, *rows])

  def without(self, target: str) -> 'History':
    """Returns the history of the other targets."""
    kept = [i for i, name in enumerate(self.targets) if name != target]
    return History(
      tuple(self.targets[i] for i in kept), self.networks, self.scores[kept]
    )

  def standing(self) -> np.ndarray:
    """Returns deviations above the mean of each target's networks.

    float64 [targets, networks], NaN where nothing was measured; 0 for a target
    that all networks serve alike.
    """
    centred = self.scores - np.nanmean(self.scores, axis=1, keepdims=True)
    return centred / deviations.unit(self.scores, axis=1)


def predict(
  history: History,
  target: str,
  networks: Sequence[str],
  similarity: Mapping[str, float] | None = None,
) -> np.ndarray:
  """Returns what other targets say of networks for a target.

  The mean of a network's standings for the other targets; what the history has
  of the target itself is not looked at.

  Args:
    history: Earlier transfers.
    target: Is left out.
    networks: Whose predictions are wanted.
    similarity: Of other targets to this one, larger is more similar; those
      that are not named have no part. Weights are exp(z), z the similarity in
      deviations above its mean. By default all targets count alike.

  Returns:
    float64 [networks], larger is better; NaN for those that no other target
    has a score of.
  """
  others = history.without(target)
  weights = np.ones(len(others.targets))
  if similarity is not None:
    known = np.array([similarity.get(t, np.nan) for t in others.targets])
    found = np.isfinite(known)
    weights = np.zeros(len(known))
    if found.any():
      weights[found] = np.exp(standardised(known[found]))
  weights = weights[:, None] * np.isfinite(others.scores)
  sums = (weights * np.nan_to_num(others.standing())).sum(axis=0)
  totals = weights.sum(axis=0)
  means = np.divide(
    sums, totals, out=np.full(len(sums), np.nan), where=totals > 0
  )
  by_name = dict(zip(others.networks, means, strict=True))
  return np.array([by_name.get(name, np.nan) for name in networks])


def predict_all(
  history: History,
  target: str,
  networks: Sequence[str],
  similarity: Mapping[str, float] | None = None,
) -> np.ndarray:
  """Returns `predict`, networks that are new to it taken as average ones.

  Returns:
    float64 [networks]; all NaN if no other target has a score of any.
  """
  values = predict(history, target, networks, similarity)
  return np.nan_to_num(values) if np.isfinite(values).any() else values


def combine(*scores: np.ndarray) -> np.ndarray:
  """Returns the mean of scores [n], each in its deviations; NaN counts as 0.

  A network that a history does not know is taken as an average one.
  """
  return np.mean([np.nan_to_num(standardised(s)) for s in scores], axis=0)


def standardised(values: np.ndarray) -> np.ndarray:
  """Returns values less their mean in units of their deviation; NaN stays."""
  values = np.asarray(values, np.float64)
  if not np.isfinite(values).any():
    return values
  return (values - np.nanmean(values)) / deviations.unit(values, None)
