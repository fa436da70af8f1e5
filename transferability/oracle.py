"""The transfer oracle: measured rankings of sources, and how to derive them.

A ranking is a mapping of each target to its sources, best first, without the
target itself.
"""

from collections.abc import Sequence
import dataclasses
import functools
import importlib.resources
import itertools

import numpy as np

from toolkit_basics import files
from transferability import affinity as affinities
from transferability import ranking_files
from transferability.ranking_files import Rankings, duplicates


@dataclasses.dataclass(frozen=True)
class Oracle:
  """How well each source really transfers to each target.

  Attributes:
    targets: Names of the tasks that were transferred to.
    sources: Names of all tasks; each target is one of them.
    ranking: For each target all other sources, best first.
    affinity: float64 [targets, sources], bigger is better; the entry of a
      target's own encoder is not used. None if only the ranking is known.
  """

  targets: tuple[str, ...]
  sources: tuple[str, ...]
  ranking: Rankings
  affinity: np.ndarray | None = dataclasses.field(default=None, compare=False)

  def __post_init__(self):
    _check_names(self.targets, self.sources)
    if set(self.ranking) != set(self.targets):
      raise ValueError(
        f'The oracle ranks {sorted(self.ranking)}, but its targets are '
        f'{sorted(self.targets)}.'
      )
    for target in self.targets:
      _check_ranking(target, self.ranking[target], self.sources)
    if self.affinity is not None:
      derived = ranking_from_affinity(self.affinity, self.targets, self.sources)
      for target in self.targets:
        if derived[target] != self.ranking[target]:
          raise ValueError(
            f"The oracle's ranking for target {target!r} does not follow from "
            'its affinities.'
          )

  @classmethod
  def from_affinity(
    cls, affinity: np.ndarray, targets: Sequence[str], sources: Sequence[str]
  ) -> 'Oracle':
    """Makes the oracle of affinities [targets, sources], bigger is better."""
    ranking = ranking_from_affinity(affinity, targets, sources)
    return cls(tuple(targets), tuple(sources), ranking, np.array(affinity))

  @classmethod
  def load(
    cls, path: files.Path, affinity_path: files.Path | None = None
  ) -> 'Oracle':
    """Reads a ranking, and its affinities if there are any.

    Args:
      path: CSV with columns target, rank_1, rank_2, ... (and perhaps rank_0,
        the target itself); each row ranks all other sources.
      affinity_path: CSV with one row per target and one column per source,
        of the same ranking.

    Raises:
      ValueError: If a row does not rank every other source once.
    """
    ranking = ranking_files.read(path)
    targets = tuple(ranking)
    names = itertools.chain(targets, *ranking.values())
    sources, affinity = tuple(dict.fromkeys(names)), None
    if affinity_path is not None:
      affinity, rows, columns = affinities.load_table(affinity_path)
      if set(rows) != set(targets) or not set(sources) <= set(columns):
        raise ValueError(
          f'{affinity_path}: its rows {list(rows)} and columns {list(columns)} '
          f'do not cover the targets and sources of {path}.'
        )
      sources = tuple(name for name in columns if name in set(sources))
      row_numbers = [rows.index(target) for target in targets]
      column_numbers = [columns.index(source) for source in sources]
      affinity = affinity[np.ix_(row_numbers, column_numbers)]
    try:
      return cls(targets, sources, ranking, affinity)
    except ValueError as error:
      raise ValueError(f'{path}: {error}') from error

  @classmethod
  @functools.cache
  def taskonomy(cls) -> 'Oracle':
    """Returns the measured transfers of Taskonomy (Zamir et al., CVPR 2018).

    18 targets, 20 sources, first-order transfers trained with 16k images; the
    ground truth of the paper.
    """
    folder = importlib.resources.files('transferability') / 'data'
    with (
      importlib.resources.as_file(folder / 'ranking_18x20.csv') as path,
      importlib.resources.as_file(folder / 'affinity_16k_18x20.csv') as values,
    ):
      return cls.load(path, values)

  def save(
    self, path: files.Path, affinity_path: files.Path | None = None
  ) -> None:
    """Writes the ranking as `load` reads it, and the affinities on request."""
    ranking = {target: self.ranking[target] for target in self.targets}
    ranking_files.write(path, ranking)
    if affinity_path is not None:
      if self.affinity is None:
        raise ValueError(f'{affinity_path}: the oracle has no affinities.')
      affinities.save_matrix(
        affinity_path, self.affinity, self.sources, self.targets, 'target'
      )

  def relevant(self, target: str, n: int = 5) -> tuple[str, ...]:
    """Returns the n best sources of a target, or all if there are fewer."""
    return self.ranking[target][:n]

  def only(self, target: str) -> 'Oracle':
    """Returns the oracle of one target, with all sources."""
    return self._part((target,), self.sources)

  def restrict(self, names: Sequence[str]) -> 'Oracle':
    """Returns the oracle of these sources, in this order.

    The targets are those of the oracle that are among the names.

    Raises:
      ValueError: If the oracle does not know a name, or has none as a target.
    """
    names = tuple(names)
    if unknown := [name for name in names if name not in self.sources]:
      raise ValueError(
        f'The oracle does not know {unknown}; it ranks {list(self.sources)}.'
      )
    targets = tuple(name for name in names if name in self.targets)
    return self._part(targets, names)

  def _part(
    self, targets: tuple[str, ...], sources: tuple[str, ...]
  ) -> 'Oracle':
    ranking = {
      target: tuple(name for name in self.ranking[target] if name in sources)
      for target in targets
    }
    affinity = self.affinity
    if affinity is not None:
      rows = [self.targets.index(target) for target in targets]
      columns = [self.sources.index(name) for name in sources]
      affinity = affinity[np.ix_(rows, columns)]
    return Oracle(targets, sources, ranking, affinity)


def ranking_from_affinity(
  affinity: np.ndarray, targets: Sequence[str], sources: Sequence[str]
) -> dict[str, tuple[str, ...]]:
  """Ranks sources by descending affinity; the target itself is left out.

  Equal values stand in the order of `sources`.

  Args:
    affinity: [targets, sources], bigger is better. The entry of a target and
      itself is ignored, and may be NaN.
    targets: Names of the rows.
    sources: Names of the columns.

  Raises:
    ValueError: If an entry is not finite.
  """
  affinity = np.asarray(affinity, np.float64)
  _check_names(targets, sources)
  if affinity.shape != (len(targets), len(sources)):
    raise ValueError(
      f'Affinities of shape {affinity.shape} do not fit {len(targets)} targets '
      f'and {len(sources)} sources.'
    )
  ranking = {}
  for target, row in zip(targets, affinity, strict=True):
    order = [i for i in np.argsort(-row, kind='stable') if sources[i] != target]
    if bad := [i for i in order if not np.isfinite(row[i])]:
      raise ValueError(
        f'The affinity of source {sources[bad[0]]!r} to target {target!r} is '
        f'{row[bad[0]]}.'
      )
    ranking[target] = tuple(sources[i] for i in order)
  return ranking


def win_rates(losses: np.ndarray) -> np.ndarray:
  """Returns on which share of the images each source beats each other one.

  Args:
    losses: Of transfers to one target, [num_sources, num_images]; lower is
      better.

  Returns:
    float64 [num_sources, num_sources]; entry (i, j) is the share of images on
    which i has the lower loss, ties count half. The diagonal is 0.5.

  Raises:
    ValueError: If a loss is not finite.
  """
  losses = np.asarray(losses, np.float64)
  if losses.ndim != 2 or not losses.size or not np.isfinite(losses).all():
    raise ValueError(
      f'Losses of shape {losses.shape} must be finite [sources, images].'
    )
  wins, with_ties = losses[:, None] < losses, losses[:, None] <= losses
  return (wins.mean(axis=2) + with_ties.mean(axis=2)) / 2


def ahp_affinity(rates: np.ndarray) -> np.ndarray:
  """Returns Taskonomy's affinities of all sources to one target.

  The Analytic Hierarchy Process of Zamir et al. (2018), section 3.3: win rates
  clipped to [0.001, 0.999], divided by their transpose, principal eigenvector.

  Args:
    rates: Win rates [num_sources, num_sources], as `win_rates` gives them.

  Returns:
    float64 [num_sources], positive, of sum 1.
  """
  rates = np.asarray(rates, np.float64)
  square = rates.ndim == 2 and rates.shape[0] == rates.shape[1] > 0
  if not square or not np.allclose(rates + rates.T, 1):
    raise ValueError('Win rates must be square, with rates + rates.T = 1.')
  clipped = np.clip(rates, 0.001, 0.999)
  ratios = clipped / clipped.T
  values, vectors = np.linalg.eig(ratios)
  principal = np.abs(vectors[:, np.argmax(values.real)].real)
  # One more product with the positive matrix makes the small entries, too,
  # accurate to their own last digits.
  principal = ratios @ principal
  return principal / principal.sum()


def stability(
  oracles: Sequence[Oracle], num_relevant: int = 5
) -> tuple[float, float]:
  """Compares oracles of the same targets and sources, two or more.

  Returns:
    Of the rows of targets, the mean rank correlation and the mean share of
    relevant sources in common, over the pairs of oracles.
  """
  if len(oracles) < 2:
    raise ValueError('The stability of an oracle needs two or more of them.')
  correlations, overlaps = [], []
  for a, b in itertools.combinations(oracles, 2):
    if set(a.targets) != set(b.targets) or set(a.sources) != set(b.sources):
      raise ValueError('Oracles of different targets or sources.')
    for target in a.targets:
      correlations.append(row_spearman(a.ranking[target], b.ranking[target]))
      relevant = a.relevant(target, num_relevant)
      common = set(relevant) & set(b.relevant(target, num_relevant))
      overlaps.append(len(common) / len(relevant))
  return float(np.mean(correlations)), float(np.mean(overlaps))


def row_spearman(a: Sequence[str], b: Sequence[str]) -> float:
  """Returns the rank correlation of two orders of the same sources."""
  position = {name: i for i, name in enumerate(b)}
  ranks = np.array([position[name] for name in a])
  return float(rank_correlation(ranks))


def rank_correlation(ranks: np.ndarray) -> np.ndarray:
  """Returns Spearman's correlation of ranks 0, 1, ... with their order.

  Args:
    ranks: Integers [..., n], each of 0 to n - 1 once along the last axis.

  Returns:
    float64 [...]; NaN for fewer than two ranks.
  """
  n = ranks.shape[-1]
  if n < 2:
    return np.full(ranks.shape[:-1], np.nan)
  squares = np.sum((ranks - np.arange(n)) ** 2, axis=-1)
  return 1 - 6 * squares / (n * (n * n - 1))


def _check_names(targets: Sequence[str], sources: Sequence[str]) -> None:
  for what, names in (('target', targets), ('source', sources)):
    if repeated := duplicates(names):
      raise ValueError(
        f'{what.capitalize()}s named more than once: {repeated}.'
      )
  if not targets or len(sources) < 2:
    raise ValueError(
      f'{len(targets)} targets and {len(sources)} sources; at least one target '
      'and two sources are needed.'
    )
  if unknown := [target for target in targets if target not in set(sources)]:
    raise ValueError(f'Targets that are not among the sources: {unknown}.')


def _check_ranking(
  target: str, row: Sequence[str], sources: Sequence[str]
) -> None:
  if target in row:
    raise ValueError(f'target {target!r} is ranked as a source of itself.')
  if repeated := duplicates(row):
    raise ValueError(f'target {target!r} ranks {repeated} more than once.')
  if unknown := sorted(set(row) - set(sources)):
    raise ValueError(f'target {target!r} ranks unknown sources {unknown}.')
  if missing := sorted(set(sources) - set(row) - {target}):
    raise ValueError(
      f'target {target!r} does not rank {missing}; every row must rank all '
      'other sources.'
    )
