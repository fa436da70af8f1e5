"""Keeps what TensorFlow writes on every import out of the user's sight.

TF_CPP_MIN_LOG_LEVEL does not reach it: TensorFlow 2.21 writes several lines to
the process's stderr before it reads that variable. They would hide the one
line that tells a user what is wrong.
"""

from collections.abc import Iterator
import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile

_VARIABLE = 'TF_CPP_MIN_LOG_LEVEL'
# Fatal messages only: what TensorFlow calls an error at its start, such as no
# GPU being there, is none, and the others arrive as exceptions.
_LEVEL = '3'


def quieten_tensorflow() -> None:
  """Makes the coming import of TensorFlow silent; the import itself is lazy.

  Who sets TF_CPP_MIN_LOG_LEVEL to 0 or 1 sees everything.
  """
  level = os.environ.setdefault(_VARIABLE, _LEVEL)
  if level not in ('0', '1') and 'tensorflow' not in sys.modules:
    sys.meta_path.insert(0, _Finder())


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
  """Discards what the process writes to stderr, unless the block raises."""
  sys.stderr.flush()
  with tempfile.TemporaryFile() as sink:
    kept = os.dup(2)
    os.dup2(sink.fileno(), 2)
    try:
      yield
    except BaseException:
      sink.seek(0)
      os.write(kept, sink.read())
      raise
    finally:
      sys.stderr.flush()
      os.dup2(kept, 2)
      os.close(kept)


class _Finder(importlib.abc.MetaPathFinder):
  """Finds TensorFlow where it is, once, and makes its loader silent."""

  def find_spec(self, fullname, path=None, target=None):
    if fullname != 'tensorflow':
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(fullname)
    if spec is not None and spec.loader is not None:
      spec.loader.exec_module = _silent(spec.loader.exec_module)
    return spec


def _silent(function):
  def call(*args):
    with silent_stderr():
      return function(*args)

  return call
