"""Times the maps of random directions that spans are made of, in several ways.

  python -m benchmarks.spans

By turns in one process, of an encoder of Taskonomy's shape: one method, three
methods, and the maps of some probes

  * as a run computes them: one pass backward after the other, of so many images
    that their maps take 64 MB;
  * of the whole batch at once;
  * of several probes in one pass, as if they were more images
    (`tf.vectorized_map`).

One method takes a pass forward and one backward, three take one more backward.
The difference says what passes cost, and what as many as there are probes would
cost at least if they were computed no better than those of the methods.
"""

from collections.abc import Callable
import sys
import time
from unittest import mock

import numpy as np
import tensorflow as tf

import toolkit_basics.cli as cli
from attribution import methods as methods_lib
from attribution import overrides
from benchmarks import floor, report
from frozen_graphs import folding, passes
from frozen_graphs.built import Built
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes
from toolkit_basics import progress

FLAGS = cli.Flags()
_SIZE = FLAGS.integer('size', 'Side of the images.', 256, lower_bound=16)
_BATCH = FLAGS.integer('batch_size', 'Images at once.', 8, lower_bound=1)
_PROBES = FLAGS.integer('probes', 'Probes of a span.', 16, lower_bound=1)
_TOGETHER = FLAGS.integer(
  'together', 'Probes in one pass, where there are several.', 4, lower_bound=1
)
_ROUNDS = FLAGS.integer('rounds', 'Times each is timed.', 3, lower_bound=1)
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_Task = Callable[[np.ndarray], object]


def _maps(network: Network, names: tuple[str, ...]) -> _Task:
  marked, _ = overrides.marked(network)
  made = Passes(
    folding.fold(marked),
    rules=[method.rule for method in methods_lib.create_all(names)],
    scope=overrides.active_rule,
    batch_size=_BATCH.value,
  )
  return lambda inputs: made.run(inputs)


def _vectorised(self: Built, units: tf.Tensor, rule: passes.Rule) -> tf.Tensor:
  """Returns gradients along directions, some at a time."""
  together = min(_TOGETHER.value, _PROBES.value)
  directions = tf.shape(self.directions)
  found = tf.map_fn(
    lambda some: tf.vectorized_map(
      lambda direction: self._gradient(units, rule, direction), some
    ),
    tf.reshape(
      self.directions, tf.concat([[-1, together], directions[1:]], axis=0)
    ),
    parallel_iterations=1,
  )
  sides = tf.shape(found)[2:]
  return tf.reshape(found, tf.concat([directions[:1], sides], axis=0))


def _probed(network: Network) -> Passes:
  return Passes(
    folding.fold(network.subgraph),
    probe_rules=[None],
    batch_size=_BATCH.value,
  )


def _probe(made: Passes, inputs: np.ndarray) -> np.ndarray:
  shape = len(inputs), _PROBES.value, made.count_units(inputs)
  return made.probe(None, inputs, np.ones(shape, np.float32))


def tasks(network: Network) -> dict[str, _Task]:
  """Returns what is timed, by name; each computes the maps of a batch."""
  plain = _probed(network)
  with mock.patch.object(Built, '_gradients_along', _vectorised):
    together = _probed(network)

  def at_once(inputs: np.ndarray) -> object:
    with mock.patch.object(passes, '_PROBE_BYTES', sys.maxsize):
      return _probe(plain, inputs)

  return {
    'one_method': _maps(network, _METHODS[:1]),
    'three_methods': _maps(network, _METHODS),
    'span': lambda inputs: _probe(plain, inputs),
    'span_of_whole_batch': at_once,
    'span_several_in_a_pass': lambda inputs: _probe(together, inputs),
  }


def main() -> None:
  before = report.machine()
  network = floor.task_network(_SIZE.value)
  shape = _BATCH.value, _SIZE.value, _SIZE.value, 3
  inputs = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
  chosen = tasks(network)
  clocks = {'wall': time.perf_counter, 'processor': time.process_time}
  seconds = {(name, clock): [] for name in chosen for clock in clocks}
  for number in progress.track(range(_ROUNDS.value + 1), description='Timing'):
    for name, task in chosen.items():
      started = {clock: now() for clock, now in clocks.items()}
      task(inputs)
      if number:  # The first time left out.
        for clock, now in clocks.items():
          seconds[name, clock].append(now() - started[clock])
  best = {key: min(times) for key, times in seconds.items()}
  numbers = {
    f'{name}_{clock}_ms_an_image': 1000 * value / _BATCH.value
    for (name, clock), value in best.items()
  }
  for clock in clocks:
    one, three = best['one_method', clock], best['three_methods', clock]
    backward, forward = three - one, 2 * one - three
    numbers[f'as_many_passes_{clock}_over_three_methods'] = (
      forward + _PROBES.value * backward
    ) / three
    for name in list(chosen)[2:]:
      numbers[f'{name}_{clock}_over_three_methods'] = best[name, clock] / three
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
