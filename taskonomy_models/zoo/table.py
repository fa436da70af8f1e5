"""The bank that the zoo's networks make: `bank.json`, graphs and `zoo.csv`."""

from collections.abc import Iterable
import dataclasses
import pathlib

import tensorflow as tf

from taskonomy_models.bank import Folder
from taskonomy_models.encoder import Encoder
from taskonomy_models.zoo import networks as zoo
from toolkit_basics import files

TABLE = 'zoo.csv'
_NAME = 'zoo'
_IMAGE_SIZE = 224  # Most networks' own; larger ones see enlarged pictures.


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of `zoo.csv`: one network of a bank.

  Attributes:
    network: Name of the encoder.
    label: As shown in figures.
    group: Kind of its task.
    task: The task itself.
    architecture: See `zoo.ZooNetwork`.
    family: See `zoo.ZooNetwork`.
    package: Name and version.
    licence: As the package states it.
    input_shape: Of one image, as the graph states it.
    representation_shape: Of one image.
    nodes: From input to representation.
    nonlinear: Nodes whose gradient depends on the values.
    ruled: Activations that epsilon-LRP overrides; -1 if it refuses the graph.
    rules: Which ones, or why the graph is refused.
    parameters: Numbers in the graph's constants.
    seconds: One forward and one backward pass of one image.
    definition: Digest of what the graph was made from.
  """

  network: str
  label: str
  group: str
  task: str
  architecture: str
  family: str
  package: str
  licence: str
  input_shape: str
  representation_shape: str
  nodes: int
  nonlinear: int
  ruled: int
  rules: str
  parameters: int
  seconds: float
  definition: str


class ZooBank:
  """A folder that fills with networks; after each it is a whole bank."""

  def __init__(self, folder: pathlib.Path):
    """Opens a folder, which need not exist.

    Raises:
      ValueError: If it holds a bank that is not of the zoo.
    """
    self.folder = folder
    self._bank = Folder(folder, _NAME)
    self._rows: dict[str, Row] = {}
    bank = self._bank.bank()
    if bank.encoders:
      if bank.name != _NAME or not (folder / TABLE).exists():
        raise zoo.ZooError(
          f'{folder} holds the bank {bank.name!r}, which is not of the zoo; '
          'choose another folder.'
        )
      self._rows = read_table(folder)

  def has(self, name: str, definition: str) -> bool:
    """Whether a network is there, whole, and made as the zoo says now."""
    made_of = {'definition': definition}
    return name in self._rows and self._bank.has(name, made_of)

  def add(
    self, encoder: Encoder, graph: tf.compat.v1.GraphDef, row: Row
  ) -> None:
    """Adds a network, or replaces it, and writes the tables.

    The table of rows goes first: a network counts only if it is in both.
    """
    self._rows[encoder.name] = row
    order = tuple(zoo.load().networks)
    names = [n for n in dict.fromkeys([*order, *self._rows]) if n in self._rows]
    write_table(self.folder, [self._rows[name] for name in names])
    made_of = {'definition': row.definition}
    self._bank.add(encoder, graph, made_of, image_size=_IMAGE_SIZE)
    self._bank.describe(order)


def write_table(folder: pathlib.Path, rows: Iterable[Row]) -> None:
  """Writes `zoo.csv`."""
  header = [field.name for field in dataclasses.fields(Row)]
  files.write_csv(folder / TABLE, [header, *map(dataclasses.astuple, rows)])


def read_table(folder: pathlib.Path) -> dict[str, Row]:
  """Returns the rows of a bank's `zoo.csv` by network.

  Raises:
    ZooError: If the file is not such a table.
    OSError: If it cannot be read.
  """
  path = folder / TABLE
  types = {field.name: field.type for field in dataclasses.fields(Row)}
  try:
    header, *lines = files.read_csv(path)
    rows = [
      Row(**{n: types[n](v) for n, v in zip(header, line, strict=True)})
      for line in lines
    ]
  except (ValueError, KeyError, TypeError) as error:
    raise zoo.ZooError(
      f'{path} is not a table of the zoo ({error!r}); remove it and the bank, '
      'and fetch the networks again.'
    ) from error
  return {row.network: row for row in rows}
