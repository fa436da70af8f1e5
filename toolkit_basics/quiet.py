"""Keeps what libraries write out of the user's sight, as TensorFlow's start.

TF_CPP_MIN_LOG_LEVEL does not reach it: TensorFlow 2.21 writes several lines to
the process's stderr before it reads that variable. They would hide the one
line that tells a user what is wrong. So the import itself is made silent, and
what comes later is held to fatal messages, whatever that variable says.
"""

from collections.abc import Iterator
import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile
import warnings

# Set to anything, it lets TensorFlow say all it wants to.
ESCAPE = 'SHOW_TENSORFLOW_MESSAGES'
_VARIABLE = 'TF_CPP_MIN_LOG_LEVEL'
_OPENCV = 'OPENCV_LOG_LEVEL'
# Fatal messages only: what TensorFlow calls an error at its start, such as no
# GPU being there, is none, and the others arrive as exceptions.
_LEVEL = '3'
_descriptors = [2]  # Of stderr, the last one as it was at first.


def quieten_tensorflow() -> None:
  """Makes the coming import of TensorFlow silent; the import itself is lazy.

  And that of OpenCV, which says on stderr what is wrong with an image that is
  named and skipped anyway. Does nothing where TensorFlow is imported already,
  or `ESCAPE` is set in the environment.
  """
  # Of notebooks without ipywidgets, where a library imports tqdm.auto.
  warnings.filterwarnings('ignore', 'IProgress not found')
  if os.environ.get(ESCAPE):
    return
  os.environ.setdefault(_OPENCV, 'SILENT')
  if 'tensorflow' in sys.modules:
    return
  os.environ[_VARIABLE] = _LEVEL
  if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder())


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
  """Discards what the process writes to stderr, unless the block fails."""
  sys.stderr.flush()
  with tempfile.TemporaryFile() as sink:
    kept = os.dup(2)
    _descriptors.append(kept)
    os.dup2(sink.fileno(), 2)
    try:
      yield
    except Exception:
      sink.seek(0)
      os.write(kept, sink.read())
      raise
    finally:
      sys.stderr.flush()
      os.dup2(kept, 2)
      _descriptors.remove(kept)
      os.close(kept)


@contextlib.contextmanager
def silent_stdout() -> Iterator[None]:
  """Discards what libraries write to the process's stdout, beside Python."""
  if sys.__stdout__ is not None:
    sys.__stdout__.flush()
  try:
    kept = os.dup(1)
  except OSError:
    kept = None  # The process has no stdout.
  if kept is None:
    yield
    return
  try:
    with open(os.devnull, 'wb') as nowhere:
      os.dup2(nowhere.fileno(), 1)
    yield
  finally:
    os.dup2(kept, 1)
    os.close(kept)


def keep_stderr() -> None:
  """Makes `say` write to what is stderr now, whatever becomes of that."""
  _descriptors.append(os.dup(_descriptors[-1]))


def say(text: str) -> None:
  """Writes to stderr, also from within a silent block."""
  os.write(_descriptors[-1], text.encode())


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
