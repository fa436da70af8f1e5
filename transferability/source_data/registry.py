"""Source-data measures by name: what each needs, which way it points."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transferability import functions

Samples = tuple[ArrayLike, ArrayLike]  # Features [n, d], labels [n].


@dataclasses.dataclass(frozen=True)
class SourceMeasure(functions.Registered):
  """A source-data measure, and what is known of it.

  Its function takes features and labels of the source, then of the target.
  """

  # Whether a larger score, as returned, predicts better transfer.
  higher_is_better: bool = True
  # Whether the source's labels must be those of the target: equal numbers for
  # equal classes. Otherwise the two have label spaces of their own.
  shared_labels: bool = False
  # Whether nothing is fitted or solved by iteration.
  optimisation_free: bool = False
  # Of 'rotation', 'scale', 'shift' and 'linear' (any invertible map) of the
  # features, the same for source and target, those that leave the score with
  # its default options as it is.
  invariances: tuple[str, ...] = ()
  # For a measure that ranks sources relative to each other: combines the terms
  # of several sources, float64 [sources, terms], into scores, and the values
  # that its option `term` takes, in the order of those columns.
  pool: Callable[[np.ndarray], np.ndarray] | None = None
  terms: tuple[str, ...] = ()


_MEASURES = functions.Register(
  'source-data measure', 'transferability.source_data', SourceMeasure
)
info, register, names = _MEASURES.info, _MEASURES.add, _MEASURES.names


def score(name: str, source: Samples, target: Samples, **options: Any) -> float:
  """Returns how well a source suits a target.

  Args:
    name: One of `names()`.
    source: Features [n, d] by the network that the target's are by too, and
      integer labels [n]; not all of 0..C-1 must be used.
    target: The same, [m, d] and [m].
    **options: Of the measure; `info(name).options` lists them.

  Raises:
    ValueError: If the measure does not know an option, the inputs do not fit
      it or each other, or the score is not finite.
  """
  measure = info(name)
  measure.check(options)
  return measure.value(*source, *target, **options)


def score_sources(
  name: str, sources: Mapping[str, Samples], target: Samples, **options: Any
) -> dict[str, float]:
  """Returns the scores of sources that compete for one target.

  Each is scored by itself, but for measures with `info(name).terms` (OTCE),
  whose terms are first scaled over the sources.

  Args:
    name: One of `names()`.
    sources: By name, as the source of `score`. With features of the sources'
      own networks, the target must be scored for each: use `score` or
      `combine`.
    target: As for `score`.
    **options: Of the measure, for all sources; not `term`.

  Raises:
    ValueError: As `score`; the message names the source.
  """
  measure = info(name)
  if measure.pool is not None and 'term' in options:
    raise ValueError(
      f'{name} takes all its terms over the sources: {measure.terms}.'
    )
  rows = {}
  for source, samples in sources.items():
    try:
      rows[source] = terms(name, samples, target, **options)
    except ValueError as error:
      raise ValueError(f'{source}: {error}') from error
  return combine(name, rows)


def terms(
  name: str, source: Samples, target: Samples, **options: Any
) -> list[float]:
  """Returns the terms of a source's score, or the score if it has none."""
  known = info(name).terms
  if not known:
    return [score(name, source, target, **options)]
  return [score(name, source, target, **options, term=term) for term in known]


def combine(name: str, rows: Mapping[str, ArrayLike]) -> dict[str, float]:
  """Returns the scores of sources by their `terms`."""
  if not rows:
    return {}
  values = np.array(list(rows.values()), np.float64)
  pool = info(name).pool
  found = values[:, 0] if pool is None else pool(values)
  return dict(zip(rows, map(float, found), strict=True))
