"""OTCE: the distance of domains, and the entropy of labels, weighed."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
from transferability.source_data import data, f_otce
from transferability.source_data.registry import register

TERMS = ('wasserstein', 'conditional_entropy')


@dataclasses.dataclass(frozen=True)
class Coefficients:
  """Of OTCE: a linear map of its standardised terms to an accuracy.

  The default is what third parties use where no accuracies are known.
  """

  wasserstein: float = -0.5
  conditional_entropy: float = -0.5
  intercept: float = 0.0


def combine(
  terms: ArrayLike, coefficients: Coefficients = Coefficients()
) -> np.ndarray:
  """Returns OTCE of sources, float64 [n], of their terms [n, 2]; higher is
  better.

  Each term is less its mean over the sources, in units of its deviation (by
  memory of the paper); a term that is the same for all has no part.
  """
  standard = _standardised(np.asarray(terms, np.float64).reshape(-1, 2))
  weights = [coefficients.wasserstein, coefficients.conditional_entropy]
  return standard @ np.array(weights) + coefficients.intercept


def fit_coefficients(terms: ArrayLike, accuracies: ArrayLike) -> Coefficients:
  """Returns the least-squares coefficients of auxiliary tasks.

  Args:
    terms: [n, 2], of three tasks or more.
    accuracies: [n], what transfer to each really gave.

  Raises:
    ValueError: If there are fewer than three tasks, or the terms of all depend
      linearly on each other.
  """
  terms = np.asarray(terms, np.float64).reshape(-1, 2)
  wanted = np.asarray(accuracies, np.float64)
  if len(terms) < 3 or wanted.shape != (len(terms),):
    raise ValueError(
      f'{len(terms)} tasks with accuracies of shape {wanted.shape}; three '
      'tasks or more with an accuracy each determine the coefficients.'
    )
  columns = np.column_stack([_standardised(terms), np.ones(len(terms))])
  found, _, rank, _ = np.linalg.lstsq(columns, wanted, rcond=None)
  if rank < 3:
    raise ValueError(
      'The terms of the tasks depend linearly on each other; add tasks.'
    )
  return Coefficients(*map(float, found))


@register(
  'otce',
  cost='O(k^2 (d + k)) for k = min(n, num_samples)',
  reference='Tan et al., CVPR 2021, arXiv 2103.13843',
  invariances=('rotation', 'shift'),
  pool=combine,
  terms=TERMS,
  higher_is_better=False,
)
def otce(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  term: str = 'conditional_entropy',
  num_samples: int | None = 1000,
  seed: int = 0,
) -> float:
  """Returns one of OTCE's two terms (Tan et al., CVPR 2021); lower is better.

    wasserstein = sum_ij P_ij |x_i - x_j|^2, 0 or more, of the cheapest plan P
    conditional_entropy = H(Y_t | Y_s) of the labels it couples: minus F-OTCE

  OTCE itself is a linear map of both, standardised over sources that compete;
  higher is better: `source_data.score_sources`, with -0.5 and -0.5, or
  `combine` with coefficients that `fit_coefficients` reads off auxiliary tasks
  of known accuracy. The authors recommend F-OTCE, which needs none.

  Args:
    source_features: [n, d].
    source_labels: [n], of a label space of their own.
    target_features: [m, d] by the same network.
    target_labels: [m].
    term: Which.
    num_samples: Drawn of each side, at most; None takes all.
    seed: Of the draw.
  """
  samples.check_option('term', term, TERMS)
  domains = data.check(
    source_features, source_labels, target_features, target_labels
  )
  found = f_otce.terms(domains, num_samples, seed)
  return found[TERMS.index(term)]


def _standardised(terms: np.ndarray) -> np.ndarray:
  centred = terms - terms.mean(axis=0)
  deviations = centred.std(axis=0)
  deviations[deviations <= 1e-12 * np.abs(terms).max(axis=0)] = np.inf
  return centred / deviations
