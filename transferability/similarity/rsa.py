"""RSA: whether the same pairs of images are alike."""

import dataclasses

import numpy as np

from transferability.similarity import kernels
from transferability.similarity.registry import Similarity, register


@register(
  'rsa',
  cost='O(n^2 (d + log n)) a network, O(n^2) a pair',
  reference='Dwivedi and Roig, CVPR 2019, arXiv 1904.11740',
  invariances=('scale', 'shift'),
)
@dataclasses.dataclass(frozen=True)
class Rsa(Similarity):
  """Representation similarity analysis, in [-1, 1]; higher is more similar.

  Spearman's correlation over pairs i < j of images of 1 - r(x_i, x_j) and
  1 - r(y_i, y_j), r Pearson's correlation of rows of features [n, d1] and
  [n, d2] whose column means were removed. `standardise` also divides columns by
  their standard deviation, as one public re-implementation does (Dwivedi and
  Roig, CVPR 2019).
  """

  standardise: bool = False

  def prepare(self, x: np.ndarray) -> np.ndarray:
    x = kernels.z_norm(x) if self.standardise else kernels.centred_rows(x)
    if x.shape[1] < 2:
      raise ValueError('RSA correlates images over features; 1 is too few.')
    return kernels.ranks(kernels.pearson(x))
