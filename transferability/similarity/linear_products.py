"""Products of linear kernel matrices, in the cheaper of two spaces.

With many images and few features no n x n matrix is ever made.
"""

from functools import cached_property

import numpy as np

from transferability.measures import samples
from transferability.similarity import kernels


class Centred:
  """Centred features [n, d], which stand for their kernel matrix [n, n]."""

  def __init__(self, x: np.ndarray):
    self.features = samples.centre(kernels.rows(x))
    # The scale cancels; without it fourth powers might overflow.
    self.features /= np.abs(self.features).max()

  @cached_property
  def gram(self) -> np.ndarray:
    """float64 [n, n]."""
    return kernels.linear(self.features)

  @cached_property
  def square_norms(self) -> np.ndarray:
    """Of each image, float64 [n]."""
    return np.einsum('nd,nd->n', self.features, self.features)

  @cached_property
  def own(self) -> float:
    """The product with itself."""
    return self.product(self)

  @cached_property
  def unbiased_own(self) -> float:
    """The unbiased product with itself.

    Raises:
      ValueError: If there are fewer than 4 images, or all pairs of them are
        equally similar.
    """
    if len(self.features) < 4:
      raise ValueError(
        f'{len(self.features)} images; the debiased form needs at least 4.'
      )
    value = self.unbiased_product(self)
    if not value > 1e-12 * self.own:
      raise ValueError('All pairs of images are equally similar.')
    return value

  def product(self, other: 'Centred') -> float:
    """Returns <X X^T, Y Y^T> = |Y^T X|^2 (Frobenius)."""
    n = len(self.features)
    if n <= max(self.features.shape[1], other.features.shape[1]):
      return kernels.inner(self.gram, other.gram)
    between = self.features.T @ other.features
    return kernels.inner(between, between)

  def unbiased_product(self, other: 'Centred') -> float:
    """Returns the unbiased estimate of HSIC, times n (n - 3)."""
    n = len(self.features)
    norms = self.square_norms @ other.square_norms
    totals = self.square_norms.sum() * other.square_norms.sum()
    return (
      self.product(other) - n / (n - 2) * norms + totals / ((n - 1) * (n - 2))
    )
