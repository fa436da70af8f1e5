"""How much each source should weigh beside the target's own few samples.

Tong, Xu, Huang and Zheng (NeurIPS 2021) weigh the empirical distributions of
the tasks, sum_i a_i P_i, so that the expected chi-square distance to the
target is least. No code of theirs is public: all formulas here are derived for
their model (and checked numerically), not quoted. With an embedding phi of a
sample and its label, task means h_i and variances V_i = mean |phi|^2 - |h_i|^2,
the expected distance of the weighted mean is a quadratic form,

  L(a) = a^T M a,  M_ij = <h_i - h_0, h_j - h_0> + [i = j] V_i / n_i,

task 0 the target. One source has a closed form, several a convex program,
which non-negative least squares solves exactly.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from transferability.measures import samples
from transferability.source_data import data
from transferability.source_data.registry import Samples, register

EMBEDDINGS = ('whitened', 'raw')
COMPLEXITIES = ('separate', 'common')
_NOISE = 1e-10  # Share of the largest variance that counts as none.
_BLOCK = 2**22  # Numbers that are whitened at once.


@dataclasses.dataclass(frozen=True)
class SourceWeights:
  """The best weights of the target and its sources."""

  alpha: np.ndarray  # float64 [1 + k], the target first; of sum 1.
  loss: float  # Expected chi-square distance to the target.
  # 1 - loss / (loss of the target alone), which is the weight of all sources.
  relative_gain: float
  # float64 [k], weight and loss of each source beside the target alone.
  alpha_single: np.ndarray
  loss_single: np.ndarray


@register(
  'multi_source_weights',
  cost='O(n d^2 + d^3)',
  reference='Tong et al., NeurIPS 2021 (formulas derived here)',
  shared_labels=True,
  optimisation_free=True,
  invariances=('rotation', 'scale', 'shift', 'linear'),
)
def chi_square_transferability(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  embedding: str = 'whitened',
  debiased: bool = True,
  complexity: str = 'separate',
) -> float:
  """Returns a source's best weight beside the target; higher is better.

  t / (t + s) in [0, 1], with t = V_0 / n_0 and s = V_1 / n_1 + |h_1 - h_0|^2
  (after Tong et al., NeurIPS 2021): also the share of the expected chi-square
  loss that the source saves. More source samples, and fewer of the target,
  raise it: compare sources for one target, never networks.

  Args:
    source_features: [n, d].
    source_labels: [n], in the target's label space: equal numbers are equal
      classes. A class that one side lacks counts as distance.
    target_features: [m, d] by the same network.
    target_labels: [m].
    embedding: Of a sample x with label y, into a block for y: `whitened`, x by
      mean and covariance of all samples, over the root of the share of y
      (chi-square with the product of pooled marginals as the reference, for
      models that are linear in x); `raw`, x itself, as the code of FedPAC
      (Xu et al., ICLR 2023). With more features than samples whitening fits
      anything: take `raw`, of standardised columns.
    debiased: Whether to subtract from distances what sampling adds to them;
      FedPAC does not, which undervalues sources of a small target.
    complexity: `separate` variances V of the tasks, or `common`: the target's.
  """
  source = (source_features, source_labels)
  found = multi_source_weights(
    [source],
    (target_features, target_labels),
    embedding=embedding,
    debiased=debiased,
    complexity=complexity,
  )
  return float(found.alpha_single[0])


def multi_source_weights(
  sources: Sequence[Samples],
  target: Samples,
  *,
  embedding: str = 'whitened',
  debiased: bool = True,
  complexity: str = 'separate',
) -> SourceWeights:
  """Returns the best joint weights of several sources and the target.

  A source that another one makes superfluous may get 0, good as it is alone.

  Args:
    sources: One or more, features [n, d] and labels [n] in the label space of
      the target.
    target: Features [m, d] and labels [m].
    embedding, debiased, complexity: As `chi_square_transferability`.

  Raises:
    ValueError: If there is no source, or the target's samples do not vary.
  """
  samples.check_option('embedding', embedding, EMBEDDINGS)
  if not sources:
    raise ValueError('There is no source; give one or more.')
  tasks = [data.domain(*target, 'target')]
  for number, source in enumerate(sources, start=1):
    tasks.append(data.domain(*source, f'source {number}'))
    data.check_widths(tasks[-1], tasks[0], f'source {number}')
  tasks = data.share_classes(*tasks)
  find = _whitened if embedding == 'whitened' else _raw
  means, variances = find(tasks)
  sizes = np.array([len(task) for task in tasks])
  return of_moments(means, variances, sizes, debiased, complexity)


def of_counts(
  counts: ArrayLike, *, debiased: bool = True, complexity: str = 'separate'
) -> SourceWeights:
  """Returns the weights of tasks whose samples were counted.

  The reference of the chi-square distance is the pooled distribution.

  Args:
    counts: [1 + k, ...], how often each task, the target first, had each
      value of sample and label.
    debiased, complexity: As `chi_square_transferability`.
  """
  counts = np.asarray(counts, np.float64)
  counts = counts.reshape(len(counts), -1)
  sizes = counts.sum(axis=1)
  if not (counts >= 0).all() or not (sizes > 0).all():
    raise ValueError('Counts are 0 or more, and no task is without samples.')
  return _of_distributions(
    counts / sizes[:, None],
    counts.sum(axis=0) / sizes.sum(),
    sizes,
    debiased,
    complexity,
  )


def of_distributions(
  probabilities: ArrayLike, sizes: ArrayLike, *, complexity: str = 'separate'
) -> SourceWeights:
  """Returns the weights of tasks whose distributions are known exactly.

  The reference is the target's distribution, so that V_0 is the number of
  values less 1.

  Args:
    probabilities: [1 + k, ...], of each value, the target first; the target's
      are above 0.
    sizes: [1 + k], how many samples will be drawn.
    complexity: As `chi_square_transferability`.
  """
  shares = np.asarray(probabilities, np.float64)
  shares = shares.reshape(len(shares), -1)
  if not (shares[0] > 0).all():
    raise ValueError('The target must have every value with some probability.')
  sizes = np.asarray(sizes, np.float64)
  return _of_distributions(shares, shares[0], sizes, False, complexity)


def of_moments(
  means: np.ndarray,
  variances: np.ndarray,
  sizes: np.ndarray,
  debiased: bool,
  complexity: str = 'separate',
) -> SourceWeights:
  """Returns the weights by means and variances of embedded samples.

  Args:
    means: [1 + k, features].
    variances: [1 + k], total.
    sizes: [1 + k], samples.
    debiased, complexity: As `chi_square_transferability`.
  """
  samples.check_option('complexity', complexity, COMPLEXITIES)
  if complexity == 'common':
    variances = np.full(len(variances), variances[0])
  spreads = variances / sizes
  if not spreads[0] > 0:
    raise ValueError(
      'The target has no variance: its samples are all the same, so that no '
      'source can improve on them.'
    )
  apart = means[1:] - means[0]
  between = apart @ apart.T
  own = np.diag(between)
  if debiased:
    between = between - spreads[0] - np.diag(spreads[1:])
    own = np.maximum(np.diag(between), 0)
    values, vectors = linalg.eigh(between)
    between = (vectors * np.maximum(values, 0)) @ vectors.T
  matrix = np.diag(spreads)
  matrix[1:, 1:] += between
  alpha = _least_on_simplex(matrix)
  loss = float(alpha @ matrix @ alpha)
  alone = spreads[1:] + own
  total = spreads[0] + alone
  return SourceWeights(
    alpha,
    loss,
    float(1 - loss / spreads[0]),
    spreads[0] / total,
    spreads[0] * alone / total,
  )


def _least_on_simplex(matrix: np.ndarray) -> np.ndarray:
  """Returns a >= 0 of sum 1 with the least a^T M a, of a PSD matrix M.

  With M = L^T L, |L a|^2 + (c sum(a) - c)^2 is least along the same direction,
  whatever c > 0.
  """
  values, vectors = linalg.eigh(matrix)
  root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
  scale = np.sqrt(np.trace(matrix) / len(matrix))
  rows = np.vstack([root, np.full(len(matrix), scale)])
  found, _ = optimize.nnls(rows, np.append(np.zeros(len(matrix)), scale))
  return found / found.sum()


def _of_distributions(
  shares: np.ndarray,
  reference: np.ndarray,
  sizes: np.ndarray,
  debiased: bool,
  complexity: str,
) -> SourceWeights:
  seen = reference > 0
  shares, reference = shares[:, seen], reference[seen]
  variances = (shares * (1 - shares) / reference).sum(axis=1)
  means = shares / np.sqrt(reference)
  return of_moments(means, variances, sizes, debiased, complexity)


def _raw(tasks: Sequence[data.Domain]) -> tuple[np.ndarray, np.ndarray]:
  """Means [1 + k, C d] and variances [1 + k] of e_y (x) x."""
  means = np.stack([_class_parts(t.features, t) for t in tasks])
  squares = [
    np.einsum('nd,nd->', t.features, t.features) / len(t) for t in tasks
  ]
  return means, np.array(squares) - (means**2).sum(axis=1)


def _whitened(tasks: Sequence[data.Domain]) -> tuple[np.ndarray, np.ndarray]:
  """The same of e_y (x) S^-1/2 (x - m) / sqrt(q(y)) of pooled m, S, q."""
  total = sum(len(task) for task in tasks)
  size = tasks[0].features.shape[1]
  centre = np.zeros(size)
  for _ in range(2):  # So that no digits are lost far from the origin.
    sums = [(task.features - centre).sum(axis=0) for task in tasks]
    centre = centre + np.sum(sums, axis=0) / total
  covariance = np.zeros((size, size))
  for task in tasks:
    covariance += _gram(task.features, centre) / total
  values, vectors = linalg.eigh(covariance, check_finite=False)
  kept = values > _NOISE * max(values[-1], 0)
  if not kept.any():
    raise ValueError('All samples have the same features.')
  whitening = vectors[:, kept] / np.sqrt(values[kept])
  shares = np.sum([task.counts for task in tasks], axis=0) / total
  means, variances = [], []
  for task in tasks:
    mean, square = _whitened_moments(task, centre, whitening, shares)
    means.append(mean)
    variances.append(square - (mean**2).sum())
  return np.stack(means), np.array(variances)


def _whitened_moments(
  task: data.Domain,
  centre: np.ndarray,
  whitening: np.ndarray,
  shares: np.ndarray,
) -> tuple[np.ndarray, float]:
  parts = _class_parts(task.features, task).reshape(len(shares), -1)
  parts -= (task.counts / len(task))[:, None] * centre
  mean = parts @ whitening / np.sqrt(shares)[:, None]
  square = 0.0
  for start in range(0, len(task), _rows(task)):
    rows = slice(start, start + _rows(task))
    white = (task.features[rows] - centre) @ whitening
    norms = np.einsum('nd,nd->n', white, white)
    square += (norms / shares[task.labels[rows]]).sum()
  return mean.ravel(), square / len(task)


def _gram(features: np.ndarray, centre: np.ndarray) -> np.ndarray:
  centred = features - centre
  return centred.T @ centred


def _rows(task: data.Domain) -> int:
  return max(1, _BLOCK // task.features.shape[1])


def _class_parts(features: np.ndarray, task: data.Domain) -> np.ndarray:
  """Returns sums of classes over the number of all samples, [C * d]."""
  result = np.zeros((len(task.classes), features.shape[1]))
  sums = samples.class_sums(features, task.labels)
  result[: len(sums)] = sums / len(task)
  return result.ravel()
