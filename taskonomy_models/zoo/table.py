"""The bank that the zoo's networks make: `bank.json`, graphs and `zoo.csv`."""

from collections.abc import Iterable, Mapping
import csv
import dataclasses
import pathlib

from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
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
    architecture: See `zoo.Network`.
    family: See `zoo.Network`.
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
    self._encoders: dict[str, Encoder] = {}
    self._rows: dict[str, Row] = {}
    if (folder / 'bank.json').exists():
      bank = banks.load(str(folder))
      if bank.name != _NAME or not (folder / TABLE).exists():
        raise zoo.ZooError(
          f'{folder} holds the bank {bank.name!r}, which is not of the zoo; '
          'choose another folder.'
        )
      self._rows = read_table(folder)
      self._encoders = {encoder.name: encoder for encoder in bank.encoders}

  def has(self, name: str, definition: str) -> bool:
    """Whether a network is there, whole, and made as the zoo says now."""
    if name not in self._encoders or name not in self._rows:
      return False
    if self._rows[name].definition != definition:
      return False
    try:
      self._encoders[name].digest()
    except (ValueError, OSError):
      return False
    return True

  def add(self, encoder: Encoder, row: Row) -> None:
    """Adds a network, or replaces it, and writes the tables.

    The table of rows goes first: a network counts only if it is in both.
    """
    self._encoders[encoder.name] = encoder
    self._rows[encoder.name] = row
    order = [*zoo.load().networks, *self._encoders]
    names = [n for n in dict.fromkeys(order) if n in self._encoders]
    write_table(self.folder, [self._rows[n] for n in names if n in self._rows])
    banks.save(
      Bank(
        _NAME,
        tuple(self._encoders[name] for name in names),
        image_size=_IMAGE_SIZE,
        folder=str(self.folder),
      )
    )

  def rows(self) -> Mapping[str, Row]:
    return dict(self._rows)


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
    with open(path, encoding='utf-8', newline='') as file:
      rows = [
        Row(**{name: types[name](value) for name, value in line.items()})
        for line in csv.DictReader(file)
      ]
  except (ValueError, KeyError, TypeError, csv.Error) as error:
    raise zoo.ZooError(
      f'{path} is not a table of the zoo ({error!r}); remove it and the bank, '
      'and fetch the networks again.'
    ) from error
  return {row.network: row for row in rows}
