"""LogME: the evidence of a Bayesian linear model of the labels."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability.measures import linear_algebra, samples
from transferability.measures.registry import register

# Up to this many singular values they are computed from the features
# themselves; above it from the Gram matrix, which is several times faster.
_MAX_EXACT = 512


@dataclasses.dataclass(frozen=True)
class _Form:
  """How an implementation maximises and reports the evidence."""

  # Added to the two quadratic terms that the precisions divide by.
  floor: float = 1e-5
  floor_in_evidence: bool = False  # Whether it is also added in the evidence.
  tolerance: float = 1e-3  # Relative change of alpha / beta that ends rounds.
  # Whether singular values that are zero for want of samples count in the
  # evidence.
  all_dimensions: bool = True
  # Whether the evidence takes the quadratic terms at its own alpha and beta,
  # rather than at those of the round before.
  last_ratio: bool = False


_FORMS = {
  'marginal': _Form(last_ratio=True),
  'released': _Form(all_dimensions=False),
  'icml': _Form(floor_in_evidence=True, tolerance=1e-2),
  'tllib': _Form(floor=0.0, tolerance=1e-2),
}
FORMS = ('corrected', *_FORMS)
_MAX_ROUNDS = 11


@dataclasses.dataclass(frozen=True)
class Evidence:
  """The evidence for one target."""

  alpha: float  # Precision of the weights.
  beta: float  # Precision of the noise.
  value: float  # Log evidence per sample, in nats.


@register(
  'logme',
  cost='O(n d min(n, d))',
  reference='You et al., ICML 2021, arXiv 2102.11005',
  optimisation_free=False,
  invariances=('rotation',),
)
def logme(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  form: str = 'corrected',
  regression: bool = False,
) -> float:
  """Returns LogME (You et al., ICML 2021), in nats; higher is better.

  The mean over targets t, one for each class (1 for its samples, else 0), of
  the log evidence per sample of a linear model t = F w + noise,

    1/n log p(t | F) = 1/n [n/2 log(b / (2 pi)) + d/2 log a
      - 1/2 log det(a I + b F^T F) - b/2 |t - F m|^2 - a/2 |m|^2],

  any real number, where a is the precision of the prior of w and b that of the
  noise, and m = b (a I + b F^T F)^-1 F^T t the mean of w. They are looked for
  at its maximum, by at most eleven rounds of a = g / |m|^2 and
  b = (n - g) / |t - F m|^2 with g = sum_k b s_k^2 / (a + b s_k^2), s the
  singular values of F.

  Args:
    features: [n, d]; not centred, no bias.
    labels: [n]; with `regression`, real targets [n] or [n, num_targets].
    form: `released`: the default of the authors' code, a fixed point whose
      evidence leaves out (d - n) / (2 n) log alpha for d > n, and whose
      quadratic terms are those of the round before the last. `marginal`: the
      exact log evidence at the same alpha and beta. `corrected`: `marginal`
      for d > n, where the two differ much, else `released`, so that numbers
      compare with published ones. `icml`: the authors' first code, which stops
      earlier and adds 1e-5 to the evidence's quadratic terms. `tllib`: the
      same without 1e-5.
    regression: Whether targets are real numbers instead of classes.
  """
  evidences = fit(features, labels, form=form, regression=regression)
  return float(np.mean([evidence.value for evidence in evidences]))


def fit(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  form: str = 'corrected',
  regression: bool = False,
) -> tuple[Evidence, ...]:
  """Returns the evidence of each class or target; arguments as of `logme`."""
  samples.check_option('form', form, FORMS)
  features = samples.check_features(features)
  if not features.any():
    raise ValueError('All features are zero, which explain nothing.')
  if form == 'corrected':
    form = 'marginal' if features.shape[1] > len(features) else 'released'
  targets = samples.check_targets(labels, len(features), regression)
  squares, projected = _project(features, targets)
  return tuple(
    _maximise(squares, x, float(t @ t), features.shape, _FORMS[form])
    for x, t in zip(projected.T, targets.T, strict=True)
  )


def _project(
  features: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns squared singular values [k] and U^T targets [k, num_targets]."""
  if min(features.shape) > _MAX_EXACT:
    if len(features) < features.shape[1]:
      squares, left = linear_algebra.gram_svd(features.T)
      return squares, left.T @ targets
    squares, right = linear_algebra.gram_svd(features)
    projected = right.T @ (features.T @ targets) / np.sqrt(squares)[:, None]
    return squares, projected
  left, values, _ = linalg.svd(features, full_matrices=False)
  kept = values > values[0] * linear_algebra.rounding(features)
  return values[kept] ** 2, left[:, kept].T @ targets


def _maximise(
  squares: np.ndarray,
  projected: np.ndarray,
  norm: float,
  shape: tuple[int, int],
  form: _Form,
) -> Evidence:
  """Maximises the evidence over alpha and beta by fixed-point rounds.

  The target of squared norm `norm` is `projected` on the left singular vectors
  of features of `shape` (n, d), `squares` being the squared singular values.
  """
  num_samples, size = shape
  outside = max(0.0, norm - projected @ projected)

  def quadratic_terms(ratio: float) -> tuple[float, float]:
    """Returns |m|^2 and |t - F m|^2 where alpha / beta = ratio."""
    weights = (squares * projected**2 / (ratio + squares) ** 2).sum()
    residual = (projected**2 / (1 + squares / ratio) ** 2).sum()
    return weights, residual + outside

  alpha = beta = 1.0
  for _ in range(_MAX_ROUNDS):
    ratio = alpha / beta
    effective = (squares / (squares + ratio)).sum()
    weights, residual = quadratic_terms(ratio)
    alpha = effective / (weights + form.floor)
    beta = (num_samples - effective) / (residual + form.floor)
    if abs(alpha / beta - ratio) / ratio <= form.tolerance:
      break
  if form.last_ratio:
    weights, residual = quadratic_terms(alpha / beta)
  dimensions = size if form.all_dimensions else min(shape)
  floor = form.floor if form.floor_in_evidence else 0.0
  log_det = np.log(alpha + beta * squares).sum()
  log_det += (dimensions - len(squares)) * np.log(alpha)
  evidence = (
    num_samples * np.log(beta / (2 * np.pi))
    + size * np.log(alpha)
    - log_det
    - beta * (residual + floor)
    - alpha * (weights + floor)
  ) / 2
  return Evidence(float(alpha), float(beta), float(evidence / num_samples))
