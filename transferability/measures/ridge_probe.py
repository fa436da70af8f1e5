"""A ridge probe: how well a readout in closed form predicts unseen labels."""

from collections.abc import Callable
import dataclasses
import functools

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from toolkit_basics import blas
from transferability import random_units
from transferability.measures import samples
from transferability.measures.registry import register

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_FIRST = 2  # Of the penalties, to try.
_CONSTANT = 1e-9  # Of the largest column's deviation.


@register(
  'ridge_probe',
  cost='O(n f min(n, f)) a fold, f = d + hidden',
  reference='This project, docs/recommend.md',
  invariances=('scale', 'shift'),
)
def ridge_probe(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  hidden: int = 128,
  num_folds: int = 5,
  regression: bool = False,
  groups: ArrayLike | None = None,
) -> float:
  """Returns how well a ridge probe predicts labels that it was not fitted to.

  1 - min_p sum_k |Y_k - Z_k W_k(p) - b_k|^2 / sum_k |Y_k - m_k|^2, at most 1;
  0 is as good as the mean of the labels, and higher is better. Y_k are the
  targets of fold k, one column for each class (1 for its samples, else 0), m_k
  their mean over the other folds, to which W_k and b_k are fitted with the
  penalty p of Hoerl and Kennard (Technometrics 1970); one penalty, of 1e-4,
  1e-3, ..., 100 a sample, is for all folds. Z are the columns of the features,
  of deviation 1, and random units max(0, z w + b) of them, as of a readout
  whose hidden layer is not trained (Rahimi and Recht, NIPS 2008). Fold k has
  every K-th group. This project's own; a probe where others take bounds.

  Args:
    features: [n, d].
    labels: [n]; with `regression`, real targets [n] or [n, num_targets].
    hidden: How many random units; 0 is a linear probe.
    num_folds: K; as many as there are groups, if these are fewer.
    regression: Whether targets are real numbers instead of classes.
    groups: [n], integers: samples of one group, as places of one image, are in
      one fold. Default: each sample for itself.

  Raises:
    ValueError: Also if the features are the same for all samples, or the
      labels are.
  """
  features = samples.check_features(features)
  targets = samples.check_targets(labels, len(features), regression)
  probe = RidgeProbe(
    features, hidden=hidden, num_folds=num_folds, groups=groups
  )
  errors, squares = probe.errors(targets)
  return float(1 - errors.sum() / squares.sum())


class RidgeProbe:
  """What `ridge_probe` makes of features, once for all labels of them."""

  @blas.one_thread()  # Products of a few hundred columns.
  def __init__(
    self,
    features: ArrayLike,
    *,
    hidden: int = 128,
    num_folds: int = 5,
    groups: ArrayLike | None = None,
  ):
    """Prepares the regressions; arguments and errors as of `ridge_probe`."""
    features = samples.check_features(features)
    if hidden < 0 or num_folds < 2:
      raise ValueError(
        f'hidden={hidden} and num_folds={num_folds}; give at least 0 and 2.'
      )
    self._groups = _numbered(groups, len(features))
    columns = _standardised(features)
    if not columns.shape[1]:
      raise ValueError('The features are the same for all samples.')
    if hidden:
      units = random_units.hidden(columns, hidden)
      columns = np.hstack([columns, _standardised(units)])
    self._columns = columns
    self._folds = _folds(columns, self._groups % num_folds)

  @blas.one_thread()
  def errors(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns sums of squares of each group: the probe's errors, the mean's.

    The score is 1 less the sum of the ones over that of the others.

    Args:
      targets: float64 [n, num_targets], as `samples.check_targets` makes them.

    Returns:
      Both float64 [groups], in the order of the groups' numbers.

    Raises:
      ValueError: If the targets are the same for all samples.
    """
    targets = samples.centre(targets)  # Exactly 0 where they are the same.
    parts = self._regressions(targets)
    left = _least(lambda penalty: [part.left_by(penalty) for part in parts])
    errors, squares = np.zeros((2, len(targets)))
    for fold, part, residuals in zip(self._folds, parts, left, strict=True):
      errors[fold.rows] = _squares(residuals)
      squares[fold.rows] = _squares(part.left)
    if not squares.any():
      raise ValueError('The labels are the same for all samples.')
    return (
      np.bincount(self._groups, errors),
      np.bincount(self._groups, squares),
    )

  def _regressions(self, targets: np.ndarray) -> list['_Regression']:
    """Returns the regression of targets [n, t] on each fold's others."""
    products = [
      fold.with_targets(self._columns, targets) for fold in self._folds
    ]
    whole = sum(products)
    return [
      fold.regression(self._columns, targets, whole - own)
      for fold, own in zip(self._folds, products, strict=True)
    ]


def _standardised(columns: np.ndarray) -> np.ndarray:
  """Returns columns of mean 0 and deviation 1, without constant ones."""
  centred = samples.centre(columns)
  deviation = centred.std(axis=0)
  kept = deviation > _CONSTANT * deviation.max()
  return centred[:, kept] / deviation[kept]


def _numbered(groups: ArrayLike | None, num_samples: int) -> np.ndarray:
  """Returns the number of each sample's group, int64 [n]."""
  if groups is None:
    return np.arange(num_samples)
  groups = np.asarray(groups)
  if groups.shape != (num_samples,):
    raise ValueError(
      f'groups have shape {groups.shape}; give one for each of the '
      f'{num_samples} samples.'
    )
  numbers = np.unique(groups, return_inverse=True)[1].ravel()
  if not numbers.any():
    raise ValueError('groups has only one group; 2 or more are needed.')
  return numbers


def _squares(rows: np.ndarray) -> np.ndarray:
  return np.einsum('ij,ij->i', rows, rows)


def _least(
  left_by: Callable[[float], list[np.ndarray]],
) -> list[np.ndarray]:
  """Returns what the best penalty leaves of each fold.

  Errors fall towards the best penalty from either side; it is walked to.
  """

  @functools.cache
  def tried(at: int) -> tuple[float, list[np.ndarray]]:
    left = left_by(PENALTIES[at])
    return sum(np.vdot(part, part) for part in left), left

  at = _FIRST
  while True:
    near = [i for i in (at, at - 1, at + 1) if 0 <= i < len(PENALTIES)]
    best = min(near, key=lambda i: tried(i)[0])
    if best == at:
      return tried(at)[1]
    at = best


@dataclasses.dataclass(frozen=True, eq=False)
class _Fold:
  """Some samples, and products of the others' columns.

  Attributes:
    rows: Which samples, [m].
    others: The others, [k].
    mean: Of the others' columns, [f].
    products: Means of products of the others' columns, [f, f]; of the other
      samples, [k, k], if these are fewer.
    tried: Products of the samples with the others, [m, k], if so.
  """

  rows: np.ndarray
  others: np.ndarray
  mean: np.ndarray
  products: np.ndarray
  tried: np.ndarray | None

  def with_targets(
    self, columns: np.ndarray, targets: np.ndarray
  ) -> np.ndarray:
    """Returns sums of products of the samples' columns with targets, [f, t]."""
    if self.tried is not None:
      return np.zeros(())
    return columns[self.rows].T @ targets[self.rows]

  def regression(
    self, columns: np.ndarray, targets: np.ndarray, products: np.ndarray
  ) -> '_Regression':
    """Returns that of targets [n, t] on the others; `products` are theirs."""
    level = targets[self.others].mean(axis=0)
    left = targets[self.rows] - level
    if self.tried is not None:
      known = targets[self.others] - level
      return _Regression(self.products, known, self.tried, left)
    known = products / len(self.others) - np.outer(self.mean, level)
    return _Regression(
      self.products, known, columns[self.rows] - self.mean, left
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Regression:
  """A ridge regression, and samples to predict.

  Attributes:
    products: As of the fold, [r, r].
    known: Means of products with the targets that are fitted, [r, t].
    tried: The samples, [m, r].
    left: Their targets less the mean of those that are fitted, [m, t].
  """

  products: np.ndarray
  known: np.ndarray
  tried: np.ndarray
  left: np.ndarray

  def left_by(self, penalty: float) -> np.ndarray:
    """Returns targets less what is predicted of them, [m, t]."""
    shifted = self.products.copy()
    shifted[np.diag_indices_from(shifted)] += penalty
    weights = linalg.solve(
      shifted, self.known, assume_a='pos', overwrite_a=True, check_finite=False
    )
    return self.left - self.tried @ weights


def _folds(columns: np.ndarray, numbers: np.ndarray) -> list[_Fold]:
  """Returns the folds of columns [n, f]; numbers [n] tell which is whose."""
  of_samples = len(columns) <= 2 * columns.shape[1]
  members = [np.flatnonzero(numbers == i) for i in np.unique(numbers)]
  own = [] if of_samples else [_products(columns[rows]) for rows in members]
  whole = sum(own)
  found = []
  for i, rows in enumerate(members):
    others = np.setdiff1d(np.arange(len(columns)), rows, assume_unique=True)
    count = len(others)
    mean = -columns[rows].sum(axis=0) / count  # All add up to zero.
    tried = None
    if of_samples:
      fitted = columns[others] - mean
      products = fitted @ fitted.T / count
      tried = (columns[rows] - mean) @ fitted.T / count
    else:
      products = (whole - own[i]) / count - np.outer(mean, mean)
    found.append(_Fold(rows, others, mean, products, tried))
  return found


def _products(columns: np.ndarray) -> np.ndarray:
  return columns.T @ columns
