"""Measures the memory and time that the conversion of a named network takes.

  python -m benchmarks.conversion timm:vit_small_patch16_224
  python -m benchmarks.conversion timm:vit_small_patch16_224 \\
    --first=timm:test_vit

converts it, with random weights, as `convert` does, in this process. Printed
are its weights, and the most memory that the process took beside what it took
when all packages were imported. With --first, a small network is converted
before: so what packages load and keep when they are first used does not count.
"""

import importlib
import tempfile
import time

import toolkit_basics.cli as cli
from frozen_graphs import batch_sizes
from frozen_graphs.formats.torch import surgery
from taskonomy_models import conversion
from toolkit_basics import memory

FLAGS = cli.Flags()
_FIRST = FLAGS.string('first', 'A small network that is converted before.')

# What the exporters of PyTorch import when they are first used.
_PACKAGES = ('torch', 'torch.onnx', 'torch.export', 'onnx', 'onnxscript')
_MIB = 2**20


def convert(source: str, folder: str) -> int:
  """Converts a network, and returns the bytes of its graph."""
  encoder, found = conversion.converted(
    source,
    folder,
    name='network',
    preprocessing=None,
    label=None,
    group=None,
    image_size=None,
    overwrite=True,
    pretrained=False,
  )
  conversion.describe(encoder, found)
  return encoder.file_size


def main(source: str) -> None:
  surgery.require()
  for package in (*_PACKAGES, source.partition(':')[0]):
    importlib.import_module(package)
  with tempfile.TemporaryDirectory() as folder:
    if _FIRST.value:
      convert(_FIRST.value, folder)
    memory.give_back()
    batch_sizes.forget_peak()
    before = batch_sizes.peak_bytes()
    started, spent = time.monotonic(), time.process_time()
    size = convert(source, folder)
    seconds = time.monotonic() - started
    processor = time.process_time() - spent
  peak = batch_sizes.peak_bytes() - before
  print(f'weights: {size / _MIB:.0f} MiB')
  print(f'before: {before / _MIB:.0f} MiB')
  print(f'at most beside: {peak / _MIB:.0f} MiB, {peak / size:.1f} times them')
  print(f'seconds: {seconds:.0f}, of a processor: {processor:.0f}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
