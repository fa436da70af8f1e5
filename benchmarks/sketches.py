"""Measures what sketches of maps lose, by their size.

  python -m benchmarks.sketches --num_images=20 --num_networks=8

Networks of the mini bank are explained by epsilon-LRP and probed in full; their
maps are sketched, and affinities, and the measures of spans, compared with
those of the full maps.
"""

import dataclasses
import tempfile

import numpy as np

import toolkit_basics.cli as cli
from attribution.probes import Probes
from benchmarks import report
from experiments import evaluation, pipeline
from taskonomy_models import bank as banks
from transferability import sketches, subspaces

FLAGS = cli.Flags()
_IMAGES = FLAGS.integer('num_images', 'Number of scenes.', 20, lower_bound=2)
_NETWORKS = FLAGS.integer('num_networks', 'Of the mini bank.', 8, lower_bound=3)
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_METHOD = 'elrp'
_SIZES = (16, 64, 256, 1024)
_OF_PROBES = (256, 1024, 4096)


def _affinities(rows: dict[str, np.ndarray], size: int) -> np.ndarray:
  sketched = [sketches.sketched(each, 0, size) for each in rows.values()]
  unit = [r / np.linalg.norm(r, axis=1, keepdims=True) for r in sketched]
  return np.einsum('imd,jmd->ij', unit, unit) / len(unit[0])


def _spans(stacks: list[np.ndarray], size: int = 0) -> dict[str, np.ndarray]:
  """Returns measures of spans, of maps in full or in `size` numbers each."""
  if size:
    stacks = [
      np.stack([sketches.sketched_rows(r, i, size) for r in image])
      for i, image in enumerate(stacks)
    ]
  names = list(subspaces.MEASURES)
  found = subspaces.of_images(
    (each.astype(np.float32) for each in stacks),
    lambda gram: np.stack([subspaces.MEASURES[n](gram) for n in names]),
  )
  return dict(zip(names, found.mean(axis=0), strict=True))


def main() -> None:
  before = report.machine()
  bank = banks.load('mini')
  bank = dataclasses.replace(bank, encoders=bank.encoders[: _NETWORKS.value])
  probe = pipeline.load_probe(bank, 'scenes', num_images=_IMAGES.value)
  projection = pipeline.Projection(
    pipeline.method_objects((_METHOD,)),
    probes=Probes(num_images=_IMAGES.value),
  )
  with tempfile.TemporaryDirectory() as folder:
    spaces = pipeline.project(bank, probe, projection, folder)
    maps, probed = spaces[_METHOD], spaces['probes']
    rows = {name: np.array(maps.rows(name)) for name in bank.names}
    full = maps.affinity(bank.names)
    count = probed.map_shape[0]
    stacks = [
      np.array(x).reshape(len(x), count, -1) for x in probed.stacks(bank.names)
    ]
  pairs = np.triu_indices(len(full), 1)
  table: list[list] = [
    ['what', 'size', 'bias', 'deviation', 'largest', 'bound']
  ]

  def add(what: str, size: int, errors: np.ndarray, bound: float) -> None:
    errors = errors[pairs]
    largest = float(np.abs(errors).max())
    table.append(
      [what, size, float(errors.mean()), float(errors.std()), largest, bound]
    )

  for size in _SIZES:
    bound = sketches.deviation(size, len(probe))
    add('affinity', size, _affinities(rows, size) - full, bound)
  spans = _spans(stacks)
  for size in _OF_PROBES:
    for name, values in _spans(stacks, size).items():
      add(name, size, values - spans[name], float('nan'))
  print(evaluation.format_table(table))
  report.tell(
    {f'{what}_{size}_deviation': d for what, size, _, d, *_ in table[1:]},
    _JSON.value,
    before,
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
