"""Work on all cores: in copies of this process, which know all that it knows.

A copy needs no time to start, and nothing has to be sent to it. It lacks the
threads of this process, though, so that none is made once TensorFlow has run
something here; the work is then done here, with the same results.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
import concurrent.futures
import contextlib
import ctypes
import functools
import multiprocessing
import os
import pathlib
import pickle
import signal
import sys
import threading
from typing import Any, TypeVar
import warnings

T = TypeVar('T')
_MOST = 8  # Processes, if nobody says how many.
# Of TensorFlow, that a session takes by default.
_THREADS = ('TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS')
_MINE = 0.5  # Share of the free memory that may be taken without asking.
_POLLING_SECONDS = 0.2
_NAMES_THREADS_SINCE = (2, 21)  # TensorFlow, as far as was tried.
_SIGNAL_AT_PARENTS_END = 1  # PR_SET_PDEATHSIG of prctl(2).
_task: Callable[[int], Any] | None = None  # Of the copies, by its number.
_told: Callable[[int], object] | None = None  # Of steps that are done.


def cores() -> int:
  """Returns how many cores this process may use."""
  with contextlib.suppress(AttributeError):  # Not everywhere.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def chosen(
  wanted: int, tasks: int, each_bytes: int = 0, budget: int | None = None
) -> int:
  """Returns how many processes shall work.

  Args:
    wanted: How many the user asked for; 0 for as many as there are cores, and
      as there is room for.
    tasks: How many there are.
    each_bytes: Memory that a process takes.
    budget: Bytes that all may take; None is half of the free memory.
  """
  number = wanted or min(cores(), _MOST)
  if not wanted and each_bytes:
    room = int(_MINE * free_bytes()) if budget is None else budget
    number = min(number, room // each_bytes)
  return max(1, min(number, tasks))


def free_bytes() -> int:
  """Returns the memory that is free, with what the system gives up for it."""
  with contextlib.suppress(OSError, ValueError, StopIteration):
    lines = pathlib.Path('/proc/meminfo').read_text().splitlines()
    line = next(each for each in lines if each.startswith('MemAvailable:'))
    return int(line.split()[1]) * 1024
  return 4 * 2**30


def can_be_copied() -> bool:
  """Returns whether a copy of this process would miss nothing.

  So it is unless TensorFlow's threads, or others of Python, run here.
  """
  return not has_foreign_threads() and threading.active_count() == 1


def has_foreign_threads() -> bool:
  """Returns whether threads of TensorFlow run here, or nothing tells."""
  tasks = pathlib.Path('/proc/self/task')
  try:
    names = [(task / 'comm').read_text() for task in tasks.iterdir()]
  except OSError:
    return True
  if any(name.startswith(('tf_', 'grpc', 'ray')) for name in names):
    return True
  # What is left are those of libraries that provide for it, such as OpenBLAS,
  # but for those of an old TensorFlow, which have no names of their own.
  return len(names) > 1 and not _tensorflow_names_threads()


def _tensorflow_names_threads() -> bool:
  """Returns whether threads of TensorFlow would be known as such."""
  tensorflow = sys.modules.get('tensorflow')
  if tensorflow is None:
    return True
  version = getattr(tensorflow, '__version__', '0.0').split('.')
  return tuple(map(int, version[:2])) >= _NAMES_THREADS_SINCE


def advance() -> None:
  """Called by a task: one of its steps is done."""
  if _told is not None:
    _told(1)


def results(
  task: Callable[[Any], T],
  items: Sequence[Any],
  workers: int,
  advanced: Callable[[int], object] = lambda steps: None,
) -> Iterator[T]:
  """Yields what a task returns for each item, in order, as they are done.

  An error of a task is raised where its result would have come.

  Args:
    task: Of one item; what it returns is sent back from a copy.
    items: Anything.
    workers: Copies that work at the same time; with 1, or where this process
      cannot be copied, it works itself.
    advanced: Is told of how many more steps `advance` was called.

  Raises:
    concurrent.futures.process.BrokenProcessPool: If a copy was killed.
  """
  global _task, _told
  before = _task, _told
  try:
    if workers < 2 or len(items) < 2 or not can_be_copied():
      _told = advanced
      yield from map(task, items)
      return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context('fork')
    steps = context.Value('q', 0)
    _task = functools.partial(_of_number, task, items)
    _told = functools.partial(_count, steps)
    with warnings.catch_warnings(), without_threads_of_opencv():
      # Of Python, about threads: see `can_be_copied`.
      warnings.simplefilter('ignore', DeprecationWarning)
      pool = concurrent.futures.ProcessPoolExecutor(
        workers, context, _begin, (os.getpid(), max(1, cores() // workers))
      )
      futures = [pool.submit(_run, number) for number in range(len(items))]
    yield from _results_of(futures, pool, steps, advanced, others)
  finally:
    _task, _told = before


def in_threads(
  task: Callable[[Any], T],
  items: Sequence[Any],
  workers: int,
  advanced: Callable[[int], object] = lambda steps: None,
) -> Iterator[T]:
  """Yields what a task returns for each item, as `results`, from threads.

  For work that waits for devices; one after the other, `advanced` is told of
  every step.
  """
  global _told
  before, lock = _told, threading.Lock()

  def told(steps: int) -> None:
    with lock:
      advanced(steps)

  _told = told
  pool = concurrent.futures.ThreadPoolExecutor(workers)
  try:
    yield from pool.map(task, items)
  finally:
    pool.shutdown(cancel_futures=True)
    _told = before


@contextlib.contextmanager
def without_threads_of_opencv() -> Iterator[None]:
  """Ends OpenCV's threads, and allows them again after the block.

  A copy that is made in it works without them; it has none of this process's
  threads, for which any call of OpenCV would wait for ever.
  """
  opencv = sys.modules.get('cv2')
  if opencv is None:
    yield
    return
  threads = opencv.getNumThreads()
  opencv.setNumThreads(1)
  try:
    yield
  finally:
    opencv.setNumThreads(threads)


def _count(steps: Any, more: int) -> None:
  with steps.get_lock():
    steps.value += more


def _results_of(futures, pool, steps, advanced, others) -> Iterator[Any]:
  told = 0
  try:
    for future in futures:
      while not future.done():
        concurrent.futures.wait([future], _POLLING_SECONDS)
        done = steps.value
        advanced(done - told)
        told = done
      yield future.result()
  except KeyboardInterrupt:  # Their work may take minutes.
    kill_all_but(others)
    raise
  finally:
    pool.shutdown(cancel_futures=True)
  advanced(steps.value - told)


def kill_all_but(
  others: Collection[multiprocessing.process.BaseProcess],
) -> None:
  """Kills the processes that this one has started, but for some."""
  for process in set(multiprocessing.active_children()) - set(others):
    process.kill()


def _begin(parent: int, threads: int) -> None:
  # Ctrl-C reaches every process; the first one says that it was interrupted.
  signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  end_with(parent)
  for variable in _THREADS:
    os.environ.setdefault(variable, str(threads))


def end_with(parent: int) -> None:
  """Makes this process end with the one that it works for, however that ends.

  Args:
    parent: Number of the process that has started this one.
  """
  if sys.platform == 'linux':  # Others have no such call.
    ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_END, signal.SIGKILL)
  if os.getppid() != parent:
    os._exit(1)


def _of_number(
  task: Callable[[Any], T], items: Sequence[Any], number: int
) -> T:
  return task(items[number])


def _run(number: int) -> Any:
  assert _task is not None
  return _task(number)


def sendable(error: T) -> T | ValueError:
  """Returns an error that can be sent from a copy: it, or one of its text."""
  try:
    pickle.loads(pickle.dumps(error))
  except Exception:
    return ValueError(str(error))
  return error
