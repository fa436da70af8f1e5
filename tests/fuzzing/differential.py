"""What comparisons of random networks with another runtime have in common."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
import dataclasses
import os
import pathlib
import tempfile
from typing import Any

import numpy as np

import toolkit_basics.cli as cli
from tests.fuzzing.mutations import one_of

OTHER = 'OTHER'  # Another result, which is a fault.
_TOLERANCE = 2e-4  # Of the largest number.

# From a seed, a network's number and a folder to how it compares, and why.
Compare = Callable[[int, int, pathlib.Path], tuple[str, str]]


@dataclasses.dataclass
class Drawn:
  """Draws what a random network is made of; `shape` is of its last tensor."""

  rng: np.random.Generator
  shape: tuple[int, ...]

  @property
  def rank(self) -> int:
    return len(self.shape)

  def one_of(self, *values: Any) -> Any:
    return one_of(self.rng, values)

  def number(self, low: int, high: int) -> int:
    return int(self.rng.integers(low, high + 1))

  def axis(self) -> int:
    return self.number(-self.rank, self.rank - 1)


class Asked:
  """The flags of such a command: which networks are compared."""

  def __init__(self, flags: cli.Flags):
    self._networks = flags.integer('networks', 'How many to compare.', 500)
    self._seed = flags.integer(
      'seed', 'What makes the networks.', 0, lower_bound=0
    )
    self._number = flags.integer('number', 'The only network to compare.')

  def compared(
    self, compare: Compare, shown: Collection[str] = (OTHER,)
  ) -> Iterator[tuple[int, str, str]]:
    """Yields the number of each network, how it compares, and why.

    Args:
      compare: Compares one.
      shown: Of which kinds a line is printed.
    """
    os.environ['ATTRIBUTION_TRANSFER_TRUST'] = 'checks'
    only = self._number.value
    numbers = range(self._networks.value) if only is None else [only]
    with tempfile.TemporaryDirectory() as folder:
      for number in numbers:
        kind, why = compare(self._seed.value, number, pathlib.Path(folder))
        if kind in shown or only is not None:
          print(f'{number} {kind}: {" ".join(why.split())[:300]}', flush=True)
        yield number, kind, why


def check(others: int) -> None:
  """Raises ValueError if there are networks with another result."""
  if others:
    raise ValueError(f'{others} networks have another result')


def verdict(
  actual: np.ndarray, expected: np.ndarray, described: str, details: str = ''
) -> tuple[str, str]:
  """Returns how two results compare, and why.

  Args:
    actual: Of this project.
    expected: Of the other runtime.
    described: The network.
    details: What is said behind that of one with another result.
  """
  if actual.shape != expected.shape:
    return OTHER, f'{described}{details}: {actual.shape}'
  if not np.isfinite(expected).all():
    return 'illegal', f'{described}: not finite'
  difference = float(np.abs(actual - expected).max(initial=0))
  scale = max(1.0, float(np.abs(expected).max(initial=0)))
  if not difference <= _TOLERANCE * scale:
    return OTHER, f'{described}{details}: {difference:.3g}'
  return 'same', described


def sample(
  compare: Compare, count: int, folder: pathlib.Path
) -> tuple[Counter[str], list[str]]:
  """Returns how many of the first networks compare how, and other results."""
  counts, others = Counter(), []
  for number in range(count):
    kind, why = compare(0, number, folder)
    counts[kind] += 1
    if kind == OTHER:
      others.append(f'{number}: {why}')
  return counts, others
