"""What a model space must return, as it is defined."""

import numpy as np


def mean_cosines(maps: np.ndarray) -> np.ndarray:
  """Returns 1 / d of Eq. 1 for maps [models, images, ...]."""
  rows = np.asarray(maps, np.float64).reshape(*maps.shape[:2], -1)
  unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)
  return np.einsum('ijk,ljk->il', unit, unit) / maps.shape[1]
