"""CKA: how well the similarities between images agree."""

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from transferability.measures import samples
from transferability.similarity import kernels
from transferability.similarity.registry import Similarity, register

KERNELS = ('linear', 'rbf')
_REFERENCE = 'Kornblith et al., ICML 2019, arXiv 1905.00414'
_COST = 'O(n d min(n, d)) a network, O(min(n^2, n d^2)) a pair'


class _Linear:
  """Centred features [n, d], which stand for their kernel matrix [n, n].

  With many images and few features no n x n matrix is ever made.
  """

  def __init__(self, x: np.ndarray, debiased: bool):
    self._features = kernels.centred_rows(x)
    # The scale cancels; without it fourth powers might overflow.
    self._features /= np.abs(self._features).max()
    self._norms = np.einsum('nd,nd->n', self._features, self._features)
    self._debiased = debiased
    if debiased and len(x) < 4:
      raise ValueError(f'{len(x)} images; the debiased form needs at least 4.')
    self.own = self.product(self)  # With itself.
    if debiased and not self.own > 1e-12 * self._biased_product(self):
      raise ValueError('All pairs of images are equally similar.')

  @cached_property
  def _gram(self) -> np.ndarray:
    return kernels.linear(self._features)

  def product(self, other: '_Linear') -> float:
    """Returns <X X^T, Y Y^T>, or the estimate of HSIC, times n (n - 3)."""
    value = self._biased_product(other)
    if not self._debiased:
      return value
    n = len(self._features)
    norms = self._norms @ other._norms
    totals = self._norms.sum() * other._norms.sum()
    return value - n / (n - 2) * norms + totals / ((n - 1) * (n - 2))

  def _biased_product(self, other: '_Linear') -> float:
    """Returns |Y^T X|^2 (Frobenius), in the cheaper of two spaces."""
    widths = self._features.shape[1], other._features.shape[1]
    if len(self._features) <= max(widths):
      return float(np.vdot(self._gram, other._gram))
    between = self._features.T @ other._features
    return float(np.vdot(between, between))


@register(
  'cka',
  lowest=0.0,
  cost=_COST,
  reference=_REFERENCE,
  invariances=('rotation', 'scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class Cka(Similarity):
  """Centred kernel alignment, in [0, 1]; higher is more similar.

  <H K H, H L H> / (|H K H| |H L H|) with Frobenius norms and H = I - 1/n, of
  the kernel matrices K of X [n, d1] and L of Y [n, d2]. Linear: K = X X^T,
  which makes it |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred features. RBF:
  K_ij = exp(-|x_i - x_j|^2 / (2 s^2)), s half of the median distance. Biased
  upwards for few images (Kornblith et al., ICML 2019).
  """

  debiased = False  # Not an option: two measures.
  kernel: str = 'linear'

  def __post_init__(self):
    samples.check_option('kernel', self.kernel, KERNELS)

  def prepare(self, x: np.ndarray) -> _Linear | np.ndarray:
    if self.kernel == 'linear':
      return _Linear(x, self.debiased)
    matrix = kernels.rbf(kernels.centred_rows(x))
    return (
      kernels.unbiased(matrix) if self.debiased else kernels.centred(matrix)
    )

  def compare(self, first: Any, second: Any) -> float:
    if isinstance(first, _Linear):
      return first.product(second) / np.sqrt(first.own * second.own)
    return super().compare(first, second)


@register(
  'cka_debiased',
  lowest=-1.0,
  cost=_COST,
  reference=_REFERENCE + '; estimator of Song et al., JMLR 2012',
  invariances=('rotation', 'scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class DebiasedCka(Cka):
  """CKA of unbiased products, in [-1, 1]; about 0 for unrelated networks.

  h(K, L) / sqrt(h(K, K) h(L, L)), with the kernel matrices of CKA after their
  diagonal was set to 0 and, up to a factor, Song et al.'s (JMLR 2012)
  h(K, L) = tr(K L) + 1K1 1L1 / ((n - 1) (n - 2)) - 2 1KL1 / (n - 2), where 1
  stands for vectors of ones. Higher is more similar (Kornblith et al., 2019).
  """

  debiased = True
