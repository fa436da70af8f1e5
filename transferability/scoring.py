"""Scores of candidates by the label-based measures, and what they cost."""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import functools
import math
import time

import numpy as np

from transferability import measures

EPSILONS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


@dataclasses.dataclass(frozen=True)
class Scores:
  """Of the candidates for one target."""

  # By measure and candidate; larger is better for all, NaN where a measure is
  # not defined.
  values: Mapping[str, Mapping[str, float]]
  seconds: Mapping[str, float]  # By measure, all candidates together.
  # By measure, why values are missing.
  problems: Mapping[str, str] = dataclasses.field(default_factory=dict)


def names() -> tuple[str, ...]:
  """Returns the measures that need features and labels only.

  `transrate:experiments` is TransRate as its authors' experiments compute it:
  the part behind the colon is the option `form` of the measure.
  """
  plain = [
    name
    for name in measures.names()
    if set(measures.info(name).needs) <= {'features', 'labels'}
  ]
  return (*plain, 'transrate:experiments')


def check(chosen: Sequence[str]) -> None:
  """Raises ValueError if a measure, or a form, is not known, or there twice."""
  if not chosen or len(set(chosen)) < len(chosen):
    raise ValueError(f'Measures must be one or more, each once: {chosen}.')
  for name in chosen:
    plain, _, form = name.partition(':')
    known = names()
    if plain not in known:
      raise ValueError(
        f'No measure of features and labels is named {plain!r}; choose from '
        f'{", ".join(known)}.'
      )
    options = measures.info(plain).options
    if form and 'form' not in options:
      raise ValueError(f'{plain} has no forms, so {name!r} has no meaning.')
    if form:
      _check_form(plain, form)


def _check_form(measure: str, form: str) -> None:
  """Raises ValueError if a measure lacks a form of features and labels."""
  labels = np.arange(8) % 2
  features = np.random.default_rng(0).normal(size=(8, 3))
  try:
    measures.score(measure, features=features, labels=labels, form=form)
  except ValueError as error:
    raise ValueError(f'{measure}:{form}: {error}') from error


def score(
  chosen: Sequence[str],
  features: Mapping[str, np.ndarray],
  labels: np.ndarray,
) -> Scores:
  """Scores every candidate by every measure.

  Args:
    chosen: Measures, see `names`.
    features: By candidate, [n, d].
    labels: [n].
  """
  models = [{'features': f, 'labels': labels} for f in features.values()]
  values, seconds, problems = {}, {}, {}
  for name in chosen:
    plain, _, form = name.partition(':')
    options = {'form': form} if form else {}
    sign = 1 if measures.info(plain).higher_is_better else -1
    started = time.perf_counter()
    try:
      found = sign * measures.score_pool(plain, models, **options)
    except (ImportError, ValueError) as error:
      problems[name] = ' '.join(str(error).split())
      found = [math.nan] * len(models)
    seconds[name] = time.perf_counter() - started
    values[name] = dict(zip(features, map(float, found), strict=True))
  return Scores(values, seconds, problems)


def transrate_sweep(
  features: Mapping[str, np.ndarray], labels: np.ndarray
) -> dict[str, dict[float, dict[str, float]]]:
  """Returns TransRate by form, epsilon and candidate.

  A form that is not defined for all candidates is left out.
  """
  transrate = functools.partial(measures.score, 'transrate', labels=labels)
  found = {}
  for form in ('paper', 'experiments'):
    with contextlib.suppress(ValueError):
      found[form] = {
        epsilon: {
          name: transrate(features=values, form=form, epsilon=epsilon)
          for name, values in features.items()
        }
        for epsilon in EPSILONS
      }
  return found
