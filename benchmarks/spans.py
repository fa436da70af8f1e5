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
from benchmarks import floor, report
from frozen_graphs import passes
from frozen_graphs.built import Built
from frozen_graphs.network import Network
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

_Task = Callable[[np.ndarray], object]


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


def tasks(network: Network) -> dict[str, _Task]:
  """Returns what is timed, by name; each computes the maps of a batch."""
  probes, size = _PROBES.value, _BATCH.value
  plain = floor.span(network, probes, size)
  with mock.patch.object(Built, '_gradients_along', _vectorised):
    together = floor.span(network, probes, size)

  def at_once(inputs: np.ndarray) -> object:
    with mock.patch.object(passes, '_PROBE_BYTES', sys.maxsize):
      return plain(inputs)

  return {
    'one_method': floor.maps(network, floor.METHODS[:1], size),
    'three_methods': floor.maps(network, floor.METHODS, size),
    'span': plain,
    'span_of_whole_batch': at_once,
    'span_several_in_a_pass': together,
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
