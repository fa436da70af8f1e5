"""NCE, LEEP and N-LEEP: labels, given what a source model makes of the images.

Its classes, the probabilities of its classes, or clusters of its features.
"""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import estimators, linear_algebra, samples
from transferability.measures.registry import register


@register(
  'nce',
  needs=('source_probs', 'labels'),
  cost='O(n Cs + C Cs)',
  reference='Tran et al., ICCV 2019, arXiv 1908.08142',
)
def nce(
  source_probs: ArrayLike,
  labels: ArrayLike,
  *,
  soft: bool = False,
  smoothing: float = 0.0,
) -> float:
  """Returns NCE (Tran et al., ICCV 2019), in [-log C, 0]; higher is better.

  -H(Y | Z) = sum over y, z of p(y, z) log(p(y, z) / p(z)), in nats, of the
  empirical distribution of labels y and source labels z.

  Args:
    source_probs: [n, Cs], rows sum to 1; a source label is the most probable
      class, the first of equal ones.
    labels: [n].
    soft: Whether samples count for all source classes by their probabilities,
      instead of for the most probable one.
    smoothing: Added to each joint and marginal probability; 1e-5 in the code
      of PARC.
  """
  if not 0 <= smoothing < np.inf:
    raise ValueError(f'smoothing={smoothing} is not a number of 0 or more.')
  probs = samples.check_source_probs(source_probs)
  labels = samples.check_labels(labels, len(probs))
  if soft:
    joint = samples.class_sums(probs, labels) / len(labels)
  else:
    shape = labels.max() + 1, probs.shape[1]
    cells = labels * shape[1] + probs.argmax(axis=1)
    counts = np.bincount(cells, minlength=shape[0] * shape[1])
    joint = counts.reshape(shape) / len(labels)
  marginal = joint.sum(axis=0) + smoothing
  joint = joint + smoothing
  cells = joint > 0
  ratio = np.divide(joint, marginal, out=np.ones_like(joint), where=cells)
  return float((joint * np.log(ratio)).sum())


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
  return float(np.log(_expected_predictions(probs, labels)).mean())


def _expected_predictions(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns sum_z p(y_i | z) P[i, z] of each sample i, float64 [n]."""
  joint = samples.class_sums(probs, labels)
  mass = joint.sum(axis=0)
  conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
  predictions = np.einsum('iz,iz->i', conditional[labels], probs)
  return np.minimum(predictions, 1)  # Not above 1 by rounding.


@register(
  'nleep',
  cost='O(n d min(n, d)), and O(n K q^2) a round of EM',
  reference='Li et al., CVPR 2021, arXiv 2011.11200',
  optimisation_free=False,
)
def nleep(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  components_per_class: int = 5,
  variance: float = 0.8,
  budget: float | None = 1e10,
  num_seeds: int = 1,
  seed: int = 0,
  log: bool = True,
) -> float:
  """Returns N-LEEP (Li et al., CVPR 2021), at most 0; higher is better.

  1/n sum_i log sum_k p(y_i | k) p(k | x_i): LEEP with the posteriors of K
  Gaussians, fitted to principal components, in the place of source classes.

  Args:
    features: [n, d].
    labels: [n].
    components_per_class: K / C of the mixture; K is n at most.
    variance: Share of the variance that the q principal components keep.
    budget: q is at most sqrt(budget / (n K)), and so depends on the target
      task, never on the model. A mixture of K full covariances in q dimensions
      takes 4 n K q^2 operations a round and 8 K q^2 bytes; what the paper
      defines would take hours where n K is in the millions, and has more
      parameters than there are numbers in the data. None sets no limit.
    num_seeds: Scores of so many fits are averaged.
    seed: Of the first fit; the others count on from it.
    log: Whether to take the logarithm, as in the paper; without it the score
      is the mean predicted probability, as in the code of SFDA.

  Raises:
    ImportError: If scikit-learn is not installed.
  """
  if components_per_class < 1 or num_seeds < 1:
    raise ValueError(
      f'components_per_class={components_per_class} and num_seeds={num_seeds} '
      'must be 1 or more.'
    )
  if not 0 < variance < 1:
    raise ValueError(f'variance={variance} is not a share in (0, 1).')
  if budget is not None and not budget > 0:
    raise ValueError(f'budget={budget} is not a positive number.')
  features, labels = samples.check(features, labels)
  size = len(labels)
  num_clusters = min(components_per_class * (labels.max() + 1), size)
  most = min(features.shape)
  if budget is not None:
    most = min(most, int(np.sqrt(budget / (size * num_clusters))))
  components = _components(features, variance, max(1, most))
  values = []
  for i in range(num_seeds):
    probs = estimators.mixture_posteriors(components, num_clusters, seed + i)
    predictions = _expected_predictions(probs, labels)
    values.append((np.log(predictions) if log else predictions).mean())
  return float(np.mean(values))


def _components(features: np.ndarray, variance: float, most: int) -> np.ndarray:
  """Returns the principal components that keep a share, or `most`: [n, q]."""
  centred = samples.centre(features)
  scores, variances = linear_algebra.principal_components(centred, most)
  explained = np.cumsum(variances) * (len(features) - 1)
  wanted = variance * np.einsum('ij,ij->', centred, centred)
  return scores[:, : 1 + int(np.searchsorted(explained, wanted, 'right'))]
