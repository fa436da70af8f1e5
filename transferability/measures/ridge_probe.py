"""A ridge probe: how well a readout in closed form predicts unseen labels."""

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
    solved = [fold.solve(self._columns, targets) for fold in self._folds]
    by_penalty = sum(one.errors() for one in solved)
    penalty = PENALTIES[int(np.argmin(by_penalty))]
    errors, squares = np.zeros((2, len(targets)))
    for fold, one in zip(self._folds, solved, strict=True):
      errors[fold.rows], squares[fold.rows] = one.by_sample(penalty)
    if not squares.any():
      raise ValueError('The labels are the same for all samples.')
    return (
      np.bincount(self._groups, errors),
      np.bincount(self._groups, squares),
    )


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


@dataclasses.dataclass(frozen=True, eq=False)
class _Solved:
  """What a ridge regression on the other folds predicts of a fold.

  Attributes:
    fold: The fold.
    left: Of its targets, what the mean of the others leaves, [m, t].
    turned: Products with the targets in the fold's directions, [r, t].
  """

  fold: '_Fold'
  left: np.ndarray
  turned: np.ndarray

  def errors(self) -> np.ndarray:
    """Returns sums of squared errors by penalty, from sums of products."""
    products = self.fold.tried.T @ self.left
    total = np.square(self.left).sum()
    found = []
    for penalty in PENALTIES:
      weights = self._weights(penalty)
      explained = 2 * products - self.fold.gram @ weights
      found.append(total - np.vdot(weights, explained))
    return np.array(found)

  def _weights(self, penalty: float) -> np.ndarray:
    return self.turned / (self.fold.values + penalty)[:, None]

  def by_sample(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared errors of each sample: by a penalty, and of the mean."""
    errors = self.left - self.fold.tried @ self._weights(penalty)
    return (
      np.einsum('ij,ij->i', errors, errors),
      np.einsum('ij,ij->i', self.left, self.left),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Fold:
  """Some samples, and the spectrum of the others' columns.

  Attributes:
    rows: Which samples, [m].
    others: The others, [k].
    values: Eigenvalues, [r].
    vectors: Of the columns, [f, r], or of the other samples, [k, r].
    tried: The columns of the samples in these directions, [m, r].
    of_samples: Which of both.
  """

  rows: np.ndarray
  others: np.ndarray
  values: np.ndarray
  vectors: np.ndarray
  tried: np.ndarray
  of_samples: bool

  @functools.cached_property
  def gram(self) -> np.ndarray:
    """Products of `tried`, the same for all targets, [r, r]."""
    return self.tried.T @ self.tried

  def solve(self, columns: np.ndarray, targets: np.ndarray) -> _Solved:
    level = targets[self.others].mean(axis=0)
    known = targets[self.others] - level
    if not self.of_samples:  # Means have no part: `known` adds up to zero.
      known = columns[self.others].T @ known / len(self.others)
    left = targets[self.rows] - level
    return _Solved(self, left, self.vectors.T @ known)


def _folds(columns: np.ndarray, numbers: np.ndarray) -> list[_Fold]:
  """Returns the folds of columns [n, f]; numbers [n] tell which is whose."""
  of_samples = len(columns) <= 2 * columns.shape[1]
  whole = None if of_samples else columns.T @ columns
  found = []
  for number in np.unique(numbers):
    rows, others = (
      np.flatnonzero(numbers == number),
      np.flatnonzero(numbers != number),
    )
    mean, count = columns[others].mean(axis=0), len(others)
    tried = columns[rows] - mean
    if of_samples:
      fitted = columns[others] - mean
      gram = fitted @ fitted.T / count
      tried = tried @ fitted.T / count
    else:
      own = columns[rows]
      gram = (whole - own.T @ own) / count - np.outer(mean, mean)
    values, vectors = linalg.eigh(gram, check_finite=False)
    values = np.maximum(values, 0)
    found.append(
      _Fold(rows, others, values, vectors, tried @ vectors, of_samples)
    )
  return found
