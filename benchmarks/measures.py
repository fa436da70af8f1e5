"""Times the transferability measures, beside plain implementations.

`python -m benchmarks.measures` prints for each measure the seconds it takes
and the largest memory of a process that does nothing else, with the process's
start (imports, data) before it. The plain implementations, in
`textbook_measures`, are called on the same data; their scores must agree.
"""

import multiprocessing
import resource
import time

import numpy as np

import toolkit_basics.cli as cli
from benchmarks import textbook_measures
from transferability import measures

FLAGS = cli.Flags()
_MEASURES = FLAGS.some_of(
  'measures', 'Which measures are timed.', measures.names(), measures.names()
)
_SAMPLES = FLAGS.integer('n', 'Number of samples.', 10_000, lower_bound=2)
_FEATURES = FLAGS.integer('d', 'Number of features.', 2048, lower_bound=1)
_CLASSES = FLAGS.integer('c', 'Number of classes.', 100, lower_bound=2)
_SOURCES = FLAGS.integer(
  'cs', 'Number of classes that the sources tell apart.', 1000, lower_bound=1
)
_TEXTBOOK = FLAGS.bool(
  'textbook', 'Whether the plain implementations are timed too.', True
)

Inputs = dict[str, np.ndarray]


def make_inputs(n: int, d: int, c: int, cs: int, seed: int = 0) -> Inputs:
  """Returns classes of Gaussian features with a decaying spectrum."""
  rng = np.random.default_rng(seed)
  labels = rng.permutation(np.arange(n) % c)
  scale = 1 / np.sqrt(1 + np.arange(d))
  features = rng.normal(size=(n, d)) + rng.normal(size=(c, d))[labels]
  features = np.maximum(features * scale + 0.5 * scale, 0)
  logits = rng.normal(size=(n, cs)) + rng.normal(size=(c, cs))[labels]
  probs = np.exp(logits)
  probs /= probs.sum(axis=1, keepdims=True)
  return {'features': features, 'labels': labels, 'source_probs': probs}


def _call(name: str, textbook: bool, inputs: Inputs) -> float:
  if textbook:
    needs = measures.info(name).needs
    function = getattr(textbook_measures, name)
    return float(function(*(inputs[need] for need in needs)))
  return measures.score(name, **inputs)


def _measure(
  name: str, textbook: bool, shape: tuple[int, int, int, int]
) -> tuple[float, float, float, float]:
  """Returns score, seconds, and GB before and at most; for a new process."""
  _call(name, textbook, make_inputs(40, 8, 2, 3))  # Imports what is lazy.
  inputs = make_inputs(*shape)
  before = _peak()
  start = time.perf_counter()
  value = _call(name, textbook, inputs)
  return value, time.perf_counter() - start, before, _peak()


def _peak() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _in_new_process(*args) -> tuple[float, float, float, float]:
  context = multiprocessing.get_context('spawn')
  with context.Pool(1) as pool:
    return pool.apply(_measure, args)


def main() -> None:
  shape = _SAMPLES.value, _FEATURES.value, _CLASSES.value, _SOURCES.value
  print('n, d, C, Cs = {}, {}, {}, {}'.format(*shape))
  print('measure             score      seconds  GB before  GB peak')
  for name in _MEASURES.value:
    for textbook in (False, True):
      there = _TEXTBOOK.value and hasattr(textbook_measures, name)
      if textbook and not there:
        continue
      label = '  textbook' if textbook else name
      value, seconds, before, peak = _in_new_process(name, textbook, shape)
      print(
        f'{label:18s}{value:10.6g}{seconds:12.2f}{before:10.2f}{peak:10.2f}',
        flush=True,
      )


if __name__ == '__main__':
  cli.run(main, FLAGS)
