"""Tries damaged inputs in processes of their own, and says what they broke."""

from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback

import numpy as np

from frozen_graphs.errors import GraphError
from probe_data.errors import ImageFileError
from taskonomy_models.bank import BankError
from tests.fuzzing import seeds as seed_files
from tests.fuzzing.seeds import Seed

_OURS = (GraphError, ImageFileError, BankError)
_MAX_SECONDS = 10.0  # Of one input, on a processor.
_MAX_BYTES = 2 * 2**30  # Beside what the process has at first.
_PATIENCE = 60.0  # Seconds on the clock, until a process is ended.
_BATCH = 400  # Inputs of one process: what libraries leak is bounded.


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of an input.

  Attributes:
    number: Of the input, which makes it again.
    format: Of the file that was damaged.
    kind: 'read', 'refused', or what broke: 'foreign error', 'hang', 'memory',
      'crash'.
    detail: What was raised, or how the process ended.
  """

  number: int
  format: str
  kind: str
  detail: str = ''

  @property
  def is_fault(self) -> bool:
    return self.kind not in ('read', 'refused')


class Arena:
  """Makes inputs by their numbers, and tries them."""

  def __init__(self, folder: pathlib.Path, seed: int):
    self._folder, self._seed = folder, seed
    originals = folder / 'originals'
    originals.mkdir()
    self.seeds = _written_elsewhere(originals)
    weights = np.array([each.weight for each in self.seeds])
    self._odds = weights / weights.sum()

  def _rng(self, number: int) -> np.random.Generator:
    return np.random.default_rng([self._seed, number])

  def _chosen(self, number: int) -> tuple[Seed, np.random.Generator]:
    rng = self._rng(number)
    return self.seeds[int(rng.choice(len(self.seeds), p=self._odds))], rng

  def write(self, number: int, folder: pathlib.Path) -> pathlib.Path:
    """Writes an input into an empty folder."""
    seed, rng = self._chosen(number)
    return seed.damaged(folder, rng)

  def run(self, numbers: range) -> Iterator[Outcome]:
    """Yields what becomes of inputs; a process that dies is replaced."""
    start = numbers.start
    while start < numbers.stop:
      batch = range(start, min(start + _BATCH, numbers.stop))
      for outcome in self._batch(batch):
        start = outcome.number + 1
        yield outcome

  def _batch(self, numbers: range) -> Iterator[Outcome]:
    """Yields outcomes until the first input that ends the process."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if not process:
      self._be_child(numbers, writing)
    os.close(writing)
    current, fault = numbers.start, ''
    with os.fdopen(reading, 'rb', buffering=0) as pipe:
      for line in _lines(pipe):
        if line is None:
          fault = 'hang'
          os.kill(process, signal.SIGKILL)
          break
        outcome = Outcome(*json.loads(line))
        current = outcome.number + 1
        yield outcome
    _, status = os.waitpid(process, 0)
    if fault or current < numbers.stop:
      detail = f'over {_PATIENCE} s' if fault else f'status {status}'
      if os.WIFSIGNALED(status) and not fault:
        detail = signal.Signals(os.WTERMSIG(status)).name
      format_ = self._chosen(current)[0].name
      yield Outcome(current, format_, fault or 'crash', detail)

  def _be_child(self, numbers: range, result: int):
    """Tries inputs, writes a line for each, and ends the process."""
    try:
      sink = os.open(os.devnull, os.O_RDWR)
      for target in (0, 1, 2):
        os.dup2(sink, target)
      base = _status('VmHWM')
      bound = _status('VmData') + _MAX_BYTES + 2**30
      resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
      for number in numbers:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
          outcome = self._try(number, pathlib.Path(folder), base)
        line = json.dumps(dataclasses.astuple(outcome)) + '\n'
        os.write(result, line.encode())
    finally:
      os._exit(0)

  def _try(self, number: int, folder: pathlib.Path, base: int) -> Outcome:
    seed, rng = self._chosen(number)
    path = seed.damaged(folder, rng)
    started, kind, detail = time.process_time(), 'read', ''
    try:
      seed.read(path)
    except _OURS as error:
      kind, detail = 'refused', f'{type(error).__name__}: {str(error)[:200]}'
    except OSError as error:
      kind = 'refused' if error.errno is not None else 'foreign error'
      detail = f'{type(error).__name__}: {str(error)[:200]}'
    except ValueError as error:
      # A library's own words for a wrong argument, as of T.
      ours = type(error).__module__.split('.')[0] in ('attribution', 'builtins')
      kind = 'refused' if ours and _was_raised_here(error) else 'foreign error'
      detail = _described(error)
    except Exception as error:
      kind, detail = 'foreign error', _described(error)
    if time.process_time() - started > _MAX_SECONDS:
      kind, detail = 'hang', f'{time.process_time() - started:.0f} s'
    if _status('VmHWM') > base + _MAX_BYTES:
      kind, detail = 'memory', f'{_status("VmHWM") / 2**30:.1f} GiB'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    return Outcome(number, seed.name, kind, detail)


def _written_elsewhere(folder: pathlib.Path) -> list[Seed]:
  """Returns the real files, which a process of its own has made.

  What makes them starts TensorFlow's threads, which no copy of a process has.
  """
  process = os.fork()
  if not process:
    try:
      seed_files.write(folder)
      os._exit(0)
    finally:
      traceback.print_exc()
      os._exit(1)
  _, status = os.waitpid(process, 0)
  if status:
    raise RuntimeError('The real files cannot be made.')
  return seed_files.seeds(folder)


def _lines(pipe) -> Iterator[bytes | None]:
  """Yields whole lines; None if nothing comes for too long."""
  rest = b''
  while True:
    if not select.select([pipe], [], [], _PATIENCE)[0]:
      yield None
      return
    block = pipe.read(65_536)
    if not block:
      return
    *lines, rest = (rest + block).split(b'\n')
    yield from lines


def _status(field: str) -> int:
  """Returns a number of bytes of /proc/self/status."""
  text = pathlib.Path('/proc/self/status').read_text()
  (line,) = (n for n in text.splitlines() if n.startswith(f'{field}:'))
  return int(line.split()[1]) * 1024


def _was_raised_here(error: BaseException) -> bool:
  """Returns whether an error was raised by this project's own code."""
  root = str(pathlib.Path(__file__).parents[2])
  last = traceback.extract_tb(error.__traceback__)[-1]
  return last.filename.startswith(root)


def _described(error: BaseException) -> str:
  last = traceback.extract_tb(error.__traceback__)[-1]
  where = f'{pathlib.Path(last.filename).name}:{last.lineno}'
  return f'{type(error).__name__} at {where}: {str(error)[:200]}'
