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

from transferability import files

_PACKAGES = ('tensorflow', 'numpy', 'scipy', 'opencv-python', 'matplotlib')


def _versions() -> dict[str, str]:
  versions = {'python': platform.python_version()}
  for package in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[package] = importlib.metadata.version(package)
  return versions


class RunRecord:
  """Guards an output folder, so that two runs never mix in it."""

  def __init__(
    self,
    output: str | os.PathLike,
    flags: Mapping[str, Any],
    *,
    resume: bool = False,
    overwrite: bool = False,
  ):
    """Opens the folder of a run, new or to be resumed.

    Args:
      output: The folder.
      flags: What the results depend on, as JSON.
      resume: Go on with the run of the same flags that the folder holds.
      overwrite: Delete what the folder holds, if a run wrote it.

    Raises:
      ValueError: If the folder is in use and neither `resume` nor `overwrite`
        is set; or if `resume` is, and the flags differ.
    """
    if resume and overwrite:
      raise ValueError('Pass --resume or --overwrite, not both.')
    self._output = pathlib.Path(output)
    self._path = self._output / 'run.json'
    flags = json.loads(json.dumps(flags))
    if overwrite and self._path.exists():
      shutil.rmtree(self._output)
    if self._path.exists():
      self._content = self._existing(flags, resume)
      return
    if self._output.exists() and any(self._output.iterdir()):
      raise ValueError(
        f'{self._output} is not empty, and no run wrote it; choose another '
        '--output.'
      )
    self._content = {
      'flags': flags,
      'versions': _versions(),
      'finished': False,
      'digests': {},
      'seconds': {},
    }

  def _existing(self, flags: Mapping[str, Any], resume: bool) -> dict:
    try:
      content = json.loads(self._path.read_text(encoding='utf-8'))
      found = content['flags']
    except (ValueError, KeyError, TypeError) as error:
      raise ValueError(
        f'{self._path} is damaged ({error!r}); pass --overwrite.'
      ) from error
    if not resume:
      raise ValueError(
        f'{self._output} holds a run already; pass --resume to go on with it, '
        '--overwrite to replace it, or another --output.'
      )
    differing = [
      f'--{name} is {found.get(name)!r} there, but {flags.get(name)!r} now'
      for name in {**found, **flags}
      if found.get(name) != flags.get(name)
    ]
    if differing:
      raise ValueError(
        f'{self._output} holds another run: {"; ".join(differing)}. Pass the '
        'same flags, --overwrite, or another --output.'
      )
    return content

  def start(self) -> None:
    """Makes the folder and claims it; before, nothing is written."""
    self._output.mkdir(parents=True, exist_ok=True)
    self._write()

  @property
  def is_finished(self) -> bool:
    """Whether the run is done and all its files are there."""
    return self._content['finished'] and all(
      (self._output / name).exists() for name in self._content['files']
    )

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
    """Records a digest, or whatever else the results came from."""
    self._content['digests'][name] = value

  def finish(self) -> None:
    """Records that everything is written."""
    self._content['files'] = sorted(
      str(path.relative_to(self._output))
      for path in self._output.rglob('*')
      if path.is_file() and path != self._path
    )
    self._content['finished'] = True
    self._write()

  def _write(self) -> None:
    text = json.dumps(self._content, indent=2) + '\n'
    files.write_atomically(self._path, text.encode())
