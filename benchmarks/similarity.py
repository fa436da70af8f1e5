"""Times the similarities of many networks, beside plain pairwise versions.

`python -m benchmarks.similarity` prints for each measure the processor's
seconds (of all threads) that all pairs of networks take, and those of formulas
written out that compute each pair from the two representations. The latter are
timed on a few pairs and multiplied; their scores must agree.
"""

import itertools
import time

import numpy as np

import toolkit_basics.cli as cli
from benchmarks import textbook_similarities
from transferability import similarity

FLAGS = cli.Flags()
_MEASURES = FLAGS.some_of(
  'measures', 'Which are timed.', similarity.names(), similarity.names()
)
_NETWORKS = FLAGS.integer(
  'num_networks', 'Number of networks.', 20, lower_bound=2
)
_IMAGES = FLAGS.integer('n', 'Number of images.', 1000, lower_bound=4)
_UNITS = FLAGS.integer(
  'd', 'Number of units of each representation.', 2048, lower_bound=2
)
_PAIRS = FLAGS.integer(
  'pairs',
  'How many pairs the plain versions compute; 0 leaves these out.',
  1,
  lower_bound=0,
)


def make_networks(count: int, n: int, d: int) -> dict[str, np.ndarray]:
  """Returns rectified mixtures of common factors, whose spectra decay."""
  rng = np.random.default_rng(0)
  factors = rng.normal(size=(n, 200)) / np.sqrt(1 + np.arange(200))
  return {
    f'network_{i}': np.maximum(
      factors @ rng.normal(size=(200, d)) + 0.1 * rng.normal(size=(n, d)), 0
    )
    for i in range(count)
  }


def _plain(
  name: str, networks: dict[str, np.ndarray], pairs: int
) -> tuple[float, float]:
  """Returns seconds for a pair, and the largest difference of scores."""
  function = getattr(textbook_similarities, name)
  chosen = list(itertools.islice(itertools.combinations(networks, 2), pairs))
  start = time.process_time()
  plain = [function(networks[a], networks[b]) for a, b in chosen]
  seconds = (time.process_time() - start) / len(chosen)
  found = [similarity.score(name, networks[a], networks[b]) for a, b in chosen]
  return seconds, float(np.abs(np.subtract(plain, found)).max())


def main() -> None:
  networks = make_networks(_NETWORKS.value, _IMAGES.value, _UNITS.value)
  number = len(networks) * (len(networks) - 1) // 2
  print(
    f'{len(networks)} networks, {_IMAGES.value} images, {_UNITS.value} units'
  )
  print('measure        all pairs, s   plain, s (estimated)  difference')
  for name in _MEASURES.value:
    start = time.process_time()
    similarity.matrix(name, networks)
    line = f'{name:14s}{time.process_time() - start:13.2f}'
    if _PAIRS.value:
      directions = 1 if similarity.info(name).symmetric else 2
      seconds, difference = _plain(name, networks, _PAIRS.value)
      line += f'{seconds * number * directions:23.1f}{difference:12.1e}'
    print(line, flush=True)


if __name__ == '__main__':
  cli.run(main, FLAGS)
