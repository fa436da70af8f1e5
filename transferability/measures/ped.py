"""PED: classes that overlap are pushed apart before they are scored."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
from transferability.measures.logme import logme
from transferability.measures.registry import register
from transferability.measures.sfda import sfda

MEASURES = ('sfda', 'logme')
_MIN_SCALE = 1e-3
_MAX_STEPS = 6


@register(
  'ped',
  cost='O(n d^2 + d^3 + C^2 d)',
  reference='Li et al., ICCV 2023, arXiv 2308.15074',
  optimisation_free=False,
  invariances=('shift',),
)
def ped(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  general_features: ArrayLike | None = None,
  measure: str = 'sfda',
  logme_form: str = 'corrected',
  reach: float = 0.6,
  time_step: float = 0.1,
  exit_ratio: float = 0.5,
) -> float:
  """Returns SFDA or LogME of features whose classes repelled each other.

  A class c is a ball around the mean m_c of its standardised features, of the
  radius r_c = reach sqrt(sum_j var_cj). In each step all samples of c move by
  the sum over the other classes b of dt^2 / 2 max(0, r_b + r_c - |m_c - m_b|)
  u_bc, u_bc the unit vector from m_b to m_c: what a force as large as the
  overlap does in a time dt. Higher is better; ranges are those of SFDA, [0, 1],
  and LogME (Li et al., ICCV 2023, arXiv 2308.15074).

  Args:
    features: [n, d].
    labels: [n], of two or more classes.
    general_features: [any, d], the model's features of a general set of
      images, whose mean and deviation (at least 1e-3) standardise; by default
      the target's own, which is not what was published, but needs no others.
    measure: `sfda` or `logme`.
    logme_form: See `logme`.
    reach: Radius of a ball, in root summed variances; 0.3 or 0.6.
    time_step: dt; of dt^2 / 2, 1 counts at most.
    exit_ratio: Steps end when classes move less than this share of what they
      moved in the first step, or after six.
  """
  samples.check_option('measure', measure, MEASURES)
  _check_numbers(reach=reach, time_step=time_step, exit_ratio=exit_ratio)
  features, labels = samples.check(features, labels, min_classes=2)
  general = features
  if general_features is not None:
    general = samples.check_features(general_features, 'general_features')
    if general.shape[1] != features.shape[1]:
      raise ValueError(
        f'general_features have {general.shape[1]} columns, and features '
        f'{features.shape[1]}.'
      )
  mean = general.mean(axis=0)
  scale = np.maximum(general.std(axis=0), _MIN_SCALE)
  moved = (features - mean) / scale
  first = None
  for _ in range(_MAX_STEPS):
    shifts = _shifts(moved, labels, reach, time_step)
    distance = np.abs(shifts).sum()
    first = distance if first is None else first
    if distance <= exit_ratio * first:
      break
    moved = moved + shifts[labels]
  moved = moved * scale + mean
  if measure == 'sfda':
    return sfda(moved, labels)
  return logme(moved, labels, form=logme_form)


def _check_numbers(**numbers: float) -> None:
  for name, value in numbers.items():
    if not 0 <= value < np.inf:
      raise ValueError(f'{name}={value} is not a number of 0 or more.')


def _shifts(
  features: np.ndarray, labels: np.ndarray, reach: float, time_step: float
) -> np.ndarray:
  """Returns how far each class moves in one step, float64 [C, d].

  Classes with the same mean do not move each other: no direction is theirs.
  """
  means = samples.class_means(features, labels)
  squares = samples.class_means((features - means[labels]) ** 2, labels)
  radii = reach * np.sqrt(squares.sum(axis=1))
  shifts = np.zeros_like(means)
  for c, mean in enumerate(means):
    apart = mean - means
    distances = np.linalg.norm(apart, axis=1)
    force = np.maximum(radii[c] + radii - distances, 0)
    steps = force * min(time_step**2 / 2, 1)
    shifts[c] = (steps / np.where(distances > 0, distances, 1)) @ apart
  return shifts
