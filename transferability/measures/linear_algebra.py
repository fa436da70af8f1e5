"""Spectra of tall or wide matrices from the smaller of their Gram matrices."""

import numpy as np
from scipy import linalg


def gram(values: np.ndarray) -> np.ndarray:
  """Returns X X^T of a wide matrix X, X^T X of others: the smaller one."""
  wide = len(values) < values.shape[1]
  return values @ values.T if wide else values.T @ values


def rounding(values: np.ndarray) -> float:
  """Returns the share of the largest singular value that is rounding."""
  return max(values.shape) * np.finfo(np.float64).eps


def gram_eigenvalues(values: np.ndarray) -> np.ndarray:
  """Returns the squared singular values of a matrix, ascending.

  Squared values up to the share of rounding of the largest are zeros.
  """
  squares = linalg.eigvalsh(gram(values), check_finite=False)
  return np.where(squares > rounding(values) * squares[-1], squares, 0)


def gram_svd(
  values: np.ndarray, tolerance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Returns squared singular values and right singular vectors of [n, d].

  float64 [k], descending, without zeros, and [d, k]. Squared values up to the
  share `tolerance` of the largest, by default that of rounding, are zeros.
  """
  if tolerance is None:
    tolerance = rounding(values)
  squares, vectors = linalg.eigh(gram(values), check_finite=False)
  kept = squares > tolerance * max(squares[-1], 0)
  squares, vectors = squares[kept][::-1], vectors[:, kept][:, ::-1]
  if len(values) < values.shape[1]:
    vectors = values.T @ vectors / np.sqrt(squares)
  return squares, vectors


def principal_components(
  centred: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the `count` leading principal components of centred samples [n, d].

  Scores, float64 [n, count], and their variances (dividing by n - 1),
  descending.
  """
  rows, columns = centred.shape
  last = min(rows, columns) - 1
  squares, vectors = linalg.eigh(
    gram(centred), subset_by_index=(last - count + 1, last), check_finite=False
  )
  squares, vectors = np.maximum(squares[::-1], 0), vectors[:, ::-1]
  wide = rows < columns
  scores = vectors * np.sqrt(squares) if wide else centred @ vectors
  return scores, squares / (rows - 1)
