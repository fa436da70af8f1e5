"""Orthonormal bases of what a representation says: the first half of a CCA."""

import dataclasses
import functools

import numpy as np
from scipy import linalg

from transferability.measures.samples import centre

KEEP = ('variance', 'singular_values')


def basis(
  x: np.ndarray, kept: float = 1.0, keep: str = 'variance'
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the leading left singular vectors of the centred features.

  float64 [n, k], orthonormal, and the singular values, [k]. They are as many
  as reach the share `kept` of the sum of the squared singular values (if `keep`
  is 'variance'), or of themselves; 1 keeps all that are not rounding.

  Raises:
    ValueError: If the features are the same for all samples.
  """
  centred = centre(x)
  if not centred.any():
    raise ValueError('The features are the same for all samples.')
  # Numbers that vary far from the origin are rounded there.
  far = np.abs(x[:, centred.any(axis=0)]).max() * np.sqrt(len(x))
  if x.shape[1] > len(x):  # The left vectors are those of the square factor.
    (centred,) = linalg.qr(centred.T, mode='r', check_finite=False)
    centred = centred[: len(x)].T
  left, values, _ = linalg.svd(centred, full_matrices=False, check_finite=False)
  rank = int(np.sum(values > max(x.shape) * 2.3e-16 * max(values[0], far)))
  weights = values**2 if keep == 'variance' else values
  shares = np.cumsum(weights) / weights.sum()
  # The smallest number whose share is reached, up to rounding.
  count = 1 + int(np.searchsorted(shares, kept * (1 - 1e-14)))
  count = min(count, rank) if kept < 1 else rank
  return left[:, :count], values[:count]


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the canonical correlations of two bases, descending, in [0, 1]."""
  return np.clip(linalg.svdvals(first.T @ second), 0, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureMaps:
  """A convolutional layer as features of images, or of places in images."""

  values: np.ndarray  # float64 [n, h, w, c].
  kept: float  # See `basis`.
  keep: str  # See `basis`.

  @functools.cached_property
  def places(self) -> np.ndarray:
    """The basis of [n * h * w, c]: every place is a sample."""
    channels = self.values.shape[-1]
    return basis(self.values.reshape(-1, channels), self.kept, self.keep)[0]

  @functools.cached_property
  def pooled(self) -> np.ndarray:
    """The basis of [n, c], means over places."""
    return basis(self.values.mean(axis=(1, 2)), self.kept, self.keep)[0]
