"""How many threads NumPy's linear algebra takes.

OpenBLAS divides even products of a few rows among all cores, whose threads then
wait for each other by spinning: three times slower than one thread on an idle
machine, and hundreds of times where other work wants the cores too.
"""

from collections.abc import Iterator
import contextlib
import functools

import threadpoolctl


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
  """Within it, products of matrices take one thread; for many small ones."""
  with _libraries().limit(limits=1, user_api='blas'):
    yield


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
  """Returns the libraries that are loaded; finding them takes a while."""
  return threadpoolctl.ThreadpoolController()
