"""TransRate: mutual information of features and labels, by coding rates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register

# Eigenvalues of the second moments of all samples, of those of each class, and
# the weights of the classes, which sum to 1.
_Spectra = tuple[np.ndarray, Sequence[np.ndarray], np.ndarray]

FORMS = ('paper', 'listing', 'experiments', 'projected', 'slides')


@register(
  'transrate',
  cost='O(n d min(n, d))',
  reference='Huang et al., ICML 2022, arXiv 2106.09362',
  invariances=('rotation', 'shift'),
)
def transrate(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  form: str = 'paper',
  epsilon: float = 1e-4,
  unit_trace: bool | None = None,
  per_rank: bool | None = None,
) -> float:
  """Returns TransRate (Huang et al., ICML 2022), in nats; higher is better.

  R(Z) - sum_c n_c / n R(Z_c), 0 or more in the paper's form, where R(Z) =
  1/2 log det(I + Z^T Z / (n epsilon)) of centred features Z [n, d] is the rate
  of coding them up to a distortion, and Z_c holds the n_c rows of a class.

  Args:
    features: [n, d].
    labels: [n].
    form: `paper`: the formula. `listing`: the paper's ten lines of code, in
      which all classes weigh the same. `experiments`: the authors' code, with
      rows scaled to unit norm before and after centring. `projected`: their
      code of model selection, on the between-class part of the whitened
      features. `slides`: the formula with n for n_c inside of the conditional
      rate, as the authors' slides print it.
    epsilon: What divides the eigenvalues. It decides which model wins; never
      choose it by the ranking that is evaluated.
    unit_trace: In the last two forms, whether all eigenvalues are divided by
      the sum of those of Z^T Z / n; by default they are.
    per_rank: In the last two forms, whether the result is divided by the rank
      of Z^T Z / n; by default it is.

  Raises:
    ValueError: Also if an option is unknown in that form, or a row of features
      that is to be scaled is zero.
  """
  samples.check_option('form', form, FORMS)
  if not 0 < epsilon < np.inf:
    raise ValueError(f'epsilon={epsilon} is not a positive number.')
  of_authors = form in ('experiments', 'projected')
  if not of_authors and (unit_trace is not None or per_rank is not None):
    raise ValueError(f'form={form!r} has no options unit_trace and per_rank.')
  features, labels = samples.check(features, labels)
  if form == 'projected':
    whole, classes, weights = _projected(features, labels)
  else:
    if form == 'experiments':
      features = _unit_rows(features)
    centred = samples.centre(features)
    if form == 'experiments':
      centred = _unit_rows(centred)
    whole, classes, weights = _second_moments(centred, labels, form)
  if of_authors and unit_trace is not False:
    epsilon *= whole.sum() or 1.0
  rates = [_coding_rate(values, epsilon) for values in classes]
  reduction = float(_coding_rate(whole, epsilon) - weights @ rates)
  if of_authors and per_rank is not False:
    tolerance = whole.max() * features.shape[1] * np.finfo(np.float64).eps
    return reduction / max(1, int((whole > tolerance).sum()))
  return reduction


def _coding_rate(eigenvalues: np.ndarray, epsilon: float) -> float:
  return 0.5 * float(np.log1p(eigenvalues / epsilon).sum())


def _second_moments(
  centred: np.ndarray, labels: np.ndarray, form: str
) -> _Spectra:
  """Returns the eigenvalues of centred Z^T Z / n and those of the classes."""
  size = len(labels)
  weights = np.bincount(labels) / size
  if form == 'listing':
    weights = np.full(len(weights), 1 / len(weights))
  classes = [
    linear_algebra.gram_eigenvalues(z) / (size if form == 'slides' else len(z))
    for z in samples.by_class(centred, labels)
  ]
  return linear_algebra.gram_eigenvalues(centred) / size, classes, weights


def _projected(features: np.ndarray, labels: np.ndarray) -> _Spectra:
  """Returns the singular values of S Q and S_c Q for Q = pinv(S) B.

  The between-class covariance is B = W^T W with a row of W for each class, so
  that the singular values of M Q are those of M pinv(S) W^T R^T, where R is
  the triangle of W^T = O R: d x C instead of d x d.
  """
  num_samples = len(labels)
  centred = samples.centre(features)
  counts = np.bincount(labels)
  means = samples.class_means(centred, labels)
  between = np.sqrt(counts / num_samples)[:, None] * means
  triangle = linalg.qr(between.T, mode='economic')[1]
  squares, vectors = linear_algebra.gram_svd(centred)
  right = (vectors / squares) @ (vectors.T @ between.T) * num_samples
  right = right @ triangle.T

  def singular_values(z: np.ndarray) -> np.ndarray:
    product = z.T @ (z @ right) / len(z)
    return linalg.svdvals(product, check_finite=False)

  classes = samples.by_class(centred - means[labels], labels)
  spectra = [singular_values(z) for z in classes]
  return singular_values(centred), spectra, counts / num_samples


def _unit_rows(values: np.ndarray) -> np.ndarray:
  norms = np.linalg.norm(values, axis=1, keepdims=True)
  if not norms.all():
    raise ValueError(
      f'Row {int(np.argmin(norms))} of the features, or of what is left of '
      "them after centring, is zero and has no direction; use form='paper'."
    )
  return values / norms
