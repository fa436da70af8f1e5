"""NCTI: how near features are to neural collapse."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, special

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import min_max, register

TERMS = ('ncc', 'seli', 'vc')
_NUM_COMPONENTS = 64
_NUM_VARIANCES = 32
_MIN_SHRINKAGE = 1e-10


def _pool(terms: np.ndarray) -> np.ndarray:
  ncc, seli, vc = (min_max(column) for column in terms.T)
  return ncc + seli - vc


@register(
  'ncti',
  cost='O(n d min(n, d))',
  reference='Wang et al., ICCV 2023',
  invariances=('rotation', 'shift'),
  pool=_pool,
  terms=TERMS,
)
def ncti(features: ArrayLike, labels: ArrayLike, *, term: str = 'ncc') -> float:
  """Returns one of NCTI's three terms (Wang et al., ICCV 2023).

  A discriminant analysis, its covariances S shrunk to (1 - a) S + a tr(S) / d I
  with a = exp(-the sum of the 32 largest variances), gives projections Z [n,
  C - 1] and posteriors P [n, C]. With |.|_* for the sum of singular values:

    ncc = 1/n sum_i P_i,y_i, in [0, 1]: the nearest class centre
    seli = |Z|_*, 0 or more: the simplex-encoded-label interpolation
    vc = log sum_c |P of the samples of c|_*: the variability collapse

  NCTI itself is ncc + seli - vc, higher is better, each scaled to [0, 1] over
  the models of a pool: `measures.score_pool`. One model by itself has no such
  score.

  Args:
    features: [n, d]; 64 principal components are kept, or as many as there
      are (with fewer, the released code raises).
    labels: [n], of two or more classes.
    term: `ncc`, `seli`, or `vc`, of which less is better.
  """
  samples.check_option('term', term, TERMS)
  features, labels = samples.check(features, labels, min_classes=2)
  scores, variances = linear_algebra.principal_components(
    samples.centre(features), min(_NUM_COMPONENTS, *features.shape)
  )
  shrinkage = float(np.exp(-variances[:_NUM_VARIANCES].sum()))
  tolerance = linear_algebra.rounding(features)
  rank = int((variances > tolerance * variances[0]).sum())
  if not rank:
    raise ValueError('All samples have the same features.')
  projections, posteriors = _discriminant_analysis(
    scores[:, :rank], labels, shrinkage
  )
  if term == 'seli':
    return _nuclear_norm(projections)
  if term == 'ncc':
    return float(posteriors[np.arange(len(labels)), labels].mean())
  norms = map(_nuclear_norm, samples.by_class(posteriors, labels))
  return float(np.log(sum(norms)))


def _nuclear_norm(matrix: np.ndarray) -> float:
  return float(linalg.svdvals(matrix).sum())


def _discriminant_analysis(
  scores: np.ndarray, labels: np.ndarray, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
  """Returns centred projections [n, C - 1] and posteriors [n, C]."""
  counts = np.bincount(labels)
  means = samples.class_means(scores, labels)
  within = scores - means[labels]
  if samples.are_collapsed(scores, within):
    raise ValueError(
      'The samples of each class are equal; there is no variance inside them.'
    )
  if shrinkage > _MIN_SHRINKAGE:
    weights = _shrunk_directions(scores, within, shrinkage)
    projections = weights[:, : len(counts) - 1]
  else:
    projections = weights = _whitened_directions(within, means, counts)
  means = means @ weights
  bias = np.log(counts / len(labels)) - (means**2).sum(axis=1) / 2
  posteriors = special.softmax(scores @ weights @ means.T + bias, axis=1)
  return scores @ projections, posteriors


def _shrunk_directions(
  scores: np.ndarray, within: np.ndarray, shrinkage: float
) -> np.ndarray:
  """Returns all directions, best first, of unit shrunk within-class variance.

  Covariances divide by n and are shrunk to their mean variance; the
  between-class one is the difference of the shrunk total and within-class.
  """
  total, within = (
    _shrunk(x.T @ x / len(x), shrinkage) for x in (scores, within)
  )
  return linalg.eigh(total - within, within)[1][:, ::-1]


def _shrunk(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
  identity = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
  return (1 - shrinkage) * covariance + shrinkage * identity


def _whitened_directions(
  within: np.ndarray, means: np.ndarray, counts: np.ndarray
) -> np.ndarray:
  """Returns the directions in which class means differ, without shrinkage.

  Within-class covariances divide by n - C; directions without variance inside
  classes are left out (a singular value below 1e-4 of standardised features).
  """
  size = counts.sum()
  scale = within.std(axis=0)
  scale[scale == 0] = 1
  degrees = max(1, size - len(counts))
  _, values, right = linalg.svd(
    within / scale / np.sqrt(degrees), full_matrices=False
  )
  kept = values > 1e-4
  whitening = (right[kept] / scale).T / values[kept]
  spread = np.sqrt(counts)[:, None] * (means @ whitening)
  _, values, right = linalg.svd(spread, full_matrices=False)
  return whitening @ right[values > 1e-4 * values.max(initial=0)].T
