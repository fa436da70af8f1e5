"""How time and memory of a run grow, and what a run adds to pure passes.

  python -m benchmarks.scaling

Networks of Taskonomy's shape with random weights are projected as a run does
it, each time in a process of its own, with one thing changed: the number of
images, their size, the number of networks. How the answers of a space depend on
its number of points is timed with random maps. The last one is a part of the
paper's run (20 networks, 1,000 images of 256 x 256, three methods), with tables
and without figures, from which the time of the whole is told. What makes the
networks is another process, so that its memory does not count.

The passes are timed beside the run, in the same process: those of one network,
on as many cores.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import toolkit_basics.cli as cli
from attribution import methods as methods_lib
from attribution import overrides
from benchmarks import floor, report
from experiments import evaluation, pipeline
from frozen_graphs import folding
from frozen_graphs.passes import Passes
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import processes, progress
from transferability.model_space import ModelSpace

FLAGS = cli.Flags()
_NETWORKS = FLAGS.integer(
  'num_networks', 'Networks of the part of the run.', 20, lower_bound=2
)
_IMAGES = FLAGS.integer(
  'num_images', 'Images of the part of the run.', 100, lower_bound=2
)
_SIZE = FLAGS.integer('size', 'Side of its images.', 256, lower_bound=32)
_SINGLE = FLAGS.bool('only_run', 'Only the part of the run.')
_STEP = FLAGS.string('step', 'For this program itself.')
_JOB = FLAGS.string('job', 'For this program itself.')
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_PAPER = 20, 1000
_BATCH = 10
_STEPS = ('make', 'measure')
_FOUND = 'found.json'  # In the folder of a job.
_POLLING_SECONDS = 0.3
_POINTS, _POINT_IMAGES, _MAP = (10, 30, 90), 20, (64, 64, 3)


@dataclasses.dataclass(frozen=True)
class Job:
  """A run.

  Attributes:
    networks: How many.
    images: How many.
    size: Side of the images.
  """

  networks: int
  images: int
  size: int


def _make_bank(job: Job, folder: pathlib.Path) -> None:
  """Writes a bank whose networks differ in their weights alone."""
  bank = banks.Folder(folder, 'random')
  for number in range(job.networks):
    network = floor.task_network(job.size, seed=number)
    ends = network.input_tensor, network.representation_tensor
    name = f'network_{number}'
    bank.add(Encoder(name, '', *ends, 'range(-1, 1)', name), network.graph_def)


def _megabytes(process: int) -> float:
  """Returns what a process and those that it started take now.

  A page of memory that several of them share counts once.
  """
  place, total = pathlib.Path(f'/proc/{process}'), 0.0
  with contextlib.suppress(OSError, StopIteration):  # It has ended.
    lines = (place / 'smaps_rollup').read_text().splitlines()
    line = next(each for each in lines if each.startswith('Pss:'))
    total = int(line.split()[1]) / 1024
    for path in (place / 'task').glob('*/children'):
      total += sum(map(_megabytes, map(int, path.read_text().split())))
  return total


def _processor_seconds() -> float:
  """Returns what this process and those that it ended took of processors."""
  return sum(os.times()[:4])


def measured(job: Job, folder: pathlib.Path) -> dict[str, float]:
  """Returns what a run takes, in this process, which has run nothing yet.

  Args:
    job: The run.
    folder: That of the bank, in which results are written, too.
  """
  rng = np.random.default_rng(0)
  shape = job.images, job.size, job.size, 3
  np.save(folder / 'images.npy', rng.integers(256, size=shape, dtype=np.uint8))
  workers = min(processes.cores(), job.networks)
  started, before = time.perf_counter(), _processor_seconds()
  bank = banks.load(str(folder))
  probe = probe_sets.load(
    str(folder / 'images.npy'), image_size=(job.size,) * 2
  )
  how = pipeline.Projection(
    methods_lib.create_all(_METHODS), batch_size=_BATCH, workers=workers
  )
  spaces = pipeline.project(bank, probe, how, folder / 'run')
  evaluation.write_tables(evaluation.evaluate(bank, spaces), folder / 'run')
  found = {
    'seconds': time.perf_counter() - started,
    'processor_seconds': _processor_seconds() - before,
  }
  passes = _pass_seconds(bank, probe.images)
  number = job.images * job.networks
  return found | {name: value * number for name, value in passes.items()}


def _pass_seconds(bank: Bank, images: np.ndarray) -> dict[str, float]:
  """Returns what the passes of an image take, the best of three tries."""
  marked, _ = overrides.marked(bank.network(bank.names[0]))
  passes = Passes(
    folding.fold(marked),
    rules=[method.rule for method in methods_lib.create_all(_METHODS)],
    scope=overrides.active_rule,
    batch_size=_BATCH,
  )
  shape = _BATCH, *images.shape[1:]
  inputs = np.resize(images, shape).astype(np.float32) / 128 - 1
  seconds = []
  for _ in range(4):
    start, before = time.perf_counter(), _processor_seconds()
    passes.run(inputs)
    seconds.append((time.perf_counter() - start, _processor_seconds() - before))
  wall, processor = (
    min(each) / _BATCH for each in zip(*seconds[1:], strict=True)
  )
  return {'pass_seconds': wall, 'pass_processor_seconds': processor}


def _of_points(number: int, folder: pathlib.Path) -> dict[str, float]:
  """Returns the seconds that a space of so many points takes for answers."""
  rng = np.random.default_rng(0)
  ids = [str(i) for i in range(_POINT_IMAGES)]
  space = ModelSpace.create(
    folder / str(number),
    settings={},
    image_ids=ids,
    image_digests=ids,
    map_shape=_MAP,
    dtype='float16',
  )
  for i in range(number):
    maps = rng.normal(size=(_POINT_IMAGES, *_MAP))
    started = time.perf_counter()
    writer = space.writer(f'network_{i}', {})
    writer.write(0, maps)
    writer.finish()
    inserted = time.perf_counter() - started
  started = time.perf_counter()
  space.neighbours('network_0')
  found = time.perf_counter()
  space.affinity()
  return {
    'insertion_seconds': inserted,
    'neighbours_seconds': found - started,
    'affinity_seconds': time.perf_counter() - found,
  }


def _points() -> dict[str, float]:
  """Returns how answers of a space depend on its number of points."""
  numbers = {}
  with tempfile.TemporaryDirectory() as folder:
    for number in progress.track(_POINTS, description='Points'):
      found = _of_points(number, pathlib.Path(folder))
      numbers |= {f'points_{number}_{key}': v for key, v in found.items()}
  return numbers


def _in_processes(job: Job) -> dict[str, float]:
  """Makes networks in one process, and measures their run in another."""
  with tempfile.TemporaryDirectory() as folder:
    asked = {**dataclasses.asdict(job), 'folder': folder}
    for step in _STEPS:
      command = [sys.executable, '-m', 'benchmarks.scaling', f'--step={step}']
      command += [f'--job={json.dumps(asked)}']
      most = 0.0
      with subprocess.Popen(command) as process:
        while process.poll() is None:
          most = max(most, _megabytes(process.pid))
          time.sleep(_POLLING_SECONDS)
      if process.returncode:
        raise ChildProcessError(f'{step} ended with {process.returncode}.')
    found = json.loads((pathlib.Path(folder) / _FOUND).read_text())
  return {**found, 'megabytes': most}


def _jobs() -> Sequence[tuple[str, Job]]:
  few = Job(2, 10, 128)
  return [
    ('few', few),
    ('three_times_the_images', dataclasses.replace(few, images=30)),
    ('twice_the_side', dataclasses.replace(few, size=256)),
    ('three_times_the_networks', dataclasses.replace(few, networks=6)),
  ]


def _do(step: str, folder: str, **job: int) -> None:
  """Does one step of a job, in a process of its own."""
  place = pathlib.Path(folder)
  if step == 'make':
    _make_bank(Job(**job), place)
  else:
    found = json.dumps(measured(Job(**job), place))
    (place / _FOUND).write_text(found)


def main() -> None:
  if _STEP.value:
    _do(_STEP.value, **json.loads(_JOB.value))
    return
  before, numbers = report.machine(), {} if _SINGLE.value else _points()
  jobs = [] if _SINGLE.value else list(_jobs())
  part = Job(_NETWORKS.value, _IMAGES.value, _SIZE.value)
  for name, job in progress.track([*jobs, ('run', part)], description='Runs'):
    found = _in_processes(job)
    numbers |= {f'{name}_{key}': value for key, value in found.items()}
  networks, images = _PAPER
  share = part.networks * part.images / (networks * images)
  numbers |= {
    'run_over_pure_passes': numbers['run_seconds']
    / numbers['run_pass_seconds'],
    'run_over_pure_passes_processor': numbers['run_processor_seconds']
    / numbers['run_pass_processor_seconds'],
    'run_peak_memory_mb': numbers['run_megabytes'],
    'paper_run_measured_share': share,
    'paper_run_minutes': numbers['run_seconds'] / share / 60,
  }
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
