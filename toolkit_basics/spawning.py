"""Calls of a function in new processes, which know only what they are given.

They begin with nothing of this process, so that it may have run TensorFlow
before; that takes them the seconds of their imports.
"""

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import multiprocessing
from multiprocessing import resource_tracker
import os
import signal
from typing import Any

from toolkit_basics import processes


@contextlib.contextmanager
def calls(
  function: Callable[..., Any],
  arguments: Sequence[tuple],
  workers: int,
  begin: Callable[[], object] | None = None,
) -> Iterator[Iterator[Any]]:
  """Gives what a function returns, in the order in which calls are done.

  What leaves the block early, such as an interrupt, ends the processes.

  Args:
    function: Of a module.
    arguments: Of each call.
    workers: Processes that work at the same time.
    begin: Called first in each.
  """
  others = set(multiprocessing.active_children())
  pool = concurrent.futures.ProcessPoolExecutor(
    workers,
    multiprocessing.get_context('spawn'),
    _begin,
    (os.getpid(), begin),
  )
  try:
    with _interrupts_for_this_process_alone():
      jobs = [pool.submit(function, *each) for each in arguments]
    yield (job.result() for job in concurrent.futures.as_completed(jobs))
  except BaseException:
    processes.kill_all_but(others)
    raise
  finally:
    pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_for_this_process_alone() -> Iterator[None]:
  """Processes that are started in the block are not reached by Ctrl-C.

  Interrupted while they import, they would show where. What comes meanwhile is
  raised here behind the block.
  """
  resource_tracker.ensure_running()  # It would let interrupts in again.
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int, begin: Callable[[], object] | None) -> None:
  processes.end_with(parent)
  if begin is not None:
    begin()
