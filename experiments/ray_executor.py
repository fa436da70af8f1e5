"""Work on a Ray cluster; Ray is an extra, imported where it is asked for.

Ray schedules units of work on the cores or GPUs of a cluster, and does one
again on another worker if its own was killed.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import importlib
import os
from typing import Any, TypeVar

T = TypeVar('T')
_RETRIES = 3  # Of a unit whose worker was killed.
_POLLING_SECONDS = 0.5
_STORE_BYTES = 2**27  # Units and outcomes are small: images come by file.
_THREADS = ('TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS')


def check() -> Any:
  """Returns the package Ray.

  Raises:
    ValueError: If it is not installed.
  """
  try:
    return importlib.import_module('ray')
  except ImportError as error:
    raise ValueError(
      '`executor=ray` needs Ray, which is not installed: pip install '
      "'attribution-transfer[ray]'."
    ) from error


@contextlib.contextmanager
def _connected() -> Iterator[Any]:
  """Gives Ray, connected to a cluster; a local one is ended afterwards.

  That of the variable RAY_ADDRESS, or of this machine, or else a new one.
  """
  ray = check()
  was_there = ray.is_initialized()
  if not was_there:
    options = {'log_to_driver': False, 'include_dashboard': False}
    try:
      ray.init('auto', log_to_driver=False)
    except ConnectionError:
      ray.init('local', object_store_memory=_STORE_BYTES, **options)
  try:
    yield ray
  finally:
    if not was_there:
      ray.shutdown()


def results(
  task: Callable[[Any], T],
  units: Sequence[Any],
  done: Callable[[int], object],
  num_gpus: float = 0,
) -> Iterator[T]:
  """Yields what a task returns for each unit, in order, as they are done.

  Args:
    task: A function of one unit that nodes can import.
    units: Whatever can be pickled.
    done: Is told the number of each unit, as they are done.
    num_gpus: GPUs that a unit takes, or a part of one; without any it takes one
      core.

  Raises:
    ValueError: If workers of one unit were killed four times.
  """
  with _connected() as ray:
    options = {'max_retries': _RETRIES, 'num_cpus': 1, 'num_gpus': num_gpus}
    remote = ray.remote(**options)(_on_worker)
    waiting = [remote.remote(task, unit) for unit in units]
    numbers = {reference: number for number, reference in enumerate(waiting)}
    left = list(waiting)
    for number, reference in enumerate(waiting):
      while reference in left:
        ready, left = ray.wait(
          left, num_returns=len(left), timeout=_POLLING_SECONDS
        )
        for each in ready:
          done(numbers[each])
      try:
        yield ray.get(reference)
      except ray.exceptions.WorkerCrashedError as error:
        raise ValueError(
          f'The worker of unit {number} of {len(units)} was killed '
          f'{_RETRIES + 1} times, for want of memory perhaps; pass a smaller '
          '`batch_size`, or start Ray with fewer cores.'
        ) from error


def _on_worker(task: Callable[[Any], T], unit: Any) -> T:
  for variable in _THREADS:  # A unit has one core; read at the first session.
    os.environ.setdefault(variable, '1')
  return task(unit)
