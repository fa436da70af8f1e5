"""Runs a function in a process of its own, with bounds on memory and time.

Python and TensorFlow are there at once: the process is a copy of this one, or,
once TensorFlow's threads run here (which a copy would lack), of a server that
has imported it and does nothing else.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import importlib
import json
import math
import os
import pathlib
import pickle
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any
import warnings

from toolkit_basics import processes, quiet

_SERVER = (
  'import json, sys; sys.path[:] = json.loads(sys.argv[1]); '
  'from frozen_graphs import child; child.serve()'
)
_MESSAGE = 300  # Characters of what a process said before it ended.
_READY = b'ready\n'
_OK, _OUT_OF_MEMORY = 'ok', 'memory'


@dataclasses.dataclass(frozen=True)
class Limits:
  """What a process may take.

  Attributes:
    memory: Bytes, beside what it has when it begins.
    seconds: Until it is ended.
  """

  memory: int
  seconds: float


@dataclasses.dataclass(frozen=True)
class Ending:
  """How a process ended.

  Attributes:
    fault: What was wrong, as 'took more than 60 seconds'; empty if it came to
      its end, whatever error that was.
    value: What the function returned; None if it came to an error.
  """

  fault: str = ''
  value: Any = None


def run(
  function: Callable[..., Any], *arguments: Any, limits: Limits
) -> Ending:
  """Returns how a function ends in a process of its own.

  Args:
    function: Of a module; an error that it raises is no fault, but of memory.
      It returns what JSON can hold.
    *arguments: Of it, which can be pickled.
    limits: Of the process.

  Raises:
    OSError: If no process can be started.
  """
  if _can_be_copied():
    return _run_copy(function, arguments, limits)
  return _Server.the().run(function, arguments, limits)


def _can_be_copied() -> bool:
  """Returns whether no thread runs here that a copy would miss."""
  return 'tensorflow' in sys.modules and not processes.has_foreign_threads()


def _run_copy(
  function: Callable[..., None], arguments: tuple, limits: Limits
) -> Ending:
  """Returns how a function ends in a copy of this process."""
  sys.stdout.flush()
  sys.stderr.flush()
  with (
    tempfile.TemporaryFile() as said,
    tempfile.TemporaryFile() as returned,
    warnings.catch_warnings(),
  ):
    # Of Python, about threads: see `_can_be_copied`.
    warnings.simplefilter('ignore', DeprecationWarning)
    reading, writing = os.pipe()
    with processes.without_threads_of_opencv():
      process = os.fork()
    if not process:
      os.close(reading)
      files = said.fileno(), returned.fileno()
      _be_child(function, arguments, limits, *files, writing)
    os.close(writing)
    is_late = True
    try:
      is_late = not _ended_within(reading, limits.seconds)
    finally:
      if is_late:
        os.kill(process, signal.SIGKILL)
      result = b'' if is_late else os.read(reading, 64)
      os.close(reading)
      _, status = os.waitpid(process, 0)
    said.seek(0)
    returned.seek(0)
    fault = _fault(is_late, result.decode(), status, said.read(), limits)
    return Ending(
      fault, None if fault else json.loads(returned.read() or 'null')
    )


def _ended_within(reading: int, seconds: float) -> bool:
  """Returns whether the other end of a pipe is heard of in time."""
  until = time.monotonic() + seconds
  while (left := until - time.monotonic()) > 0:
    if select.select([reading], [], [], left)[0]:
      return True
  return False


_is_child = False


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
  """Ends a process that `run` has started if the block computes for longer.

  C code, too, which no exception gets out of. Elsewhere it does nothing.
  """
  if not _is_child:
    yield
    return
  signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
  try:
    yield
  finally:
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _be_child(
  function, arguments, limits: Limits, said: int, returned: int, result: int
):
  """Runs the function, writes how that ended, and ends the process."""
  global _is_child
  _is_child, code = True, 1
  try:
    # Should the process that waits for this one be killed.
    signal.alarm(math.ceil(limits.seconds) + 1)
    nothing = os.open(os.devnull, os.O_RDWR)
    quiet.keep_stderr()  # For what is said of how far it is.
    for number, target in enumerate((nothing, nothing, said)):
      os.dup2(target, number)
    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'  # No GPU: its memory is shared.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    bound = limits.memory + _private_bytes()
    with contextlib.suppress(OSError, ValueError):  # A lower one is there.
      resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    answer = _OK
    try:
      value = function(*arguments)
      _write_all(returned, json.dumps(value).encode())
    except BaseException as error:
      answer = _OUT_OF_MEMORY if is_of_memory(error) else _OK
    os.write(result, answer.encode())
    code = 0
  finally:
    os._exit(code)  # Nothing of the process that was copied is to be tidied.


def _write_all(descriptor: int, content: bytes) -> None:
  with open(descriptor, 'wb', closefd=False) as file:
    file.write(content)


def _private_bytes() -> int:
  """Returns what counts towards RLIMIT_DATA already."""
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith('VmData:'):
      return int(line.split()[1]) * 1024
  return 2**30


def is_of_memory(error: BaseException | None) -> bool:
  """Returns whether an error, or what caused it, is a lack of memory."""
  while error is not None:
    name = type(error).__name__
    if name in ('MemoryError', '_ArrayMemoryError', 'ResourceExhaustedError'):
      return True
    error = error.__cause__ or error.__context__
  return False


def _fault(
  is_late: bool, result: str, status: int, said: bytes, limits: Limits
) -> str:
  if is_late:
    return f'took more than {limits.seconds:.0f} seconds'
  if result == _OK:
    return ''
  if result == _OUT_OF_MEMORY:
    return f'took more than {limits.memory / 2**30:.3g} GiB of memory'
  text = said.decode(errors='replace')
  if 'bad_alloc' in text:
    return f'took more than {limits.memory / 2**30:.3g} GiB of memory'
  number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
  if number == signal.SIGVTALRM:
    return 'took far too long to be read'
  name = signal.Signals(number).name if number else 'an error'
  why = [line for line in text.splitlines() if 'heck failed' in line]
  detail = f': {" ".join(why[-1].split())[:_MESSAGE]}' if why else ''
  return f'was brought down by {name}{detail}'


class _Server:
  """A process that has imported TensorFlow, and makes copies of itself."""

  _only: '_Server | None' = None

  def __init__(self):
    self._owner = os.getpid()
    self._process = subprocess.Popen(
      [sys.executable, '-c', _SERVER, json.dumps(sys.path)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
    )

  @classmethod
  def the(cls) -> '_Server':
    """Returns the server of this process, which is started if it is none."""
    server = cls._only
    is_alive = server and server._owner == os.getpid()
    if not is_alive or server._process.poll() is not None:
      cls._only = server = cls()
      server._read_line()
    return server

  def _read_line(self) -> bytes:
    line = self._process.stdout.readline()
    if not line:
      raise OSError(
        'The process in which networks of others are tried cannot be started.'
      )
    return line

  def run(
    self, function: Callable[..., None], arguments: tuple, limits: Limits
  ) -> Ending:
    named = function.__module__, function.__qualname__
    request = pickle.dumps((named, arguments, limits))
    self._process.stdin.write(len(request).to_bytes(8, 'little') + request)
    self._process.stdin.flush()
    try:
      return Ending(*json.loads(self._read_line()))
    except BaseException:
      self._process.kill()  # What it answers later would be taken for another.
      self._process.wait()
      raise


def serve() -> None:
  """Runs what is asked for on stdin, until that is closed."""
  quiet.quieten_tensorflow()
  importlib.import_module('tensorflow')
  importlib.import_module('frozen_graphs.sandbox')
  requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), 'wb')
  answers.write(_READY)
  answers.flush()
  while header := requests.read(8):
    content = requests.read(int.from_bytes(header, 'little'))
    (module, name), arguments, limits = pickle.loads(content)
    function = getattr(importlib.import_module(module), name)
    ending = _run_copy(function, arguments, limits)
    answer = json.dumps([ending.fault, ending.value])
    answers.write(answer.encode() + b'\n')
    answers.flush()
