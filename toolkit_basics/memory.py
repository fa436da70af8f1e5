"""Gives memory back to the system that nobody needs any more."""

import contextlib
import ctypes
import gc


def give_back() -> None:
  """Frees what is only held by itself, and gives all that is free back.

  Graphs of TensorFlow hold themselves; and what they took is kept for later
  ones, unless the C library is asked for it.
  """
  gc.collect()
  with contextlib.suppress(AttributeError):  # Others than glibc have no such.
    ctypes.CDLL(None).malloc_trim(0)
