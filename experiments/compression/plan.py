"""What is compressed, how, and on which pictures: data, no work."""

from collections.abc import Mapping
import dataclasses
import types

from attribution_preservation import matching
from attribution_preservation.training import Schedule
from probe_data import shapes, voc
from probe_data.shapes import MaskedImages

SETTINGS = ('distillation', 'structured', 'unstructured')
SCRATCH = 'scratch'  # The small network without any teacher.
_ROUNDS = 6  # Of unstructured pruning.
# Convolutions 1, 5 and 6 of 6, as the released code prunes 1 and 8 to 13 of 13.
_PRUNED = ('conv0', 'conv4', 'conv5')
# Of PASCAL VOC, as the released code has them.
_VOC = 'mean_std((0.4589, 0.4355, 0.4032), (0.2239, 0.2186, 0.2206))'


@dataclasses.dataclass(frozen=True)
class Source:
  """Where pictures come from.

  Attributes:
    voc_dir: In the layout of PASCAL VOC; None for drawn shapes.
    side: Of the pictures of a folder, in pixels.
    train: How many to learn from, at most.
    selection: How many to choose settings on.
    test: How many to report on, at most.
  """

  voc_dir: str | None = None
  side: int = shapes.SIDE
  train: int = 5000
  selection: int = 400
  test: int = 600

  @property
  def preprocessing(self) -> str:
    """T."""
    return _VOC if self.voc_dir else shapes.PREPROCESSING

  def load(self, seed: int) -> dict[str, MaskedImages]:
    """Returns the splits `train`, `selection` and `test`.

    No picture is in two of them. Shapes are drawn anew for each seed; of a
    folder, the selection split is the end of VOC's train split, and test its
    val split.

    Raises:
      ValueError: If the folder is none of VOC, or has too few pictures.
    """
    if self.voc_dir is None:
      sizes = {n: getattr(self, n) for n in ('train', 'selection', 'test')}
      return {
        name: shapes.draw(number, 3 * seed + i)
        for i, (name, number) in enumerate(sizes.items())
      }
    found = voc.load(
      self.voc_dir, 'train', self.side, self.train + self.selection
    )
    kept = min(self.selection, len(found) // 5)
    if not kept:
      raise ValueError(
        f'{self.voc_dir} has {len(found)} pictures of the train split; five '
        'are needed at least.'
      )
    rows = range(len(found))
    return {
      'train': found.chosen([i for i in rows if i % 5 or i >= 5 * kept]),
      'selection': found.chosen(
        [i for i in rows if not i % 5 and i < 5 * kept]
      ),
      'test': voc.load(self.voc_dir, 'val', self.side, self.test),
    }


@dataclasses.dataclass(frozen=True)
class Shrinking:
  """How a setting compresses.

  Attributes:
    ratio: What goes: the share of the filters of each pruned layer, of all
      weights, or of the widths.
    schedule: Of the student; of each round, if there are several.
    rounds: Of pruning.
    layers: Which convolutions lose filters.
    tracked: After which epochs, or rounds, the student is looked at; 0 is
      before all training.
  """

  ratio: float
  schedule: Schedule
  rounds: int = 1
  layers: tuple[str, ...] = ()
  tracked: tuple[int, ...] = ()


RECIPES: Mapping[str, Shrinking] = types.MappingProxyType(
  {
    'distillation': Shrinking(
      0.75, Schedule(25, 5e-3, cosine=True), tracked=(0, 1, 3, 6, 12, 18, 25)
    ),
    'structured': Shrinking(
      0.7, Schedule(3, 1e-3), layers=_PRUNED, tracked=(0, 1, 2, 3)
    ),
    'unstructured': Shrinking(
      1 - 0.6**_ROUNDS,
      Schedule(1, 1e-3),
      rounds=_ROUNDS,
      tracked=tuple(range(_ROUNDS + 1)),
    ),
  }
)


@dataclasses.dataclass(frozen=True)
class CompressionStudy:
  """Everything that a network depends on, but its seed.

  Attributes:
    source: Of the pictures.
    setting: One of SETTINGS.
    recipe: Of the setting.
    teacher: How the teacher learns.
    num_explained: Samples that are explained by all methods and perturbed.
  """

  source: Source
  setting: str
  recipe: Shrinking
  teacher: Schedule = Schedule(18, 3e-3, cosine=True)
  num_explained: int = 40


@dataclasses.dataclass(frozen=True)
class Student:
  """One way of compressing.

  Attributes:
    method: A name of `matching`, or SCRATCH.
    beta: Factor of the matching's term; None for its own.
    epochs: None for those of the setting.
  """

  method: str
  beta: float | None = None
  epochs: int | None = None

  @property
  def factor(self) -> float | None:
    """Of the matching's term; None where nothing is matched."""
    if self.beta is not None or self.method not in matching.names():
      return self.beta
    return matching.create(self.method).beta

  @property
  def name(self) -> str:
    """Unique; names its files."""
    beta = '' if self.beta is None else f'-beta{self.beta:g}'
    epochs = '' if self.epochs is None else f'-{self.epochs}epochs'
    return f'{self.method}{beta}{epochs}'
