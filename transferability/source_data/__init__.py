"""Source-data measures: what source samples tell of transfer to a target.

They take features and labels of samples of the source and of the target, all
by ONE network. Each is a function in a module of this package: a module is all
that a new one takes. `score` finds it by its name.
"""

from transferability.source_data.registry import (
  SourceMeasure,
  info,
  names,
  score,
  score_sources,
)

__all__ = ['SourceMeasure', 'info', 'names', 'score', 'score_sources']
