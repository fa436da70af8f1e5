"""Rankings of sources as CSV: target, rank_1, rank_2, ..."""

import collections
from collections.abc import Iterable, Mapping

from toolkit_basics import files

# For each target its sources, best first, without the target itself.
Rankings = Mapping[str, tuple[str, ...]]


def write(path: files.Path, rankings: Rankings) -> None:
  """Writes rankings as CSV: target, rank_1, rank_2, ..."""
  width = max(map(len, rankings.values()), default=0)
  header = ['target', *(f'rank_{k}' for k in range(1, width + 1))]
  files.write_csv(path, [header, *([t, *row] for t, row in rankings.items())])


def read(path: files.Path) -> dict[str, tuple[str, ...]]:
  """Reads rankings from CSV; rank_0, the target itself, may be there too."""
  header, *rows = files.read_csv(path)
  with_self = 'rank_0' in header
  ranks = range(0 if with_self else 1, len(header) - (1 if with_self else 0))
  expected = ['target', *(f'rank_{k}' for k in ranks)]
  if header != expected or len(header) < 2:
    raise ValueError(
      f'{path}: the header is {header}; expected target, rank_1, rank_2, ...'
    )
  ranking = {}
  for target, *row in rows:
    if target in ranking:
      raise ValueError(f'{path}: target {target!r} has two rows.')
    if len(row) != len(header) - 1 or '' in (target, *row):
      raise ValueError(
        f'{path}: the row of target {target!r} is {row}, but the header has '
        f'{len(header) - 1} ranks.'
      )
    if with_self and row[0] != target:
      raise ValueError(
        f'{path}: rank_0 of target {target!r} is {row[0]!r}; it must be the '
        'target itself.'
      )
    ranking[target] = tuple(row[with_self:])
  return ranking


def duplicates(names: Iterable[str]) -> list[str]:
  """Returns the names that occur more than once, sorted."""
  counts = collections.Counter(names)
  return sorted(name for name, count in counts.items() if count > 1)
