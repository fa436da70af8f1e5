"""Times epsilon-LRP beside what other libraries compute, and compares the maps.

  pip install 'attribution-transfer[peers]'
  python -m benchmarks.peers

An encoder of Taskonomy's shape with random weights is run

  * as a run of the toolkit does, in float32 and in bfloat16;
  * in DeepExplain's way: the graph as it is, in a session of TensorFlow 1;
  * in PyTorch, with the LRP of captum and of zennit. They get the network with
    batch normalization folded already, which spares them work.

All take the same weights, images and number of threads, by turns.
"""

import importlib
import os
import time

import numpy as np

import toolkit_basics.cli as cli
from benchmarks import report
from toolkit_basics import progress

FLAGS = cli.Flags()
_SIZE = FLAGS.integer('size', 'Side of the images.', 256, lower_bound=16)
_BATCH = FLAGS.integer('batch_size', 'Images at once.', 8, lower_bound=1)
_ROUNDS = FLAGS.integer('rounds', 'Times each is timed.', 3, lower_bound=1)
_THREADS = FLAGS.integer(
  'threads',
  'Threads of each. On a machine that others use 1 is fair: where threads wait '
  'for each other, one that has no core stops all.',
  1,
  lower_bound=1,
)
_JSON = FLAGS.path('json', 'Where the numbers are written.')


def main() -> None:
  before = report.machine() | {'threads': _THREADS.value}
  for variable in ('TF_NUM_INTRAOP_THREADS', 'OMP_NUM_THREADS'):
    os.environ[variable] = str(_THREADS.value)
  for name in ('captum.attr', 'zennit.composites'):
    importlib.import_module(name)  # Before TensorFlow, see `ways`.
  torch = importlib.import_module('torch')
  torch.set_num_threads(_THREADS.value)
  folding, floor, ways_lib = (
    importlib.import_module(name)
    for name in ('frozen_graphs.folding', 'benchmarks.floor', 'benchmarks.ways')
  )
  network = floor.task_network(_SIZE.value)
  folded = folding.fold(network.subgraph)
  size = _BATCH.value
  ways = {
    'ours': ways_lib.in_tensorflow(network, size),
    'ours_bfloat16': ways_lib.in_tensorflow(network, size, 'bfloat16'),
    'deep_explain': ways_lib.in_tensorflow(network, size, folded=False),
    'captum': ways_lib.in_captum(folded),
    'zennit': ways_lib.in_zennit(folded),
  }
  rng = np.random.default_rng(0)
  shape = _BATCH.value, _SIZE.value, _SIZE.value, 3
  inputs = rng.uniform(-1, 1, shape).astype(np.float32)
  maps, seconds, worked = {}, *({name: [] for name in ways} for _ in range(2))
  rounds = range(_ROUNDS.value + 1)
  for number in progress.track(rounds, description='Timing'):
    for name, explain in ways.items():
      start, worked_before = time.perf_counter(), time.process_time()
      maps[name] = explain(inputs)
      if number:
        seconds[name].append(time.perf_counter() - start)
        worked[name].append(time.process_time() - worked_before)
  best = {name: min(times) for name, times in seconds.items()}
  fastest = min(best['captum'], best['zennit'])
  least = {name: min(times) for name, times in worked.items()}
  least_peer = min(least['captum'], least['zennit'])
  numbers = {
    **{f'elrp_{n}_ms_an_image': 1e3 * s / len(inputs) for n, s in best.items()},
    **{
      f'elrp_cosine_with_{name}': ways_lib.cosine(maps['ours'], values)
      for name, values in maps.items()
      if name != 'ours'
    },
    'elrp_speedup_over_best_torch_peer': fastest / best['ours'],
    'elrp_processor_time_of_best_torch_peer_over_ours': least_peer
    / least['ours'],
    'elrp_bfloat16_speedup_over_best_torch_peer': fastest
    / best['ours_bfloat16'],
  }
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
