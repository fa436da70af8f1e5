"""Transferability measures: how well a representation suits labelled data.

Each is a function in a module of this package: a module is all that a new one
takes. `score` finds it by its name.
"""

from transferability.measures.registry import (
  Measure,
  info,
  names,
  score,
  score_all,
  score_pool,
)

__all__ = ['Measure', 'info', 'names', 'score', 'score_all', 'score_pool']
