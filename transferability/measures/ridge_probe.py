"""A ridge probe: how well a readout in closed form predicts unseen labels."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from toolkit_basics import blas
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
  errors, squares = errors_by_group(
    features,
    labels,
    hidden=hidden,
    num_folds=num_folds,
    regression=regression,
    groups=groups,
  )
  return float(1 - errors.sum() / squares.sum())


@blas.one_thread()  # Products of a few hundred columns.
def errors_by_group(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  hidden: int = 128,
  num_folds: int = 5,
  regression: bool = False,
  groups: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns sums of squares of each group: the probe's errors, the mean's.

  Both are float64 [groups], in the order of the groups' numbers; arguments and
  errors as of `ridge_probe`, which is 1 less the sum of the ones over that of
  the others.
  """
  features = samples.check_features(features)
  targets = samples.check_targets(labels, len(features), regression)
  if hidden < 0 or num_folds < 2:
    raise ValueError(
      f'hidden={hidden} and num_folds={num_folds}; give at least 0 and 2.'
    )
  numbers = _numbered(groups, len(features))
  columns = _standardised(features)
  if not columns.shape[1]:
    raise ValueError('The features are the same for all samples.')
  if hidden:
    columns = np.hstack([columns, _standardised(_units(columns, hidden))])
  folds = _folds(columns, targets, numbers % num_folds)
  by_penalty = sum(fold.errors() for fold in folds)
  penalty = PENALTIES[int(np.argmin(by_penalty))]
  errors, squares = np.zeros((2, len(features)))
  for fold in folds:
    errors[fold.rows], squares[fold.rows] = fold.by_sample(penalty)
  if not squares.any():
    raise ValueError('The labels are the same for all samples.')
  return np.bincount(numbers, errors), np.bincount(numbers, squares)


def _standardised(columns: np.ndarray) -> np.ndarray:
  """Returns columns of mean 0 and deviation 1, without constant ones."""
  centred = samples.centre(columns)
  deviation = centred.std(axis=0)
  kept = deviation > _CONSTANT * deviation.max()
  return centred[:, kept] / deviation[kept]


def _units(columns: np.ndarray, count: int) -> np.ndarray:
  """Returns random units of columns [n, d], float64 [n, count].

  They are drawn once and for all; inputs have variance 1 if the columns are
  independent, and offsets a quarter of it.
  """
  rng = np.random.default_rng(0)
  width = columns.shape[1]
  weights = rng.standard_normal((width, count)) / np.sqrt(width)
  return np.maximum(columns @ weights + rng.standard_normal(count) / 2, 0)


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
class _Fold:
  """Some samples, and what a ridge regression on the others predicts of them.

  Attributes:
    rows: Which samples, [m].
    tried: Of these, in the directions of the spectrum, [m, r].
    left: Of their targets, what the mean of the others leaves, [m, t].
    values: Of the spectrum, [r].
    turned: Products with the targets in these directions, [r, t].
  """

  rows: np.ndarray
  tried: np.ndarray
  left: np.ndarray
  values: np.ndarray
  turned: np.ndarray

  def errors(self) -> np.ndarray:
    """Returns sums of squared errors by penalty, from sums of products."""
    gram, products = self.tried.T @ self.tried, self.tried.T @ self.left
    total = np.square(self.left).sum()
    found = []
    for penalty in PENALTIES:
      weights = self.turned / (self.values + penalty)[:, None]
      explained = np.vdot(weights, 2 * products - gram @ weights)
      found.append(total - explained)
    return np.array(found)

  def by_sample(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared errors of each sample: by a penalty, and of the mean."""
    weights = self.turned / (self.values + penalty)[:, None]
    errors = self.left - self.tried @ weights
    return (
      np.einsum('ij,ij->i', errors, errors),
      np.einsum('ij,ij->i', self.left, self.left),
    )


def _folds(
  columns: np.ndarray, targets: np.ndarray, numbers: np.ndarray
) -> list[_Fold]:
  """Returns the folds of columns [n, f] and targets [n, t]; numbers are [n]."""
  rows = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
  if len(columns) <= 2 * columns.shape[1]:
    return [_of_samples(columns, targets, some) for some in rows]
  sums = [
    (columns[some].T @ columns[some], columns[some].T @ targets[some])
    for some in rows
  ]
  whole = [sum(parts) for parts in zip(*sums, strict=True)]
  found = []
  for some, own in zip(rows, sums, strict=True):
    number = len(columns) - len(some)
    mean, level = (
      (x.sum(axis=0) - x[some].sum(axis=0)) / number for x in (columns, targets)
    )
    gram, products = (
      (total - part) / number - np.outer(mean, centre)
      for total, part, centre in zip(whole, own, (mean, level), strict=True)
    )
    values, vectors = _spectrum(gram)
    tried = (columns[some] - mean) @ vectors
    left = targets[some] - level
    found.append(_Fold(some, tried, left, values, vectors.T @ products))
  return found


def _of_samples(
  columns: np.ndarray, targets: np.ndarray, rows: np.ndarray
) -> _Fold:
  """Returns a fold; directions are of samples, which are not many."""
  fitted, known = (np.delete(x, rows, axis=0) for x in (columns, targets))
  mean, level = fitted.mean(axis=0), known.mean(axis=0)
  fitted = fitted - mean
  values, vectors = _spectrum(fitted @ fitted.T / len(fitted))
  tried = ((columns[rows] - mean) @ fitted.T / len(fitted)) @ vectors
  return _Fold(
    rows, tried, targets[rows] - level, values, vectors.T @ (known - level)
  )


def _spectrum(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns eigenvalues, none below zero, and vectors."""
  values, vectors = linalg.eigh(gram, check_finite=False)
  return np.maximum(values, 0), vectors
