"""Times maps on one GPU, and compares them with those of the processor.

  python -m benchmarks.gpu

An encoder of Taskonomy's shape with random weights is explained by three
methods and probed for spans, in each precision, on the GPU and on the
processor. Printed are images a second, the most memory that TensorFlow took on
the device, and the least cosine of an image's map with that of the processor in
float32. It takes some minutes, most of them of the processor.

With --device=/CPU:0 it tells nothing new, but shows that it runs.
"""

from collections.abc import Iterator
import contextlib
import time

import numpy as np
import tensorflow as tf

import toolkit_basics.cli as cli
from attribution.explainer import Explainer
from benchmarks import floor, report, ways
from frozen_graphs import narrowing, session
from toolkit_basics import progress

FLAGS = cli.Flags()
_DEVICE = FLAGS.string('device', 'The GPU that is measured.', '/GPU:0')
_SIZE = FLAGS.integer('size', 'Side of the images.', 256, lower_bound=16)
_IMAGES = FLAGS.integer(
  'num_images', 'Number of images that are explained.', 256, lower_bound=1
)
_BATCH = FLAGS.integer('batch_size', 'Images at once.', 32, lower_bound=1)
_ON_CPU = FLAGS.integer(
  'num_compared', 'Of them, those that the processor does too.', 8
)
_PROBES = FLAGS.integer('probes', 'Probes of a span.', 16, lower_bound=1)
_JSON = FLAGS.path('json', 'Where the numbers are written.')

_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_CPU = '/CPU:0'


@contextlib.contextmanager
def _explainer(device: str, precision: str) -> Iterator[Explainer]:
  with Explainer(
    floor.task_network(_SIZE.value),
    preprocessing='range(-1, 1)',
    methods=_METHODS,
    probe_methods=['gradient'],
    batch_size=_BATCH.value,
    device=device,
    precision=precision,
  ) as explainer:
    yield explainer


def _maps(explainer: Explainer, images: np.ndarray) -> dict[str, np.ndarray]:
  """Returns maps of the methods, and of probes, [n, ...]."""
  maps = dict(explainer.explain(images).maps)
  units = explainer.count_units(images)
  rng = np.random.default_rng(0)
  few = images[: _ON_CPU.value]
  directions = rng.normal(size=(len(few), _PROBES.value, units))
  maps['span'] = explainer.probe('gradient', few, directions)
  return maps


def _rates(explainer: Explainer, images: np.ndarray) -> tuple[float, float]:
  """Returns images a second: of three methods, and of spans."""
  units, batch = explainer.count_units(images), images[: _BATCH.value]
  ones = np.ones((len(batch), _PROBES.value, units), np.float32)
  explainer.explain(batch)
  explainer.probe('gradient', batch, ones)
  start = time.perf_counter()
  explainer.explain(images)
  explained = time.perf_counter()
  explainer.probe('gradient', batch, ones)
  probed = time.perf_counter()
  return len(images) / (explained - start), len(batch) / (probed - explained)


def _megabytes(device: str) -> float:
  """Returns the most memory that was taken so far, NaN of a processor."""
  if 'GPU' not in device.upper():
    return float('nan')
  kind, _, number = device.strip('/').rpartition(':')
  name = f'{kind.rpartition(":")[2].upper()}:{number}'
  peak = tf.config.experimental.get_memory_info(name)['peak']
  tf.config.experimental.reset_memory_stats(name)
  return peak / 2**20


def main() -> None:
  before = report.machine()
  session.check_device(_DEVICE.value)
  rng = np.random.default_rng(0)
  shape = _IMAGES.value, _SIZE.value, _SIZE.value, 3
  images = rng.integers(256, size=shape, dtype=np.uint8)
  few = images[: _ON_CPU.value]
  with _explainer(_CPU, narrowing.SINGLE) as explainer:
    expected = _maps(explainer, few)
    rate, span_rate = _rates(explainer, few)
  numbers = {
    'cpu_float32_images_a_second': rate,
    'cpu_float32_spans_a_second': span_rate,
  }
  precisions = narrowing.PRECISIONS
  for precision in progress.track(precisions, description='Precisions'):
    with _explainer(_DEVICE.value, precision) as explainer:
      found = _maps(explainer, few)
      rate, span_rate = _rates(explainer, images)
    numbers |= {
      f'{precision}_images_a_second': rate,
      f'{precision}_spans_a_second': span_rate,
      f'{precision}_peak_memory_mb': _megabytes(_DEVICE.value),
      **{
        f'{precision}_{name}_least_cosine': ways.cosine(values, expected[name])
        for name, values in found.items()
      },
    }
  report.tell(numbers, _JSON.value, before)


if __name__ == '__main__':
  cli.run(main, FLAGS)
