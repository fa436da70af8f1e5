"""alpha-ReQ: how fast the spectrum of a representation decays."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.label_free.registry import register
from transferability.measures import linear_algebra, samples


@register(
  'alpha_req',
  cost='O(n d min(n, d))',
  reference='Agrawal et al., NeurIPS 2022',
  direction='nearest 1',
  invariances=('rotation', 'scale', 'shift'),
)
def alpha_req(
  features: ArrayLike, *, first: int = 11, last: int = 100
) -> float:
  """Returns alpha-ReQ (Agrawal et al., NeurIPS 2022): nearest 1 is best.

  Minus the slope of the logarithms of the variances of principal components
  against those of their ranks, over the ranks first to last, least squares
  with weights 1 / rank. Larger is faster decay; it is not monotone.

  Args:
    features: [n, d], of `last` principal components or more.
    first: Rank, 1 or more.
    last: Rank.
  """
  if not 1 <= first < last:
    raise ValueError(f'first={first} and last={last}; ranks must ascend.')
  features = samples.check_features(features)
  values = linear_algebra.gram_eigenvalues(samples.centre(features))[::-1]
  rank = int((values > linear_algebra.rounding(features) * values[0]).sum())
  if rank < last:
    raise ValueError(
      f'There are {rank} principal components; alpha_req looks at {last}. '
      'Give more samples, or a smaller `last`.'
    )
  ranks = np.arange(first, last + 1)
  x, y, weights = np.log(ranks), np.log(values[first - 1 : last]), 1 / ranks
  x = x - np.average(x, weights=weights)
  return float(-(weights * x * y).sum() / (weights * x * x).sum())
