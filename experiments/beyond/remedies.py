"""What was tried where decodability falls short: readouts that can do more.

A trained readout sees more of its surroundings than three cells, and is not
linear. Both are tried on every bank, with and without span energy, after the
proof: nothing is chosen by it.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from experiments.beyond import observing
from transferability import similarity
from transferability.oracle import Oracle
from transferability.similarity import spade

VARIANTS: Mapping[str, Mapping[str, int]] = {
  'as chosen': {},
  '5 x 5 cells': {'neighbourhood': 5},
  '256 hidden units': {'hidden': 256},
}
HEADER = ('measure', 'readout', *observing.SCORES)


def matrices(
  representations: Mapping[str, np.ndarray],
  track: Callable[..., Iterable],
) -> dict[str, np.ndarray]:
  """Returns decodability of each kind, float64 [networks, networks]."""
  return {
    name: similarity.matrix('decodability', representations, **options)[1]
    for name, options in track(
      list(VARIANTS.items()), description='Trying readouts'
    )
  }


def rows(
  decoded: Mapping[str, np.ndarray],
  span: np.ndarray,
  names: tuple[str, ...],
  oracle: Oracle,
) -> list[list]:
  """Returns the scores of each kind, a header first.

  Args:
    decoded: Of `matrices`.
    span: Span energy of the networks, of all images.
    names: Of the networks.
    oracle: The measured transfers.
  """
  table: list[list] = [list(HEADER)]
  for readout, matrix in decoded.items():
    for measure, values in (
      ('decodability', matrix),
      ('spade', spade.combine([span, matrix])),
    ):
      scored = observing.score(values[None], names, oracle)
      means = [float(scored[each].mean()) for each in observing.SCORES]
      table.append([measure, readout, *means])
  return table
