"""Converts the released Taskonomy encoders to a bank of frozen graphs.

Beside the bank, `sources.json` says what each graph was made from, so that a
second run converts only what is new.
"""

from collections.abc import Callable, Collection, Iterable
import dataclasses
import os
import pathlib
import shutil
from typing import Any

from absl import logging
import tensorflow as tf

from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import files as task_bank_files
from taskonomy_models.task_bank import release as task_bank
from taskonomy_models.task_bank.files import TorchFile
from taskonomy_models.task_bank.release import TaskEncoder
from transferability.oracle import Oracle

NAME = 'task_bank'
_ORACLE = 'oracle.csv'
_BYTES_PER_GRAPH = 96 * 2**20


@dataclasses.dataclass(frozen=True)
class TaskBankReport:
  """What a conversion did.

  Attributes:
    converted: Tasks that were converted now.
    kept: Tasks that had been converted from the same files.
    failed: Messages by task.
    missing: Tasks of the paper that the bank does not hold.
  """

  converted: tuple[str, ...]
  kept: tuple[str, ...]
  failed: dict[str, str]
  missing: tuple[str, ...]


class _TaskBankFolder(banks.Folder):
  """The folder of the bank."""

  def __init__(self, path: str | os.PathLike):
    super().__init__(path, NAME)
    if not self.provenance() and self.bank().encoders:
      raise ValueError(
        f'{self.path} holds a bank that was not made by this command; choose '
        'another output.'
      )

  def add_task(
    self,
    encoder: TaskEncoder,
    graph: tf.compat.v1.GraphDef | bytes,
    record: dict[str, Any],
  ) -> None:
    """Writes a graph, the bank, and Taskonomy's ranking of what is in it."""
    entry = Encoder(
      name=encoder.name,
      graph='',
      input_tensor=task_bank_encoder.INPUT,
      representation_tensor=task_bank_encoder.REPRESENTATION,
      preprocessing=encoder.preprocessing,
      label=encoder.task.label,
      group=encoder.task.group,
    )
    self.add(entry, graph, record, image_size=task_bank.IMAGE_SIZE)
    names, oracle = self.bank().names, None
    tasks = [task_bank.encoders()[name].task for name in names]
    if len(tasks) > 1 and any(task.is_target for task in tasks):
      oracle = str(self.path / _ORACLE)
      Oracle.taskonomy().restrict(names).save(oracle)
    self.describe(order=tuple(task_bank.encoders()), oracle=oracle)


def _check_space(folder: pathlib.Path, number: int) -> None:
  existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
  free = shutil.disk_usage(existing).free
  if free < number * _BYTES_PER_GRAPH:
    raise OSError(
      f'{number} graphs need {number * _BYTES_PER_GRAPH / 2**30:.1f} GiB, but '
      f'only {free / 2**30:.1f} GiB are free in {existing}.'
    )


def convert(
  source: str | os.PathLike,
  output: str | os.PathLike,
  *,
  only: Collection[str] = (),
  weights_type: str = 'float32',
  allow_unknown_digests: bool = False,
  progress: Callable[..., Iterable] = lambda items, **_: items,
) -> TaskBankReport:
  """Converts the released encoders in a folder; see `task_bank_files`.

  A file that cannot be converted does not keep the others from being so. What
  an earlier run converted stays in the bank, with or without its source.

  Args:
    source: Folder of checkpoints or .pth files.
    output: Folder of the bank, which is made or added to.
    only: The tasks wanted; empty: all.
    weights_type: As the graphs store their kernels, 'float32' or 'float16'.
    allow_unknown_digests: Take a .pth file whose content is not what the sha256
      in its name says.
    progress: Wraps the tasks, as `progress.track` does.

  Raises:
    ValueError: If there is nothing to convert, or the output holds another
      bank.
    OSError: If a folder cannot be read or written.
  """
  sources = _wanted(source, only)
  folder = _TaskBankFolder(output)
  _check_space(
    folder.path, sum(not folder.graph(s.encoder.name).exists() for s in sources)
  )
  converted, kept, failed = [], [], {}
  for item in progress(sources, description='Encoders'):
    name = item.encoder.name
    try:
      record = {
        'source_sha256': _checked_digest(item, allow_unknown_digests),
        'weights_type': weights_type,
        'source': item.path.name,
      }
      is_there = folder.has(name, record)
      if is_there:
        kept.append(name)
        if name in folder.bank().names:
          continue
        graph = folder.graph(name).read_bytes()  # That run was interrupted.
      else:
        graph = _graph_def(item, weights_type)
        converted.append(name)
    except (ValueError, OSError) as error:
      failed[name] = str(error)
      logging.error('%s: %s', name, error)
      continue
    folder.add_task(item.encoder, graph, record)
    logging.info('%s: of %s', name, item.path)
  there = folder.bank().names
  missing = tuple(n for n in task_bank.encoders() if n not in there)
  return TaskBankReport(tuple(converted), tuple(kept), failed, missing)


def _wanted(
  folder: str | os.PathLike, only: Collection[str]
) -> list[task_bank_files.Source]:
  """Returns the sources in a folder, of these tasks or of all."""
  if unknown := sorted(set(only) - set(task_bank.encoders())):
    raise ValueError(
      f'There are no tasks {unknown}; there are {list(task_bank.encoders())}.'
    )
  findings = task_bank_files.find(folder)
  for note in findings.notes:
    logging.info('%s', note)
  wanted = only or findings.sources
  sources = [item for name, item in findings.sources.items() if name in wanted]
  if not sources:
    raise ValueError(
      f'No encoders found in {folder}. Put checkpoints there as '
      f'TASK/{task_bank.CHECKPOINT}.index and .data-00000-of-00001, or files '
      'NAME_encoder-SHA256.pth; docs/task_bank.md lists them.'
    )
  return sources


def _checked_digest(
  source: task_bank_files.Source, allow_unknown_digests: bool
) -> str:
  """Returns the sha256 of a source; says so if it is not a released one."""
  digest = task_bank_files.digest(source)
  if isinstance(source, TorchFile) and not source.is_released(
    digest, allow_unknown_digests
  ):
    logging.warning(
      '%s is not the file of the PyTorch release (its sha256 is %s, that of '
      'the release %s); it is taken as it is.',
      source.path,
      digest,
      source.encoder.pytorch_sha256,
    )
  return digest


def _graph_def(
  source: task_bank_files.Source, weights_type: str
) -> tf.compat.v1.GraphDef:
  return task_bank_encoder.freeze(
    source.weights(),
    source.encoder.channels,
    str(source.path),
    prefix=source.encoder.prefix,
    size=task_bank.IMAGE_SIZE,
    weights_type=weights_type,
  ).graph_def
