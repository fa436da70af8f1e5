"""One folder, one run: who writes results to a folder keeps others out.

The lock is the operating system's, on `.run.lock` in the folder: it ends with
the process, however that ends, so a file that is left over bars nobody. What
the file says is for people: whose it is. A folder includes what is in it: no
other process may have one inside of it, nor one that it is inside of.
"""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import platform
import time

from absl import logging

from toolkit_basics import files

LOCK = '.run.lock'
# Folders that this process holds, of which the system would let it have more.
_held: set[str] = set()
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class InUseError(ValueError):
  """A folder belongs to another run that is going on."""


@contextlib.contextmanager
def folder(path: files.Path) -> Iterator[None]:
  """Keeps other runs out of a folder while the block runs.

  What earlier runs that were killed have left half written is deleted. Folders
  that are made for this, and are empty at the end, are gone again.

  Args:
    path: Of the folder, which need not exist.

  Raises:
    InUseError: If another run has it, or a folder that it is in; or, where runs
      have written to it, a folder in it. The message says which.
    OSError: If the folder cannot be made, or is a file.
  """
  path = pathlib.Path(path)
  if path.exists() and not path.is_dir():
    raise NotADirectoryError(f'{path} is no folder; choose another place.')
  made = [each for each in (path, *path.parents) if not each.exists()]
  try:
    _make(path)
    with _locked(path):
      _check_around(path)
      _sweep(path)
      yield
  finally:
    with contextlib.suppress(OSError):  # They are used.
      for each in made:
        each.rmdir()


def _make(path: pathlib.Path) -> None:
  try:
    path.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise OSError(
      f'The folder {path} cannot be made ({error.strerror}); choose another '
      'place for it.'
    ) from error


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
  real = os.path.realpath(path)
  if real in _held:
    raise InUseError(_refusal(path, 'this very process'))
  descriptor = _descriptor(path)
  if descriptor is None:
    yield
    return
  _held.add(real)
  try:
    yield
  finally:
    _held.discard(real)
    with contextlib.suppress(OSError):
      os.unlink(path / LOCK)
    os.close(descriptor)  # The lock ends here, after the file's name.


def _descriptor(path: pathlib.Path) -> int | None:
  """Returns the locked file; None where nobody can lock, or write, anything."""
  lock = path / LOCK
  while True:
    try:
      flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
      descriptor = os.open(lock, flags, 0o666)
    except OSError as error:
      if error.errno != errno.EROFS and _is_writable(path):
        raise
      return None  # The command may want to read only, or says what it lacks.
    try:
      if not _try_lock(descriptor, path):
        os.close(descriptor)
        return None
      if _is_still(lock, descriptor):
        _sign(descriptor)
        return descriptor
    except BaseException:
      os.close(descriptor)
      raise
    os.close(descriptor)  # Its owner has just ended, and deleted it.


def _is_writable(path: pathlib.Path) -> bool:
  effective = os.access in os.supports_effective_ids
  return os.access(path, os.W_OK, effective_ids=effective)


def _check_around(path: pathlib.Path) -> None:
  """Raises InUseError if others have a folder around this one, or in it.

  Whoever has locked a folder looks around only then, so that of two that are in
  each other one is refused at least.
  """
  real = pathlib.Path(os.path.realpath(path))
  around = list(real.parents)
  if _is_of_runs(real):
    around += [
      pathlib.Path(p) for p, _, names in os.walk(real) if LOCK in names
    ]
  for other in around:
    if other != real and str(other) not in _held:
      _check_free(other)


def _check_free(path: pathlib.Path) -> None:
  """Raises InUseError if another process has a folder."""
  try:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path / LOCK, flags)
  except OSError:  # Nobody has left a lock here, or one that can be read.
    return
  try:
    fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in (errno.EACCES, errno.EAGAIN):
      raise InUseError(_refusal(path, _owner(descriptor))) from error
  finally:
    os.close(descriptor)


def _try_lock(descriptor: int, path: pathlib.Path) -> bool:
  """Locks a file; returns False where files cannot be locked."""
  try:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in _UNSUPPORTED:
      logging.warning(
        '%s is where files cannot be locked; see to it that no other run uses '
        'it.',
        path,
      )
      return False
    if error.errno not in (errno.EACCES, errno.EAGAIN):
      raise
    raise InUseError(_refusal(path, _owner(descriptor))) from error
  return True


def _is_still(lock: pathlib.Path, descriptor: int) -> bool:
  """Returns whether a name still belongs to a file that was opened by it."""
  try:
    return os.path.samestat(os.stat(lock), os.fstat(descriptor))
  except FileNotFoundError:
    return False


def _sign(descriptor: int) -> None:
  """Writes whose the lock is."""
  owner = {
    'pid': os.getpid(),
    'host': platform.node(),
    'started': time.strftime('%Y-%m-%d %H:%M:%S'),
  }
  with contextlib.suppress(OSError):  # Of a full disk: the lock holds.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode() + b'\n', 0)


def _owner(descriptor: int) -> str:
  try:
    owner = json.loads(os.pread(descriptor, 4096, 0))
    return (
      f'process {owner["pid"]} on {owner["host"]}, started {owner["started"]}'
    )
  except (OSError, ValueError, KeyError, TypeError):
    return 'another process'


def _refusal(path: pathlib.Path, owner: str) -> str:
  return (
    f'{path} is in use by a run that is going on ({owner}). Wait until it has '
    'ended, or choose another folder.'
  )


def _is_of_runs(path: pathlib.Path) -> bool:
  """Returns whether the toolkit alone has written to a folder."""
  names = {name for name in os.listdir(path) if not files.is_left_over(name)}
  return bool(names & {'run.json', '.memo'}) or names <= {LOCK}


def _sweep(path: pathlib.Path) -> None:
  """Deletes what killed processes have left half written."""
  if _is_of_runs(path):
    with contextlib.suppress(OSError):  # It cannot be deleted; it harms nobody.
      files.sweep(path)
