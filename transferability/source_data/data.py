"""Checks of source and target samples, and draws of some of them."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from transferability.measures import samples


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
  """Samples of a source, or of the target."""

  features: np.ndarray  # float64 [n, d].
  labels: np.ndarray  # int64 [n], positions in `classes`.
  classes: np.ndarray  # int64 [C], the labels as they were given, ascending.

  @property
  def counts(self) -> np.ndarray:
    """int64 [C], samples of each class; 0 for those it does not have."""
    return np.bincount(self.labels, minlength=len(self.classes))

  def __len__(self) -> int:
    return len(self.labels)

  def take(self, rows: np.ndarray) -> 'Domain':
    """Returns some of the samples, with the classes that they have."""
    given = self.classes[self.labels[rows]]
    classes, labels = np.unique(given, return_inverse=True)
    return Domain(self.features[rows], labels, classes)


def check(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
) -> tuple[Domain, Domain]:
  """Returns source and target, each with the classes that it uses.

  Raises:
    ValueError: If features are no finite [n, d] of one d, or labels are not an
      integer for each sample.
  """
  source = domain(source_features, source_labels, 'source')
  target = domain(target_features, target_labels, 'target')
  check_widths(source, target, 'the source')
  return source, target


def check_widths(source: Domain, target: Domain, name: str) -> None:
  """Raises ValueError if a source's features are not the target's."""
  widths = source.features.shape[1], target.features.shape[1]
  if widths[0] != widths[1]:
    raise ValueError(
      f'Samples of {name} have {widths[0]} features, those of the target '
      f'{widths[1]}; extract both by one network.'
    )


def domain(features: ArrayLike, labels: ArrayLike, name: str) -> Domain:
  """Returns samples, called `name` in messages; see `check`."""
  features = samples.check_features(features, f'{name} features')
  labels = np.asarray(labels)
  if not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(f'{name} labels have dtype {labels.dtype}; give integers.')
  if labels.shape != (len(features),):
    raise ValueError(
      f'{name} labels have shape {labels.shape}; give one for each of the '
      f'{len(features)} samples.'
    )
  classes, positions = np.unique(labels, return_inverse=True)
  return Domain(features, positions, classes.astype(np.int64))


def share_classes(*domains: Domain) -> list[Domain]:
  """Returns the domains with labels as positions in all their classes."""
  union = np.unique(np.concatenate([each.classes for each in domains]))
  return [
    dataclasses.replace(
      each,
      labels=np.searchsorted(union, each.classes)[each.labels],
      classes=union,
    )
    for each in domains
  ]


def draw(
  source: Domain, target: Domain, num_samples: int | None, seed: int
) -> tuple[Domain, Domain]:
  """Returns so many samples of each at most, without replacement.

  Raises:
    ValueError: If `num_samples` is less than 2.
  """
  if num_samples is None:
    return source, target
  if num_samples < 2:
    raise ValueError(f'num_samples={num_samples}; give 2 or more, or None.')
  rng = np.random.default_rng(seed)

  def drawn(each: Domain) -> Domain:
    if len(each) <= num_samples:
      return each
    rows = rng.choice(len(each), num_samples, replace=False)
    return each.take(np.sort(rows))

  return drawn(source), drawn(target)
