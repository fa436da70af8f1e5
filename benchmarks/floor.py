"""Times maps of an encoder beside what the processor could do at best.

`python -m benchmarks.floor` makes an encoder of Taskonomy's shape with random
weights, and times, by turns in one process:

  * one to three methods, and spans of some probes, as a run computes them;
  * the same maps in DeepExplain's way: the graph as it is, and a session call
    with passes of its own for each method;
  * products of large matrices, which give the machine's rate. The floor is the
    time that the arithmetic of one forward pass and two passes backward to the
    input takes at that rate;
  * the three methods with products in bfloat16, and such matrices.

Then affinities of the mini bank in bfloat16 are compared with those in single
precision. With --bank and --network it takes a network of a bank instead.
"""

from collections.abc import Callable
import math
import tempfile
import time

import numpy as np
import tensorflow as tf

import toolkit_basics.cli as cli
from attribution import methods as methods_lib
from attribution import overrides
from benchmarks import report
from experiments import half_precision, pipeline
from frozen_graphs import folding, narrowing, session
from frozen_graphs.graph import SubGraph
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes
from taskonomy_models import bank as banks
from taskonomy_models.task_bank import encoder as task_encoder
from toolkit_basics import progress

FLAGS = cli.Flags()
_BANK = FLAGS.path('bank', 'Bank of the network; by default it is made.')
_NETWORK = FLAGS.string('network', 'Name of the network in the bank.')
_SIZE = FLAGS.integer('size', 'Side of the images.', 256, lower_bound=16)
_BATCH = FLAGS.integer('batch_size', 'Images at once.', 8, lower_bound=1)
_PROBES = FLAGS.integer('probes', 'Probes of a span.', 16, lower_bound=1)
_IMAGES = FLAGS.integer(
  'num_images', 'Images of which affinities are compared.', 100, lower_bound=2
)
_ROUNDS = FLAGS.integer('rounds', 'Times each is timed.', 5, lower_bound=1)
_JSON = FLAGS.path('json', 'Where the numbers are written.')

METHODS = ('saliency', 'gradient_times_input', 'elrp')
_SIDE = 2048  # Of the matrices.
_PASSES = 3  # One forward, and two backward to the input.


def task_network(size: int, seed: int = 0) -> Network:
  """Returns an encoder of Taskonomy's shape with random weights."""
  rng = np.random.default_rng(seed)
  weights = {}
  for variable in task_encoder.variables(3):
    shape = variable.shape
    if len(shape) == 4:
      values = rng.normal(0, math.sqrt(2 / math.prod(shape[:3])), shape)
    elif variable.name.endswith('variance'):
      values = rng.uniform(0.5, 1.5, shape)
    elif variable.name.endswith('gamma'):
      values = rng.uniform(0.5, 1, shape)
    else:
      values = rng.normal(0, 0.1, shape)
    weights[variable.name] = values.astype(np.float32)
  frozen = task_encoder.freeze(weights, 3, 'random', size=size)
  return Network(frozen, representation=task_encoder.REPRESENTATION)


def operations_of(subgraph: SubGraph) -> int:
  """Returns the products and sums of all convolutions of one image."""
  with tf.Graph().as_default() as graph:
    session.import_graph(subgraph)
    found = 0
    for operation in graph.get_operations():
      if operation.type in ('Conv2D', 'DepthwiseConv2dNative', 'MatMul'):
        weights = operation.inputs[1].shape.as_list()
        places = operation.outputs[0].shape.as_list()[1:]
        inside = weights[:-1] if operation.type != 'MatMul' else weights[:1]
        if operation.type == 'DepthwiseConv2dNative':
          inside = weights[:2]
        found += 2 * math.prod(inside) * math.prod(places)
  return found


def _multiplication(kind: tf.DType) -> Callable[[], object]:
  """Returns what multiplies two matrices once."""
  graph = tf.Graph()
  with graph.as_default():
    values = tf.cast(tf.random.uniform([_SIDE, _SIDE], seed=0), kind)
    # A variable: products of constants would be computed once.
    a = tf.compat.v1.Variable(values, use_resource=True)
    product = tf.reduce_sum(tf.cast(tf.matmul(a, a)[:1, :1], tf.float32))
  running = tf.compat.v1.Session(graph=graph, config=session.config())
  running.run(a.initializer)
  return lambda: running.run(product)


def maps(
  network: Network,
  names: tuple[str, ...],
  batch_size: int,
  precision: str = narrowing.SINGLE,
) -> Callable[[np.ndarray], object]:
  """Returns what computes the maps of methods, as a run does."""
  chosen = methods_lib.create_all(names)
  marked, _ = overrides.marked(network)
  passes = Passes(
    folding.fold(marked),
    rules=[method.rule for method in chosen],
    scope=overrides.active_rule,
    batch_size=batch_size,
    precision=precision,
  )
  return lambda inputs: passes.run(inputs)


def _deep_explain(network: Network) -> Callable[[np.ndarray], object]:
  """Returns what computes the three methods one after the other."""
  marked, _ = overrides.marked(network)
  each = [
    Passes(
      marked,
      rules=[method.rule],
      scope=overrides.active_rule,
      batch_size=_BATCH.value,
    )
    for method in methods_lib.create_all(METHODS)
  ]
  return lambda inputs: [passes.run(inputs) for passes in each]


def span(
  network: Network, probes: int, batch_size: int
) -> Callable[[np.ndarray], object]:
  """Returns what computes the maps of directions of ones, as a run does."""
  passes = Passes(
    folding.fold(network.subgraph),
    probe_rules=[None],
    batch_size=batch_size,
  )

  def probe(inputs: np.ndarray) -> np.ndarray:
    shape = len(inputs), probes, passes.count_units(inputs)
    return passes.probe(None, inputs, np.ones(shape, np.float32))

  return probe


def measure(network: Network, inputs: np.ndarray) -> dict[str, list[float]]:
  """Returns the seconds of each thing, by turns, the first time left out."""
  size = _BATCH.value
  tasks = {f'{n}_methods': maps(network, METHODS[:n], size) for n in (1, 2, 3)}
  tasks['3_methods_bfloat16'] = maps(network, METHODS, size, 'bfloat16')
  tasks['deep_explain'] = _deep_explain(network)
  tasks['span'] = span(network, _PROBES.value, size)
  multiply = _multiplication(tf.float32)
  multiply_half = _multiplication(tf.bfloat16)
  tasks['matrices'] = lambda inputs: multiply()
  tasks['matrices_bfloat16'] = lambda inputs: multiply_half()
  seconds = {name: [] for name in tasks}
  rounds = range(_ROUNDS.value + 1)
  for number in progress.track(rounds, description='Timing'):
    for name, task in tasks.items():
      start = time.perf_counter()
      task(inputs)
      if number:
        seconds[name].append(time.perf_counter() - start)
  return seconds


def bfloat16_affinities(number: int) -> dict[str, float]:
  """Returns the worst deviation and rank correlation over all methods.

  Args:
    number: Of scenes, on which all networks of the mini bank are explained.
  """
  bank = banks.load('mini')
  probe = pipeline.load_probe(bank, 'scenes', num_images=number)
  how = pipeline.Projection(
    methods_lib.create_all(METHODS), precision='bfloat16'
  )
  with tempfile.TemporaryDirectory() as folder:
    spaces = pipeline.project(bank, probe, how, folder)
    found = half_precision.deviations(
      bank, probe, how, spaces, folder, images=number
    ).values()
  return {
    'bfloat16_affinity_max_difference': max(e['max_difference'] for e in found),
    'bfloat16_affinity_spearman': min(e['spearman'] for e in found),
  }


def main() -> None:
  before = report.machine()
  if _BANK.value:
    network = banks.load(_BANK.value).network(_NETWORK.value)
  else:
    network = task_network(_SIZE.value)
  height, width, channels = network.input_shape
  sides = height or _SIZE.value, width or _SIZE.value, channels or 3
  rng = np.random.default_rng(0)
  inputs = rng.uniform(-1, 1, (_BATCH.value, *sides)).astype(np.float32)
  seconds = measure(network, inputs)
  best = {name: min(times) for name, times in seconds.items()}
  rate = 2 * _SIDE**3 / best['matrices']
  arithmetic = operations_of(network.subgraph) * _BATCH.value
  floor = _PASSES * arithmetic / rate
  three = best['3_methods']
  milliseconds = {
    f'{name}_ms_an_image': 1000 * value / _BATCH.value
    for name, value in best.items()
    if not name.startswith('matrices')
  }
  numbers = {
    'gflops_of_matrices': rate / 1e9,
    'gflops_of_matrices_bfloat16': 2
    * _SIDE**3
    / best['matrices_bfloat16']
    / 1e9,
    'floor_ms_an_image': 1000 * floor / _BATCH.value,
    **milliseconds,
    'three_methods_float32_over_floor': three / floor,
    'three_methods_float32_speedup_over_deepexplain': best['deep_explain']
    / three,
    'three_methods_bfloat16_speedup_over_deepexplain': best['deep_explain']
    / best['3_methods_bfloat16'],
    f'span_{_PROBES.value}_probes_over_three_methods': best['span'] / three,
  }
  numbers |= bfloat16_affinities(_IMAGES.value)
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
