"""Label-free similarity of representations of the same images.

Each measure is a class in a module of this package: a module is all that a new
one takes. `score` finds it by its name.
"""

from transferability.similarity.registry import (
  Similarity,
  create,
  info,
  matrix,
  names,
  prepare_all,
  score,
)

__all__ = [
  'Similarity',
  'create',
  'info',
  'matrix',
  'names',
  'prepare_all',
  'score',
]
