"""Finds and reads the released Taskonomy encoders in a folder.

Both releases are understood, in their own layouts and in similar ones:
checkpoints `TASK/model.permanent-ckpt.*` (or `TASK.ckpt.*`, or in a folder
named for the task), and files `NAME_encoder-SHA256.pth` (or `NAME.pth`), where
NAME is the task's name in either release.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
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
    folder, name = self.path.parent, self.path.name
    index = folder / f'{name}{_INDEX}'
    data = sorted(
      path
      for path in folder.iterdir()
      if re.fullmatch(re.escape(name) + r'\.data-\d+-of-\d+', path.name)
    )
    if not data:
      raise GraphError(
        f'{index} has no data: {self.path}.data-00000-of-00001 is missing.'
      )
    return index, *data

  def is_released(self, digest: str) -> bool | None:
    """Returns None: the digests of the checkpoints were not published."""
    del digest
    return None

  def weights(self) -> dict[str, np.ndarray]:
    """Returns the encoder's variables by their names without prefix.

    Raises:
      GraphError: If it is damaged, or a variable is missing.
    """
    variables = task_bank_encoder.variables(self.encoder.channels)
    with self._damage('index'):
      reader = tf.train.load_checkpoint(str(self.path))
      found = reader.get_variable_to_shape_map()
    prefix = self._prefix(found, variables[0].name)
    weights = {}
    for name in (variable.name for variable in variables):
      if prefix + name not in found:
        raise GraphError(
          task_bank_encoder.missing_variable(
            str(self.path), prefix + name, found
          )
        )
      with self._damage(f'variable {prefix + name!r}'):
        weights[name] = reader.get_tensor(prefix + name)
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

  def _prefix(self, found: Mapping[str, object], first: str) -> str:
    expected = self.encoder.prefix
    prefixes = (expected, *task_bank_encoder.PREFIXES)
    return next((p for p in prefixes if p + first in found), expected)


@dataclasses.dataclass(frozen=True)
class TorchFile:
  """A .pth file; `stated` is the sha256 in its name, or None."""

  encoder: TaskEncoder
  path: pathlib.Path
  stated: str | None = None

  def files(self) -> tuple[pathlib.Path, ...]:
    return (self.path,)

  def is_released(self, digest: str) -> bool:
    """Returns whether it is the released file, given its sha256.

    Raises:
      GraphError: If its name says so, but it is not.
    """
    released = self.encoder.pytorch_sha256
    if self.stated == released != digest:
      raise GraphError(
        f'{self.path} is not the released file that its name says: its sha256 '
        f'is {digest}. It is damaged or was changed; get it anew, or pass '
        '--allow_unknown_digests to convert it all the same.'
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
  files = list(_walk(root.resolve(), _MAX_DEPTH, set()))
  notes: list[str] = []
  checkpoints = _checkpoints(root.resolve(), files, notes.append)
  torch = _torch_files(files, notes.append)
  sources = {}
  for name in task_bank.ENCODERS:
    if name in checkpoints and name in torch:
      notes.append(
        f'{torch[name].path} is not used, as there is the checkpoint '
        f'{checkpoints[name].path}.'
      )
    if source := checkpoints.get(name) or torch.get(name):
      sources[name] = source
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
  for name in (*task_bank.ENCODERS, *task_bank.MULTI_IMAGE):
    if re.match(re.escape(name) + r'(?![A-Za-z0-9])', text):
      return name
  return None


def _multi_image_note(path: pathlib.Path) -> str:
  return f'{path} is not used: its task sees several images or parts at once.'


def _checkpoints(
  root: pathlib.Path, files: list[pathlib.Path], note: Callable[[str], None]
) -> dict[str, Checkpoint]:
  found: dict[str, list[Checkpoint]] = {}
  for file in files:
    if file.suffix != _INDEX:
      continue
    path = file.with_suffix('')
    # The file's own name first, then its folders' up to the root itself.
    parts = path.relative_to(root.parent).parts[::-1]
    task = next(filter(None, map(_task_in, parts)), None)
    if task is None:
      note(f'{file} is not used: it is not named for a task.')
    elif task in task_bank.MULTI_IMAGE:
      note(_multi_image_note(file))
    else:
      encoder = task_bank.ENCODERS[task]
      found.setdefault(task, []).append(Checkpoint(encoder, path))
  for task, candidates in found.items():
    named = [c for c in candidates if c.path.name == task_bank.CHECKPOINT]
    found[task] = named if len(named) == 1 else candidates
  return {task: _only(task, candidates) for task, candidates in found.items()}


def _torch_files(
  files: list[pathlib.Path], note: Callable[[str], None]
) -> dict[str, TorchFile]:
  encoders = dict(task_bank.ENCODERS)
  encoders |= {e.pytorch_name: e for e in task_bank.ENCODERS.values()}
  other = {*task_bank.MULTI_IMAGE, *task_bank.MULTI_IMAGE.values()}
  found: dict[str, list[TorchFile]] = {}
  for file in files:
    match = _TORCH_FILE.fullmatch(file.name)
    if match and match['name'] in encoders:
      encoder = encoders[match['name']]
      torch = TorchFile(encoder, file, match['digest'])
      found.setdefault(encoder.name, []).append(torch)
    elif match and match['name'] in other:
      note(_multi_image_note(file))
    elif file.suffix in ('.pth', '.pt') and '_decoder' not in file.name:
      note(f'{file} is not used: it is not named for a task.')
  return {task: _only(task, candidates) for task, candidates in found.items()}


def _only(task: str, candidates: list) -> Source:
  if len(candidates) > 1:
    paths = ', '.join(str(candidate.path) for candidate in candidates)
    raise ValueError(
      f'{task}: which of these is its encoder? {paths}. Leave one of them.'
    )
  return candidates[0]
