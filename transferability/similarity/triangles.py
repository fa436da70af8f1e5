"""Ranks of pairs of images, for Spearman's correlation of dissimilarities."""

import numpy as np
from scipy import stats


def ranks(dissimilarities: np.ndarray) -> np.ndarray:
  """Returns standardised ranks of the entries below the diagonal.

  Their inner product with another network's is Spearman's correlation, with
  mean ranks for equal entries.

  Args:
    dissimilarities: Symmetric [n, n], of the order of 1.

  Returns:
    float64 [n (n - 1) / 2].
  """
  lower = dissimilarities[np.tril_indices(len(dissimilarities), -1)]
  # What is equal but for the order of additions gets one rank.
  values = stats.rankdata(np.round(lower, 12))
  values -= values.mean()
  norm = np.linalg.norm(values)
  if not norm > 0:
    raise ValueError('All pairs of images are equally similar.')
  return values / norm
