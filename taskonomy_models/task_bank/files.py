"""Finds and reads the released Taskonomy encoders in a folder.

Both releases are understood, in their own layouts and in similar ones:
checkpoints `TASK/model.permanent-ckpt.*` (or `TASK.ckpt.*`, or in a folder
named for the task), and files `NAME_encoder-SHA256.pth` (or `NAME.pth`), where
NAME is the task's name in either release.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import glob
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import files as torch_files
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from taskonomy_models.task_bank.release import TaskEncoder
from toolkit_basics import files

_MAX_DEPTH = 4
_INDEX = '.index'
_TORCH_FILE = re.compile(
  r'(?P<name>\w+?)(_encoder)?(-(?P<digest>[0-9a-f]{64}))?\.(pth|pt)'
)
_NO_TASK = 'it is not named for a task'
_SEVERAL_IMAGES = 'its task sees several images or parts at once'


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A checkpoint of TensorFlow 1: `path` is its prefix, without suffixes."""

  encoder: TaskEncoder
  path: pathlib.Path

  def files(self) -> tuple[pathlib.Path, ...]:
    """Returns its index and its data.

    Raises:
      GraphError: If there are no data.
    """
    index = self.path.with_name(f'{self.path.name}{_INDEX}')
    pattern = f'{glob.escape(self.path.name)}.data-[0-9]*-of-[0-9]*'
    data = sorted(self.path.parent.glob(pattern))
    if not data:
      raise GraphError(
        f'{index} has no data: {self.path}.data-00000-of-00001 is missing.'
      )
    return index, *data

  def weights(self) -> dict[str, np.ndarray]:
    """Returns the encoder's variables by their names without prefix.

    Raises:
      GraphError: If it is damaged, or a variable is missing.
    """
    variables = task_bank_encoder.variables(self.encoder.channels)
    with self._damage('index'):
      reader = tf.train.load_checkpoint(str(self.path))
      found = reader.get_variable_to_shape_map()
    prefixes = (self.encoder.prefix, *task_bank_encoder.PREFIXES)
    first = variables[0].name
    prefix = next((p for p in prefixes if p + first in found), prefixes[0])
    weights = {}
    for variable in variables:
      name = prefix + variable.name
      if name not in found:
        raise task_bank_encoder.missing_variable(str(self.path), name, found)
      with self._damage(f'variable {name!r}'):
        weights[variable.name] = reader.get_tensor(name)
    return weights

  @contextlib.contextmanager
  def _damage(self, what: str) -> Iterator[None]:
    """Makes a clear error of what the checkpoint reader raises."""
    try:
      yield
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
      reason = ' '.join(str(error).split())
      raise GraphError(
        f'{self.path}: the checkpoint is damaged or cut off, get it anew '
        f'({what}: {reason}).'
      ) from error


@dataclasses.dataclass(frozen=True)
class TorchFile:
  """A .pth file; `stated` is the sha256 in its name, or None."""

  encoder: TaskEncoder
  path: pathlib.Path
  stated: str | None = None

  def files(self) -> tuple[pathlib.Path, ...]:
    return (self.path,)

  def is_released(self, digest: str, allow_unknown: bool = False) -> bool:
    """Returns whether it is the released file, given its sha256.

    Raises:
      GraphError: If its name says so, but it is not, unless that is allowed.
    """
    released = self.encoder.pytorch_sha256
    if self.stated == released != digest and not allow_unknown:
      raise GraphError(
        f'{self.path} is not the released file that its name says: its sha256 '
        f'is {digest}. It is damaged or was changed; get it anew, or pass '
        '`allow_unknown_digests=True` to convert it all the same.'
      )
    return digest == released

  def weights(self) -> dict[str, np.ndarray]:
    """Returns the encoder's variables by their names in the checkpoints.

    Raises:
      GraphError: If it is damaged, or a variable is missing or wrong.
    """
    return task_bank_encoder.from_torch(
      torch_files.load_state_dict(self.path),
      self.encoder.channels,
      str(self.path),
    )


Source = Checkpoint | TorchFile


def digest(source: Source) -> str:
  """Returns the sha256 of a source's file, or of all its files in turn."""
  return files.sha256(*source.files())


@dataclasses.dataclass(frozen=True)
class Findings:
  """What a folder holds.

  Attributes:
    sources: By task, in canonical order.
    notes: Sentences about files that are not used.
  """

  sources: Mapping[str, Source]
  notes: tuple[str, ...]


def find(folder: str | os.PathLike) -> Findings:
  """Looks for released encoders in a folder and the folders in it.

  Where there is a checkpoint and a .pth file, the checkpoint is taken: it is
  the original.

  Raises:
    ValueError: If a task has several files of one kind; the message names them.
    NotADirectoryError: If there is no such folder.
  """
  root = pathlib.Path(folder)
  if not root.is_dir():
    raise NotADirectoryError(f'There is no folder {root}.')
  notes: list[str] = []
  candidates: dict[tuple[str, type], list[Source]] = {}
  for file in _walk(root.resolve(), _MAX_DEPTH, set()):
    found = _source(file, root.resolve())
    if isinstance(found, str):
      notes.append(f'{file} is not used: {found}.')
    elif found is not None:
      key = found.encoder.name, type(found)
      candidates.setdefault(key, []).append(found)
  sources = {}
  for name in task_bank.encoders():
    for kind in (Checkpoint, TorchFile):
      if (name, kind) in candidates:
        source = _only(name, candidates[name, kind])
        if sources.setdefault(name, source) is not source:
          notes.append(
            f'{source.path} is not used, as there is the checkpoint '
            f'{sources[name].path}.'
          )
  return Findings(sources, tuple(notes))


def _walk(
  folder: pathlib.Path, depth: int, seen: set[pathlib.Path]
) -> Iterator[pathlib.Path]:
  """Yields the files of a folder, and of those in it down to a depth."""
  if folder.resolve() in seen:
    return
  seen.add(folder.resolve())
  for path in sorted(folder.iterdir()):
    if not path.is_dir():
      yield path
    elif depth > 0:
      yield from _walk(path, depth - 1, seen)


def _task_in(text: str) -> str | None:
  """Returns the task that a file or folder is named for."""
  for name in (*task_bank.encoders(), *task_bank.MULTI_IMAGE):
    if re.match(re.escape(name) + r'(?![A-Za-z0-9])', text):
      return name
  return None


def _source(file: pathlib.Path, root: pathlib.Path) -> Source | str | None:
  """Returns what a file is; or why it is not used, None if it needs no word."""
  if file.suffix in ('.pth', '.pt'):
    return _torch_file(file)
  if file.suffix != _INDEX:
    return None
  path = file.with_suffix('')
  # The file's own name first, then its folders' up to the root itself.
  parts = path.relative_to(root.parent).parts[::-1]
  task = next(filter(None, map(_task_in, parts)), None)
  if task in task_bank.MULTI_IMAGE:
    return _SEVERAL_IMAGES
  return Checkpoint(task_bank.encoders()[task], path) if task else _NO_TASK


def _torch_file(file: pathlib.Path) -> TorchFile | str | None:
  match = _TORCH_FILE.fullmatch(file.name)
  name = match['name'] if match else ''
  for encoder in task_bank.encoders().values():
    if name in (encoder.name, encoder.pytorch_name):
      return TorchFile(encoder, file, match['digest'])
  if name in {*task_bank.MULTI_IMAGE, *task_bank.MULTI_IMAGE.values()}:
    return _SEVERAL_IMAGES
  return None if '_decoder' in file.name else _NO_TASK


def _only(task: str, candidates: list[Source]) -> Source:
  named = [c for c in candidates if c.path.name == task_bank.CHECKPOINT]
  if len(named) == 1:
    return named[0]
  if len(candidates) > 1:
    paths = ', '.join(str(candidate.path) for candidate in candidates)
    raise ValueError(
      f'{task}: which of these is its encoder? {paths}. Leave one of them.'
    )
  return candidates[0]
