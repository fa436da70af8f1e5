"""DDS: duality diagram similarity, kernels and distances of normalised rows."""

import dataclasses

import numpy as np

from transferability.measures import samples
from transferability.similarity import kernels
from transferability.similarity.registry import Similarity, register

KERNELS = {
  'linear': kernels.linear,
  'rbf': kernels.rbf,
  'laplacian': kernels.laplacian,
  'pearson': kernels.pearson,
  'euclidean': kernels.euclidean,
  'cosine': kernels.cosine,
}
_EPSILON = 1e-9


def _standardised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
  mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
  return kernels.rows((x - mean) / np.sqrt(variance + _EPSILON))


def _groups(x: np.ndarray, groups: int) -> np.ndarray:
  n, h, w, c = x.shape
  if c % groups:
    raise ValueError(f'{c} channels cannot be divided into {groups} groups.')
  split = x.reshape(n, h, w, groups, c // groups)
  standardised = _standardised(split, (1, 2, 4))
  return standardised.reshape(n, h * w * c)


NORMALISATIONS = {
  'none': kernels.rows,
  'centring': kernels.centred_rows,
  'z_norm': kernels.z_norm,
  'batch': lambda x: _standardised(x, (0, 1, 2)),
  'instance': lambda x: _standardised(x, (1, 2)),
  'layer': lambda x: _standardised(x, (1, 2, 3)),
  'group': lambda x: _groups(x, 2),
}
_OF_LAYERS = ('batch', 'instance', 'layer', 'group')


@register(
  'dds',
  cost='O(n^2 d) a network, O(n^2) a pair',
  reference='Dwivedi et al., ECCV 2020, arXiv 2008.02107',
  invariances=('scale', 'shift', 'column_scale'),
)
@dataclasses.dataclass(frozen=True)
class Dds(Similarity):
  """Duality diagram similarity, in [-1, 1]; higher is more similar.

  The formula of `cka_debiased` for K_ij = k(f(x)_i, f(x)_j), where f normalises
  the features of x [n, d] and k is a kernel: `linear` a b, `rbf`, `laplacian`
  exp(-|a - b|_1 / d), or a distance, which is used as if it were a product, as
  the authors do: `pearson` 1 - r, `cosine` 1 - cos, `euclidean` |a - b|
  (Dwivedi et al., ECCV 2020). `batch`, `instance`, `layer` and `group`
  normalisation (of two groups) want convolutional layers [n, h, w, c].
  """

  kernel: str = 'laplacian'
  normalisation: str = 'z_norm'

  def __post_init__(self):
    samples.check_option('kernel', self.kernel, KERNELS)
    samples.check_option('normalisation', self.normalisation, NORMALISATIONS)

  def prepare(self, x: np.ndarray) -> np.ndarray:
    if self.normalisation in _OF_LAYERS and x.ndim != 4:
      raise ValueError(
        f'{self.normalisation} normalisation needs [n, h, w, c], not {x.shape}.'
      )
    values = NORMALISATIONS[self.normalisation](x)
    return kernels.unbiased(KERNELS[self.kernel](values))
