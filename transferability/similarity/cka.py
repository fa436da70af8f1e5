"""CKA: how well the similarities between images agree."""

import dataclasses
from typing import Any

import numpy as np

from transferability.measures import samples
from transferability.similarity import kernels
from transferability.similarity.linear_products import Centred
from transferability.similarity.registry import Similarity, register

KERNELS = ('linear', 'rbf')
_REFERENCE = 'Kornblith et al., ICML 2019, arXiv 1905.00414'
_COST = 'O(n d min(n, d)) a network, O(min(n^2, n d^2)) a pair'


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

  kernel: str = 'linear'

  def __post_init__(self):
    samples.check_option('kernel', self.kernel, KERNELS)

  def prepare(self, x: np.ndarray) -> Centred | np.ndarray:
    if self.kernel == 'linear':
      return Centred(x)
    return kernels.centred(kernels.rbf(samples.centre(kernels.rows(x))))

  def compare(self, first: Any, second: Any) -> float:
    if self.kernel == 'linear':
      return first.product(second) / np.sqrt(first.own * second.own)
    return kernels.inner(first, second)


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

  def prepare(self, x: np.ndarray) -> Centred | np.ndarray:
    if self.kernel == 'linear':
      centred = Centred(x)
      centred.unbiased_own  # noqa: B018 - Raises where it is not defined.
      return centred
    return kernels.unbiased(kernels.rbf(samples.centre(kernels.rows(x))))

  def compare(self, first: Any, second: Any) -> float:
    if self.kernel == 'linear':
      scale = np.sqrt(first.unbiased_own * second.unbiased_own)
      return first.unbiased_product(second) / scale
    return kernels.inner(first, second)
