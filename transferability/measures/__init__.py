"""Transferability measures: how well a representation suits labelled data.

Each is a function in a module of its name; `score` finds it by that name.
"""

from transferability.measures import (  # noqa: F401 - registered by import.
  etran,
  gbc,
  h_score,
  h_score_shrinkage,
  knn,
  leep,
  lfc,
  logme,
  nce,
  ncti,
  nleep,
  pactran,
  parc,
  ped,
  sfda,
  transrate,
)
from transferability.measures.registry import (
  Measure,
  info,
  names,
  score,
  score_all,
  score_pool,
)

__all__ = ['Measure', 'info', 'names', 'score', 'score_all', 'score_pool']
