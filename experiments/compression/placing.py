"""Places teacher and students into one model space, as any bank's networks."""

from collections.abc import Sequence
import dataclasses
import pathlib

from attribution_preservation.networks import Split
from experiments import evaluation, pipeline, visuals
from experiments.compression import tables
from experiments.compression.plan import Student
from experiments.compression.running import TEACHER, Seeded
import frozen_graphs
from probe_data import probe_sets
from taskonomy_models import conversion
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files

METHODS = ('saliency', 'gradient_times_input', 'elrp')
_NUM_IMAGES = 100
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Placed:
  """Networks in a model space.

  Attributes:
    bank: The networks, teacher first.
    probe: The images.
    evaluation: Affinities and trees.
    maps: By method, of the first images.
    images: Those.
  """

  bank: Bank
  probe: probe_sets.ProbeSet
  evaluation: evaluation.Evaluation
  maps: dict
  images: object


def encoder(
  network: Split, preprocessing: str, name: str, label: str
) -> Encoder:
  """Returns a network up to its last feature maps, as an encoder."""
  loaded = frozen_graphs.load(
    network.body, representation=network.layer, name=name
  )
  return conversion.encoder_of(loaded, preprocessing, name=name, label=label)


def place(
  seed: Seeded, students: Sequence[Student], output: pathlib.Path
) -> Placed:
  """Projects teacher and students on pictures of the test split."""
  networks: list[Student | None] = [None, *students]
  names = [student.name if student else TEACHER for student in networks]
  encoders = [
    encoder(
      seed.student(student),
      seed.study.source.preprocessing,
      name,
      tables.label(name),
    )
    for student, name in zip(networks, names, strict=True)
  ]
  bank = Bank('compressed networks', tuple(encoders))
  images = seed.splits['test'].images[:_NUM_IMAGES]
  probe = probe_sets.load(
    images, num_images=len(images), image_size=images.shape[1:3]
  )
  projection = pipeline.Projection(pipeline.method_objects(METHODS))
  spaces = pipeline.project(bank, probe, projection, output)
  found = evaluation.evaluate(bank, spaces)
  shown = next(iter(spaces.values())).kept_images[:_SHOWN]
  maps = {
    method: visuals.example_maps(space, found.names, shown)
    for method, space in spaces.items()
  }
  return Placed(bank, probe, found, maps, probe.images[shown])


def rows(placed: Placed) -> list[list[object]]:
  """Returns each student's affinity to its teacher, by method."""
  methods = list(placed.evaluation.affinities)
  table: list[list[object]] = [['network', *methods, 'images']]
  for i, own in enumerate(placed.bank.encoders[1:], start=1):
    found = [float(placed.evaluation.affinities[m][0, i]) for m in methods]
    table.append([own.label, *found, len(placed.probe)])
  return table


def write(placed: Placed, output: pathlib.Path) -> None:
  """Writes the affinities among all networks, as every run does."""
  evaluation.write_tables(placed.evaluation, output)
  files.write_csv(output / 'affinity_to_teacher.csv', rows(placed))
