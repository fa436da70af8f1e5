"""What holds while a command starts: before it has read its flags.

The first seconds of a command go to imports, of TensorFlow above all. In them,
nothing is begun that an interrupt could spoil, and no command can take care of
one yet. And a command that shall only tell its flags needs no TensorFlow, nor
SciPy or Matplotlib.
"""

from collections.abc import Iterator
import contextlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import threading
import types
from typing import NoReturn

from toolkit_basics import quiet

HELP = frozenset(['-h', '-help', '--help', '--helpshort', '--helpfull'])
# They take nearly all of the time that the import of a command takes.
_ABSENT = ('tensorflow', 'tf_keras', 'tensorflow_hub', 'scipy', 'matplotlib')


def begin() -> None:
  """Called as the first thing of every command, by `toolkit_basics.cli`.

  Where a command is only imported, by a test or a notebook, it leaves the
  process as it is, but for TensorFlow's messages.
  """
  quiet.quieten_tensorflow()
  if _is_imported_by_program():
    open_streams()
    take_interrupts()
    if HELP & set(sys.argv[1:]):
      leave_out_libraries()


def open_streams() -> None:
  """Opens standard streams that the process was started without, to nowhere.

  As by `>&-`. Otherwise the next file that is opened is taken for the stream,
  and gets what libraries say.
  """
  for number, name in enumerate(('stdin', 'stdout', 'stderr')):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # The lowest number that is free.
    if getattr(sys, name) is None:
      mode = 'w' if number else 'r'
      setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _is_imported_by_program() -> bool:
  """Whether it is __main__ whose import led here, as by `python -m COMMAND`.

  Not so if a module in between did, as where a test imports a command.
  """
  ours = (__name__, f'{__package__}.cli')
  frame = sys._getframe()
  while frame is not None:
    name = frame.f_globals.get('__name__', '')
    if name not in ours and not name.startswith('importlib.'):
      return name == '__main__'
    frame = frame.f_back
  return False


def take_interrupts() -> None:
  """Makes Ctrl-C end the process with one line, until they are given back.

  An exception would not do: it is lost or turned into others where C code
  imports, and shows where in a library the import was.
  """
  with contextlib.suppress(ValueError):  # Raised outside of the main thread.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      signal.signal(signal.SIGINT, _stop)


def give_interrupts_back() -> None:
  """Makes Ctrl-C a KeyboardInterrupt again."""
  if signal.getsignal(signal.SIGINT) is _stop:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminated(KeyboardInterrupt):
  """The system, or somebody, wants the process to end."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
  """Makes SIGTERM an exception in the block; a second one ends the process.

  So that nothing is left behind: processes, temporary folders, semaphores.
  """

  owner = os.getpid()

  def end(signum: int, frame: types.FrameType | None) -> NoReturn:
    signal.signal(signum, signal.SIG_DFL)
    if os.getpid() != owner:  # A copy that has not begun its work yet.
      os.kill(os.getpid(), signum)
    raise Terminated

  if (
    threading.current_thread() is not threading.main_thread()
    or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
  ):
    yield  # Somebody else takes care of it.
    return
  signal.signal(signal.SIGTERM, end)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(signum: int, frame: types.FrameType | None) -> NoReturn:
  quiet.say('Interrupted.\n')
  os._exit(128 + signum)


def leave_out_libraries() -> None:
  """Makes coming imports of what takes seconds get something in its place."""
  sys.meta_path.insert(0, _StandInFinder())


class _StandIn(types.ModuleType):
  """Takes a library's place where modules only mention it.

  They make annotations, tables, decorators and base classes of it. Whatever is
  asked of it, or done with it, is a stand-in too.
  """

  __path__: list[str] = []

  def __getattr__(self, name: str) -> '_StandIn':
    if name.startswith('__'):
      raise AttributeError(name)
    return _StandIn(f'{self.__name__}.{name}')

  def __call__(self, *args, **options) -> '_StandIn':
    return self

  def __getitem__(self, key) -> '_StandIn':
    return self

  def __iter__(self) -> Iterator['_StandIn']:
    return iter(())

  def __or__(self, other) -> '_StandIn':
    return self

  __ror__ = __or__

  def __mro_entries__(self, bases) -> tuple[type, ...]:
    return ()


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Finds a stand-in for an absent library and all that is in it."""

  def find_spec(self, fullname, path=None, target=None):
    if fullname.partition('.')[0] not in _ABSENT:
      return None
    return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

  def create_module(self, spec):
    return _StandIn(spec.name)

  def exec_module(self, module):
    pass
