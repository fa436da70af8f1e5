"""Label-free similarity of representations of the same images.

Each measure is a class in a module of this package, all of which are imported
here: a module is all that a new one takes. `score` finds it by its name.
"""

import importlib
import pkgutil

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

for _module in pkgutil.iter_modules(__path__):
  importlib.import_module(f'{__name__}.{_module.name}')
