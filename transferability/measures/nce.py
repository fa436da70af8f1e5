"""NCE: the negative conditional entropy of labels given source labels."""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples
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
