"""Measures what sketches of maps and of attribution kernels lose.

  python -m benchmarks.sketches --num_images=20 --num_networks=8

Networks of the mini bank are explained by epsilon-LRP, and probed, in full and
in sketches; affinities are compared, of all images and of a fourth of them, and
those that descriptors of 4 KB tell.
"""

import dataclasses
import pathlib
import tempfile

import numpy as np

import toolkit_basics.cli as cli
from attribution.probes import Probes
from benchmarks import report
from experiments import evaluation, pipeline, probing
from taskonomy_models import bank as banks
from transferability import descriptors, sketches
from transferability.model_space import ModelSpace

FLAGS = cli.Flags()
_IMAGES = FLAGS.integer('num_images', 'Number of scenes.', 20, lower_bound=2)
_NETWORKS = FLAGS.integer('num_networks', 'Of the mini bank.', 8, lower_bound=3)
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_METHOD = 'elrp'
_SIZES = (16, 64, 256, 1024)
_OF_PROBES = (16, 64, 256, 1024)


def _affinities(rows: dict[str, np.ndarray], size: int) -> np.ndarray:
  """Returns what sketches of maps tell, [images, networks, networks]."""
  sketched = [sketches.sketched(each, 0, size) for each in rows.values()]
  unit = [r / np.linalg.norm(r, axis=1, keepdims=True) for r in sketched]
  return np.einsum('imd,jmd->mij', unit, unit)


def _kernels(space: ModelSpace) -> np.ndarray:
  found = probing.image_scores(space, space.models, [probing.OF_SKETCHES])
  return found[probing.OF_SKETCHES]


def _length(space: ModelSpace) -> float:
  """Returns the largest product of the lengths of two sketched kernels.

  Of networks, root mean squares over images.
  """
  points = [sketches.kernel_points(row) for row in space.stacks()]
  squares = np.square(points).sum(axis=2)
  return float(np.sqrt(np.square(squares).mean(axis=0)).max())


def _described(space: ModelSpace) -> np.ndarray:
  """Returns what descriptors of kernels tell, [networks, networks]."""
  found = [probing.descriptor(space, name) for name in space.models]
  return np.array([[a.affinity(b) for b in found] for a in found])


def _row(what: str, size: int, images: int, errors: np.ndarray, bound: float):
  errors = errors[np.triu_indices(len(errors), 1)]
  largest = float(np.abs(errors).max())
  spread = float(np.sqrt(np.mean(errors**2)))
  return [what, size, images, float(errors.mean()), spread, largest, bound]


def main() -> None:
  before = report.machine()
  bank = banks.load('mini')
  bank = dataclasses.replace(bank, encoders=bank.encoders[: _NETWORKS.value])
  count = _IMAGES.value
  probe = pipeline.load_probe(bank, 'scenes', num_images=count)
  header = ['what', 'size', 'images', 'bias', 'deviation', 'largest', 'bound']
  table: list[list] = [header]

  def add(what, size, errors, bound):
    for images in (max(1, count // 4), count):
      few = errors[:images].mean(axis=0)
      table.append(_row(what, size, images, few, bound(images)))

  with tempfile.TemporaryDirectory() as folder:

    def projected(point: str) -> dict[str, ModelSpace]:
      how = pipeline.Projection(
        pipeline.method_objects((_METHOD,)),
        probes=Probes(num_images=count),
        probe_point=point,
      )
      output = pathlib.Path(folder, point.replace(':', '_'))
      return pipeline.project(bank, probe, how, output)

    spaces = projected(sketches.FULL)
    rows = {n: np.array(spaces[_METHOD].rows(n)) for n in bank.names}
    full = spaces[_METHOD].image_cosines(bank.names)
    for size in _SIZES:
      errors = _affinities(rows, size) - full
      add('maps', size, errors, lambda n, m=size: sketches.deviation(m, n))
    kernels = _kernels(spaces[probing.SPACE])
    for size in _OF_PROBES:
      space = projected(f'sketch:{size}')[probing.SPACE]
      length, numbers = _length(space), space.map_shape[0] - 1
      add(
        'kernels',
        size,
        _kernels(space) - kernels,
        lambda n, m=numbers, x=length: sketches.kernel_bound(m, n, x),
      )
    errors = _described(space) - kernels.mean(axis=0)
    bound = length * descriptors.deviation(64 * descriptors.Sketcher().words)
    table.append(_row('descriptors', descriptors.BYTES, count, errors, bound))
  print(evaluation.format_table(table))
  report.tell(
    {
      f'{what}_{size}_{n}_deviation': d for what, size, n, _, d, *_ in table[1:]
    },
    _JSON.value,
    before,
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
