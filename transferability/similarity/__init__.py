"""Label-free similarity of representations of the same images.

Each measure is a class in a module of its name; `score` finds it by that name.
"""

from transferability.similarity import (  # noqa: F401 - registered by import.
  cka,
  dds,
  depara,
  pwcca,
  rsa,
  svcca,
)
from transferability.similarity.registry import (
  Similarity,
  create,
  info,
  matrix,
  names,
  score,
)

__all__ = [
  'Similarity',
  'create',
  'info',
  'matrix',
  'names',
  'score',
]
