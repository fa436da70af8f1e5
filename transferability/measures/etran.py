"""ETran: an energy of the features and the confidence of class means."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from transferability.measures import samples
from transferability.measures.registry import min_max, register
from transferability.measures.sfda import class_posteriors

TERMS = ('lda', 'energy')
_WEIGHTS = (0.85, 0.15)


def _pool(terms: np.ndarray) -> np.ndarray:
  lda, energy = terms.T
  return _WEIGHTS[0] * min_max(lda) + _WEIGHTS[1] * min_max(energy)


@register(
  'etran',
  cost='O(n d C)',
  reference='Gholami et al., ICCV 2023, arXiv 2308.02027',
  invariances=('rotation', 'shift'),
  pool=_pool,
  terms=TERMS,
)
def etran(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  term: str = 'lda',
  percent: float = 0.5,
  highest: bool = False,
) -> float:
  """Returns one of ETran's two terms; higher is better.

  lda = 1/n sum_i softmax_c(m_c x_i - |m_c|^2 / 2 + log p_c) at c = y_i, in
  [0, 1]: the mean posterior of the true class, where a class is a unit Gaussian
  at its mean m_c, of a share p_c of the samples; that is what the released
  discriminant analysis comes to. energy = mean over some rows i of
  log sum_j exp(x_ij), any real number; the released code applies it to the
  features x instead of the logits.

  ETran itself is 0.85 lda + 0.15 energy, each scaled to [0, 1] over the models
  of a pool: `measures.score_pool` (Gholami et al., ICCV 2023). One model by
  itself has no such score.

  Args:
    features: [n, d].
    labels: [n].
    term: `lda` or `energy`.
    percent: Of the rows, those with the lowest energy that are averaged, in
      steps of 0.1, as in the released code; but one row at least.
    highest: Whether to average the rows with the highest energy instead.
  """
  samples.check_option('term', term, TERMS)
  if not 0 < percent <= 100:
    raise ValueError(f'percent={percent} is not in (0, 100].')
  features, labels = samples.check(features, labels)
  if term == 'energy':
    return _energy(features, percent, highest)
  features = samples.centre(features)  # No digits are lost far from the origin.
  means = samples.class_means(features, labels)
  posteriors = class_posteriors(features, labels, means, means.T)
  return float(posteriors[np.arange(len(labels)), labels].mean())


def _energy(features: np.ndarray, percent: float, highest: bool) -> float:
  energies = np.sort(special.logsumexp(features, axis=1))
  count = max(1, int(percent * 10) * len(energies) // 1000)
  return float((energies[-count:] if highest else energies[:count]).mean())
