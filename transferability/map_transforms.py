"""What may be done to attribution maps before their cosine; not in the paper.

Signed maps of heterogeneous networks are nearly orthogonal: the sign of
gradient * input depends on a network's input range, and its grain on where the
network strides. A transform keeps less of a map and may show more of what
networks share. It is written as steps joined by +, for example

  absolute+pooled+centred

and `none` keeps the map as it is, which is the paper's protocol. `quantise`
leaves maps few bits, as the paper's rebuttal does.
"""

from collections.abc import Callable

import numpy as np

NONE = 'none'
_POOLED = 32  # Cells in each direction.


def steps() -> tuple[str, ...]:
  """Returns the names of the steps."""
  return tuple(_STEPS)


def _pooled(maps: np.ndarray) -> np.ndarray:
  for axis in (1, 2):
    weights = _cells(maps.shape[axis], _POOLED)
    if weights is not None:
      maps = np.moveaxis(np.tensordot(maps, weights, (axis, 1)), -1, axis)
  return maps


def _cells(length: int, cells: int) -> np.ndarray | None:
  """Returns [cells, length], the share of each pixel in the mean of a cell."""
  if length <= cells:
    return None
  edges = np.linspace(0, length, cells + 1)
  pixels = np.arange(length)
  overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
    edges[:-1, None], pixels
  )
  return np.maximum(overlap, 0) * cells / length


# From maps [N, H, W] or [N, H, W, C] to maps of the same rank.
_STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  # |map|: how much a pixel matters, not in which direction.
  'absolute': np.abs,
  # Few large values no longer decide alone.
  'root': lambda m: np.sign(m) * np.sqrt(np.abs(m)),
  # The mean over channels, with its sign.
  'grey': lambda m: m.mean(axis=3, keepdims=True) if m.ndim == 4 else m,
  # Means over 32 x 32 equal cells; a smaller map stays as it is.
  'pooled': _pooled,
  # Less the map's own mean: the cosine becomes a correlation.
  'centred': lambda m: m - m.mean(tuple(range(1, m.ndim)), keepdims=True),
}


def check(text: str) -> None:
  """Raises ValueError if `text` is not a transform."""
  unknown = [name for name in text.split('+') if name not in _STEPS]
  if text != NONE and unknown:
    raise ValueError(
      f'No map transform {text!r}: write {NONE}, or steps joined by +, of '
      f'{", ".join(_STEPS)}.'
    )


def apply(text: str, maps: np.ndarray) -> np.ndarray:
  """Returns transformed maps.

  Args:
    text: The transform; its steps are taken from left to right.
    maps: [N, H, W] or [N, H, W, C].

  Returns:
    float64 of the same rank; with `none`, the maps themselves.

  Raises:
    ValueError: If `text` is not a transform, or the maps have another rank.
  """
  check(text)
  maps = np.asarray(maps)
  if maps.ndim not in (3, 4):
    raise ValueError(f'Maps have the shape {maps.shape}, not [N, H, W, C].')
  if text == NONE:
    return maps
  maps = maps.astype(np.float64)
  for name in text.split('+'):
    maps = _STEPS[name](maps)
  return maps


def quantise(rows: np.ndarray, bits: int) -> np.ndarray:
  """Returns each map with its values rounded to 2^bits evenly spaced levels.

  The levels go from -m to m, m the largest magnitude of the map, or from 0 to
  m if it has no negative value. So a signed map of one bit is its signs; a map
  without signs of one bit marks the pixels of more than half of the largest
  value.

  Args:
    rows: [..., size], a map in each row.
    bits: 1 to 23; more than the maps' own precision changes nothing.

  Returns:
    float32, shaped as `rows`.
  """
  if not 1 <= bits <= 23:
    raise ValueError(f'{bits} bits; it must be 1 to 23.')
  rows = np.asarray(rows, np.float32)
  high = np.abs(rows).max(axis=-1, keepdims=True)
  low = np.where(rows.min(axis=-1, keepdims=True) < 0, -high, 0)
  step = (high - low) / np.float32(2**bits - 1)
  step = np.where(step > 0, step, 1)
  # Half-way values go up: rounding to even would give a sign of 0 both ways.
  return (low + np.floor((rows - low) / step + 0.5) * step).astype(np.float32)


def cosines_without_common_map(cosines: np.ndarray) -> np.ndarray:
  """Returns cosines after the mean over the models left every map.

  On each image the mean of all models' unit maps is what every network sees
  there. Without it, cosine_ij becomes a function of the Gram matrix alone:
  that of H K H, with H = I - 1/n, at unit diagonal. The cosine of two models
  then depends on which others there are.

  Args:
    cosines: [images, n, n], as `ModelSpace.image_cosines` returns them.

  Returns:
    float64 [images, n, n], symmetric, unit diagonal.

  Raises:
    ValueError: If fewer than two models, or a map is the mean map on an image.
  """
  cosines = np.asarray(cosines, np.float64)
  if cosines.ndim != 3 or cosines.shape[1] != cosines.shape[2]:
    raise ValueError(f'Cosines have the shape {cosines.shape}.')
  number = cosines.shape[1]
  if number < 2:
    raise ValueError('What models have in common needs two or more of them.')
  centring = np.eye(number) - 1 / number
  result = np.empty_like(cosines)
  for image, matrix in enumerate(cosines):
    gram = centring @ matrix @ centring
    norms = np.sqrt(np.maximum(np.diag(gram), 0))
    if (norms < 1e-6).any():
      raise ValueError(
        f'Image {image}: the map of model {int(np.argmin(norms))} is that of '
        'all models together.'
      )
    values = np.clip((gram + gram.T) / (2 * np.outer(norms, norms)), -1, 1)
    np.fill_diagonal(values, 1.0)
    result[image] = values
  return result


def affinity_without_common_map(cosines: np.ndarray) -> np.ndarray:
  """Returns the mean over the images of `cosines_without_common_map`."""
  return cosines_without_common_map(cosines).mean(axis=0)
