"""Draws the method in one picture, of real networks, images and maps.

python -m experiments.run_diagram --output=docs/images/figure_1.png
"""

import dataclasses
import pathlib
import tempfile

import numpy as np

import toolkit_basics.cli as cli
from attribution import methods
from experiments import figures, pipeline, shared_flags, visuals
from taskonomy_models import tasks
from transferability import clustering

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output',
  'Where the picture is written; a .pdf is written beside it.',
  'figure_1.png',
)
_BANK = shared_flags.UsableBank(FLAGS)
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
_BATCH_SIZE = 50


def _work() -> int:
  order, methods = _NETWORKS.value, [_METHOD.value]
  if len(set(order)) < 3:
    raise ValueError(f'--networks must name three or more, not {order}.')
  bank = _BANK.load(order, methods=methods, batch_size=_BATCH_SIZE, least=3)
  encoders = sorted(bank.encoders, key=lambda e: order.index(e.name))
  bank = dataclasses.replace(bank, encoders=tuple(encoders))
  probe = pipeline.load_probe(bank, _PROBE.value, num_images=_NUM_IMAGES.value)
  objects = pipeline.method_objects(methods)
  projection = pipeline.Projection(objects, batch_size=_BATCH_SIZE)
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
  print(f'Written: {pathlib.Path(_OUTPUT.value).with_suffix(".png")}')
  return _BANK.report()


def main() -> int:
  return _BANK.carry_out(_work)


if __name__ == '__main__':
  cli.run(main, FLAGS)
