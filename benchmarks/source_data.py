"""Times the source-data measures and the label-free scores of one network.

`python -m benchmarks.source_data` prints for each the seconds of a processor
(of all threads), the seconds on the clock, and the largest memory of a process
that does nothing else, with the process's start (imports, data) before it.
"""

import multiprocessing
import resource
import time

import numpy as np

import toolkit_basics.cli as cli
from transferability import label_free, source_data

_NAMES = (*source_data.names(), *label_free.names())

FLAGS = cli.Flags()
_MEASURES = FLAGS.some_of('measures', 'Which are timed.', _NAMES, _NAMES)
_SAMPLES = FLAGS.integer(
  'n', 'Number of samples of each side.', 10_000, lower_bound=20
)
_FEATURES = FLAGS.integer('d', 'Number of features.', 2048, lower_bound=1)
_CLASSES = FLAGS.integer('c', 'Number of classes.', 100, lower_bound=2)


def make_inputs(n: int, d: int, c: int) -> list[tuple[np.ndarray, np.ndarray]]:
  """Returns features and labels of source and target, related classes."""
  rng = np.random.default_rng(0)
  scale = 1 / np.sqrt(1 + np.arange(d))
  means = rng.normal(size=(c, d))
  domains = []
  for shift in (0.5, 0.0):
    labels = rng.permutation(np.arange(n) % c)
    features = rng.normal(size=(n, d))
    features += (means + shift * rng.normal(size=(c, d)))[labels]
    domains.append((np.maximum(features * scale + 0.5 * scale, 0), labels))
  return domains


def _call(name: str, n: int, d: int, c: int) -> list[float]:
  """Returns the score, seconds of a processor and of the clock, GB before."""
  source, target = make_inputs(n, d, c)
  probs = np.full((n, c), 1 / c)
  rng = np.random.default_rng(1)
  twins = [target[0] @ rng.normal(size=(d, 64)) for _ in range(3)]
  before = _peak()
  start, used = time.perf_counter(), time.process_time()
  if name in source_data.names():
    value = source_data.score(name, source, target)
  else:
    value = label_free.score(
      name, features=target[0], source_probs=probs, random_features=twins
    )
  used = time.process_time() - used
  return [value, used, time.perf_counter() - start, before]


def _measure(name: str, shape: tuple[int, int, int]) -> list[float]:
  """Returns what `_call` does, and GB at most; for a new process."""
  _call(name, 200, 110, 2)  # Imports what is lazy.
  return [*_call(name, *shape), _peak()]


def _peak() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
  shape = _SAMPLES.value, _FEATURES.value, _CLASSES.value
  print('n, d, C = {}, {}, {}'.format(*shape))
  print('| measure | seconds | on the clock | GB before | GB at most |')
  print('| --- | --- | --- | --- | --- |')
  context = multiprocessing.get_context('spawn')
  for name in _MEASURES.value:
    with context.Pool(1) as pool:
      _, *found = pool.apply(_measure, (name, shape))
    cells = ' | '.join(f'{number:.2f}' for number in found)
    print(f'| `{name}` | {cells} |', flush=True)


if __name__ == '__main__':
  cli.run(main, FLAGS)
