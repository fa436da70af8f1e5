"""Writes what a run found: at its end, and anew when a network came or went."""

import dataclasses
import os
import pathlib
import resource
import sys

from absl import logging

from experiments import (
  evaluation,
  pipeline,
  probing,
  similarities,
  visuals,
  zoo_evaluation,
)
from experiments.map_files import MapFile
from experiments.run_record import RunRecord
from probe_data.probe_sets import ProbeSet
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files
from transferability import map_transforms
from transferability.model_space import ModelSpace, Spaces

MEASURED = 'measured.json'
# Cells that a run of the zoo keeps of its networks' layers: some have 100,000
# and more, and measures that are defined for all look at 8 a side.
LAYER_SIDE = 16


class Measured(pipeline.Observer):
  """Keeps what was measured of each network, over all tries of a run."""

  def __init__(
    self, output: pathlib.Path, log: pipeline.Observer | None = None
  ):
    """Reads what is known.

    Args:
      output: Of the run.
      log: Is told of networks that cannot be projected.
    """
    self._path, self._log = output / MEASURED, log or pipeline.Observer()
    self.networks: dict[str, dict[str, float]] = {}
    if self._path.exists():
      self.networks = files.read_json(self._path)

  def finished(self, encoder, images, seconds, ruled) -> None:
    before = self.networks.get(encoder.name, {'images': 0, 'seconds': 0.0})
    self.networks[encoder.name] = {
      'images': before['images'] + images,
      'seconds': round(before['seconds'] + seconds, 3),
      'ruled': ruled,
    }
    files.write_json(self._path, self.networks)

  def failed(self, encoder, error) -> None:
    self._log.failed(encoder, error)

  def forget(self, name: str) -> None:
    """Forgets a network."""
    if self.networks.pop(name, None) is not None:
      files.write_json(self._path, self.networks)


def begin(record: RunRecord, probe: ProbeSet) -> None:
  """Claims a run's folder, and writes which images it is about, in order."""
  record.start()
  rows = zip(range(len(probe.ids)), probe.ids, probe.digests, strict=True)
  header = ('index', 'image', 'sha256')
  files.write_csv(record.output / 'images.csv', [header, *rows])
  record.note('probe', probe.digest)


def is_finished(record: RunRecord) -> bool:
  """Whether a run is done and whole.

  Raises:
    ValueError: If a network was damaged that was inserted after the run.
  """
  inserted = record.noted('inserted') or ()
  if lost := sorted(set(record.lost_models) & set(inserted)):
    raise ValueError(
      f'{record.output}: {", ".join(lost)} was inserted after the run, and is '
      'damaged. Insert it again with `python -m experiments.insert_model`, or '
      'remove it with `python -m experiments.remove_model`.'
    )
  return record.is_finished


def finish(
  kind: str, record: RunRecord, bank: Bank, probe: ProbeSet, spaces: Spaces
) -> None:
  """Writes all results of a run whose networks are projected.

  Args:
    kind: Of the run: `comparison` or `zoo`.
    record: Of the run.
    bank: Of the run; networks that were inserted later join it.
    probe: The images.
    spaces: By name, in the order of the tables.
  """
  record.note('kind', kind)
  record.note('folder', os.path.abspath(bank.folder))
  record.note('spaces', list(spaces))
  _write(record, bank_of(record, spaces, bank), probe, spaces)


def complete(spaces: Spaces) -> RunRecord | None:
  """Returns the record of the run whose spaces these are, all of them.

  None if they are of no run, of one that has not written its results yet, or a
  part of its spaces.
  """
  record = record_of(next(iter(spaces.values())))
  if record is None or sorted(record.noted('spaces') or ()) != sorted(spaces):
    return None
  return record


def record_of(space: ModelSpace) -> RunRecord | None:
  """Returns the record of the run that a space belongs to, if there is one.

  A run's spaces are two folders below its record; a study's are not.
  """
  return RunRecord.of(space.folder.resolve().parent.parent)


def rewrite(record: RunRecord, probe: ProbeSet, spaces: Spaces) -> None:
  """Writes all results of a run anew, from the spaces as they are now."""
  spaces = {name: spaces[name] for name in record.noted('spaces')}
  bank = bank_of(record, spaces)
  record.start()  # Until all is written, the run is not finished.
  _write(record, bank, probe, spaces)


def note_inserted(record: RunRecord, encoder: Encoder) -> None:
  """Records a network that the bank of a run does not have."""
  known = record.noted('inserted') or {}
  entry = {'label': encoder.label, 'group': encoder.group}
  record.note('inserted', {**known, encoder.name: entry})


def forget(record: RunRecord, name: str) -> None:
  """Deletes what a run holds of a network outside of its spaces."""
  known = record.noted('inserted') or {}
  record.note('inserted', {n: e for n, e in known.items() if n != name})
  Measured(record.output).forget(name)
  delete_arrays(record.output, name)


def delete_arrays(output: pathlib.Path, name: str) -> None:
  """Deletes the maps and representations of a network, if a run kept them."""
  for folder in (output / 'representations', *output.glob('maps/*')):
    MapFile(folder / f'{name}.npy', 0).delete()


def bank_of(
  record: RunRecord, spaces: Spaces, bank: Bank | None = None
) -> Bank:
  """Returns the networks that are in all spaces of a run.

  Args:
    record: Of the run; networks that were inserted are added to its bank.
    spaces: By name.
    bank: Of the run, if it is loaded.
  """
  bank = bank or banks.load(record.noted('folder'), needs_graphs=False)
  inserted = record.noted('inserted') or {}
  known = {encoder.name: encoder for encoder in bank.encoders}
  for name, shown_as in inserted.items():
    known[name] = Encoder(name, '', '', '', '', **shown_as)
  there = set.intersection(*(set(s.models) for s in spaces.values()))
  if lost := sorted(there - known.keys()):
    logging.warning('Left out, as the bank has it no more: %s', lost)
  encoders = tuple(e for name, e in known.items() if name in there)
  return dataclasses.replace(bank, encoders=encoders)


def _write(
  record: RunRecord, bank: Bank, probe: ProbeSet, spaces: Spaces
) -> None:
  dropped = dict.fromkeys(
    space.image_ids[i]
    for space in probing.of_maps(spaces).values()
    for i in space.dropped_images
  )
  record.note('dropped_images', list(dropped))
  write = _write_zoo if record.noted('kind') == 'zoo' else _write_comparison
  write(record, bank, probe, spaces)
  kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
  peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds)
  peak /= 2**20 if sys.platform == 'darwin' else 2**10
  record.note('peak_memory_mb', round(peak))
  record.finish()


def _write_comparison(
  record: RunRecord, bank: Bank, probe: ProbeSet, spaces: Spaces
) -> None:
  """Writes the results of `run_taskonomy`."""
  output, flags, others, drawable = record.output, record.flags, {}, {}
  if chosen := flags['similarities']:
    with record.stage('similarities'):
      others, drawable, undefined = similarities.of_run(
        chosen, output, bank.names, spaces
      )
    record.note('undefined_similarities', undefined)
  spaces = probing.of_maps(spaces)
  with record.stage('evaluation'):
    found = evaluation.evaluate(
      bank, spaces, flags['protocol'], others, drawable
    )
    evaluation.write_tables(found, output)
  with record.stage('figures'):
    visuals.draw(bank, probe, spaces, found, output, flags)


def _write_zoo(
  record: RunRecord, bank: Bank, probe: ProbeSet, spaces: Spaces
) -> None:
  """Writes the results of `run_zoo`."""
  output, flags = record.output, record.flags
  with record.stage('evaluation'):
    measured = Measured(output).networks
    options = flags['num_permutations'], flags['seed']
    others, _, undefined = similarities.of_run(
      flags.get('similarities', ()), output, bank.names, spaces
    )
    record.note('undefined_similarities', undefined)
    spaces = probing.of_maps(spaces)
    found = zoo_evaluation.write(
      bank, spaces, measured, output, *options, others
    )
  with record.stage('figures'):
    # A page and figures of one transform; all of them would be too many.
    first = flags['map_transform'][0]
    shown = {
      name: space
      for name, space in spaces.items()
      if space.settings.get('map_transform', map_transforms.NONE) == first
    }
    visuals.draw(bank, probe, shown, found.only(shown), output, flags)
    zoo_evaluation.draw(output)
