"""Decodability and DDS, one half each: what is known, and what counts."""

import dataclasses
from typing import Any

import numpy as np

from transferability.similarity.dds import Dds
from transferability.similarity.decodability import Decodability
from transferability.similarity.registry import Similarity, register


@register(
  'decodability_dds',
  symmetric=False,
  directed=True,
  lowest=(Decodability.lowest + Dds.lowest) / 2,
  cost='O(n f^2 + f^3 + n^2 d) a network, O(n f c + n^2) a pair, f = 9 c',
  reference='This project, docs/recommend.md',
  invariances=('scale', 'shift', 'column_scale'),
)
@dataclasses.dataclass(frozen=True)
class DecodabilityDds(Similarity):
  """Decodability and DDS: the mean of the two, in [-0.5, 1].

  (R^2 + DDS) / 2, each with its default options; higher is more similar.
  `decodability` asks whether the target's representation can be had from the
  source's, which a wide source answers well whatever it was trained for; `dds`
  asks whether images that are alike to the one are alike to the other, which a
  source that knows much else does not answer well. Directed: the first network
  is the target, the second the source. This project's own.
  """

  def _parts(self) -> tuple[Similarity, Similarity]:
    return Decodability(), Dds()

  def prepare(self, x: np.ndarray) -> tuple[Any, Any]:
    decoded, alike = self._parts()
    return decoded.prepare(x), alike.prepare(x)

  def compare(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> float:
    found = [
      part.bounded(a, b)
      for part, a, b in zip(self._parts(), first, second, strict=True)
    ]
    return sum(found) / len(found)
