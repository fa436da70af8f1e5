"""RankMe: how many directions a representation fills."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.label_free.registry import register
from transferability.measures import samples

FORMS = ('paper', 'reptrix')
_SMALL = 1e-7


@register(
  'rankme',
  cost='O(n d min(n, d))',
  reference='Garrido et al., ICML 2023, arXiv 2210.02885',
  direction='higher',
  invariances=('rotation', 'scale'),
)
def rankme(features: ArrayLike, *, form: str = 'paper') -> float:
  """Returns RankMe (Garrido et al., ICML 2023), 1 to min(n, d).

  exp(-sum p log p) with p = s / sum(s) + 1e-7 of the singular values s of
  features that are not centred. Higher is said to be better, between runs of
  one method; no claim for networks of different families.

  Args:
    features: [n, d]; fewer samples than features cap it at n.
    form: `paper`; `reptrix`, the effective rank of that library: p are the
      shares of the variances of centred features. Another number.
  """
  samples.check_option('form', form, FORMS)
  features = samples.check_features(features)
  if form == 'reptrix':
    features = samples.centre(features)
  values = linalg.svdvals(features, check_finite=False)
  if form == 'reptrix':
    values = values**2
  if not values[0] > 0:
    raise ValueError('All features are zero, or constant.')
  p = values / values.sum() + _SMALL
  return float(np.exp(-(p * np.log(p)).sum()))
