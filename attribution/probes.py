"""Random directions of a representation, whose maps span what it reacts to.

The map of the paper is one row of the Jacobian J [D, pixels] of an image's
representation: the mean over units. It is another one once the representation
is rotated, and units that look at different things cancel in it. K directions
v ~ N(0, I) give K rows v^T J: their expected outer product is J^T J, which no
rotation changes, and their span is that of the leading part of J's rows
(Halko, Martinsson and Tropp, SIAM Review 2011).
"""

from collections.abc import Sequence
import dataclasses
import hashlib

import numpy as np

from attribution import methods as methods_lib
from attribution.methods import AttributionMethod
from toolkit_basics import grids


@dataclasses.dataclass(frozen=True)
class Probes:
  """How a network is probed.

  Attributes:
    method: Whose maps are made; linear in one gradient.
    count: K, directions an image.
    num_images: How many images are probed, evenly spaced among those given.
    seed: Of the directions.
    side: Maps are averaged over cells so that no side has more pixels.
  """

  method: AttributionMethod = dataclasses.field(
    default_factory=lambda: methods_lib.create('gradient')
  )
  count: int = 32
  num_images: int = 16
  seed: int = 0
  side: int = 64

  def __post_init__(self):
    for name, least in (('count', 2), ('num_images', 1), ('side', 1)):
      if (value := getattr(self, name)) < least:
        raise ValueError(f'{name} is {value}, but must be at least {least}.')
    methods_lib.check_directed(self.method)

  def chosen(self, number: int) -> np.ndarray:
    """Returns which of so many images are probed, sorted int64."""
    count = min(self.num_images, number)
    return np.arange(count) * number // max(1, count)

  def directions(
    self, network: str, images: Sequence[str], units: int
  ) -> np.ndarray:
    """Returns directions v ~ N(0, I), float32 [images, K, units].

    Those of an image depend on the seed, the network and the image alone, and
    those of two networks are independent.

    Args:
      network: Its digest.
      images: The digest of each.
      units: D, of the flattened representation.
    """
    drawn = [
      _generator(self.seed, network, image).standard_normal(
        (self.count, units), np.float32
      )
      for image in images
    ]
    return np.stack(drawn)


def _generator(seed: int, network: str, image: str) -> np.random.Generator:
  text = f'{seed} {network} {image}'.encode()
  digest = hashlib.sha256(text).digest()
  return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def pooled(maps: np.ndarray, side: int) -> np.ndarray:
  """Returns means over the cells of a grid of at most `side` x `side`.

  Args:
    maps: [..., H, W, C].
    side: Cells a side; an axis with fewer pixels stays as it is.
  """
  return grids.cell_means(maps, side, side, first=maps.ndim - 3)
