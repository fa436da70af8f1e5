"""SPADE: span energy and decodability, one half each."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from transferability.similarity.attribution_span import AttributionSpan
from transferability.similarity.decodability import Decodability
from transferability.similarity.registry import Similarity, register

PARTS = ('attribution_span', 'decodability')


def combine(values: Sequence[Any]) -> Any:
  """Returns SPADE of its parts, numbers or matrices, in their order."""
  span, decoded = values
  return (span + decoded) / 2


@register(
  'spade',
  takes='both',
  symmetric=False,
  directed=True,
  lowest=0.0,
  cost='Those of attribution_span and decodability',
  reference='This project, docs/beyond_the_mean.md',
  invariances=('scale',),
)
@dataclasses.dataclass(frozen=True)
class Spade(Similarity):
  """Span energy and decodability: the mean of the two, in [0, 1].

  What of the target's representation the source's predicts
  (`decodability`), and what of the pixels that move it moves the source's too
  (`attribution_span`); higher is more similar. Takes a pair of each network:
  representations [n, d] or [n, h, w, c], and probes [m, K, P], which may be of
  other images. Directed: the first network is the target. This project's own.
  """

  def _parts(self) -> tuple[Similarity, Similarity]:
    return AttributionSpan(), Decodability()

  def prepare(self, x: Any) -> tuple[Any, Any]:
    span, decoded = self._parts()
    representations, probes = x
    return span.prepare(probes), decoded.prepare(representations)

  def compare(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> float:
    found = [
      part.bounded(a, b)
      for part, a, b in zip(self._parts(), first, second, strict=True)
    ]
    return float(combine(found))
