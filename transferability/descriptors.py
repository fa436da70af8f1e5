"""Descriptors: a network's point in the model space, in 4 KB.

All maps of a network, one behind the other, are one unit vector; affinity is
the cosine of two such vectors. A descriptor holds the signs of random
projections of it, the same for every network. Two vectors at an angle t differ
in a share t / pi of their signs (Goemans and Williamson, 1995; Charikar, 2002),
so that the share tells the cosine, with a deviation of at most pi / 2 divided
by the root of the number of signs: 0.0087 for 32,704 signs. Of the same bytes,
numbers of eight bits tell it three times worse.

Projections of millions of numbers would take hours one by one. A count sketch
(Charikar, Chen and Farach-Colton, 2002) first adds each number, with a random
sign, to one of 2^18 sums; a Hadamard transform of these with random signs then
mixes them all (Ailon and Chazelle, 2009).
"""

from collections.abc import Iterable
import dataclasses

import numpy as np

BYTES = 4096
_NORM_BYTES = 8  # A float32, and what fills up to whole words of the code.
_LOG_SUMS = 18
_SIGNS = 2**64 - 1  # Stands for an image that no space has.


@dataclasses.dataclass(frozen=True, eq=False)
class Descriptor:
  """A network in a few bytes; see `Sketcher`.

  Attributes:
    norm: Of the network's vector; 1 where all rows have unit norm.
    code: uint64 [words], the signs.
  """

  norm: float
  code: np.ndarray

  def affinity(self, other: 'Descriptor') -> float:
    """Returns the estimate of the affinity of two networks."""
    codes = other.code[None]
    return float(affinities(self, np.array([other.norm]), codes)[0])


def affinities(
  query: Descriptor, norms: np.ndarray, codes: np.ndarray
) -> np.ndarray:
  """Returns estimates of the affinities of a network with others.

  Args:
    query: Of the network.
    norms: Of the others, [n].
    codes: uint64 [n, words]; fewer words than the query has are compared with
      the first ones of it.

  Returns:
    float32 [n].
  """
  words = codes.shape[1]
  differing = _bits(codes ^ query.code[:words])
  share = differing.sum(axis=1, dtype=np.uint32) / np.float32(64 * words)
  return query.norm * norms.astype(np.float32) * np.cos(np.pi * share)


def _bits(words: np.ndarray) -> np.ndarray:
  """Returns how many bits of each are set, in some order within a row."""
  if hasattr(np, 'bitwise_count'):  # Of NumPy 2.
    return np.bitwise_count(words)
  numbers = np.arange(256, dtype=np.uint8)[:, None]
  table = np.unpackbits(numbers, axis=1).sum(axis=1, dtype=np.uint8)
  return table[np.ascontiguousarray(words).view(np.uint8)]


def deviation(signs: int, affinity: float = 0.0) -> float:
  """Returns the standard deviation of an estimate from so many signs."""
  share = np.arccos(affinity) / np.pi
  slope = np.pi * np.sqrt(1 - affinity**2)
  return float(slope * np.sqrt(share * (1 - share) / signs))


@dataclasses.dataclass(frozen=True)
class Sketcher:
  """Makes descriptors; those of one sketcher can be compared.

  Attributes:
    size: Bytes of a descriptor, a multiple of 8.
    seed: Of the projections.
  """

  size: int = BYTES
  seed: int = 0

  def __post_init__(self):
    most = 2**_LOG_SUMS // 8
    if self.size % 8 or not 2 * _NORM_BYTES <= self.size <= most:
      raise ValueError(
        f'A descriptor of {self.size} bytes; it must be a multiple of 8, from '
        f'{2 * _NORM_BYTES} to {most}.'
      )

  @property
  def words(self) -> int:
    """Number of 64 bits of a code."""
    return (self.size - _NORM_BYTES) // 8

  def of(self, rows: Iterable[tuple[int, np.ndarray]]) -> Descriptor:
    """Returns the descriptor of a network.

    It does not depend on the order of the images; images that are left out for
    all networks may be left out here.

    Args:
      rows: Number of each image, and the network's map of it, real [row size],
        at unit norm.

    Raises:
      ValueError: If there are none, or all are zero.
    """
    total, count = np.zeros(2**_LOG_SUMS), 0
    for image, row in rows:
      sums, signs = self._drawn(image, len(row))
      weights = np.asarray(row, np.float64) * signs
      total += np.bincount(sums, weights, 2**_LOG_SUMS)
      count += 1
    if not count or not np.any(total):
      raise ValueError('Only maps that are not all zero have a descriptor.')
    _, signs = self._drawn(_SIGNS, len(total))
    mixed = _hadamard(total * signs)[: 64 * self.words]
    code = np.packbits(mixed > 0, bitorder='little').view('<u8')
    return Descriptor(1.0, code.astype(np.uint64))

  def _drawn(self, image: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each number of a row is added, and with which sign.

    Of raw random bits, which no version of NumPy draws otherwise.
    """
    source = np.random.PCG64(np.random.SeedSequence([self.seed, image]))
    raw = source.random_raw(size)
    sums = (raw >> np.uint64(64 - _LOG_SUMS)).astype(np.intp)
    return sums, (raw & np.uint64(1)) * 2.0 - 1


def _hadamard(values: np.ndarray) -> np.ndarray:
  """Returns the Walsh-Hadamard transform of 2^n numbers, not normalised."""
  result, half = values, 1
  while half < len(values):
    pairs = result.reshape(-1, 2, half)
    sums, differences = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
    result = np.stack([sums, differences], axis=1).reshape(-1)
    half *= 2
  return result
