"""Transferability measures: how well a representation suits labelled data.

Each is a function in a module of this package, all of which are imported here:
a module is all that a new one takes. `score` finds it by its name.
"""

import importlib
import pkgutil

from transferability.measures.registry import (
  Measure,
  info,
  names,
  score,
  score_all,
  score_pool,
)

__all__ = ['Measure', 'info', 'names', 'score', 'score_all', 'score_pool']

for _module in pkgutil.iter_modules(__path__):
  importlib.import_module(f'{__name__}.{_module.name}')
