"""Images without the parts that a map finds relevant, to test the map.

Samek et al. (2017): what matters is removed first, and the network is asked
again. Nothing here knows networks.
"""

from collections.abc import Callable

import cv2
import numpy as np

from toolkit_basics.registry import Registry

# From images uint8 [N, H, W, C] to what takes the place of their parts.
Baseline = Callable[[np.ndarray], np.ndarray]

_BASELINES: Registry[Baseline] = Registry('baseline')
register_baseline = _BASELINES.register
baselines = _BASELINES.names
baseline = _BASELINES.get


@register_baseline('blur')
def blurred(images: np.ndarray) -> np.ndarray:
  """Returns images under a Gaussian whose sigma is 1/16 of the longer side.

  At 64 pixels that is 4: light and colour stay, and what has an edge goes.

  Args:
    images: uint8 [N, H, W, C].
  """
  sigma = max(images.shape[1:3]) / 16
  found = [cv2.GaussianBlur(image, (0, 0), sigma) for image in images]
  return np.reshape(found, images.shape)


@register_baseline('mean')
def mean_colours(images: np.ndarray) -> np.ndarray:
  """Returns images of one colour, the mean of each; uint8 [N, H, W, C]."""
  means = images.mean(axis=(1, 2), keepdims=True)
  return np.broadcast_to(np.rint(means).astype(images.dtype), images.shape)


def magnitude(maps: np.ndarray) -> np.ndarray:
  """Returns how relevant each pixel is, whatever the sign: |sum over channels|.

  Args:
    maps: [N, H, W, C].

  Returns:
    [N, H, W], none negative.
  """
  return np.abs(maps.sum(axis=-1))


def cell_means(heat: np.ndarray, side: int) -> np.ndarray:
  """Returns the means of square cells; those at the end may be smaller.

  Args:
    heat: [N, H, W].
    side: Of a cell, in pixels, at least 1.

  Returns:
    float64 [N, ceil(H / side), ceil(W / side)].
  """
  height, width = heat.shape[1:]
  rows, columns = (np.arange(0, size, side) for size in (height, width))
  sums = np.add.reduceat(heat.astype(np.float64), rows, axis=1)
  sums = np.add.reduceat(sums, columns, axis=2)
  sizes = (
    np.diff(np.append(o, n)) for o, n in ((rows, height), (columns, width))
  )
  return sums / np.outer(*sizes)


def orders(heat: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """Returns in which orders pixels, or cells, are removed, int64 [h * w] each.

  `least` takes the least important first, `most` the most important, `random`
  neither; those of equal importance come in random order.

  Args:
    heat: [h, w].
    rng: What draws.
  """
  shuffled = rng.permutation(heat.size)
  least = shuffled[np.argsort(np.ravel(heat)[shuffled], kind='stable')]
  return {
    'least': least,
    'most': least[::-1].copy(),
    'random': rng.permutation(heat.size),
  }


def perturbed(
  image: np.ndarray,
  order: np.ndarray,
  share: float,
  fill: np.ndarray,
  side: int = 1,
) -> np.ndarray:
  """Returns an image [H, W, C] whose first cells of an order are `fill`.

  Args:
    image: Of any type.
    order: Of the cells, row by row.
    share: How many of the cells, in [0, 1].
    fill: [C], such as the mean colour of the data, or [H, W, C]; rounded to
      values that an image of integers can have.
    side: Of a cell, in pixels.

  Raises:
    ValueError: If the share is none.
  """
  if not 0 <= share <= 1:
    raise ValueError(f'share is {share}, but must be in [0, 1].')
  if np.issubdtype(image.dtype, np.integer):
    limits = np.iinfo(image.dtype)
    fill = np.clip(np.rint(fill), limits.min, limits.max)
  height, width = image.shape[:2]
  rows, columns = (np.arange(size) // side for size in (height, width))
  gone = np.zeros(len(order), bool)
  gone[order[: round(share * len(order))]] = True
  mask = gone[rows[:, None] * (columns[-1] + 1) + columns]
  return np.where(mask[..., None], np.asarray(fill, image.dtype), image)
