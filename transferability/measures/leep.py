"""LEEP: the log likelihood of labels, given the source model's classes."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
from transferability.measures.registry import register


@register(
  'leep',
  needs=('source_probs', 'labels'),
  cost='O(n Cs + C Cs)',
  reference='Nguyen et al., ICML 2020, arXiv 2002.12462',
)
def leep(source_probs: ArrayLike, labels: ArrayLike) -> float:
  """Returns LEEP (Nguyen et al., ICML 2020), at most 0; higher is better.

  1/n sum_i log sum_z p(y_i | z) P_iz: the log likelihood of the labels if a
  source class z is drawn from the model's probabilities P, and then a label
  from p(y | z) = (sum of P_iz over i with y_i = y) / (sum of P_iz over all i).
  A source class that no sample has any probability of is left out.

  Args:
    source_probs: [n, Cs], rows sum to 1.
    labels: [n].
  """
  probs = samples.check_source_probs(source_probs)
  labels = samples.check_labels(labels, len(probs))
  return float(np.log(expected_predictions(probs, labels)).mean())


def expected_predictions(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns sum_z p(y_i | z) P[i, z] of each sample i, float64 [n]."""
  joint = samples.class_sums(probs, labels)
  mass = joint.sum(axis=0)
  conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
  predictions = np.einsum('iz,iz->i', conditional[labels], probs)
  return np.minimum(predictions, 1)  # Not above 1 by rounding.
