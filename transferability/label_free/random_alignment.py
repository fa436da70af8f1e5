"""How far a representation is that of networks which learned nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from transferability import similarity
from transferability.label_free.registry import register
from transferability.measures import samples
from transferability.similarity import kernels


@register(
  'random_alignment',
  cost='O(n d min(n, d)) a random network',
  reference='Wang et al., Sensors 2025; Guo, arXiv 2405.01603',
  direction='none',
  needs=('features', 'random_features'),
  invariances=('rotation', 'scale', 'shift'),
)
def random_alignment(
  features: ArrayLike,
  random_features: Sequence[ArrayLike],
  *,
  batch: int | None = None,
) -> float:
  """Returns the mean debiased CKA with untrained networks, in [-1, 1].

  After Wang et al. (Sensors 2025), whose abstract alone could be read, and Guo
  (KITE, arXiv 2405.01603): that one prefers networks unlike random ones, the
  other does not say. The value is raw; no direction is claimed.

  Args:
    features: [n, d].
    random_features: Of three untrained networks or more, each [n, d_r] of the
      same images: `random twins` of the network have its architecture.
    batch: If given, products are summed over consecutive batches of so many
      images, 4 or more, before they are divided; what is left is dropped.
  """
  features = samples.check_features(features)
  if len(random_features) < 3:
    raise ValueError(
      f'{len(random_features)} random networks; give three or more.'
    )
  if batch is not None and not 4 <= batch <= len(features):
    raise ValueError(
      f'batch={batch} of {len(features)} images; give 4 or more of them.'
    )
  found = []
  for number, other in enumerate(random_features, start=1):
    name = f'features of random network {number}'
    other = samples.check_features(other, name)
    if len(other) != len(features):
      raise ValueError(
        f'Random network {number} saw {len(other)} images, not the '
        f'{len(features)} of the features.'
      )
    if batch is not None:
      found.append(_in_batches(features, other, batch))
      continue
    measure, pair = similarity.prepare_all(
      'cka_debiased', {'features': features, name: other}
    )
    found.append(measure.bounded(*pair.values()))
  return float(np.mean(found))


def _in_batches(x: np.ndarray, y: np.ndarray, size: int) -> float:
  """Returns CKA of sums of unbiased products over batches."""
  sums = np.zeros(3)
  for start in range(0, len(x) - size + 1, size):
    a, b = (z[start : start + size] for z in (x, y))
    a, b = (_unbiased(z) for z in (a, b))
    sums += (a * b).sum(), (a * a).sum(), (b * b).sum()
  if not (sums[1:] > 0).all():
    raise ValueError('All images of each batch are equally similar.')
  return float(np.clip(sums[0] / np.sqrt(sums[1] * sums[2]), -1, 1))


def _unbiased(x: np.ndarray) -> np.ndarray:
  """The centred kernel whose products are the unbiased HSIC, not scaled."""
  gram = kernels.linear(samples.centre(x))
  n = len(gram)
  np.fill_diagonal(gram, 0)
  sums = gram.sum(axis=0)
  gram = gram - (sums[:, None] + sums) / (n - 2)
  gram += sums.sum() / ((n - 1) * (n - 2))
  np.fill_diagonal(gram, 0)
  return gram
