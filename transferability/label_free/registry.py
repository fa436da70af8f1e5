"""Label-free scores of one network by name."""

from collections.abc import Callable
import dataclasses
import inspect
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toolkit_basics.registry import Registry

INPUTS = ('features', 'source_probs', 'random_features')
# What the literature says of a score; `none`: nothing that was verified.
DIRECTIONS = ('higher', 'nearest 1', 'none')

Function = Callable[..., float]


@dataclasses.dataclass(frozen=True)
class Strength:
  """A label-free score of one network, and what is known of it."""

  name: str  # As in `score`.
  function: Function  # Takes `needs`, then its options by keyword.
  cost: str  # Operations, of n samples with d features.
  reference: str  # Where it was published.
  direction: str  # Which scores are said to be better, one of DIRECTIONS.
  needs: tuple[str, ...] = ('features',)  # Which of INPUTS, in this order.
  # Of 'rotation', 'scale' and 'shift' of the features those that leave the
  # score, with its default options, as it is.
  invariances: tuple[str, ...] = ()

  @property
  def options(self) -> dict[str, Any]:
    """Its options, and their defaults."""
    parameters = inspect.signature(self.function).parameters
    return {
      name: parameter.default
      for name, parameter in parameters.items()
      if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }

  def ordered(self, value: float) -> float:
    """Returns a score so that larger is what is said to be better.

    Where nothing is said, the raw score.
    """
    return -abs(value - 1) if self.direction == 'nearest 1' else value


_SCORES: Registry[Strength] = Registry(
  'label-free score', 'transferability.label_free'
)
info = _SCORES.get


def register(name: str, **facts: Any) -> Callable[[Function], Function]:
  """Returns a decorator that makes a function a label-free score."""

  def add(function: Function) -> Function:
    _SCORES.register(name)(Strength(name, function, **facts))
    return function

  return add


def names() -> tuple[str, ...]:
  """Returns the names of all label-free scores, sorted."""
  return tuple(sorted(_SCORES))


def score(
  name: str,
  *,
  features: ArrayLike | None = None,
  source_probs: ArrayLike | None = None,
  random_features: Any = None,
  **options: Any,
) -> float:
  """Returns a label-free score of a network.

  Args:
    name: One of `names()`.
    features: [n, d] of n unlabelled images; the same n for networks that are
      compared.
    source_probs: [n, Cs] probabilities of the network's own classes.
    random_features: Several [n, d_r], of networks that were not trained.
    **options: Of the score; `info(name).options` lists them.

  Raises:
    ValueError: If it needs an input that is not given, does not know an
      option, the inputs do not fit it, or the score is not finite.
  """
  strength = info(name)
  if unknown := sorted(options.keys() - strength.options.keys()):
    raise ValueError(
      f'{name} has no option {unknown[0]!r}; it has {list(strength.options)}.'
    )
  values = (features, source_probs, random_features)
  given = dict(zip(INPUTS, values, strict=True))
  for need in strength.needs:
    if given[need] is None:
      raise ValueError(f'{name} needs {need}, which is not given.')
  value = strength.function(*(given[n] for n in strength.needs), **options)
  if not np.isfinite(value):
    raise ValueError(
      f'{name} is {value} on these inputs: it is not defined, or overflows.'
    )
  return float(value)
