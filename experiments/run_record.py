"""The record of a run, `run.json`: what was asked, and whether it is done."""

from collections.abc import Iterator, Mapping
import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import time
from typing import Any

from absl import logging

from toolkit_basics import claims, files
from transferability import settings
from transferability.model_space import ModelSpace

_PACKAGES = (
  'tensorflow',
  'numpy',
  'scipy',
  'opencv-python',
  'opencv-python-headless',
  'matplotlib',
)


def versions() -> dict[str, str]:
  """Returns the versions of Python and of what the results come from."""
  versions = {'python': platform.python_version()}
  for package in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[package] = importlib.metadata.version(package)
  return versions


_FILE = 'run.json'
_SPACE = 'space.json'  # Of a model space.
# A space knows which of their rows are right.
_MENDED_BY_ROW = ('rows.npy', 'finished.npy')
_SMALL = 2**24  # Bytes; what is larger is maps, or of a space.


def folder_of(path: str | os.PathLike) -> str | None:
  """Returns the folder of the run that a folder belongs to, or None.

  Args:
    path: The run's folder, its `model_space/`, or one space of it.
  """
  start = pathlib.Path(path).resolve()
  for folder in (start, *list(start.parents)[:2]):
    if (folder / _FILE).exists():
      return str(folder)
  return None


class RunRecord:
  """Guards an output folder, so that two runs never mix in it.

  Attributes:
    output: The folder.
    lost_models: Names of those whose points were damaged since it was finished.
  """

  def __init__(
    self,
    output: str | os.PathLike,
    flags: Mapping[str, Any],
    digests: Mapping[str, Any],
    *,
    resume: bool = False,
    overwrite: bool = False,
  ):
    """Opens the folder of a run, new or to be resumed.

    Args:
      output: The folder.
      flags: What the results depend on, as JSON.
      digests: Of the files that the flags name, as JSON.
      resume: Go on with the run of the same flags that the folder holds.
      overwrite: Delete what the folder holds, if a run wrote it.

    Raises:
      ValueError: If the folder is in use and neither `resume` nor `overwrite`
        is set; if `resume` is, and the flags or digests differ; or if
        `overwrite` is, and another run is in a folder inside of it.
    """
    if resume and overwrite:
      raise ValueError('Pass `resume` or `overwrite`, not both.')
    self.output, self.lost_models = pathlib.Path(output), set()
    self._path = self.output / _FILE
    flags, digests = json.loads(json.dumps([flags, digests]))
    if self._path.exists():
      self._content = self._read()
      if not overwrite:
        self._check_same(flags, digests, resume)
        self._discard_damaged()
        return
      self._delete()
    if self.output.exists() and not self.output.is_dir():
      raise ValueError(f'{self.output} is no folder; choose another `output`.')
    if self.output.exists() and self._strangers():
      raise ValueError(
        f'{self.output} is not empty, and no run wrote it; choose another '
        '`output`.'
      )
    self._content = {
      'flags': flags,
      'versions': versions(),
      'finished': False,
      'digests': digests,
      'seconds': {},
    }

  def _strangers(self) -> list[pathlib.Path]:
    """Returns what is in the folder, but for the lock of this run."""
    return [p for p in self.output.iterdir() if p.name != claims.LOCK]

  @classmethod
  def of(cls, output: str | os.PathLike) -> 'RunRecord | None':
    """Returns the record in a folder as it is, or None if there is none."""
    record = cls.__new__(cls)
    record.output, record.lost_models = pathlib.Path(output), set()
    record._path = record.output / _FILE
    if not record._path.exists():
      return None
    record._content = record._read()
    return record

  @property
  def flags(self) -> dict[str, Any]:
    """What the results depend on, as JSON gives it back."""
    return self._content['flags']

  def _read(self) -> dict[str, Any]:
    try:
      content = files.read_json(self._path)
      for name in ('flags', 'versions', 'digests', 'seconds'):
        content[name].items()
      content['finished']
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise ValueError(
        f'{self._path} is not the record of a run, or is damaged ({error!r}); '
        f'remove {self.output}, or choose another `output`.'
      ) from error
    return content

  def _check_same(
    self, flags: Mapping[str, Any], digests: Mapping[str, Any], resume: bool
  ) -> None:
    if not resume:
      raise ValueError(
        f'{self.output} holds a run already; pass `resume` to go on with it, '
        '`overwrite` to replace it, or another `output`.'
      )
    found = self._content['flags']
    differing = [
      f'`{name}` is {found.get(name)!r} there, but {flags.get(name)!r} now'
      for name in {**found, **flags}
      if found.get(name) != flags.get(name)
    ]
    if differing:
      raise ValueError(
        f'{self.output} holds another run: {"; ".join(differing)}. Pass the '
        'same settings, `overwrite`, or another `output`.'
      )
    text = settings.difference(
      {name: self._content['digests'].get(name) for name in digests}, digests
    )
    if text:
      raise ValueError(
        f'{self.output} was made from files that have changed since: the '
        f'digest of {text}. Pass `overwrite`, or another `output`.'
      )

  def _delete(self) -> None:
    """Empties the folder; the record, which says whose it was, goes last."""
    for place, _, names in os.walk(self.output):
      if _FILE in names and pathlib.Path(place) != self.output:
        raise ValueError(
          f'`overwrite` would delete {place}, another run; move it away, or '
          'choose another `output`.'
        )
    for path in self._strangers():
      if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
      elif path != self._path:
        path.unlink()
    self._path.unlink()

  def start(self) -> None:
    """Makes the folder and claims it; before, nothing is written."""
    self._content['finished'] = False
    self._write()

  @property
  def is_finished(self) -> bool:
    """Whether the run is done, and its files are there as it left them.

    Of large files only that they are there.
    """
    return self._content['finished'] and not self.damaged()

  def damaged(self) -> list[str]:
    """Returns the files of a finished run that are lost or changed since."""
    return [
      name
      for name, digest in self._files().items()
      if not (self.output / name).is_file() or self._digest(name) != digest
    ]

  def _discard_damaged(self) -> None:
    """Makes room for what was damaged since the run was finished, and says so.

    Then it is not finished, and computes that anew as it goes on.
    """
    if not self._content['finished']:
      return
    faults = dict.fromkeys(self.damaged(), 'is not as the run left it')
    for name in faults:
      if pathlib.Path(name).name not in _MENDED_BY_ROW:
        (self.output / name).unlink(missing_ok=True)
    for place in [place for place, names in self._walk() if _SPACE in names]:
      where = place.relative_to(self.output)
      found = ModelSpace(place).discard_damaged()
      faults |= {f'{where}: {name}': fault for name, fault in found.items()}
      self.lost_models |= found.keys()
    for name, fault in faults.items():
      logging.warning('Damaged: %s (%s).', name, fault)
    self._content['finished'] = not faults

  def _files(self) -> dict[str, str | None]:
    """Returns the digest of each file, None if it has none."""
    known = self._content['files']
    if isinstance(known, list):  # As earlier versions recorded them.
      return {name: self._digest(name) for name in known}
    return known

  def _walk(self) -> Iterator[tuple[pathlib.Path, list[str]]]:
    """Yields the run's folders, each with its files.

    Without what is hidden, and other runs inside of it, which have no part.
    """
    for place, folders, names in os.walk(self.output):
      path = pathlib.Path(place)
      folders[:] = sorted(
        name
        for name in folders
        if not (name.startswith('.') or (path / name / _FILE).exists())
      )
      yield path, [name for name in names if not name.startswith('.')]

  def _names(self) -> list[str]:
    """Returns the files of the run, but for the record."""
    found = [place / name for place, names in self._walk() for name in names]
    names = {str(path.relative_to(self.output)) for path in found}
    return sorted(names - {_FILE})

  def _digest(self, name: str) -> str | None:
    """Returns a file's digest; None of one that is large, or not there."""
    path = self.output / name
    try:
      return files.sha256(path) if path.stat().st_size < _SMALL else None
    except (OSError, ValueError):  # Or is a pipe by now.
      return None

  @contextlib.contextmanager
  def stage(self, name: str) -> Iterator[None]:
    """Records the seconds of a stage; those of earlier tries are added."""
    started = time.monotonic()
    try:
      yield
    finally:
      seconds = self._content['seconds'].get(name, 0.0)
      seconds += time.monotonic() - started
      self._content['seconds'][name] = round(seconds, 3)
      if self._path.exists():
        self._write()

  def note(self, name: str, value: Any) -> None:
    """Records a further digest, or whatever else the results came from."""
    self._content['digests'][name] = value

  def noted(self, name: str) -> Any:
    """Returns what was recorded, as JSON gives it back; None if nothing was."""
    return self._content['digests'].get(name)

  def finish(self) -> None:
    """Records that everything is written, and the digests of what is small."""
    self._content['files'] = {
      name: self._digest(name) for name in self._names()
    }
    self._content['finished'] = True
    self._write()

  def _write(self) -> None:
    files.write_json(self._path, self._content)
