"""SVCCA: canonical correlations of what carries most of the variance."""

import dataclasses
import warnings

import numpy as np

from transferability.similarity import bases
from transferability.similarity.registry import Similarity, register


@register(
  'svcca',
  cost='O(n d min(n, d)) a network, O(n k1 k2) a pair',
  reference='Raghu et al., NeurIPS 2017, arXiv 1706.05806',
  lowest=0.0,
  invariances=('rotation', 'scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class Svcca(Similarity):
  """The mean canonical correlation of truncated features, in [0, 1].

  The smallest number of singular directions that holds `kept` of the variance
  is kept of each side; the score is the mean of all their correlations, of
  which there are as many as the smaller side has directions.

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
    if self.keep not in bases.KEEP:
      raise ValueError(f'keep={self.keep!r} is none of {bases.KEEP}.')

  def prepare(self, x: np.ndarray) -> np.ndarray | bases.Layer:
    if x.ndim == 4 and not self.flatten:
      return bases.Layer(x, self.kept, self.keep)
    x = x.reshape(len(x), -1)
    if x.shape[1] >= len(x):
      warnings.warn(
        f'SVCCA of {x.shape[1]} features and {len(x)} images: with as many '
        'directions as images all correlations are near 1, whatever the '
        'networks are. Use more images, or channels as features.',
        stacklevel=3,
      )
    return bases.basis(x, self.kept, self.keep)[0]

  def compare(
    self, first: np.ndarray | bases.Layer, second: np.ndarray | bases.Layer
  ) -> float:
    if isinstance(first, bases.Layer) and isinstance(second, bases.Layer):
      same = first.values.shape[:3] == second.values.shape[:3]
      kind = 'places' if same else 'pooled'
      first, second = getattr(first, kind), getattr(second, kind)
    first, second = (
      side.pooled if isinstance(side, bases.Layer) else side
      for side in (first, second)
    )
    return float(bases.correlations(first, second).mean())
