"""Draws the method in one picture, of real networks, images and maps.

python -m experiments.run_diagram --output=docs/images/figure_1.png
"""

import dataclasses
import tempfile

import numpy as np

import toolkit_basics.cli as cli
from attribution import methods
from experiments import figures, pipeline, shared_flags, visuals
from taskonomy_models import bank as banks
from taskonomy_models import tasks
from transferability import clustering

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output',
  'Where the picture is written; a .pdf is written beside it.',
  'figure_1.png',
)
_BANK = shared_flags.bank(FLAGS)
_NETWORKS = shared_flags.networks(
  FLAGS,
  [
    *('rgb2depth', 'rgb2sfnorm', 'edge2d', 'keypoint2d'),
    *('class_places', 'class_1000'),
  ],
  'three or more',
)
_PROBE = shared_flags.probe(FLAGS, 'scenes')
_NUM_IMAGES = shared_flags.num_images(FLAGS, 200, least=3)
_METHOD = FLAGS.enum(
  'method', 'How attribution maps are made.', methods.names(), 'elrp'
)


def main() -> None:
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
  figures.method_diagram(
    _OUTPUT.value,
    probe.images[shown],
    maps,
    affinity,
    clustering.task_similarity_tree(affinity, bank.names),
    tasks.shown(encoder.label for encoder in encoders),
    [encoder.group for encoder in encoders],
  )
  print(f'Written: {_OUTPUT.value}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
