"""How far the order of scores is the order of measured performance.

Pearson's correlation, Kendall's tau-b, and the weighted tau of Vigna (WWW
2015), which counts errors among the best candidates most: the three that the
literature of transferability reports. With few candidates all of them are
unstable, so each comes with a bootstrap interval over the candidates, and the
weighted tau with the share of permutations that do as well.
"""

from collections.abc import Callable, Sequence
import dataclasses
import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from transferability import deviations, resampling

_MAX_EXACT = 5040  # Orders of 7 candidates; of more, this many are drawn.
_MIN_VALID = 0.5  # Share of draws that must have two different values.


@dataclasses.dataclass(frozen=True)
class Agreement:
  """How scores and performances agree; NaN where that is not defined."""

  values: dict[str, float]  # By statistic, in [-1, 1].
  low: dict[str, float]  # Lower end of the 95 % interval of each.
  high: dict[str, float]  # Upper end.
  # Share of the orders of the candidates whose weighted tau is as large or
  # larger; exact for at most 7 candidates.
  p_value: float
  # Performance of the candidate with the best score, as a share of the way from
  # the worst to the best: 1 is the best, 0 the worst.
  best_found: float
  # Performance of the best candidate less that of the one with the best score,
  # 0 or more, in the unit of the performances; the mean of equally good scores.
  regret: float
  # float64 [num_draws], the weighted tau of each draw.
  draws: np.ndarray = dataclasses.field(compare=False, repr=False)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns the correlation of rows of [draws, n], NaN if one is constant."""
  vary = (deviations.of(x, axis=1) > 0) & (deviations.of(y, axis=1) > 0)
  x = np.where(vary, x - x.mean(axis=1, keepdims=True), 0)
  y = np.where(vary, y - y.mean(axis=1, keepdims=True), 0)
  return _ratio((x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1))


def kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns tau-b of the rows of [draws, n]."""
  return _tau(x, y, np.ones(x.shape))


def weighted_tau(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns the weighted tau of the rows of [draws, n].

  The mean of two values: the weight of a pair is 1 / (r + 1) of both, r the
  rank from the top by x (ties by y), or by y (ties by x).
  """
  taus = [
    _tau(x, y, 1 / (_ranks(first, second) + 1))
    for first, second in ((x, y), (y, x))
  ]
  return (taus[0] + taus[1]) / 2


_FUNCTIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
  'pearson': pearson,
  'kendall': kendall,
  'weighted_tau': weighted_tau,
}
STATISTICS = tuple(_FUNCTIONS)


def compare(
  scores: ArrayLike,
  performances: ArrayLike,
  num_draws: int = 1000,
  seed: int = 0,
) -> Agreement:
  """Compares scores, a larger one better, with measured performances.

  Args:
    scores: [n], of three candidates or more.
    performances: [n].
    num_draws: Of the bootstrap, and of permutations where not all are tried.
    seed: Of the draws; the same seed gives the same draws of candidates.

  Raises:
    ValueError: If they are not finite, or not of the same three or more.
  """
  x, y = (np.asarray(v, np.float64) for v in (scores, performances))
  if x.shape != y.shape or x.ndim != 1 or len(x) < 3:
    raise ValueError(
      f'Scores of shape {x.shape} and performances of shape {y.shape}; give '
      'one each of the same three candidates or more.'
    )
  if not (np.isfinite(x).all() and np.isfinite(y).all()):
    raise ValueError('Scores or performances are not finite.')
  rng = np.random.default_rng(seed)
  rows = rng.integers(len(x), size=(num_draws, len(x)))
  values, low, high = {}, {}, {}
  for name, function in _FUNCTIONS.items():
    values[name] = float(function(x[None], y[None])[0])
    draws = function(x[rows], y[rows])
    low[name], high[name] = _interval(draws)
  return Agreement(
    values,
    low,
    high,
    _p_value(x, y, values['weighted_tau'], rng, num_draws),
    _best_found(x, y),
    regret(x, y),
    draws,
  )


def rows_of_table(
  label: Sequence[object], agreement: Agreement
) -> list[object]:
  """Returns a row of a table; see `header`."""
  row = list(label)
  for name in STATISTICS:
    row += [agreement.values[name], agreement.low[name], agreement.high[name]]
  return [
    *row,
    agreement.p_value,
    agreement.best_found,
    agreement.regret,
  ]


def header(label: Sequence[str]) -> list[str]:
  """Returns the names of the columns of `rows_of_table`."""
  columns = [
    f'{name}{suffix}' for name in STATISTICS for suffix in ('', '_low', '_high')
  ]
  return [*label, *columns, 'p_value', 'best_found', 'regret']


def _ratio(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
  norm = np.sqrt(xx * yy)
  return np.divide(xy, norm, out=np.full(xy.shape, np.nan), where=norm > 0)


def _tau(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Returns tau with pairs weighted by the sum of both their weights."""
  first = np.sign(x[:, :, None] - x[:, None])
  second = np.sign(y[:, :, None] - y[:, None])
  pairs = weights[:, :, None] + weights[:, None]
  return _ratio(
    *(
      (pairs * product).sum(axis=(1, 2))
      for product in (first * second, first**2, second**2)
    )
  )


def _ranks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns the rank of each entry from the top by x, ties by y; 0 first."""
  order = np.lexsort((-y, -x), axis=-1)
  ranks = np.empty(x.shape)
  np.put_along_axis(ranks, order, np.arange(x.shape[1], dtype=float), axis=1)
  return ranks


def _interval(drawn: np.ndarray) -> tuple[float, float]:
  valid = drawn[np.isfinite(drawn)]
  if len(valid) < _MIN_VALID * len(drawn):
    return math.nan, math.nan
  low, high = resampling.interval(valid)
  return float(low), float(high)


def _p_value(
  x: np.ndarray,
  y: np.ndarray,
  found: float,
  rng: np.random.Generator,
  num_draws: int,
) -> float:
  if math.isnan(found):
    return math.nan
  exact = math.factorial(len(x)) <= _MAX_EXACT
  if exact:
    orders = np.array(list(itertools.permutations(range(len(x)))))
  else:
    orders = np.argsort(rng.random((num_draws, len(x))), axis=1)
  taus = weighted_tau(x[orders], np.broadcast_to(y, orders.shape))
  # Of orders that are drawn, the one that was found could have been another.
  extra = 0 if exact else 1
  return float((np.sum(taus >= found - 1e-12) + extra) / (len(orders) + extra))


def regret(x: np.ndarray, y: np.ndarray) -> float:
  """Returns the best performance less that of the best score; see `compare`."""
  return float(y.max() - y[x == x.max()].mean())


def _best_found(x: np.ndarray, y: np.ndarray) -> float:
  span = np.ptp(y)
  if not span:
    return 1.0
  return float((y[x == x.max()].mean() - y.min()) / span)
