"""Optimal transport: exact plans of samples and classes, and Sinkhorn's."""

import math

import numpy as np
from scipy import optimize, sparse
from scipy.spatial import distance

_LARGEST_ASSIGNMENT = 1000  # Rows; beyond that, the linear program is faster.
_MOST_ROWS = 7000  # Of an assignment: about a minute and 2 GB.
_MAX_CELLS = 2_000_000  # Of a linear program: about a minute and 2 GB.
_FEWER_SAMPLES = 'pass a smaller `num_samples`'
_TOLERANCE = 1e-8  # Of Sinkhorn's marginals, a share of each.


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns |x_i - y_j|^2, float64 [n, m]."""
  return distance.cdist(x, y, 'sqeuclidean')


def between_samples(cost: np.ndarray) -> np.ndarray:
  """Returns the cheapest plan of samples of equal weights, of sum 1.

  Raises:
    ValueError: If there are too many samples for an exact plan.
  """
  rows, columns = cost.shape
  if rows == columns > _MOST_ROWS:
    raise ValueError(_too_large(rows, columns, _FEWER_SAMPLES))
  total = math.lcm(rows, columns)
  if total <= max(_LARGEST_ASSIGNMENT, rows if rows == columns else 0):
    # Each sample as often as it takes for sides of equal length: then the
    # cheapest plan is a permutation.
    copies = cost
    if rows != columns:
      copies = np.repeat(copies, total // rows, axis=0)
      copies = np.repeat(copies, total // columns, axis=1)
    chosen = optimize.linear_sum_assignment(copies)
    first, second = (
      side // (total // size)
      for side, size in zip(chosen, cost.shape, strict=True)
    )
    plan = np.zeros(cost.shape)
    np.add.at(plan, (first, second), 1 / total)
    return plan
  units = (
    np.full(rows, total // rows, dtype=np.int64),
    np.full(columns, total // columns, dtype=np.int64),
  )
  return plan_of_masses(cost, *units, _FEWER_SAMPLES)


def _too_large(rows: int, columns: int, advice: str) -> str:
  return (
    f'An exact plan of {rows} x {columns} takes more than a minute and 2 GB; '
    f'{advice}.'
  )


def plan_of_masses(
  cost: np.ndarray, supply: np.ndarray, demand: np.ndarray, advice: str
) -> np.ndarray:
  """Returns the cheapest plan of whole masses, divided by their sum.

  A linear program, whose optimum is made of whole numbers: it is exact.

  Args:
    cost: [n, m], 0 or more.
    supply: Integers [n], of the same sum as `demand`.
    demand: Integers [m].
    advice: What to do if the program would be too large.

  Raises:
    ValueError: If the program would be too large.
  """
  rows, columns = cost.shape
  if cost.size > _MAX_CELLS:
    raise ValueError(_too_large(rows, columns, advice))
  ones_of_rows = sparse.kron(sparse.eye_array(rows), np.ones((1, columns)))
  ones_of_columns = sparse.kron(np.ones((1, rows)), sparse.eye_array(columns))
  # The last column's demand follows from the others.
  constraints = sparse.vstack([ones_of_rows, ones_of_columns.tocsr()[:-1]])
  result = optimize.linprog(
    (cost / (cost.mean() or 1.0)).ravel(),
    A_eq=constraints.tocsr(),
    b_eq=np.concatenate([supply, demand[:-1]]).astype(np.float64),
    method='highs-ds',
    options={'dual_feasibility_tolerance': 1e-10},
  )
  if result.status != 0:
    raise RuntimeError(f'The transport was not solved: {result.message}')
  return np.rint(result.x).reshape(cost.shape) / supply.sum()


def sinkhorn(
  cost: np.ndarray, regularisation: float, rounds: int = 20_000
) -> np.ndarray:
  """Returns the plan of equal weights with least <P, c> + e sum P log P.

  Args:
    cost: [n, m].
    regularisation: e, a share of the mean cost.
    rounds: At most.

  Raises:
    ValueError: If it does not converge.
  """
  if not 0 < regularisation < np.inf:
    raise ValueError(f'regularisation={regularisation}; give a number above 0.')
  scaled = -cost / (regularisation * (cost.mean() or 1.0))
  rows, columns = -np.log(cost.shape[0]), -np.log(cost.shape[1])
  g = np.zeros(cost.shape[1])
  for number in range(rounds):
    f = rows - _log_sum(scaled + g, 1)
    new = columns - _log_sum(scaled + f[:, None], 0)
    # With `new`, columns are exact; rows are off by what the change makes.
    change = np.abs(new - g).max() if number else np.inf
    g = new
    if change < _TOLERANCE:
      return np.exp(scaled + f[:, None] + g)
  raise ValueError(
    f'Sinkhorn did not converge in {rounds} rounds with '
    f'regularisation={regularisation:g} of the mean cost; take a larger one.'
  )


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
  """Returns log sum exp; in a loop, SciPy's checks would take the time."""
  highest = values.max(axis=axis, keepdims=True)
  sums = np.exp(values - highest).sum(axis=axis)
  return np.log(sums) + highest.squeeze(axis)


def conditional_entropy(
  plan: np.ndarray, source_labels: np.ndarray, target_labels: np.ndarray
) -> float:
  """Returns H(Y_t | Y_s) of the labels that a plan couples, in nats.

  Args:
    plan: [n, m], of sum 1.
    source_labels: Integers [n].
    target_labels: Integers [m].
  """
  joint = _sums(_sums(plan, source_labels).T, target_labels).T
  marginal = np.broadcast_to(joint.sum(axis=1, keepdims=True), joint.shape)
  cells = joint > 0
  logs = np.log(joint[cells] / marginal[cells])
  return float(max(0.0, -(joint[cells] * logs).sum()))


def _sums(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the sums of the rows of each label, [labels, ...]."""
  members = sparse.csr_array(
    (np.ones(len(labels)), (labels, np.arange(len(labels))))
  )
  return members @ values
