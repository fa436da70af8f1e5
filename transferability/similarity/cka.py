"""CKA: how well the similarities between images agree."""

import dataclasses

import numpy as np

from transferability.similarity import kernels
from transferability.similarity.registry import Similarity, register

KERNELS = {'linear': kernels.linear, 'rbf': kernels.rbf}
_REFERENCE = 'Kornblith et al., ICML 2019, arXiv 1905.00414'
_COST = 'O(n^2 d) a network, O(n^2) a pair'


def _check(kernel: str) -> None:
  if kernel not in KERNELS:
    raise ValueError(f'kernel={kernel!r} is none of {tuple(KERNELS)}.')


@register(
  'cka',
  cost=_COST,
  reference=_REFERENCE,
  invariances=('rotation', 'scale'),
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
    _check(self.kernel)

  def prepare(self, x: np.ndarray) -> np.ndarray:
    x = kernels.rows(x)
    x = x - x.mean(axis=0)
    return kernels.centred(KERNELS[self.kernel](x))

  def compare(self, first: np.ndarray, second: np.ndarray) -> float:
    return kernels.inner(first, second)


@register(
  'cka_debiased',
  cost=_COST,
  reference=_REFERENCE + '; estimator of Song et al., JMLR 2012',
  invariances=('rotation', 'scale'),
)
@dataclasses.dataclass(frozen=True)
class DebiasedCka(Cka):
  """CKA with the debiased HSIC: about 0 for unrelated networks, may be less."""

  def prepare(self, x: np.ndarray) -> np.ndarray:
    x = kernels.rows(x)
    x = x - x.mean(axis=0)
    return kernels.unbiased(KERNELS[self.kernel](x))
