"""Task2Vec: tasks as the Fisher information of one probe network.

Achille et al. (ICCV 2019, arXiv 1902.03545). A task (images and labels) is
embedded as the diagonal of the Fisher information of a probe network's weights,
which the task's own head makes a classifier of; the mean over the weights of a
filter, so that the embedding is as long for any number of classes. Tasks are
near where the same filters matter.

Here are the parts that need no network: the Fisher information of given
gradients, that of the last filters in closed form, and the distances.
"""

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import heads, samples


def diagonal_fisher(gradients: ArrayLike, probs: ArrayLike) -> np.ndarray:
  """Returns the diagonal of the Fisher information of weights.

  E over images, and over classes as the network predicts them, of the squared
  gradient of the log probability: exact, no class is drawn.

  Args:
    gradients: Of the logits, [n, C, weights].
    probs: Predicted, [n, C].

  Returns:
    float64 [weights], not negative.
  """
  probs = samples.check_source_probs(probs)
  gradients = np.asarray(gradients, np.float64)
  if gradients.ndim != 3 or gradients.shape[:2] != probs.shape:
    raise ValueError(
      f'Gradients have shape {gradients.shape}; probabilities of shape '
      f'{probs.shape} need [{probs.shape[0]}, {probs.shape[1]}, weights].'
    )
  if not np.isfinite(gradients).all():
    raise ValueError('Gradients are not finite.')
  mean = np.einsum('nc,ncw->nw', probs, gradients)
  deviations = gradients - mean[:, None]
  return np.einsum('nc,ncw->w', probs, deviations**2) / len(probs)


def filter_means(fisher: ArrayLike, filters: ArrayLike) -> np.ndarray:
  """Returns the mean over the weights of each filter.

  Args:
    fisher: [weights].
    filters: The filter of each weight, integers 0..F-1 with each of them used.

  Returns:
    float64 [F], the embedding.
  """
  fisher = np.asarray(fisher, np.float64)
  if fisher.ndim != 1:
    raise ValueError(f'The Fisher diagonal has shape {fisher.shape}.')
  filters = samples.check_labels(filters, len(fisher))
  return np.bincount(filters, fisher) / np.bincount(filters)


def embed(
  features: ArrayLike, labels: ArrayLike, penalty: float = 1e-2
) -> np.ndarray:
  """Returns the embedding of a task by the last filters of a frozen probe.

  A linear head is trained on the features (softmax regression). The weights
  that the Fisher information is of are one gain for each feature, as of a last
  batch normalisation: gain j has E[x_j^2 Var_c(w_jc)], the variance over the
  predicted classes. The paper takes the weights of all layers; for those, give
  gradients to `diagonal_fisher`.

  Args:
    features: [n, d] of the probe network; the same network for all tasks.
    labels: Integers [n] of the task, 0..C-1, two classes or more.
    penalty: Of the head: half of it times the squared weights is added to the
      mean cross-entropy, of features of unit mean square.

  Returns:
    float64 [d], not negative.
  """
  features, labels = samples.check(features, labels, min_classes=2)
  if not (np.isfinite(penalty) and penalty > 0):
    raise ValueError(f'The penalty is {penalty}; give more than 0.')
  scale = np.sqrt(np.mean(features**2)) or 1.0
  features = features / scale
  _, weights, probs = heads.fit(
    features, labels, penalty, maxiter=200, ftol=1e-12, gtol=1e-8
  )
  variance = probs @ (weights**2).T - (probs @ weights.T) ** 2
  return (features**2 * np.maximum(variance, 0)).mean(axis=0)


def distance(x: ArrayLike, y: ArrayLike) -> float:
  """Returns the cosine distance of two embeddings, each relative to both.

  1 - cos(x / (x + y), y / (x + y)), in [0, 1]; weights that matter to neither
  task are left out.
  """
  x, y = _check(x, 'x'), _check(y, 'y')
  if x.shape != y.shape:
    raise ValueError(
      f'Embeddings have {len(x)} and {len(y)} entries; they must be of one '
      'probe network.'
    )
  used = x + y > 0
  x, y = x[used], y[used]
  share = x / (x + y)
  other = y / (x + y)
  product = np.linalg.norm(share) * np.linalg.norm(other)
  return float(np.clip(1 - share @ other / product, 0, 1))


def asymmetric_distance(
  x: ArrayLike, y: ArrayLike, trivial: ArrayLike, alpha: float = 0.15
) -> float:
  """Returns how far it is from the task x of a source to the target y.

  distance(x, y) - alpha * distance(x, trivial): a source that is itself far
  from trivial (complex) is nearer. May be negative.

  Args:
    x: Of the source.
    y: Of the target.
    trivial: The embedding of a trivial task by the same probe.
    alpha: 0.15 is the paper's, for a probe trained on ImageNet.
  """
  if not np.isfinite(alpha):
    raise ValueError(f'alpha is {alpha}.')
  return distance(x, y) - alpha * distance(x, trivial)


def _check(embedding: ArrayLike, name: str) -> np.ndarray:
  embedding = np.asarray(embedding, np.float64)
  if embedding.ndim != 1:
    raise ValueError(
      f'The embedding {name} has shape {embedding.shape}; give [weights].'
    )
  if not np.isfinite(embedding).all() or (embedding < 0).any():
    raise ValueError(
      f'The embedding {name} has entries that are negative or not finite; '
      'Fisher information has none.'
    )
  if not embedding.any():
    raise ValueError(f'The embedding {name} is all zero: nothing matters.')
  return embedding
