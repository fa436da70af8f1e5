"""PACTran: PAC-Bayesian bounds on the loss of a new head."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from transferability.measures import heads, samples
from transferability.measures.registry import register

FORMS = ('gauss', 'dirichlet', 'gamma')
_NUM_ROUNDS = 10
_FLOOR = 1e-10


@register(
  'pactran',
  needs_of_form={
    'dirichlet': ('source_probs', 'labels'),
    'gamma': ('source_probs', 'labels'),
  },
  higher_is_better=False,
  cost='O(n d C) an iteration of L-BFGS, 100 at most',
  reference='Ding et al., ECCV 2022, arXiv 2203.05126',
  optimisation_free=False,
  invariances=('rotation', 'shift'),
)
def pactran(
  inputs: ArrayLike,
  labels: ArrayLike,
  *,
  form: str = 'gauss',
  factor: float = 1.0,
  optimum: bool = False,
  alpha: float = 1.0,
) -> float:
  """Returns a bound on the loss of a new head, in nats; lower is better.

  PACTran (Ding et al., ECCV 2022, arXiv 2203.05126). With the form `gauss`

    min_W [-1/n sum_i log p_i,y_i + |W|^2 / (2 f n)]
    + 50 C / n log(1 + f n / (d C) sum_i (|x_i|^2 + 1) sum_c p_ic (1 - p_ic))

  where p_i = softmax(W x_i + b) is a linear head of the centred features x and
  f the factor: the optimum, and a penalty for its curvature. Otherwise
  -1 / (n C) max_q E_q[log p(labels, classes z, table) - log q], for a head that
  draws a source class z_i from the source probabilities, and a label from that
  class's column of a random table; q factorises, and is updated ten times
  (`gamma`: up to constants).

  Args:
    inputs: Features [n, d]; source probabilities [n, Cs] if the form is not
      `gauss`.
    labels: [n].
    form: `gauss`; `dirichlet` or `gamma`, after the prior of the table.
    factor: Of the Gaussian prior; 0.1, 1 and 10 in the paper.
    optimum: Whether to return the optimum without the penalty.
    alpha: Total weight of the Dirichlet or Gamma prior.
  """
  samples.check_option('form', form, FORMS)
  for name, value in (('factor', factor), ('alpha', alpha)):
    if not 0 < value < np.inf:
      raise ValueError(f'{name}={value} is not a positive number.')
  if form == 'gauss':
    features, labels = samples.check(inputs, labels)
    return _gauss(samples.centre(features), labels, factor, optimum)
  probs = samples.check_source_probs(inputs)
  labels = samples.check_labels(labels, len(probs))
  return _variational(probs, labels, alpha, gamma=form == 'gamma')


def _variational(
  probs: np.ndarray, labels: np.ndarray, alpha: float, gamma: bool
) -> float:
  """Returns minus the evidence bound per label and class.

  The posteriors of the table source class -> target class, and of each
  sample's source class, are updated in turn. Its columns have Dirichlet
  priors, or its entries Gamma priors of unit rate.
  """
  num_samples, num_classes = len(labels), int(labels.max()) + 1
  prior = alpha * np.bincount(labels)[:, None] / num_samples + _FLOOR
  log_probs = np.log(probs + _FLOOR)
  assigned = probs
  rates = 0.0
  for _ in range(_NUM_ROUNDS):
    table = prior + samples.class_sums(assigned, labels)
    rates = np.log(probs @ table.sum(axis=0)).sum()
    expected = special.digamma(table)
    if not gamma:
      expected = expected - special.digamma(table.sum(axis=0))
    logits = log_probs + expected[labels]
    log_assigned = special.log_softmax(logits, axis=1)
    assigned = np.exp(log_assigned)
  divergence = (assigned * (log_assigned - log_probs)).sum()
  change = (special.gammaln(prior) - special.gammaln(table)).sum()
  if gamma:
    bound = change + divergence + rates - num_samples
    return float(bound / (num_samples * num_classes) + 1)
  normaliser = special.gammaln(table.sum(axis=0)) - special.gammaln(prior.sum())
  return float(
    (change + normaliser.sum() + divergence) / (num_samples * num_classes)
  )


def _gauss(
  centred: np.ndarray, labels: np.ndarray, factor: float, optimum: bool
) -> float:
  num_samples, size = centred.shape
  num_classes = int(labels.max()) + 1
  strength = factor * num_samples
  loss, _, probs = heads.fit(
    centred, labels, 1 / strength, maxiter=100, ftol=1e-6, gtol=1e-6
  )
  if optimum:
    return loss
  # The trace of the diagonal Hessian, of weights and of biases.
  moments = (centred**2).sum(axis=1) + 1
  trace = moments @ (probs * (1 - probs)).sum(axis=1)
  # The variance of the prior, 100 f / d, is the released code's.
  penalty = 50 * num_classes / num_samples
  return float(
    loss + penalty * np.log1p(strength / (size * num_classes) * trace)
  )
