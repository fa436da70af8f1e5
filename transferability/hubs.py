"""Hubs: sources that stand among the first for very many targets.

Radovanovic, Nanopoulos and Ivanovic, "Hubs in space" (JMLR 2010).
"""

from collections.abc import Mapping, Sequence

import numpy as np


def occurrences(
  rankings: Mapping[str, Sequence[str]], k: int
) -> dict[str, int]:
  """Returns for how many targets each source is among the first `k`."""
  counts = dict.fromkeys(
    sorted({s for row in rankings.values() for s in row}), 0
  )
  for row in rankings.values():
    for source in row[:k]:
      counts[source] += 1
  return counts


def skewness(counts: Mapping[str, int]) -> float:
  """Returns the skewness of the occurrences; 0 if all are equal.

  About 0 without hubs, above 1 with a few strong ones.
  """
  values = np.array(list(counts.values()), float)
  spread = values.std()
  return (
    float(np.mean((values - values.mean()) ** 3) / spread**3) if spread else 0.0
  )
