"""Draws the method in one picture, of real networks, images and maps.

python -m experiments.run_diagram --output=docs/images/figure_1.png
"""

from collections.abc import Sequence
import dataclasses
import pathlib
import tempfile

from absl import app, flags
import numpy as np

from attribution import methods
from experiments import figures, pipeline, visuals
from taskonomy_models import bank as banks
from toolkit_basics import cli
from transferability import clustering

_OUTPUT = flags.DEFINE_string(
  'output', 'figure_1.png', 'The picture; a .pdf is written beside it.'
)
_BANK = flags.DEFINE_string('bank', 'mini', 'Networks: a name or a folder.')
_NETWORKS = flags.DEFINE_list(
  'networks',
  [
    *('rgb2depth', 'rgb2sfnorm', 'edge2d', 'keypoint2d'),
    *('class_places', 'class_1000'),
  ],
  'Three or more networks of the bank.',
)
_PROBE = flags.DEFINE_string('probe', 'scenes', 'Images.')
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images', 200, 'How many make the affinity.', lower_bound=3
)
_METHOD = flags.DEFINE_enum(
  'method', 'elrp', methods.names(), 'Attribution method.'
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  bank = banks.load(_BANK.value)
  if unknown := sorted(set(_NETWORKS.value) - set(bank.names)):
    raise ValueError(f'No network {unknown}; the bank has {bank.names}.')
  chosen = {encoder.name: encoder for encoder in bank.encoders}
  encoders = tuple(chosen[name] for name in dict.fromkeys(_NETWORKS.value))
  bank = dataclasses.replace(bank, encoders=encoders)
  probe = pipeline.load_probe(bank, _PROBE.value, num_images=_NUM_IMAGES.value)
  projection = pipeline.Projection(pipeline.method_objects([_METHOD.value]))
  with tempfile.TemporaryDirectory() as folder:
    (space,) = pipeline.project(bank, probe, projection, folder).values()
    affinity = space.affinity(bank.names)
    shown = np.arange(3)
    maps = visuals.example_maps(space, bank.names, shown)
  output = pathlib.Path(_OUTPUT.value)
  output.parent.mkdir(parents=True, exist_ok=True)
  figures.method_diagram(
    output,
    probe.images[shown],
    maps,
    affinity,
    clustering.task_similarity_tree(affinity, bank.names),
    [encoder.label for encoder in encoders],
    [encoder.group for encoder in encoders],
  )
  print(f'Written: {output}')


if __name__ == '__main__':
  cli.run(main)
