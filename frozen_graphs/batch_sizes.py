"""How many images are computed at once, where memory is short.

On a GPU, or with a budget of memory, that is found by doubling: the next batch
has twice as many images while memory holds. So nothing is computed only to try.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import ctypes
import pathlib

from frozen_graphs.errors import GraphError

_FIRST_ON_GPU = 8
_PEAK = 'VmHWM'
_STATUS = pathlib.Path('/proc/self/status')
_FORGET_PEAK = '5'  # To /proc/self/clear_refs, see proc(5).
_budget: contextvars.ContextVar[int | None] = contextvars.ContextVar(
  'budget', default=None
)


@contextlib.contextmanager
def memory_budget(size: int | None) -> Iterator[None]:
  """Within it, passes are made that leave this process at most so many bytes.

  Args:
    size: Bytes; None is no bound. It counts where the system tells how many a
      process takes.
  """
  token = _budget.set(size)
  try:
    yield
  finally:
    _budget.reset(token)


def peak_bytes() -> int:
  """Returns the most that this process took since `forget_peak`, or 0."""
  with contextlib.suppress(OSError, StopIteration):
    lines = _STATUS.read_text().splitlines()
    line = next(each for each in lines if each.startswith(_PEAK))
    return int(line.split()[1]) * 1024
  return 0


def forget_peak() -> None:
  """Makes what this process takes now the most that it took.

  What it has freed goes back to the system, where the C library does that.
  """
  with contextlib.suppress(AttributeError):
    ctypes.CDLL(None).malloc_trim(0)
  with contextlib.suppress(OSError):
    pathlib.Path('/proc/self/clear_refs').write_text(_FORGET_PEAK)


class BatchSize:
  """Of one graph.

  Attributes:
    size: Images of the next batch.
  """

  def __init__(self, most: int, is_gpu: bool):
    """Begins the search, if there is a budget or a GPU.

    Args:
      most: Images, at most.
      is_gpu: Whether a GPU computes them.
    """
    self._budget = None if is_gpu else _budget.get()
    self._is_searching = is_gpu or self._budget is not None
    self._most, self.size = most, most
    if self._is_searching:
      self.size = min(most, _FIRST_ON_GPU if is_gpu else 1)
    self._before = 0  # The peak of the batch of half of the size.

  def begins(self) -> None:
    """Called before a batch."""
    if self._is_searching and self._budget is not None:
      forget_peak()
      self._before = self._before or peak_bytes()

  def fitted(self) -> None:
    """Called after a batch of the size: the next one may be larger.

    Raises:
      GraphError: If a single image takes more than the budget.
    """
    if not self._is_searching:
      return
    if self._budget is not None:
      peak = peak_bytes()
      if self.size == 1 and peak > self._budget:
        raise GraphError(
          f'One image takes {peak >> 20} MB, but the memory budget leaves '
          f'{self._budget >> 20} MB to a process.'
        )
      # From half of the size it grew by that of half of the next one's images;
      # what one image took is not of images alone.
      more = max(0, peak - self._before) * min(2, self.size)
      self._before = peak
      if peak + more > self._budget:
        self._is_searching = False
        return
    self.size = min(self._most, 2 * self.size)
    self._is_searching = self.size < self._most

  def failed(self) -> bool:
    """Called where memory was too short; returns whether to try fewer."""
    self._is_searching = False
    self.size, before = max(1, self.size // 2), self.size
    return self.size < before
