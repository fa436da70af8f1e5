"""Label-free scores of one network by name."""

import dataclasses
from typing import Any

from numpy.typing import ArrayLike

from transferability import functions

INPUTS = ('features', 'source_probs', 'random_features')
# What the literature says of a score; `none`: nothing that was verified.
DIRECTIONS = ('higher', 'nearest 1', 'none')


@dataclasses.dataclass(frozen=True)
class Strength(functions.Registered):
  """A label-free score of one network, and what is known of it."""

  direction: str  # Which scores are said to be better, one of DIRECTIONS.
  needs: tuple[str, ...] = ('features',)  # Which of INPUTS, in this order.
  # Of 'rotation', 'scale' and 'shift' of the features those that leave the
  # score, with its default options, as it is.
  invariances: tuple[str, ...] = ()

  def ordered(self, value: float) -> float:
    """Returns a score so that larger is what is said to be better.

    Where nothing is said, the raw score.
    """
    return -abs(value - 1) if self.direction == 'nearest 1' else value


_SCORES = functions.Register(
  'label-free score', 'transferability.label_free', Strength
)
info, register, names = _SCORES.info, _SCORES.add, _SCORES.names


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
  strength.check(options)
  values = (features, source_probs, random_features)
  given = dict(zip(INPUTS, values, strict=True))
  return strength.value(*strength.pick(given, strength.needs), **options)
