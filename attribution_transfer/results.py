"""What comes out, to be read, saved, or computed with."""

from collections.abc import Mapping, Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from attribution_transfer import inputs
from experiments import figures
from experiments.evaluation import Evaluation, format_table
from taskonomy_models import tasks
from taskonomy_models.bank import Bank
from toolkit_basics import files
from transferability import affinity, ranking

Path = str | os.PathLike
_SHOWN = 5


@dataclasses.dataclass(frozen=True, repr=False)
class _Table:
  """Rows under a header."""

  def rows(self) -> list[Sequence[Any]]:
    """Returns the rows, a header first."""
    raise NotImplementedError

  def to_dict(self) -> list[dict[str, Any]]:
    """Returns a dictionary for each row."""
    header, *rows = self.rows()
    return [dict(zip(header, row, strict=True)) for row in rows]

  def to_csv(self, path: Path) -> None:
    """Writes the rows."""
    files.write_csv(path, self.rows())

  def _title(self) -> str:
    raise NotImplementedError

  def __repr__(self) -> str:
    header, *rows = self.rows()
    text = [
      [f'{value:.4g}' if isinstance(value, float) else value for value in row]
      for row in rows
    ]
    return f'{self._title()}\n{format_table([header, *text])}'


@dataclasses.dataclass(frozen=True, repr=False)
class Ranking(_Table):
  """The sources for one target.

  Attributes:
    target: Name of a network.
    method: Attribution method, or another measure.
    sources: Names, the best first.
    affinities: Mean cosine of the maps of target and source, in [-1, 1]; or
      what the measure says of the source.
  """

  target: str
  method: str
  sources: tuple[str, ...]
  affinities: tuple[float, ...]

  @property
  def best(self) -> str:
    return self.sources[0]

  def rows(self) -> list[Sequence[Any]]:
    """Returns (rank, source, affinity), a header first."""
    pairs = zip(self.sources, self.affinities, strict=True)
    ranked = [(rank, *pair) for rank, pair in enumerate(pairs, start=1)]
    return [('rank', 'source', 'affinity'), *ranked]

  def _title(self) -> str:
    return f'Sources for {self.target}, by {self.method}:'


@dataclasses.dataclass(frozen=True, repr=False)
class Placement(_Table):
  """Where an inserted network stands among the others.

  Attributes:
    name: Of the network.
    by_space: For each model space a table, a header first; see
      `experiments.insertion.placement`.
  """

  name: str
  by_space: Mapping[str, Sequence[Sequence[Any]]]

  def rows(self) -> list[Sequence[Any]]:
    """Returns the rows of all spaces, each with the name of its space."""
    tables = list(self.by_space.items())
    header = (*tables[0][1][0], 'space')
    return [header] + [(*row, s) for s, table in tables for row in table[1:]]

  def _title(self) -> str:
    return f'{self.name} among the others, the nearest first:'


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Comparison:
  """The affinities of a bank's networks, and what follows from them.

  Attributes:
    bank: The networks.
    evaluation: Affinities, rankings, trees; scores if the bank has an oracle.
    left_out: Why networks that failed have no part in it, by name.
  """

  bank: Bank
  evaluation: Evaluation
  left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def names(self) -> tuple[str, ...]:
    """The networks, in the order of rows and columns."""
    return self.evaluation.names

  @property
  def methods(self) -> tuple[str, ...]:
    return tuple(self.evaluation.affinities)

  def affinity(self, method: str | None = None) -> np.ndarray:
    """Returns the affinities, float64 [n, n], a row for each target.

    Of an attribution method the mean cosines, in [-1, 1] and symmetric; of
    another measure what it says, which may have a direction: columns are
    sources.
    """
    return self.evaluation.affinities[self._method(method)].copy()

  def rank(self, target: str, method: str | None = None) -> Ranking:
    """Returns the other networks as sources for one of them."""
    if target not in self.names:
      raise ValueError(f'No network {target!r}; there are {list(self.names)}.')
    method = self._method(method)
    matrix = self.affinity(method)
    sources = ranking.rank_sources(matrix, self.names, [target])[target]
    row = dict(zip(self.names, matrix[self.names.index(target)], strict=True))
    values = tuple(float(row[source]) for source in sources)
    return Ranking(target, method, sources, values)

  def to_dict(self) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the affinities by method, target and source."""
    return {
      method: {
        target: dict(zip(self.names, map(float, row), strict=True))
        for target, row in zip(self.names, matrix, strict=True)
      }
      for method, matrix in self.evaluation.affinities.items()
    }

  def to_csv(self, path: Path, method: str | None = None) -> None:
    """Writes a table of affinities, with names in the first row and column."""
    affinity.save_matrix(path, self.affinity(method), self.names)

  def plot_affinity(self, path: Path, method: str | None = None) -> None:
    """Draws the matrix as a heat map, as PNG and PDF."""
    method = self._method(method)
    order = self.evaluation.trees[method].leaf_order
    labels, groups = self._shown()
    matrix = self.affinity(method)
    figures.affinity_heat_map(path, matrix, labels, order, method, groups)

  def plot_tree(self, path: Path, method: str | None = None) -> None:
    """Draws the task similarity tree, as PNG and PDF."""
    method = self._method(method)
    tree = self.evaluation.trees[method]
    figures.task_tree(path, tree, *self._shown(), method)

  def _shown(self) -> tuple[list[str], list[str | None]]:
    """Returns labels and groups of the networks."""
    encoders = self.bank.encoders
    labels = tasks.shown(encoder.label for encoder in encoders)
    return labels, [encoder.group for encoder in encoders]

  def _method(self, method: str | None) -> str:
    if method is None:
      return self.methods[-1]
    if method not in self.methods:
      raise ValueError(f'No method {method!r}; there are {list(self.methods)}.')
    return method

  def __repr__(self) -> str:
    lines = [
      f'{len(self.names)} networks by {self._method(None)}; the nearest:'
    ]
    for name in self.names:
      found = self.rank(name)
      pairs = zip(found.sources, found.affinities, strict=True)
      shown = [f'{source} {value:.3g}' for source, value in pairs]
      lines.append(f'  {name}: {", ".join(shown[:_SHOWN])}')
    return '\n'.join(lines)


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Maps:
  """The attribution maps of one network.

  Attributes:
    name: Of the network.
    ids: Of the images.
    images: uint8 [n, height, width, 3].
    maps: By method, float32 [n, height, width, 3].
  """

  name: str
  ids: tuple[str, ...]
  images: np.ndarray
  maps: Mapping[str, np.ndarray]

  def __getitem__(self, method: str) -> np.ndarray:
    if method not in self.maps:
      raise KeyError(f'No method {method!r}; there are {list(self.maps)}.')
    return self.maps[method]

  def to_dict(self) -> dict[str, np.ndarray]:
    """Returns the maps by method."""
    return dict(self.maps)

  def to_csv(self, path: Path) -> None:
    """Writes the sum of each map and of its absolute values."""
    rows = [
      (method, name, float(values.sum()), float(np.abs(values).sum()))
      for method, maps in self.maps.items()
      for name, values in zip(self.ids, maps, strict=True)
    ]
    header = ('method', 'image', 'sum', 'absolute_sum')
    files.write_csv(path, [header, *rows])

  def plot(self, path: Path, number: int = 8) -> None:
    """Draws images and maps, a column for each method, as PNG and PDF.

    Args:
      path: Of the PNG.
      number: How many of the images, the first ones; 1 or more.

    Raises:
      ValueError: If the number is no such number.
    """
    inputs.check_numbers({'number': number}, number=1)
    shown = {m: values[:number] for m, values in self.maps.items()}
    figures.map_grid(
      path,
      self.images[:number],
      np.stack(list(shown.values())),
      list(shown),
      self.name,
    )

  def __repr__(self) -> str:
    shape = 'x'.join(map(str, self.images.shape[1:3]))
    methods = ', '.join(self.maps)
    return f'<Maps of {self.name}: {len(self.ids)} images {shape}, {methods}>'
