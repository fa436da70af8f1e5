"""Measures by name: what each needs, which way it points, what it costs."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transferability import functions

INPUTS = ('features', 'labels', 'source_probs')


@dataclasses.dataclass(frozen=True)
class Measure(functions.Registered):
  """A measure, and what is known of it."""

  # Which of INPUTS it takes, in this order.
  needs: tuple[str, ...] = ('features', 'labels')
  # Whether a larger score, as returned, predicts better transfer.
  higher_is_better: bool = True
  # Whether it is a closed formula: nothing is iterated until it converges.
  optimisation_free: bool = True
  # Of 'rotation', 'scale', 'shift' and 'linear' (any invertible map) those of
  # the features that leave the score, with its default options, as it is.
  invariances: tuple[str, ...] = ()
  # `needs` for values of its option `form` that need others.
  needs_of_form: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  # For a measure that ranks models relative to each other: combines the terms
  # of several models, float64 [num_models, num_terms], into scores, and the
  # values that its option `term` takes, in the order of those columns.
  pool: Callable[[np.ndarray], np.ndarray] | None = None
  terms: tuple[str, ...] = ()

  def needs_with(self, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns which inputs it takes with these options."""
    return self.needs_of_form.get(options.get('form', ''), self.needs)


_MEASURES = functions.Register('measure', 'transferability.measures', Measure)
info, register, names = _MEASURES.info, _MEASURES.add, _MEASURES.names


def score(
  name: str,
  *,
  features: ArrayLike | None = None,
  labels: ArrayLike | None = None,
  source_probs: ArrayLike | None = None,
  **options: Any,
) -> float:
  """Returns how well a model's representation suits a target task.

  Args:
    name: One of `names()`.
    features: [n, d] representations of the target's samples.
    labels: Integers [n] of the target task, in 0..C-1, each of them used.
    source_probs: [n, Cs] probabilities of the source model's own classes.
    **options: Of the measure; `info(name).options` lists them.

  Raises:
    ValueError: If the measure needs an input that is not given, does not know
      an option, the inputs do not fit it, or the score is not finite. Inputs
      that it does not need are not looked at.
  """
  measure = info(name)
  measure.check(options)
  given = dict(zip(INPUTS, (features, labels, source_probs), strict=True))
  needs = measure.needs_with(options)
  return measure.value(*measure.pick(given, needs), **options)


def score_all(
  *,
  features: ArrayLike | None = None,
  labels: ArrayLike | None = None,
  source_probs: ArrayLike | None = None,
  options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
  """Returns the score of every measure whose inputs are given.

  Args:
    features, labels, source_probs: As for `score`.
    options: For a measure's name its options.

  Raises:
    ValueError: If an input is bad; the message names the measure.
  """
  options = options or {}
  inputs = zip(INPUTS, (features, labels, source_probs), strict=True)
  given = {name: value for name, value in inputs if value is not None}
  for name in options:
    info(name)
  scores = {}
  for name in names():
    measure = info(name)
    own = options.get(name, {})
    if set(measure.needs_with(own)) <= given.keys():
      try:
        scores[name] = score(name, **given, **own)
      except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
  return scores


def score_pool(
  name: str, models: Sequence[Mapping[str, ArrayLike]], **options: Any
) -> np.ndarray:
  """Returns the scores of the models that compete for one target task.

  Most measures score each model by itself. Those with `info(name).terms`
  (ETran, NCTI) are sums of terms that are first scaled over the pool, so that
  only here they are what was published.

  Args:
    name: One of `names()`.
    models: For each model the inputs, as the keywords of `score`.
    **options: Of the measure, for all models; not `term`.

  Returns:
    float64 [num_models].
  """
  measure = info(name)
  if measure.pool is None:
    return np.array([score(name, **model, **options) for model in models])
  if 'term' in options:
    raise ValueError(
      f'{name} takes all its terms over a pool: {measure.terms}.'
    )
  terms = [
    [score(name, **model, **options, term=term) for term in measure.terms]
    for model in models
  ]
  return measure.pool(np.array(terms).reshape(len(models), len(measure.terms)))


def min_max(values: np.ndarray) -> np.ndarray:
  """Scales values to [0, 1]; equal values become 0."""
  values = np.asarray(values, np.float64)
  if not values.size:
    return values
  span = np.ptp(values)
  return (values - values.min()) / (span if span > 0 else 1.0)
