"""Compares ways to run the passes of an encoder, by turns.

  python -m benchmarks.tried

Each way is a process of its own, which builds an encoder of Taskonomy's shape
and then computes a batch when it is its turn. Printed are, of each: the seconds
until the first batch is done, wall time and processor time of an image in the
best batch, the most memory of the process, and how far maps are from those of
the first way, relative to the largest.

What a prefetch could save at most is the share of `explain` outside TensorFlow.
"""

from collections.abc import Callable, Mapping
from concurrent import futures
import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf

import toolkit_basics.cli as cli
from attribution.explainer import Explainer
from benchmarks import floor, report
from frozen_graphs import session, weights
from frozen_graphs.passes import Passes
from toolkit_basics import processes, progress

FLAGS = cli.Flags()
_SIZE = FLAGS.integer('size', 'Side of the images.', 256, lower_bound=32)
_BATCH = FLAGS.integer('batch_size', 'Images at once.', 8, lower_bound=2)
_ROUNDS = FLAGS.integer('rounds', 'Times each is timed.', 3, lower_bound=1)
_WAY = FLAGS.string('way', 'For this program itself.')
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_XLA_FLAG = 'tf_xla_cpu_global_jit'
_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_Change = Callable[[tf.compat.v1.ConfigProto], object]


def _xla(config: tf.compat.v1.ConfigProto) -> None:
  options = config.graph_options.optimizer_options
  options.global_jit_level = tf.compat.v1.OptimizerOptions.ON_2


def _no_optimizer(config: tf.compat.v1.ConfigProto) -> None:
  config.graph_options.rewrite_options.disable_meta_optimizer = True


def _one_thread(config: tf.compat.v1.ConfigProto) -> None:
  config.intra_op_parallelism_threads = 1
  config.inter_op_parallelism_threads = 1
  config.use_per_session_threads = True


@dataclasses.dataclass(frozen=True)
class Way:
  """How passes are run.

  Attributes:
    change: What is done to the options of sessions.
    environment: Variables of the process.
    sessions: Each of which computes its part of the batch at the same time.
    has_constants: Whether weights are a part of the graph.
  """

  change: _Change = lambda config: None
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
  sessions: int = 1
  has_constants: bool = False


WAYS = {
  'as_it_is': Way(),
  'weights_as_constants': Way(has_constants=True),
  'without_grappler': Way(_no_optimizer),
  'one_thread': Way(_one_thread),
  'session_for_each_core': Way(_one_thread, sessions=processes.cores()),
  'huge_pages': Way(environment={'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}),
  'xla': Way(_xla, environment={'TF_XLA_FLAGS': f'--{_XLA_FLAG}'}),
}


def _explainers(way: Way, stack: contextlib.ExitStack) -> list[Explainer]:
  config = session.config

  def changed() -> tf.compat.v1.ConfigProto:
    made = config()
    way.change(made)
    return made

  with contextlib.ExitStack() as patches:
    patches.enter_context(mock.patch.object(session, 'config', changed))
    if way.has_constants:
      patches.enter_context(
        mock.patch.object(weights, 'taken_out', lambda graph: (graph, {}))
      )
    return [
      stack.enter_context(
        Explainer(
          floor.task_network(_SIZE.value),
          preprocessing='range(-1, 1)',
          methods=_METHODS,
          batch_size=_BATCH.value // way.sessions,
        )
      )
      for _ in range(way.sessions)
    ]


def _serve(way: Way) -> None:
  """Computes a batch for each line that comes, and tells how that went."""
  rng = np.random.default_rng(0)
  shape = _BATCH.value, _SIZE.value, _SIZE.value, 3
  parts = np.array_split(
    rng.integers(256, size=shape, dtype='u1'), way.sessions
  )
  inside, run = [0.0], Passes.run

  def timed(passes: Passes, inputs: np.ndarray):
    started = time.perf_counter()
    found = run(passes, inputs)
    inside[0] += time.perf_counter() - started
    return found

  with contextlib.ExitStack() as stack:
    stack.enter_context(mock.patch.object(Passes, 'run', timed))
    pool = stack.enter_context(futures.ThreadPoolExecutor(way.sessions))
    explainers = _explainers(way, stack)
    for line in sys.stdin:
      inside[0] = 0.0
      started, before = time.perf_counter(), time.process_time()
      found = list(pool.map(lambda e, x: e.explain(x).maps, explainers, parts))
      seconds = time.perf_counter() - started
      processor = time.process_time() - before
      np.save(line.strip(), np.concatenate([each['elrp'] for each in found]))
      told = {
        'seconds': seconds,
        'processor': processor,
        'outside': 1 - inside[0] / (seconds * way.sessions),
        'megabytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
      }
      print(json.dumps(told), flush=True)


class _Process:
  """One way, in a process of its own."""

  def __init__(self, name: str, folder: pathlib.Path):
    flags = [_SIZE, _BATCH]
    self._path = folder / f'{name}.npy'
    self._started = time.perf_counter()
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'benchmarks.tried', f'--way={name}']
      + [f'--{flag.name}={flag.value}' for flag in flags],
      env={**os.environ, **WAYS[name].environment},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self.rounds = [self.turn()]
    self.first = time.perf_counter() - self._started

  def turn(self) -> dict[str, float]:
    """Computes a batch."""
    assert self._process.stdin and self._process.stdout
    print(self._path, file=self._process.stdin, flush=True)
    return json.loads(self._process.stdout.readline())

  def end(self) -> np.ndarray:
    """Ends the process, and returns its maps."""
    self._process.communicate()
    return np.load(self._path)


def main() -> None:
  if _WAY.value:
    _serve(WAYS[_WAY.value])
    return
  before, numbers = report.machine(), {}
  with tempfile.TemporaryDirectory() as folder:
    running = {n: _Process(n, pathlib.Path(folder)) for n in WAYS}
    for _ in progress.track(range(_ROUNDS.value), description='Rounds'):
      for process in running.values():
        process.rounds.append(process.turn())
    maps = {name: process.end() for name, process in running.items()}
  expected = maps['as_it_is']
  for name, process in running.items():
    rounds = process.rounds[1:]
    numbers |= {
      f'{name}_first_batch_seconds': process.first,
      **{
        f'{name}_{what}_ms_an_image': 1000
        * min(each[what] for each in rounds)
        / _BATCH.value
        for what in ('seconds', 'processor')
      },
      f'{name}_share_outside_tensorflow': min(r['outside'] for r in rounds),
      f'{name}_megabytes': rounds[-1]['megabytes'],
      f'{name}_difference': float(np.abs(maps[name] - expected).max())
      / float(np.abs(expected).max()),
    }
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
