"""Linear heads on frozen features: their losses, and optima in a ball."""

from collections.abc import Callable
import dataclasses

import numpy as np
from scipy import optimize, special

# Value and gradient of each of several points, [k] and [k, p], at [k, p].
Objective = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_HISTORY = 10  # Values that a step may be compared with: not monotone.
_SUFFICIENT = 1e-4
_LONGEST, _SHORTEST = 1e10, 1e-10  # Of the steps.


@dataclasses.dataclass(frozen=True, eq=False)
class CrossEntropy:
  """Mean cross-entropy of labelled samples under heads [C, d + 1].

  Attributes:
    inputs: float64 [n, d + 1], features and a column of ones.
    labels: int64 [n].
    num_classes: C.
  """

  inputs: np.ndarray
  labels: np.ndarray
  num_classes: int

  def __call__(self, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns losses [k] and gradients [k, p] of flat heads [k, p]."""
    logits = self.logits(heads)
    rows = np.arange(len(self.labels))
    logs = special.log_softmax(logits, axis=-1)
    losses = -logs[:, rows, self.labels].mean(axis=1)
    errors = np.exp(logs, out=logs)
    errors[:, rows, self.labels] -= 1
    # One product for all heads: [k C, n] times [n, d + 1].
    stacked = errors.transpose(0, 2, 1).reshape(-1, len(rows))
    gradients = stacked @ self.inputs / len(rows)
    return losses, gradients.reshape(heads.shape)

  def logits(self, heads: np.ndarray) -> np.ndarray:
    """Returns [k, n, C] of flat heads [k, p]."""
    stacked = heads.reshape(-1, self.inputs.shape[1])
    values = (self.inputs @ stacked.T).reshape(
      len(self.inputs), len(heads), self.num_classes
    )
    return np.ascontiguousarray(values.transpose(1, 0, 2))

  def accuracy(self, head: np.ndarray) -> float:
    """Returns that of one flat head [p]; the first of equal classes wins."""
    found = self.logits(head[None])[0].argmax(axis=1)
    return float(np.mean(found == self.labels))


def fit(loss: CrossEntropy, penalty: float) -> np.ndarray:
  """Returns the flat head with the least loss + penalty / 2 |head|^2.

  Weights and biases are penalised alike.
  """

  def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
    losses, gradients = loss(flat[None])
    value = float(losses[0]) + penalty / 2 * float(flat @ flat)
    return value, gradients[0] + penalty * flat

  size = loss.num_classes * loss.inputs.shape[1]
  result = optimize.minimize(
    objective,
    np.zeros(size),
    method='L-BFGS-B',
    jac=True,
    options={'maxiter': 2000, 'maxfun': 4000, 'ftol': 1e-15, 'gtol': 1e-9},
  )
  return result.x


def sphere(
  centre: np.ndarray, radius: float, number: int, seed: int
) -> np.ndarray:
  """Returns random points on the sphere around a point, [number, p]."""
  drawn = np.random.default_rng(seed).normal(size=(number, len(centre)))
  return centre + radius * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def minimise_in_ball(
  objective: Objective,
  starts: np.ndarray,
  centre: np.ndarray,
  radius: float,
  rounds: int,
  tolerance: float = 1e-9,
) -> tuple[np.ndarray, np.ndarray]:
  """Minimises from several starts, each by itself.

  Spectral projected gradients (Birgin et al., SIAM J. Optim. 2000): steps of
  Barzilai and Borwein, which may rise over the last ten values. The value
  returned is the least that was met.

  Args:
    objective: What is minimised.
    starts: [k, p], inside the ball.
    centre: Of the ball, [p].
    radius: Of it.
    rounds: At most.
    tolerance: The largest entry of a unit projected step that ends a start.

  Returns:
    Points [k, p] and values [k].
  """
  x = _project(starts, centre, radius)
  values, gradients = objective(x)
  best, points = values.copy(), x.copy()
  history = [values]
  steps = 1 / np.maximum(np.abs(gradients).max(axis=1), 1e-12)
  active = np.arange(len(x))
  for _ in range(rounds):
    unit = _project(x[active] - gradients[active], centre, radius)
    far = np.abs(unit - x[active]).max(axis=1) > tolerance
    active = active[far]
    if not len(active):
      break
    before = x[active], gradients[active]
    length = np.clip(steps[active], _SHORTEST, _LONGEST)[:, None]
    direction = _project(before[0] - length * before[1], centre, radius)
    direction -= before[0]
    worst = np.max([past[active] for past in history[-_HISTORY:]], axis=0)
    moved, found, slopes = _search(objective, *before, direction, worst)
    x[active], gradients[active] = moved, slopes
    values = values.copy()
    values[active] = found
    history.append(values)
    better = values < best
    best[better], points[better] = values[better], x[better]
    by, bend = moved - before[0], slopes - before[1]
    squares, products = (by * by).sum(axis=1), (by * bend).sum(axis=1)
    steps[active] = np.divide(
      squares, products, out=np.full(len(by), _LONGEST), where=products > 0
    )
  return points, best


def _search(objective, x, gradient, direction, worst):
  """Returns points, values and gradients after a step that is short enough."""
  slope = (gradient * direction).sum(axis=1)
  share = np.ones(len(x))
  moved = x + direction
  found, slopes = objective(moved)
  for _ in range(40):
    long = found > worst + _SUFFICIENT * share * slope + 1e-15
    if not long.any():
      break
    rows = np.flatnonzero(long)
    share[rows] /= 2
    moved[rows] = x[rows] + share[rows, None] * direction[rows]
    found[rows], slopes[rows] = objective(moved[rows])
  return moved, found, slopes


def _project(x: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
  apart = x - centre
  norms = np.linalg.norm(apart, axis=1, keepdims=True)
  return centre + apart * np.minimum(1, radius / np.maximum(norms, 1e-300))
