"""SVCCA: canonical correlations of what carries most of the variance."""

import dataclasses
import functools
import logging

import numpy as np

from transferability.measures import samples
from transferability.similarity import bases, kernels
from transferability.similarity.bases import FeatureMaps
from transferability.similarity.registry import Similarity, register


@functools.cache  # Once for a shape, not for each network.
def _warn_of_chance(images: int, features: int) -> None:
  logging.getLogger(__name__).warning(
    'SVCCA of %d features and %d images: with as many directions as images all '
    'correlations are near 1, whatever the networks are. Use more images, or '
    'channels as features.',
    features,
    images,
  )


@register(
  'svcca',
  cost='O(n d min(n, d)) a network, O(n k1 k2) a pair',
  reference='Raghu et al., NeurIPS 2017, arXiv 1706.05806',
  lowest=0.0,
  invariances=('rotation', 'scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class Svcca(Similarity):
  """Mean canonical correlation of truncated features; higher is more similar.

  1/k sum_i s_i(U^T V), in [0, 1], s_i the k = min(k1, k2) singular values of
  the product: U [n, k1] and V [n, k2] hold the left singular vectors of the
  centred features [n, d1] and [n, d2], of each side the fewest that reach the
  share `kept` of the variance (Raghu et al., NeurIPS 2017).

  A convolutional layer [n, h, w, c] has c features; every place in an image is
  a sample if both layers have the same size, otherwise places are averaged.
  `flatten` makes every place and channel a feature instead.

  For unrelated data the mean squared correlation is max(k1, k2) / (n - 1), so
  that with as many directions as images every score is 1.
  """

  kept: float = 0.99
  keep: str = 'variance'  # Or 'singular_values', as the paper says.
  flatten: bool = False

  def __post_init__(self):
    if not 0 < self.kept <= 1:
      raise ValueError(f'kept is {self.kept}, but must be in (0, 1].')
    samples.check_option('keep', self.keep, bases.KEEP)

  def prepare(self, x: np.ndarray) -> np.ndarray | FeatureMaps:
    if x.ndim == 4 and not self.flatten:
      return FeatureMaps(x, self.kept, self.keep)
    x = kernels.rows(x)
    if x.shape[1] >= len(x):
      _warn_of_chance(len(x), x.shape[1])
    return bases.basis(x, self.kept, self.keep)[0]

  def compare(
    self, first: np.ndarray | FeatureMaps, second: np.ndarray | FeatureMaps
  ) -> float:
    kind = 'pooled'
    if isinstance(first, FeatureMaps) and isinstance(second, FeatureMaps):
      if first.values.shape[:3] == second.values.shape[:3]:
        kind = 'places'
    first, second = (
      getattr(side, kind) if isinstance(side, FeatureMaps) else side
      for side in (first, second)
    )
    return float(bases.correlations(first, second).mean())
