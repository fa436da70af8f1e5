"""CKA: how well the similarities between images agree."""

import dataclasses

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
  """Centred kernel alignment, in [0, 1], biased upwards for few images.

  <K, L> / (|K| |L|) of the centred kernel matrices; for the linear kernel
  |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred features. The RBF kernel has half
  the median distance as its width.
  """

  kernel: str = 'linear'

  def __post_init__(self):
    if self.kernel not in KERNELS:
      raise ValueError(f'kernel={self.kernel!r} is none of {KERNELS}.')

  def prepare(self, x: np.ndarray) -> Centred | np.ndarray:
    if self.kernel == 'linear':
      return Centred(x)
    return kernels.centred(kernels.rbf(samples.centre(kernels.rows(x))))

  def compare(
    self, first: Centred | np.ndarray, second: Centred | np.ndarray
  ) -> float:
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
  """CKA with the debiased HSIC: about 0 for unrelated networks, may be less."""

  def prepare(self, x: np.ndarray) -> Centred | np.ndarray:
    if self.kernel == 'linear':
      centred = Centred(x)
      centred.unbiased_own  # noqa: B018 - Raises where it is not defined.
      return centred
    return kernels.unbiased(kernels.rbf(samples.centre(kernels.rows(x))))

  def compare(
    self, first: Centred | np.ndarray, second: Centred | np.ndarray
  ) -> float:
    if self.kernel == 'linear':
      scale = np.sqrt(first.unbiased_own * second.unbiased_own)
      return first.unbiased_product(second) / scale
    return kernels.inner(first, second)
