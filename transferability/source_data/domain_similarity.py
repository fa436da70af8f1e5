"""DS: the earth mover's distance between the classes of two data sets."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import distance

from transferability.measures import samples
from transferability.source_data import data, transport
from transferability.source_data.registry import register

RESULTS = ('similarity', 'emd')


@register(
  'domain_similarity',
  cost='O(n d), and a linear program of C x C variables',
  reference='Cui et al., CVPR 2018, arXiv 1806.06193',
  invariances=('rotation', 'shift'),
)
def domain_similarity(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  gamma: float = 0.01,
  min_images: int = 1,
  result: str = 'similarity',
) -> float:
  """Returns DS (Cui et al., CVPR 2018), in (0, 1]; higher is better.

  exp(-gamma EMD), EMD = min sum_ij f_ij |m_i - m_j| over flows f of classes'
  shares: m are the mean features of the classes of source and target. Blind to
  the spread inside classes and to what labels mean; the balance of classes
  counts. EMD scales with the features, and gamma = 0.01 suits those of the
  authors (EMD 40 to 60); for one network the order of sources depends on no
  gamma. Never compare networks by it: it is a distance of data sets.

  Args:
    source_features: [n, d], as they are: neither centred nor normalised. For a
      union of sources, stack their samples, with labels that differ.
    source_labels: [n].
    target_features: [m, d] by the same network.
    target_labels: [m].
    gamma: Above 0.
    min_images: Source classes with fewer samples are left out (200 in the
      authors' notebook, to save time); those of the target never are.
    result: `similarity`, or `emd`, of which less is better.
  """
  samples.check_option('result', result, RESULTS)
  if not 0 < gamma < np.inf:
    raise ValueError(f'gamma={gamma}; give a number above 0.')
  means, counts, _ = _classes(source_features, source_labels, 'source')
  kept = counts >= min_images
  if not kept.any():
    raise ValueError(
      f'No source class has min_images={min_images} samples; the largest has '
      f'{counts.max()}.'
    )
  others, other_counts, _ = _classes(target_features, target_labels, 'target')
  cost = _distances(means[kept], others)
  supply, demand = counts[kept], other_counts
  # Whole masses of equal sums: the shares, times both numbers of samples.
  total = int(supply.sum()), int(demand.sum())
  masses = supply * total[1], demand * total[0]
  plan = transport.plan_of_masses(
    cost, *masses, 'leave out small source classes with `min_images`'
  )
  emd = float((plan * cost).sum())
  return emd if result == 'emd' else float(np.exp(-gamma * emd))


def rank_source_classes(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
) -> tuple[np.ndarray, np.ndarray]:
  """Ranks source classes by the EMD of each alone to the target.

  Cui et al.'s selection of classes, by memory of the paper (their repository
  lacks it). A class alone has one plan: EMD_i = sum_j w_j |m_i - m_j| with the
  shares w of the target's classes. One pass: what is chosen already, and how
  large a class is, have no part in it.

  Args:
    source_features: [n, d].
    source_labels: [n].
    target_features: [m, d] by the same network.
    target_labels: [m].

  Returns:
    Labels of the source's classes, int64 [C], the nearest first, equal ones in
    their order; float64 [C], their EMD.
  """
  means, _, classes = _classes(source_features, source_labels, 'source')
  others, counts, _ = _classes(target_features, target_labels, 'target')
  emd = _distances(means, others) @ (counts / counts.sum())
  order = np.argsort(emd, kind='stable')
  return classes[order], emd[order]


def _classes(
  features: ArrayLike, labels: ArrayLike, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns means [C, d], counts [C] and labels [C] of the classes."""
  domain = data.domain(features, labels, name)
  means = samples.class_means(domain.features, domain.labels)
  return means, domain.counts, domain.classes


def _distances(means: np.ndarray, others: np.ndarray) -> np.ndarray:
  if means.shape[1] != others.shape[1]:
    raise ValueError(
      f'Samples of the source have {means.shape[1]} features, those of the '
      f'target {others.shape[1]}; extract both by one network.'
    )
  return distance.cdist(means, others)
