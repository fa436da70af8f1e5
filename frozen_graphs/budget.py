"""What loading one network may take: bytes, nodes and seconds.

A file of a few bytes can ask for more than any machine has: a function that is
called by a function that is called twice, a constant of one number and a
shape. Every stage of a load charges the one budget of that load before it does
what it is asked to, so that all that a file can multiply is bounded together.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import os
import time

from frozen_graphs.errors import GraphError
from toolkit_basics import files

_MIB = 2**20
# Beside a multiple of the file: constants unfold, functions are copied, and 8
# bits become 32.
_BYTES, _BYTES_FOR_EACH = 256 * _MIB, 32
_NODES = 3_000_000  # Of all copies; the largest network met has 43,000.
_SECONDS, _SECONDS_FOR_EACH = 60.0, 1 / _MIB


class Budget:
  """What is left of one load.

  Attributes:
    size: Bytes that were loaded.
  """

  def __init__(self, size: int = 0):
    """Sets the bounds.

    Args:
      size: Bytes of the file, or of the graph in memory.
    """
    self.size = 0
    self._bytes, self._nodes, self._seconds = _BYTES, _NODES, _SECONDS
    self._started: float | None = None
    self.grant(size)

  def grant(self, size: int) -> None:
    """Allows for what `size` bytes that were read may become."""
    self.size += size
    self._bytes += _BYTES_FOR_EACH * size
    self._seconds += _SECONDS_FOR_EACH * size

  def charge(self, what: str, *, size: int = 0, nodes: int = 0) -> None:
    """Takes something off the budget, before it is made.

    Args:
      what: For the message, as "the functions of the graph".
      size: Bytes.
      nodes: Number of nodes.

    Raises:
      GraphError: If that is more than is left, or the time is over.
    """
    self._bytes -= size
    self._nodes -= nodes
    if self._bytes < 0:
      raise GraphError(
        f'{what} would take more memory than a file of {self.size} bytes may, '
        f'{(_BYTES + _BYTES_FOR_EACH * self.size) // _MIB} MiB; it is damaged, '
        'or made to do harm.'
      )
    if self._nodes < 0:
      raise GraphError(
        f'{what} would make more than {_NODES} nodes; the file is damaged or '
        'made to do harm.'
      )
    self.check_time(what)

  def check_time(self, what: str) -> None:
    """Raises GraphError if the load has taken too long."""
    if self._started is None:
      return
    if time.monotonic() - self._started > self._seconds:
      raise GraphError(
        f'{what} took more than {self._seconds:.0f} seconds; the file is '
        'damaged or made to do harm.'
      )

  @contextlib.contextmanager
  def spent(self) -> Iterator['Budget']:
    """Within it, this is the budget that stages charge, and time counts."""
    if _ACTIVE.get() is self:
      yield self
      return
    token = _ACTIVE.set(self)
    self._started = time.monotonic()
    try:
      yield self
    finally:
      self._seconds -= time.monotonic() - self._started
      self._started = None
      _ACTIVE.reset(token)


_ACTIVE: contextvars.ContextVar[Budget | None] = contextvars.ContextVar(
  'budget', default=None
)


def active(size: Callable[[], int] = lambda: 0) -> Budget:
  """Returns the budget of the load in progress, else a new one.

  Args:
    size: Returns the bytes of what is worked on, for a new one. To count them
      in a graph takes as long as to write it.
  """
  return _ACTIVE.get() or Budget(size())


def read(path: str | os.PathLike, max_bytes: int) -> bytes:
  """Returns the content of a file, which adds to the budget of the load.

  Raises:
    GraphError: If it is larger than `max_bytes`, or no regular file.
    OSError: If it cannot be read.
  """
  content = files.read_bounded(path, max_bytes, GraphError)
  if (spent := _ACTIVE.get()) is not None:
    spent.grant(len(content))
  return content
